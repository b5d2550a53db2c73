"""Some rows at a time, the same as all at once."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab import convolution
from nstlab.convolution import rectified, transposed


def numbers(*shape: int) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [(11, 6), (3, 9), (7, 3)])
def test_bands_answer_what_a_plain_convolution_does_there_and_back(monkeypatch, rows, padding, size):
    x, weight, bias = numbers(2, 3, *size), numbers(5, 3, 3, 3), numbers(5)
    d = torch.randn_like(nnf.conv2d(x, weight, padding=padding))
    for tensor in (x, d):
        monkeypatch.setattr(convolution, "BAND", rows * 2 * tensor.shape[3] * 5)
        if tensor is x:
            got, expected = rectified(x, weight, bias, padding), nnf.conv2d(x, weight, bias, padding=padding).relu()
        else:
            got, expected = transposed(d, weight, padding), nnf.conv_transpose2d(d, weight, padding=padding)
        torch.testing.assert_close(got, expected)


def test_they_write_to_no_tensor_of_others():
    x, weight, bias = numbers(1, 3, 8, 8), numbers(3, 3, 3, 3), numbers(3)
    before = [t.clone() for t in (x, weight, bias)]
    rectified(x, weight, bias, 1), transposed(x, weight, 1)
    assert all(torch.equal(a, b) for a, b in zip((x, weight, bias), before, strict=True))
