"""Some rows at a time, the same as all at once."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.engine.convolution import rectified, transposed
from nstlab.engine.winograd import MODES


def there_and_back(x: Tensor, weight: Tensor, bias: Tensor, d: Tensor, padding: str) -> tuple[Tensor, Tensor]:
    """max(0, W * x + b) and W^T * d, by autograd."""
    x = x.detach().requires_grad_()
    y = nnf.conv2d(nnf.pad(x, (1, 1, 1, 1), MODES[padding]), weight, bias)
    return y.relu().detach(), torch.autograd.grad(y, x, d)[0]


def numbers(*shape: int) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("size", [(11, 6), (3, 9), (7, 3)])
def test_bands_answer_what_a_plain_convolution_does_there_and_back(rows, padding, size):
    band = rows * 2 * size[1] * 5
    x, weight, bias, d = numbers(2, 3, *size), numbers(5, 3, 3, 3), numbers(5), numbers(2, 5, *size)
    there, back = there_and_back(x, weight, bias, d, padding)
    torch.testing.assert_close(rectified(x, weight, bias, padding, band), there)
    torch.testing.assert_close(transposed(d, weight, padding, band), back)


def test_they_write_to_no_tensor_of_others():
    x, weight, bias = numbers(1, 3, 8, 8), numbers(3, 3, 3, 3), numbers(3)
    before = [t.clone() for t in (x, weight, bias)]
    rectified(x, weight, bias, "replicate"), transposed(x, weight, "replicate")
    assert all(torch.equal(a, b) for a, b in zip((x, weight, bias), before, strict=True))
