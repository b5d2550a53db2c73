"""The convolution, some rows at a time, so that a processor finds in its cache what it goes on with."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.allocator import empty

BAND = 1 << 22  # numbers of a band


def rectified(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """max(0, W * x + b), x with so many zeros around it.

    x: (B, C, h, w); weight: (N, C, 3, 3); bias: (N,). Gives (B, N, h - 2 + 2 padding, w - 2 + 2 padding).

    >>> rectified(torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 3), torch.full((1,), -5.0), padding=1)
    tensor([[[[0., 1., 1., 0.],
              [1., 4., 4., 1.],
              [0., 1., 1., 0.]]]])
    """
    return in_bands(x, weight, bias, padding, lambda y, out: torch.clamp_min(y, 0, out=out))


def transposed(d: Tensor, weight: Tensor, padding: int) -> Tensor:
    """W^T * d, from dL/d(W * x) to dL/dx: a convolution with every filter turned round, from N maps to C.

    >>> transposed(torch.ones(1, 1, 1, 1), torch.arange(9.0).view(1, 1, 3, 3), padding=0)
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    turned = weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
    return in_bands(d, turned, None, 2 - padding, lambda y, out: out.copy_(y))


def in_bands(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, finish: Callable[[Tensor, Tensor], object]
) -> Tensor:
    """What `finish` writes of W * x + b, from its rows to those of the answer, which may be they themselves."""
    (B, C, h, w), N = x.shape, weight.shape[0]
    step = max(1, BAND // (B * w * max(C, N)))
    if step >= h or x.device.type != "cpu":
        y = nnf.conv2d(x, weight, bias, padding=padding)
        finish(y, y)
        return y
    answer = empty((B, N, h - 2 + 2 * padding, w - 2 + 2 * padding), like=x)
    for start in range(0, answer.shape[2], step):
        out = answer[:, :, start : start + step]
        n = out.shape[2]
        top, bottom = start - padding, start + n + 2 - padding
        beyond = padding if top < 0 or bottom > h else 0  # rows of zeros, of which the band has use for some
        y = nnf.conv2d(x[:, :, max(0, top) : bottom], weight, bias, padding=(beyond, padding))
        finish(y.narrow(2, beyond + min(0, top), n), out)
    return answer
