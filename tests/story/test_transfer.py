"""Approach 1 as one call: from two pictures to a pastiche."""

import pytest
import torch

from nstlab import photorealize
from nstlab.base.files.decoding import ImageError
from nstlab.base.numerics.devices import checked_device, default_device
from nstlab.base.records import DivergenceError
from nstlab.coarse_to_fine import pyramid
from nstlab.course.profiles import profile
from nstlab.images import is_gray, load_image, without_color
from nstlab.preparation.inputs import network_on
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.terms import StyleTerm
from nstlab.transfer import SMALL_CONTENT_FACTOR, stylize, stylize_run
from nstlab.vgg import VGG

SMALL = {"size": 64, "steps": 3}


def test_the_style_loss_falls_50_fold_from_noise_while_the_content_loss_falls_too():
    noise = torch.rand(1, 3, 36, 48, generator=torch.Generator().manual_seed(0))
    result = stylize("chenonceau_river", "starry_night", size=96, steps=30, start=noise)
    start, end = result.history[0].losses, result.history[-1].losses
    assert end["style"] < start["style"] / 50 and end["content"] < start["content"]
    assert result.image.shape == (1, 3, 72, 96) and result.image.min() >= 0 and result.image.max() <= 1


def test_content_and_style_may_differ_in_size_and_shape():
    content, style = torch.rand(1, 3, 40, 64), torch.rand(1, 3, 80, 50)
    assert stylize(content, style, **SMALL).image.shape == content.shape


def test_the_default_weights_mix_alike_at_every_size(vgg):
    share = {}
    for size in (56, 160):
        r = stylize("horses", "great_wave", size=size, steps=12, coarse_to_fine=False, vgg=vgg).history[-1]
        share[size] = r.weights["content"] * r.losses["content"] / r.total
    assert 0.5 < share[56] / share[160] < 2


@pytest.mark.parametrize("exact", [False, True])
def test_coarse_sizes_lean_towards_the_content_unless_the_equation_is_exact(exact):
    vgg = VGG().to(default_device())
    coarse, full = stylize_run(
        "horses", "great_wave", size=128, steps=1, vgg=vgg, exact=exact, precision="float32"
    ).objectives
    lean = 1.0 if exact else SMALL_CONTENT_FACTOR
    for objective, layer, n in ((coarse, "conv4_2" if exact else "conv3_1", lean), (full, "conv4_2", 1.0)):
        plain = style_transfer_objective(vgg, *objective.images.values(), content_layer=layer, exact=exact)
        x = torch.rand(1, 3, *objective.size).to(vgg.mean)
        assert objective.at(x).losses["content"] == pytest.approx(n * plain.at(x).losses["content"], rel=1e-4)
        assert objective.at(x).losses["style"] == pytest.approx(plain.at(x).losses["style"], rel=1e-4)


def test_in_units_every_style_layer_is_heard_and_as_printed_some_are_not(vgg):
    content, style = (load_image(name, size=64) for name in ("horses", "great_wave"))
    term = style_transfer_objective(vgg, content, style).terms["style"]
    left = {}
    for exact in (False, True):
        image = stylize(content, style, size=64, steps=12, vgg=vgg, content_weight=0.0, exact=exact).image
        F = vgg(image, term.layers)
        left[exact] = max(5 * StyleTerm(term.A, {layer: w})(image, F).item() for layer, w in term.w.items())
    assert left[False] < 0.15 and left[True] > 2 * left[False]


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
        run.finish(lambda step: 1 / (1 - step.index))
    assert run.image is not None and run.finish().history[-1].index == run.steps


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
    with pytest.raises((ValueError, TypeError), match=says):
        stylize_run("horses", "great_wave", **{**SMALL, **settings})


def test_a_pyramid_ends_at_the_size_asked_for_and_gives_no_coarser_level_fewer_steps():
    for size in (32, 64, 100, 512, 1023, 4096):
        levels = pyramid(size, 30)
        assert levels[-1] == (size, 30)
        assert [steps for _, steps in levels] == sorted((steps for _, steps in levels), reverse=True)


def test_the_device_is_the_environments_unless_named(monkeypatch):
    monkeypatch.setenv("NSTLAB_DEVICE", "cpu")
    assert default_device() == torch.device("cpu")
    monkeypatch.setenv("NSTLAB_DEVICE", "abacus")
    with pytest.raises(ValueError, match="NSTLAB_DEVICE='abacus'"):
        default_device()


def test_a_device_that_holds_no_numbers_is_refused():
    with pytest.raises(ValueError, match="cannot be used here"):
        checked_device("cuda:99")


def test_the_profile_is_the_environments_unless_there_is_none(monkeypatch):
    monkeypatch.setenv("NSTLAB_PROFILE", "ci")
    assert profile().size < 128
    monkeypatch.delenv("NSTLAB_PROFILE")
    monkeypatch.setenv("NSTLAB_DEVICE", "cpu")
    assert profile().name == "cpu"
    monkeypatch.setenv("NSTLAB_PROFILE", "huge")
    with pytest.raises(ValueError, match="ci, cpu, gpu"):
        profile()


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
        ({"content": torch.rand(3, 32, 32)}, r"content: .*given Tensor, \(3, 32, 32\)"),
        ({"content": torch.zeros(1, 3, 32, 32, dtype=torch.uint8)}, "floats in .*uint8"),
        ({"style": torch.rand(1, 3, 8, 32)}, "at least 16x16 pixels"),
    ],
)
def test_an_objective_refuses_what_the_network_cannot_answer(vgg, change, says):
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises((ValueError, TypeError), match=says):
        style_transfer_objective(vgg, **{"content": image, "style": image, **change})


def test_panoramas_and_scrolls_go_from_coarse_to_fine_too():
    panorama, scroll = torch.rand(1, 3, 32, 400), torch.rand(1, 3, 400, 64)
    result = stylize(panorama, scroll, size=400, steps=1)
    assert result.image.shape == panorama.shape and result.history[0].size < result.history[-1].size


@pytest.mark.parametrize(
    "settings", [{}, {"start": "style"}, {"optimizer": "adam"}, {"tile": 64}, {"precision": "bfloat16"}], ids=str
)
def test_two_gray_pictures_give_a_gray_pastiche(vgg, settings):
    content, style = (without_color(load_image(name, size=96)) for name in ("horses", "great_wave"))
    image = stylize(content, style, size=96, steps=3, vgg=vgg, **settings).image
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


@pytest.mark.parametrize("function", [stylize, stylize_run, photorealize])
def test_a_misspelled_setting_is_refused_under_the_functions_own_name(function):
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument 'stpes'"):
        function("horses", "great_wave", stpes=3)


def test_the_callers_network_stays_where_it_is():
    vgg = VGG()
    stylize_run("horses", "great_wave", size=64, steps=0, vgg=vgg, coarse_to_fine=False)
    assert network_on(torch.device("cpu"), vgg) is vgg
    elsewhere = network_on(torch.device("meta"), vgg)
    assert elsewhere.mean.device.type == "meta" and vgg.mean.device.type == "cpu"
    assert all(p.device.type == "cpu" for p in vgg.parameters())


def test_a_run_prints_nothing_and_leaves_the_global_random_state_alone(capsys):
    before = torch.get_rng_state()
    stylize("horses", "great_wave", size=64, steps=1, exact=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")


def test_a_run_that_starts_at_its_minimum_is_not_taken_for_one_that_diverges():
    picture = load_image("church_at_auvers", size=64)
    settings = {"start": "content", "optimizer": "adam", "photorealism_weight": 0.04}
    run = stylize(picture, picture, size=64, steps=4, **settings)
    totals = [record.total for record in run.history]
    assert totals[2] > 100 * max(totals[:2]) and run.epoch == 0
