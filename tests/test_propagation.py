"""The network's way back, written out, against autograd's."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.images import load_image
from nstlab.vgg import POOLINGS, VGG

LAYERS = ("conv1_1", "conv2_2", "conv3_1", "conv4_2", "conv5_1")


def by_autograd(vgg: VGG, image: Tensor, wanted: tuple[str, ...]) -> dict[str, Tensor]:
    """The same responses in plain, differentiable operations."""
    x, found = (image - vgg.mean) / vgg.std, {}
    for name in vgg.layers[: 1 + max(map(vgg.layers.index, wanted))]:
        if name.endswith("_1") and name != "conv1_1":
            x = POOLINGS[vgg.pooling](x)
        convolution = vgg.convolution(name)
        if name == "conv1_1" and vgg.padding == "reflect":
            x = nnf.conv2d(nnf.pad(x, (1, 1, 1, 1), "reflect"), convolution.weight, convolution.bias)
        else:
            x = convolution(x)
        x = found[name] = nnf.relu(x)
    return {name: found[name] for name in wanted}


def gradient(responses: dict[str, Tensor], image: Tensor, **how: bool) -> Tensor:
    """Of some function of all responses, uneven in every place."""
    total = sum((F * torch.linspace(0.5, 2, F.numel()).view_as(F)).square().mean() for F in responses.values())
    return torch.autograd.grad(total, image, **how)[0]


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("wanted", [LAYERS, ("conv1_1",), ("conv5_1",), ("conv3_1", "conv3_2", "conv3_3")])
def test_responses_and_gradient_equal_autograds(pooling, padding, wanted):
    vgg = VGG(pooling=pooling, padding=padding)
    image = load_image("horses", size=75).requires_grad_()  # odd at every pooling
    ours, theirs = vgg(image, wanted), by_autograd(vgg, image, wanted)
    for name in wanted:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-4 * theirs[name].max().item())
    expected = gradient(theirs, image)
    torch.testing.assert_close(gradient(ours, image), expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


def test_it_agrees_with_finite_differences():
    vgg = VGG(weights="random", normalized=False).double()
    image = torch.rand(1, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(vgg(x, ["conv1_2", "conv2_1"]).values()), image)


def test_one_may_go_back_twice_and_through_some_responses_only():
    vgg, image = VGG(), load_image("horses", size=64).requires_grad_()
    F = vgg(image, LAYERS)
    first = gradient(F, image, retain_graph=True)
    assert torch.equal(gradient(F, image, retain_graph=True), first)
    part = {name: F[name] for name in LAYERS[:2]}
    torch.testing.assert_close(gradient(part, image), gradient(vgg(image, LAYERS[:2]), image))


def test_what_the_losses_ask_is_not_overwritten():
    vgg, image = VGG(), load_image("horses", size=64).requires_grad_()
    F = vgg(image, ["conv1_1", "conv2_1"])
    asked = [torch.ones_like(f) for f in F.values()]
    torch.autograd.grad(list(F.values()), image, asked)
    assert all(bool((D == 1).all()) for D in asked)


def test_bfloat16_is_near_float32_and_takes_half_the_memory():
    image = load_image("horses", size=64)
    exact, short = VGG()(image, LAYERS), VGG(precision="bfloat16")(image, LAYERS)
    for name in LAYERS:
        assert short[name].dtype == torch.bfloat16 and 2 * short[name].nbytes == exact[name].nbytes
        assert (short[name] - exact[name]).norm() < 0.02 * exact[name].norm()
