"""The network, against torchvision's with the same numbers, and its filters from every place they can come from."""

import urllib.request
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models import vgg19

from nstlab.base.files.architecture import layer_names, shapes, stride
from nstlab.base.files.filter_files import (
    BUNDLED,
    ORIGINAL,
    TORCHVISION,
    WeightsError,
    bundled_filters,
    decoded,
    load_filters,
    torchvision_keys,
)
from nstlab.base.files.sample_images import samples
from nstlab.coarse_to_fine import optimize
from nstlab.images import load_image
from nstlab.losses import content_loss
from nstlab.objective import Objective
from nstlab.terms import Term
from nstlab.vgg import VGG, mean_responses, photographs


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A file of torchvision's form, carrying random numbers."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save({k: v for k, v in vgg19(weights=None).state_dict().items() if k.startswith("features")}, path)
    return path


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return load_image("horses", size=96)


def largest_difference(F: dict, expected: dict) -> float:
    return max(((F[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in expected)


def test_vgg19_as_trained_equals_torchvision_in_every_layer(checkpoint, image):
    theirs = vgg19(weights=None).features.eval()
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in torch.load(checkpoint).items()})
    ours = VGG("vgg19", pooling="max", padding="zeros", weights=checkpoint)
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected, names = {}, iter(ours.layers)
    with torch.no_grad():
        for module in theirs:
            x = module(x.clone())
            if isinstance(module, torch.nn.ReLU):
                expected[next(names)] = x.clone()
    assert len(expected) == 16
    assert largest_difference(ours(image, ours.layers), expected) < 1e-5


FIRST_OF_VGG19 = [0.393571, 0.464184, 0.340633]  # in the wheel: red, green and blue of a corner


def test_both_networks_have_the_convolutions_of_the_paper_and_nothing_else():
    assert len(layer_names("vgg16")) == 13 and len(layer_names("vgg19")) == 16
    assert layer_names("vgg19")[-1] == "conv5_4"
    assert len(shapes("vgg16")) == 26
    keys = [k for k in vgg19(weights=None).state_dict() if k.startswith("features")]
    assert list(torchvision_keys("vgg19").values()) == keys


def test_bundled_filters_are_the_recorded_ones_in_rgb_order():
    weight = load_filters("vgg16").tensors["conv1_1.weight"]
    torch.testing.assert_close(weight[0, 2, 0], torch.tensor([0.42947, 0.37347, -0.06136]), atol=4e-4, rtol=0)
    weight = load_filters("vgg19").tensors["conv1_1.weight"]
    torch.testing.assert_close(weight[0, :, 0, 0], torch.tensor(FIRST_OF_VGG19), atol=1e-6, rtol=0)


def test_weights_are_read_from_tables():
    coded = {"conv1_1.table": torch.arange(256.0) / 2, "conv1_1.codes": torch.tensor([[0, 255], [3, 3]]).byte()}
    tensors = decoded(coded | {"conv1_1.bias": torch.ones(2)})
    assert tensors["conv1_1.weight"].tolist() == [[0.0, 127.5], [1.5, 1.5]]
    assert tensors["conv1_1.bias"].tolist() == [1.0, 1.0] and len(tensors) == 2


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_no_filter_of_the_papers_network_is_dead(pooling):
    network = VGG("vgg19", pooling=pooling)
    responses = mean_responses(network, [load_image(sample.name, size=160) for sample in samples()])
    assert {layer: (mean <= 0).sum().item() for layer, mean in responses.items()} == dict.fromkeys(network.layers, 0)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_the_papers_network_is_normalized_as_far_as_its_filters_respond(pooling):
    network = VGG("vgg19", pooling=pooling, normalized=True)
    for layer, mean in mean_responses(network, photographs()).items():
        responding = mean[mean > 0]
        assert len(responding) >= len(mean) - 1, layer
        torch.testing.assert_close(responding, torch.ones_like(responding), rtol=1e-3, atol=0, msg=layer)


def test_a_photograph_comes_back_from_conv4_2_of_the_papers_network():
    network, photograph = VGG("vgg19"), load_image("chenonceau_river", size=64)
    with torch.no_grad():
        P = network(photograph, ["conv4_2"])["conv4_2"]
    term = Term(lambda x, F: content_loss(F["conv4_2"], P) / P.numel(), ("conv4_2",))
    objective = Objective({"content": term}, {"content": 1.0}, tuple(photograph.shape[2:]), network)
    totals = [step.total for step in optimize(objective, "noise", steps=40)]
    assert totals[-1] < totals[0] / 10


def test_it_runs_no_deeper_than_the_deepest_layer_asked_for(image):
    vgg, seen = VGG(), []
    for name in vgg.layers:
        vgg.convolution(name).register_forward_hook(lambda *_, name=name: seen.append(name))
    assert set(vgg(image, ["conv1_1", "conv2_2"])) == {"conv1_1", "conv2_2"}
    assert seen == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]


def test_filters_are_frozen_and_pixels_are_not(vgg, image):
    x = image.clone().requires_grad_()
    vgg(x, ["conv2_1"])["conv2_1"].sum().backward()
    assert x.grad.abs().sum() > 0 and not any(p.requires_grad for p in vgg.parameters())


def test_pooling_and_padding_are_what_they_say(image):
    F = {p: VGG(pooling=p)(image, ["conv1_2", "conv2_1"]) for p in ("avg", "max")}
    torch.testing.assert_close(F["avg"]["conv1_2"], F["max"]["conv1_2"])
    assert F["max"]["conv2_1"].mean() != F["avg"]["conv2_1"].mean()
    zeros, replicate = (VGG(padding=p)(image, ["conv1_1"])["conv1_1"] for p in ("zeros", "replicate"))
    torch.testing.assert_close(zeros[..., 1:-1, 1:-1], replicate[..., 1:-1, 1:-1])
    flat = torch.full((1, 3, 32, 32), 0.9)
    for network, padding in product(("vgg16", "vgg19"), ("replicate", "circular")):
        vgg = VGG(network, padding=padding)
        for layer, F in vgg(flat, vgg.layers).items():
            torch.testing.assert_close(F, F[..., :1, :1].expand_as(F), rtol=1e-3, atol=1e-2, msg=f"a frame in {layer}")


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_with_circular_padding_the_image_has_no_edge(pooling, image):
    network, x, moved = VGG(pooling=pooling, padding="circular"), image[..., :48, :96], (16, 32)
    F, shifted = network(x, network.layers), network(x.roll(moved, (2, 3)), network.layers)
    expected = {layer: F[layer].roll([n // stride(layer) for n in moved], (2, 3)) for layer in network.layers}
    assert largest_difference(shifted, expected) < 1e-5


def test_a_normalized_network_divides_every_response_by_its_mean_over_the_photographs(image):
    """So that the mean becomes 1."""
    vgg, scaled = VGG("vgg16"), VGG("vgg16", normalized=True)
    s = mean_responses(vgg, photographs())
    F = vgg(image, vgg.layers)
    expected = {name: F[name] / s[name].view(1, -1, 1, 1) for name in vgg.layers}
    assert largest_difference(scaled(image, vgg.layers), expected) < 1e-4


@pytest.mark.parametrize("padding", ["replicate", "zeros"])
def test_stored_mean_responses_are_those_of_the_bundled_network_with_max_pooling_too(padding):
    scaled = VGG("vgg16", pooling="max", padding=padding, normalized=True)
    for mean in mean_responses(scaled, photographs()).values():
        torch.testing.assert_close(mean, torch.ones_like(mean), atol=1e-3, rtol=0)


def test_mean_responses_of_other_filters_are_computed_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("nstlab.vgg.MEAN_RESPONSE_SIZE", 64)  # nothing here depends on it
    first = VGG(weights="random", normalized=True)
    (kept,) = tmp_path.rglob("mean_responses_*")
    doubled = {name: 2 * s for name, s in safetensors.torch.load_file(kept).items()}
    safetensors.torch.save_file(doubled, kept)
    second = VGG(weights="random", normalized=True)  # divides by what is kept, and does not compute it again
    torch.testing.assert_close(second.conv1_1.weight, first.conv1_1.weight / 2)
    circular = VGG(padding="circular", normalized=True)  # whose means are not in the package
    for mean in mean_responses(circular, photographs()).values():
        torch.testing.assert_close(mean, (mean > 0).to(mean), atol=1e-3, rtol=0)


def test_random_filters_depend_on_the_seed_alone():
    one, same, other = (VGG(weights="random", seed=s).conv3_1.weight for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_local_files_load_in_both_forms_and_both_conventions(tmp_path, checkpoint):
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(load_filters("vgg19", checkpoint).tensors, path)
    ours, theirs = load_filters("vgg19", path), load_filters("vgg19", checkpoint)
    assert all(torch.equal(ours.tensors[key], theirs.tensors[key]) for key in ours.tensors)
    assert ours.std == ORIGINAL[1] and theirs.std == TORCHVISION[1]


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, folder / "half.pth")
    torch.save({key: torch.zeros(1) for key in shapes("vgg16")}, folder / "shapes.pth")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"f": print}, folder / "code.pth")
    (folder / "junk.pth").write_bytes(b"no pickle at all")
    (folder / "junk.safetensors").write_bytes(b"no tensors either")
    return {
        "half.pth": (folder, "missing"),
        "shapes.pth": (folder, "needs shape"),
        "list.pth": (folder, "missing"),
        "code.pth": (folder, "cannot be read"),
        "junk.pth": (folder, "cannot be read"),
        "junk.safetensors": (folder, "cannot be read"),
        "none.pth": (folder, "no such file"),
    }


def test_files_that_are_no_weights_are_refused_by_name(tmp_path):
    for name, (folder, says) in broken_files(tmp_path).items():
        with pytest.raises(WeightsError, match=says) as error:
            VGG("vgg16", weights=folder / name)
        assert name in str(error.value)


@pytest.mark.parametrize("network", BUNDLED)
def test_a_changed_bundled_file_is_refused(network, tmp_path):
    with pytest.raises(WeightsError, match=rf"SHA-256 differs(.|\n)*rebuild_{network}\.py"):
        bundled_filters(network, tmp_path)
    (tmp_path / BUNDLED[network]).write_bytes(b"changed")
    with pytest.raises(WeightsError, match=rf"SHA-256 differs(.|\n)*rebuild_{network}\.py"):
        bundled_filters(network, tmp_path)
    assert "conv1_1.bias" in bundled_filters(network)


def test_without_a_network_torchvisions_filters_name_the_bundled_ones_as_the_way_out(tmp_path, monkeypatch):
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(WeightsError, match=r"no route to host.*leave weights out: the papers' filters are in"):
        VGG("vgg19", weights="torchvision")
    VGG("vgg19")  # which is never fetched


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda vgg: VGG("vgg11"), "vgg16, vgg19"),
        (lambda vgg: VGG(pooling="mean"), "avg, max"),
        (lambda vgg: VGG(padding="wrap"), "replicate, zeros, circular"),
        (lambda vgg: vgg(torch.zeros(1, 3, 32, 32), ["conv9_1"]), "conv9_1"),
        (lambda vgg: vgg(torch.zeros(1, 3, 32, 32), []), "none was named"),
        (lambda vgg: vgg(torch.zeros(3, 32, 32), ["conv1_1"]), "B, 3, H, W"),
        (lambda vgg: vgg(torch.zeros(1, 3, 8, 8), ["conv5_1"]), "at least 16x16"),
    ],
)
def test_bad_arguments_are_refused_by_name(vgg: VGG, call: Callable[[VGG], object], says: str):
    with pytest.raises(ValueError, match=says):
        call(vgg)
