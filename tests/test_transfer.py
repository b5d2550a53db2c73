"""Approach 1 as one call: from two pictures to a pastiche."""

import re
import time

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nstlab import machine
from nstlab.images import ImageError, is_gray, load_image, without_color
from nstlab.optimize import DivergenceError, finish
from nstlab.style_transfer import style_transfer_objective
from nstlab.transfer import LEAN, pyramid, stylize, stylize_run
from nstlab.vgg import VGG

SMALL = {"size": 64, "steps": 3}


def test_the_style_loss_falls_50_fold_from_noise_while_the_content_loss_falls_too():
    result = stylize("chenonceau_river", "starry_night", size=96, steps=30)
    start, end = result.history[0].losses, result.history[-1].losses
    assert end["style"] < start["style"] / 50 and end["content"] < start["content"]
    assert result.image.shape == (1, 3, 72, 96) and result.image.min() >= 0 and result.image.max() <= 1


def test_content_and_style_may_differ_in_size_and_shape():
    content, style = torch.rand(1, 3, 40, 64), torch.rand(1, 3, 80, 50)
    assert stylize(content, style, **SMALL).image.shape == content.shape


def test_the_default_weights_mix_alike_at_every_size():
    share = {}
    for size in (64, 192):
        r = stylize("horses", "great_wave", size=size, steps=12, coarse_to_fine=False).history[-1]
        share[size] = r.weights["content"] * r.losses["content"] / r.total
    assert 0.5 < share[64] / share[192] < 2


@pytest.mark.parametrize("exact", [False, True])
def test_coarse_sizes_lean_towards_the_content_unless_the_equation_is_exact(exact):
    vgg = VGG()
    coarse, full = stylize_run("horses", "great_wave", size=128, steps=1, vgg=vgg, exact=exact).objectives
    lean = 1.0 if exact else LEAN
    for objective, layer, n in ((coarse, "conv4_2" if exact else "conv3_1", lean), (full, "conv4_2", 1.0)):
        plain = style_transfer_objective(vgg, *objective.images.values(), content_layer=layer, exact=exact)
        x = torch.rand(1, 3, *objective.size)
        assert objective.at(x).losses["content"] == pytest.approx(n * plain.at(x).losses["content"], rel=1e-4)
        assert objective.at(x).losses["style"] == pytest.approx(plain.at(x).losses["style"], rel=1e-4)


def test_in_units_every_style_layer_is_heard_and_as_printed_some_are_not():
    vgg, (content, style) = VGG(), (load_image(name, size=64) for name in ("horses", "great_wave"))
    by_layer = style_transfer_objective(vgg, content, style, per_layer=True)
    left = {}
    for exact in (False, True):
        image = stylize(content, style, size=64, steps=12, vgg=vgg, content_weight=0.0, exact=exact).image
        left[exact] = max(5 * loss for name, loss in by_layer.at(image).losses.items() if name != "content")
    assert left[False] < 0.15 and left[True] > 2 * left[False]


def test_the_exact_equation_prints_what_its_weights_are_in_relative_units(capsys):
    vgg, (content, style) = VGG(), (load_image(name, size=64) for name in ("horses", "great_wave"))
    settings = {"size": 64, "steps": 0, "coarse_to_fine": False, "content_weight": 1e-3, "exact": True}
    last = stylize("horses", "great_wave", vgg=vgg, **settings).history[-1]
    said = capsys.readouterr().out
    assert "alpha = 0.001" in said and "beta = 1" in said
    relative = style_transfer_objective(vgg, content, style, per_layer=True)
    x = torch.rand(1, 3, *relative.size, generator=torch.Generator().manual_seed(0))
    losses = relative.at(x).losses
    weight_of_content, *of_style = (
        float(number) for number in re.findall(r"(?<=weight of )[\d.e+-]+|(?<=_1 )[\d.e+-]+", said)
    )
    total = sum(w * loss for w, loss in zip([weight_of_content, *of_style], losses.values(), strict=True))
    assert total == pytest.approx(last.total, rel=1e-2)


def test_every_step_is_shown_and_ctrl_c_gives_the_result_so_far():
    seen = []

    def watch(step):
        seen.append(step.index)
        if step.index == 2:
            raise KeyboardInterrupt

    result = stylize("horses", "great_wave", watch, **SMALL)
    assert seen == [0, 1, 2] and result.interrupted and len(result.history) == 3


def test_an_error_in_the_watcher_reaches_the_caller_and_leaves_the_run_whole():
    run = stylize_run("horses", "great_wave", **SMALL)
    with pytest.raises(ZeroDivisionError):
        finish(run, lambda step: 1 / (1 - step.index))
    assert run.image is not None and finish(run).history[-1].index == run.steps


def test_infinite_pixels_never_reach_the_network():
    with pytest.raises(ImageError, match="NaN"):
        stylize(torch.full((1, 3, 64, 64), float("nan")), "starry_night", **SMALL)


def test_divergence_is_an_arithmetic_error_that_holds_the_image():
    error = DivergenceError("why", None, [])
    assert isinstance(error, ArithmeticError) and error.image is None and error.history == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"content_weight": -1}, "content_weight=-1"),
        ({"style_weight": float("nan")}, "style_weight=nan"),
        ({"steps": -1}, "steps"),
        ({"start": "somewhere"}, "'somewhere'"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"size": 8}, "size=8"),
    ],
)
def test_bad_settings_are_refused_before_the_run_begins(settings, says):
    with pytest.raises(ValueError, match=says):
        stylize_run("horses", "great_wave", **{**SMALL, **settings})


def test_a_pyramid_ends_at_the_size_asked_for_and_gives_no_coarser_level_fewer_steps():
    for size in (32, 64, 100, 512, 1023, 4096):
        levels = pyramid(size, 30)
        assert levels[-1] == (size, 30)
        assert [steps for _, steps in levels] == sorted((steps for _, steps in levels), reverse=True)


def test_the_device_is_the_environments_unless_named(monkeypatch):
    monkeypatch.setenv("NSTLAB_DEVICE", "cpu")
    assert machine.default_device() == torch.device("cpu")
    monkeypatch.setenv("NSTLAB_DEVICE", "abacus")
    with pytest.raises(ValueError, match="NSTLAB_DEVICE='abacus'"):
        machine.default_device()


def test_a_device_that_holds_no_numbers_is_refused():
    with pytest.raises(ValueError, match="cannot be used here"):
        machine.checked_device("cuda:99")


def test_the_profile_is_the_environments_unless_there_is_none(monkeypatch):
    monkeypatch.setenv("NSTLAB_PROFILE", "ci")
    assert machine.profile().size < 128
    monkeypatch.delenv("NSTLAB_PROFILE")
    monkeypatch.setenv("NSTLAB_DEVICE", "cpu")
    assert machine.profile().name == "cpu"
    monkeypatch.setenv("NSTLAB_PROFILE", "huge")
    with pytest.raises(ValueError, match="ci, cpu, gpu"):
        machine.profile()


def test_a_network_of_ones_own_is_used():
    random = stylize("horses", "great_wave", vgg=VGG(weights="random"), **SMALL)
    trained = stylize("horses", "great_wave", **SMALL)
    assert not torch.allclose(random.image, trained.image, atol=0.05)
    assert load_image(random.image).shape == random.image.shape


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"content_layer": "relu4_2"}, "vgg19 has no layer relu4_2; it has conv1_1"),
        ({"style_layers": {"conv5_5": 1.0}}, "no layer conv5_5"),
        ({"style_layers": {}}, "none was named"),
        ({"style_layers": ("conv1_1",)}, "equal_weights"),
        ({"content": torch.rand(3, 32, 32)}, r"given \(3, 32, 32\)"),
        ({"content": torch.zeros(1, 3, 32, 32, dtype=torch.uint8)}, "floats in .*uint8"),
        ({"style": torch.rand(1, 3, 8, 32)}, "at least 16x16 pixels"),
    ],
)
def test_an_objective_refuses_what_the_network_cannot_answer(change, says):
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match=says):
        style_transfer_objective(VGG(), **{"content": image, "style": image, **change})


def test_panoramas_and_scrolls_go_from_coarse_to_fine_too():
    panorama, scroll = torch.rand(1, 3, 32, 400), torch.rand(1, 3, 400, 64)
    result = stylize(panorama, scroll, size=400, steps=1)
    assert result.image.shape == panorama.shape and result.history[0].size < result.history[-1].size


def test_auto_precision_is_one_of_all_and_the_networks_is_reported():
    assert VGG(precision="auto").precision in machine.PRECISIONS
    assert "bfloat16" in repr(VGG(precision="bfloat16"))
    with pytest.raises(ValueError, match="choose one of auto, float32, bfloat16, float16"):
        VGG(precision="float8")


@pytest.mark.parametrize(
    ("generation", "fastest"),
    [((6, 1), "float32"), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_a_gpu_gets_what_it_multiplies_natively(generation, fastest, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert machine.fastest_precision.__wrapped__(torch.device("cuda")) == fastest


class OneDevice(TorchDispatchMode):
    """Refuses whatever would mix devices. On the device "meta" a tensor has no numbers, so nothing can wait for one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        devices = {t.device.type for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.ndim}
        assert len(devices) < 2, f"{func} mixes {devices}"
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("precision", list(machine.PRECISIONS))
def test_an_evaluation_stays_on_its_device_and_waits_for_it_once(precision, pooling, tile, monkeypatch):
    monkeypatch.setattr("nstlab.style_transfer.is_gray", lambda image: False)  # "meta" has no numbers to look at
    waits = []
    monkeypatch.setattr(Tensor, "tolist", lambda numbers: waits.append(numbers) or [0.0] * len(numbers))
    vgg = VGG(precision=precision, pooling=pooling).to("meta")
    content, style, image = (torch.rand(1, 3, *size, device="meta") for size in ((64, 48), (48, 80), (64, 48)))
    objective = style_transfer_objective(vgg, content, style, tile=tile)
    assert objective.device.type == "meta"
    with OneDevice():
        point = objective.at(image)
    assert len(waits) == 1 and waits[0].device.type == "meta"
    assert point.gradient.device.type == "meta" and point.gradient.dtype == torch.float32
    assert point.gradient.shape == image.shape


@pytest.mark.parametrize(("faster", "pays"), [("bfloat16", True), ("float32", False)])
def test_bfloat16_is_taken_only_where_it_is_faster(faster, pays, monkeypatch):
    def wait(dtype):
        return lambda: time.sleep(0.002 if dtype == machine.PRECISIONS[faster] else 0.01)

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(machine, "convolution", wait)
    assert machine.bfloat16_pays() is pays


def test_nothing_is_timed_where_a_processor_lacks_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.setattr(machine, "convolution", lambda dtype: pytest.fail("timed without need"))
    assert not machine.bfloat16_pays()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_ends_near_float32(precision):
    runs = (stylize("horses", "great_wave", size=64, steps=15, vgg=VGG(precision=p)) for p in ("float32", precision))
    exact = style_transfer_objective(VGG(), load_image("horses", size=64), load_image("great_wave", size=64))
    one, other = (exact.at(result.image).total for result in runs)
    assert other == pytest.approx(one, rel=0.1)


@pytest.mark.parametrize("settings", [{}, {"start": "style"}, {"optimizer": "adam"}, {"tile": 64}], ids=str)
def test_two_gray_pictures_give_a_gray_pastiche(settings):
    content, style = (without_color(load_image(name, size=128)) for name in ("horses", "great_wave"))
    image = stylize(content, style, size=128, steps=3, **settings).image
    assert (image.amax(dim=1) - image.amin(dim=1)).max() < 1e-4
    assert image.std() > 0.05


def test_one_gray_picture_does_not_take_the_color_from_the_other():
    content, style = without_color(load_image("horses", size=64)), load_image("starry_night", size=64)
    assert not is_gray(stylize(content, style, size=64, steps=3).image)


def test_the_gray_gradient_is_that_of_the_loss_over_gray_images():
    content, style = (without_color(load_image(name, size=64)) for name in ("horses", "great_wave"))
    objective = style_transfer_objective(VGG(), content, style)
    brightness = torch.rand(1, 1, *objective.size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    _, total = objective(brightness.expand(1, 3, -1, -1))
    (expected,) = torch.autograd.grad(total, brightness)
    got = objective.at(brightness.detach().repeat(1, 3, 1, 1)).gradient
    torch.testing.assert_close(
        got.sum(dim=1, keepdim=True), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item()
    )
