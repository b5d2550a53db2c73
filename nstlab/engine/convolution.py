"""The convolution, some rows at a time, so that a processor finds in its cache what it goes on with."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.engine.buffers import empty

BAND = 1 << 22  # numbers of a band
BORDER = {"zeros": 0, "replicate": 1}  # places around a picture that depend on it


def rectified(x: Tensor, weight: Tensor, bias: Tensor, padding: str, band: int = BAND) -> Tensor:
    """max(0, W * x + b), x with a border of one place around it, of "zeros" or of copies, "replicate".

    x: (B, C, h, w); weight: (N, C, 3, 3); bias: (N,). band: numbers computed at a time. Gives (B, N, h, w).

    >>> rectified(torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 3), torch.full((1,), -5.0), "zeros")
    tensor([[[[0., 1., 1., 0.],
              [1., 4., 4., 1.],
              [0., 1., 1., 0.]]]])
    >>> rectified(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 3, 3), torch.full((1,), -5.0), "replicate")
    tensor([[[[4., 4.]]]])
    """
    return in_bands(x, weight, bias, 1, padding, lambda y, out: torch.clamp_min(y, 0, out=out), band)


def transposed(d: Tensor, weight: Tensor, padding: str, band: int = BAND) -> Tensor:
    """W^T * d, from dL/d(W * x) to dL/dx: a convolution with every filter turned round, from N maps to C.

    >>> d = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> transposed(d, torch.arange(9.0).view(1, 1, 3, 3), "zeros")
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    turned = weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
    border = BORDER[padding]
    return folded(in_bands(d, turned, None, 1 + border, "zeros", lambda y, out: out.copy_(y), band), border)


def folded(y: Tensor, border: int) -> Tensor:
    """The derivative by a picture, from that by the picture with its border, if it has one: a copy of a pixel hands
    its derivative to the pixel. Changes y, and gives a view of it.

    >>> folded(torch.ones(1, 1, 4, 5), 1)
    tensor([[[[4., 2., 4.],
              [4., 2., 4.]]]])
    """
    if not border:
        return y
    for along in (2, 3):
        y.select(along, 1).add_(y.select(along, 0))
        y.select(along, -2).add_(y.select(along, -1))
    return y[:, :, 1:-1, 1:-1]


def in_bands(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    around: int,
    padding: str,
    finish: Callable[[Tensor, Tensor], object],
    band: int,
) -> Tensor:
    """What `finish` writes of W * x + b, from its rows to those of the answer, which may be they themselves.

    around: places that x is padded by on every side.
    """
    (B, C, h, w), N = x.shape, weight.shape[0]
    step = max(1, band // (B * w * max(C, N)))
    if step >= h or x.device.type != "cpu":
        y = convolved(x, weight, bias, (around, around), around, padding)
        finish(y, y)
        return y
    answer = empty((B, N, h - 2 + 2 * around, w - 2 + 2 * around), like=x)
    for start in range(0, answer.shape[2], step):
        out = answer[:, :, start : start + step]
        top, bottom = start - around, start + out.shape[2] + 2 - around
        beyond = (max(0, -top), max(0, bottom - h))
        finish(convolved(x[:, :, max(0, top) : bottom], weight, bias, beyond, around, padding), out)
    return answer


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, beyond: tuple[int, int], around: int, padding: str
) -> Tensor:
    """W * x + b, x padded by so many rows above and below, and by `around` columns left and right."""
    if padding == "replicate":
        return nnf.conv2d(nnf.pad(x, (around, around, *beyond), "replicate"), weight, bias)
    most = max(beyond)  # the convolution pads above and below alike; the rows too many are left out
    y = nnf.conv2d(x, weight, bias, padding=(most, around))
    return y.narrow(2, most - beyond[0], y.shape[2] - 2 * most + sum(beyond))
