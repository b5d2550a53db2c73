"""Winograd's convolution equals the plain one."""

import pytest
import torch
import torch.nn.functional as nnf
from test_convolution import forward_and_backward
from torch import Tensor

from nstlab.engine.network import KEPT, read
from nstlab.engine.winograd import CHUNK, F2X2, F4X4, convolve_relu, convolve_transposed, transform_filters
from nstlab.images import load_image
from nstlab.vgg import PADDINGS, VGG


def responses(vgg: VGG, image: Tensor, layer: str, precision: str = "float32") -> Tensor:
    return read(vgg, image, [(layer, lambda F: F)], precision=precision)[0]


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("algorithm", [F2X2, F4X4], ids=["2x2", "4x4"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1), (2, 9)])
def test_it_equals_a_plain_convolution_in_both_passes(size, padding, algorithm):
    x, weight, bias, d = numbers(2, 3, *size), numbers(5, 3, 3, 3), numbers(5), numbers(2, 5, *size)
    U = transform_filters(weight, algorithm)
    assert U.shape == ((algorithm.m + 2) ** 2, 3, 5)
    output, gradient = forward_and_backward(x, weight, bias, d, padding)
    torch.testing.assert_close(convolve_relu(x, U, bias, padding), output)
    torch.testing.assert_close(convolve_transposed(d, U, padding), gradient)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("algorithm", [F2X2, F4X4], ids=["2x2", "4x4"])
def test_rows_of_tiles_in_chunks_equal_all_at_once(algorithm, padding):
    x, U, bias = numbers(1, 3, 40, 6), transform_filters(numbers(4, 3, 3, 3), algorithm), numbers(4)
    at_once = convolve_relu(x, U, bias, padding)
    columns = -(-6 // algorithm.m)
    assert len(U) * 40 * columns * 4 < CHUNK
    three_rows = len(U) * columns * 4 * 3
    torch.testing.assert_close(convolve_relu(x, U, bias, padding, three_rows), at_once)


@pytest.mark.parametrize(("dtype", "within"), [(torch.bfloat16, 1e-2), (torch.float32, 5e-6)])
def test_its_error_is_near_the_rounding_of_its_type(dtype, within):
    x, weight, d = numbers(1, 64, 12, 12).to(dtype), (numbers(64, 64, 3, 3) / 24).to(dtype), numbers(1, 64, 8, 8)
    U, d = transform_filters(weight), d.to(dtype)
    output = nnf.conv2d(x.double(), weight.double(), padding=1).relu()
    gradient = nnf.conv_transpose2d(d.double(), weight.double(), padding=1)
    assert 0 < (convolve_relu(x, U, torch.zeros(64, dtype=dtype), "zeros") - output).norm() < within * output.norm()
    assert 0 < (convolve_transposed(d, U, "zeros") - gradient).norm() < within * gradient.norm()


NARROWER = ["conv2_1", "conv2_2", "conv3_1"]
WIDE = ["conv3_2", "conv3_3", "conv3_4", "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1"]


@pytest.mark.parametrize(
    ("precision", "within", "layers"), [("bfloat16", 5e-2, WIDE), ("float32", 1e-5, NARROWER + WIDE)]
)
def test_the_network_uses_it_for_wide_layers_with_the_same_responses(precision, within, layers):
    image, vgg = load_image("horses", size=64), VGG()
    wide = responses(vgg, image, "conv5_1", precision)
    assert sorted(name for (name, _), kept in KEPT[vgg].items() if kept.layer.U is not None) == layers
    plain = vgg(image, ["conv5_1"])["conv5_1"]
    assert 0 < (wide - plain).norm() < within * plain.norm()


def test_changed_filters_are_transformed_again():
    image, vgg = load_image("horses", size=64), VGG()
    before = responses(vgg, image, "conv4_1", "bfloat16")
    vgg.convolution("conv4_1").weight.zero_()
    assert not torch.equal(responses(vgg, image, "conv4_1", "bfloat16"), before)


def test_a_network_converted_to_another_type_and_back_uses_its_current_filters():
    image, vgg = load_image("horses", size=64), VGG()
    responses(vgg, image, "conv4_1")
    assert responses(vgg.double(), image.double(), "conv4_1").dtype == torch.float64
    rounded = responses(vgg.bfloat16().float(), image, "conv4_1")
    torch.testing.assert_close(rounded, vgg(image, ["conv4_1"])["conv4_1"], rtol=1e-3, atol=1e-2)


def test_a_network_built_in_inference_mode_gives_the_same_responses():
    image = load_image("horses", size=64)
    with torch.inference_mode():
        F = responses(VGG(), image, "conv4_1", "bfloat16")
    assert torch.equal(F, responses(VGG(), image, "conv4_1", "bfloat16"))
