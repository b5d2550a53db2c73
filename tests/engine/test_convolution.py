"""Bands of rows give the same as a convolution of the whole tensor."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.engine.convolution import convolve_relu, convolve_transposed
from nstlab.vgg import PADDINGS, with_border


def forward_and_backward(x: Tensor, weight: Tensor, bias: Tensor, d: Tensor, padding: str) -> tuple[Tensor, Tensor]:
    """max(0, W * x + b) and W^T * d, by autograd."""
    x = x.detach().requires_grad_()
    y = nnf.conv2d(with_border(x, padding), weight, bias)
    return y.relu().detach(), torch.autograd.grad(y, x, d)[0]


def numbers(*shape: int) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(11, 6), (3, 9), (7, 3), (1, 2)])
def test_bands_equal_a_plain_convolution_in_both_passes(rows, padding, size):
    band = rows * 2 * size[1] * 5
    x, weight, bias, d = numbers(2, 3, *size), numbers(5, 3, 3, 3), numbers(5), numbers(2, 5, *size)
    output, gradient = forward_and_backward(x, weight, bias, d, padding)
    torch.testing.assert_close(convolve_relu(x, weight, bias, padding, band), output)
    torch.testing.assert_close(convolve_transposed(d, weight, padding, band), gradient)


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_arguments_are_not_changed(padding):
    x, weight, bias = numbers(1, 3, 8, 8), numbers(3, 3, 3, 3), numbers(3)
    before = [t.clone() for t in (x, weight, bias)]
    convolve_relu(x, weight, bias, padding), convolve_transposed(x, weight, padding)
    assert all(torch.equal(a, b) for a, b in zip((x, weight, bias), before, strict=True))
