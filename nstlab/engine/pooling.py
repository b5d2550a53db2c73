"""The two poolings, 2x2 to 1: their way forward, and their way back, through the ReLU below them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor


class Pooling(NamedTuple):
    """forward: from responses F, (B, N, h, w), to the pooled ones, (B, N, h // 2, w // 2).

    back(F, d, out): from F and d = dL/dpooled to dL/dx = [F > 0] dL/dF, x before the ReLU, written to `out`, which may
    be F. A last row or column that fills no cell of 2x2 is left out, so its derivative is 0.
    """

    forward: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor, Tensor], Tensor]


def masked(d: Tensor, F: Tensor, out: Tensor) -> Tensor:
    """[F > 0] d, the way back through a ReLU, written to `out`, which may be d or F.

    >>> masked(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0]), torch.empty(2))
    tensor([0., 2.])
    """
    torch.ops.aten.threshold_backward.grad_input(d, F, 0, grad_input=out)
    return out


def mean(F: Tensor) -> Tensor:
    """The mean of every cell.

    >>> mean(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[3.]]]])
    """
    return nnf.avg_pool2d(F, 2)


def mean_back(F: Tensor, d: Tensor, out: Tensor) -> Tensor:
    """A quarter to each of the four that respond.

    >>> F = torch.tensor([[[[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]]])
    >>> mean_back(F, torch.tensor([[[[8.0]]]]), F)
    tensor([[[[2., 0., 0.],
              [2., 2., 0.]]]])
    """
    h, w = d.shape[2:]

    def cells(A: Tensor) -> Tensor:
        B, N = A.shape[:2]
        return A[..., : 2 * h, : 2 * w].view(B, N, h, 2, w, 2)

    masked((d / 4)[:, :, :, None, :, None].expand_as(cells(F)), cells(F), cells(out))
    out[..., 2 * h :, :], out[..., 2 * w :] = 0, 0
    return out


def maximum(F: Tensor) -> Tensor:
    """The largest of every cell.

    >>> maximum(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[6.]]]])
    """
    return nnf.max_pool2d(F, 2)


def maximum_back(F: Tensor, d: Tensor, out: Tensor) -> Tensor:
    """All of it to the largest, if it responds; among equals to the first.

    >>> F = torch.tensor([[[[1.0, 6.0], [3.0, 6.0]]]])
    >>> maximum_back(F, torch.tensor([[[[8.0]]]]), F)
    tensor([[[[0., 8.],
              [0., 0.]]]])
    """
    with torch.enable_grad():
        leaf = F.detach().requires_grad_()
        pooled = maximum(leaf)
    return masked(torch.autograd.grad(pooled, leaf, d)[0], F, out)


POOLINGS = {"avg": Pooling(mean, mean_back), "max": Pooling(maximum, maximum_back)}
