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
    return in_bands(
        lambda band, around: nnf.conv2d(band, weight, bias, padding=around),
        x,
        weight.shape[0],
        padding,
        lambda y, out: torch.clamp_min(y, 0, out=out),
    )


def transposed(d: Tensor, weight: Tensor, padding: int) -> Tensor:
    """W^T * d, from dL/d(W * x) to dL/dx: a convolution with every filter turned round, from N maps to C.

    padding: of x. Where x has none around it, d has two, and the other way round.

    >>> transposed(torch.ones(1, 1, 1, 1), torch.arange(9.0).view(1, 1, 3, 3), padding=0)
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    return in_bands(
        lambda band, around: nnf.conv_transpose2d(band, weight, padding=(2 - around[0], 2 - around[1])),
        d,
        weight.shape[1],
        2 - padding,
        lambda y, out: out.copy_(y),
    )


def in_bands(
    convolve: Callable[[Tensor, tuple[int, int]], Tensor],
    x: Tensor,
    N: int,
    padding: int,
    finish: Callable[[Tensor, Tensor], object],
) -> Tensor:
    """What `finish` writes of a convolution, from its rows to those of the answer, which may be they themselves.

    convolve: takes x, or some rows of it, with so many zeros above and below, and left and right, to N maps.
    """
    B, C, h, w = x.shape
    step = max(1, BAND // (B * w * max(C, N)))
    if step >= h or x.device.type != "cpu":
        y = convolve(x, (padding, padding))
        finish(y, y)
        return y
    answer = empty((B, N, h - 2 + 2 * padding, w - 2 + 2 * padding), like=x)
    for start in range(0, answer.shape[2], step):
        out = answer[:, :, start : start + step]
        top, bottom = start - padding, start + out.shape[2] + 2 - padding
        band, beyond = x[:, :, max(0, top) : bottom], (max(0, -top), max(0, bottom - h))
        if any(beyond):
            band = nnf.pad(band, (0, 0, *beyond))
        finish(convolve(band, (0, padding)), out)
    return answer
