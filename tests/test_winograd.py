"""The convolution with fewer multiplications answers what a plain one answers."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab import winograd
from nstlab.images import load_image
from nstlab.vgg import VGG
from nstlab.winograd import CHUNK, convolve, convolve_back, transformed


def answer(vgg: VGG, image: Tensor, layer: str) -> Tensor:
    return vgg.read(image, [(layer, lambda F: F)])[0]


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1), (2, 9)])
def test_it_equals_a_plain_convolution_there_and_back(size):
    x, weight, bias, d = numbers(2, 3, *size), numbers(5, 3, 3, 3), numbers(5), numbers(2, 5, *size)
    U = transformed(weight.float()).double()
    weight = weight.float().double()
    torch.testing.assert_close(convolve(x, U, bias), nnf.conv2d(x, weight, bias, padding=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(convolve_back(d, U), nnf.conv_transpose2d(d, weight, padding=1), rtol=1e-5, atol=1e-5)


def test_large_images_go_some_rows_at_a_time(monkeypatch):
    x, U, bias = numbers(1, 3, 20, 6), transformed(numbers(4, 3, 3, 3).float()).double(), numbers(4)
    at_once = convolve(x, U, bias)
    assert CHUNK > 16 * 10 * 3 * 4 * 8
    monkeypatch.setattr(winograd, "CHUNK", 16 * 3 * 4 * 8 * 3)  # three of ten rows
    torch.testing.assert_close(convolve(x, U, bias), at_once)


@pytest.mark.parametrize(("dtype", "within"), [(torch.bfloat16, 1e-2), (torch.float32, 1e-6)])
def test_it_is_nearly_as_exact_as_its_numbers(dtype, within):
    x, weight = numbers(1, 64, 12, 12).to(dtype), (numbers(64, 64, 3, 3) / 24).to(dtype)
    exact = nnf.conv2d(x.double(), weight.double(), padding=1)
    got = convolve(x, transformed(weight), torch.zeros(64, dtype=dtype))
    assert 0 < (got - exact).norm() < within * exact.norm()


@pytest.mark.parametrize(("precision", "within"), [("bfloat16", 5e-2), ("float32", 1e-5)])
def test_the_network_takes_it_for_wide_layers_and_answers_the_same(precision, within, monkeypatch):
    image, vgg = load_image("horses", size=64), VGG(precision=precision)
    wide = answer(vgg, image, "conv5_1")
    assert sorted(vgg.transforms) == ["conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3", "conv5_1"]
    monkeypatch.setattr(winograd, "pays", lambda weight: False)
    plain = answer(vgg, image, "conv5_1")
    assert 0 < (wide - plain).norm() < within * plain.norm()


def test_filters_that_were_changed_are_transformed_again():
    image, vgg = load_image("horses", size=64), VGG(precision="bfloat16")
    before = answer(vgg, image, "conv4_1")
    vgg.convolution("conv4_1").weight.zero_()
    assert not torch.equal(answer(vgg, image, "conv4_1"), before)


def test_a_network_built_in_inference_mode_answers_the_same():
    image = load_image("horses", size=64)
    with torch.inference_mode():
        F = answer(VGG(precision="bfloat16"), image, "conv4_1")
    assert torch.equal(F, answer(VGG(precision="bfloat16"), image, "conv4_1"))
