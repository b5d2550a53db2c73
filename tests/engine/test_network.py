"""The written-out backward pass of the network, against autograd."""

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from nstlab.engine.network import read as engine_read
from nstlab.images import load_image
from nstlab.vgg import VGG

LAYERS = ("conv1_1", "conv2_2", "conv3_1", "conv4_2", "conv5_1")


def weigh(F: Tensor) -> Tensor:
    """A function of the responses with a different weight for every number."""
    return (F * torch.linspace(0.5, 2, F.numel(), dtype=F.dtype).view_as(F)).square().mean()


def read(vgg: VGG, image: Tensor, layers: tuple[str, ...], precision: str = "float32") -> list[Tensor]:
    return engine_read(vgg, image, [(layer, weigh) for layer in layers], precision=precision)


def gradient(losses: list[Tensor], image: Tensor, **how: bool) -> Tensor:
    return torch.autograd.grad(torch.stack(losses).sum(), image, **how)[0]


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("padding", ["replicate", "zeros"])
@pytest.mark.parametrize("layers", [LAYERS, ("conv1_1",), ("conv5_1",), ("conv3_1", "conv3_2", "conv3_3", "conv3_1")])
def test_values_and_gradients_equal_autograds(pooling, padding, layers):
    vgg = VGG(pooling=pooling, padding=padding).double()  # so that both round every response to the same side of 0
    image = load_image("horses", size=75).double().requires_grad_()  # odd at every pooling
    F = vgg(image, layers)
    expected, got = [weigh(F[layer]) for layer in layers], read(vgg, image, layers)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=0.0)
    (by_autograd,) = torch.autograd.grad(torch.stack(expected).sum(), image)
    assert (gradient(got, image) - by_autograd).norm() < 1e-9 * by_autograd.norm()


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("layers", [LAYERS, ("conv1_2", "conv2_1"), ("conv4_2",)])
def test_readers_get_the_given_places_and_other_places_have_no_gradient(pooling, layers):
    vgg, image = VGG(pooling=pooling).double(), load_image("horses", size=75).double().requires_grad_()

    def places(layer: str) -> tuple[slice, slice]:
        return slice(1, 2 + int(layer[4])), slice(1, None)

    got = engine_read(vgg, image, [(layer, weigh) for layer in layers], places)
    F = vgg(image, layers)
    expected = [weigh(F[layer][(..., *places(layer))]) for layer in layers]
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=0.0)
    (by_autograd,) = torch.autograd.grad(torch.stack(expected).sum(), image)
    assert (gradient(got, image) - by_autograd).norm() < 1e-9 * by_autograd.norm()


@pytest.mark.parametrize(("precision", "losses", "gradients"), [("float32", 1e-5, 5e-3), ("bfloat16", 2e-2, 5e-2)])
def test_in_lower_precision_it_is_near_autograd(vgg, precision, losses, gradients):
    image = load_image("horses", size=75).requires_grad_()
    F = vgg(image, LAYERS)
    expected, got = [weigh(F[layer]) for layer in LAYERS], read(vgg, image, LAYERS, precision)
    torch.testing.assert_close([loss.float() for loss in got], expected, rtol=losses, atol=0.0)
    (by_autograd,) = torch.autograd.grad(torch.stack(expected).sum(), image)
    assert (gradient(got, image) - by_autograd).norm() < gradients * by_autograd.norm()


def test_it_agrees_with_finite_differences():
    vgg = VGG(weights="random").double()
    image = torch.rand(1, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: read(vgg, x, ("conv1_2", "conv2_1")), image)


def test_in_float64_its_responses_equal_those_of_vgg_forward():
    vgg, image = VGG().double(), load_image("horses", size=64).double()
    F = vgg(image, LAYERS)
    for layer, got in zip(LAYERS, engine_read(vgg, image, [(layer, lambda F: F) for layer in LAYERS]), strict=True):
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, F[layer])


def test_the_backward_pass_may_be_repeated_and_start_from_some_values_only(vgg):
    image = load_image("horses", size=64).requires_grad_()
    got = read(vgg, image, LAYERS)
    first = gradient(got, image, retain_graph=True)
    assert torch.equal(gradient(got, image, retain_graph=True), first)
    torch.testing.assert_close(gradient(got[:2], image), gradient(read(vgg, image, LAYERS[:2]), image))


def test_incoming_gradients_are_not_overwritten(vgg):
    image = load_image("horses", size=64).requires_grad_()
    F = engine_read(vgg, image, [("conv1_1", lambda F: F), ("conv2_1", lambda F: F)])
    gradients = [torch.ones_like(f) for f in F]
    torch.autograd.grad(F, image, gradients)
    assert all(bool((D == 1).all()) for D in gradients)


def test_an_in_place_change_of_a_response_is_detected(vgg):
    image = load_image("horses", size=64).requires_grad_()
    (F,) = engine_read(vgg, image, [("conv2_1", lambda F: F)])
    loss = F.square().sum()
    with torch.no_grad():
        F.mul_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_responses_are_freed_during_the_backward_pass(vgg):
    deep_ones, alive = [], []

    def deep(F: Tensor) -> Tensor:
        deep_ones.append(StorageWeakRef(F.untyped_storage()))
        return F.sum()

    def shallow(F: Tensor) -> Tensor:
        twice = 2 * F
        twice.register_hook(lambda _: alive.append(not deep_ones[0].expired()))
        return twice.sum()

    image = load_image("horses", size=64).requires_grad_()
    gradient(engine_read(vgg, image, [("conv3_1", deep), ("conv1_1", shallow)]), image)
    assert alive == [False]


def test_a_reader_without_a_gradient_does_not_change_that_of_others(vgg):
    image = load_image("horses", size=64).requires_grad_()
    both = engine_read(vgg, image, [("conv2_1", lambda F: F.detach().sum()), ("conv2_1", weigh)])
    torch.testing.assert_close(gradient(both, image), gradient(engine_read(vgg, image, [("conv2_1", weigh)]), image))


def test_nothing_is_kept_if_no_gradient_is_required(vgg):
    image = load_image("horses", size=64)
    with torch.no_grad():
        assert not any(r.requires_grad for r in read(vgg, image.requires_grad_(), LAYERS))
    assert not any(r.requires_grad for r in read(vgg, image.detach(), LAYERS))


def test_bfloat16_is_near_float32_and_takes_half_the_memory(vgg):
    image = load_image("horses", size=64)
    exact = vgg(image, LAYERS)
    for name, short in zip(
        LAYERS, engine_read(vgg, image, [(n, lambda F: F) for n in LAYERS], precision="bfloat16"), strict=True
    ):
        assert short.dtype == torch.bfloat16 and 2 * short.nbytes == exact[name].nbytes
        assert (short - exact[name]).norm() < 0.02 * exact[name].norm()


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("times", [1e-12, 1.0, 1e12])
def test_derivatives_may_be_far_outside_float16(pooling, times):
    vgg, image = VGG(pooling=pooling), load_image("horses", size=64).requires_grad_()

    def at(precision: str) -> tuple[list[Tensor], Tensor]:
        readers = [(layer, lambda F: times * weigh(F)) for layer in LAYERS]
        losses = engine_read(vgg, image, readers, precision=precision)
        return losses, gradient(losses, image)

    (exact, by_float32), (got, by_float16) = at("float32"), at("float16")
    torch.testing.assert_close(got, exact, rtol=1e-2, atol=0.0)
    assert (by_float16 - by_float32).norm() < 0.02 * by_float32.norm()


def test_a_gradient_of_0_stays_0_in_float16(vgg):
    image = load_image("horses", size=64).requires_grad_()
    got = engine_read(vgg, image, [("conv3_1", lambda F: 0 * F.sum())], precision="float16")
    assert not gradient(got, image).any()
