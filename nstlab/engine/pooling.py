"""The two poolings of cells of 2x2 places: forward pass, and backward pass including the ReLU before the pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor


class Pooling(NamedTuple):
    """A pooling.

    forward(F): the pooled responses, (B, N, h // 2, w // 2), of F = max(0, x), (B, N, h, w).
    backward(F, d, out): dL/dx = [F > 0] dL/dF from d, the derivative by the pooled responses; written to `out`, which
        may be F, and returned. A last row or column of odd h or w is not pooled, so its derivative is 0.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


def relu_backward(d: Tensor, F: Tensor, out: Tensor) -> Tensor:
    """[F > 0] d, the backward pass of a ReLU with the output F; written to `out`, which may be d or F, and returned.

    >>> relu_backward(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0]), torch.empty(2))
    tensor([0., 2.])
    """
    torch.ops.aten.threshold_backward.grad_input(d, F, 0, grad_input=out)
    return out


def average(F: Tensor) -> Tensor:
    """The mean of every cell.

    >>> average(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[3.]]]])
    """
    return nnf.avg_pool2d(F, 2)


def average_backward(F: Tensor, d: Tensor, out: Tensor) -> Tensor:
    """Every place of a cell gets a quarter of d, if its response is positive.

    >>> F = torch.tensor([[[[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]]])
    >>> average_backward(F, torch.tensor([[[[8.0]]]]), F)
    tensor([[[[2., 0., 0.],
              [2., 2., 0.]]]])
    """
    h, w = d.shape[2:]

    def cells(A: Tensor) -> Tensor:
        B, N = A.shape[:2]
        return A[..., : 2 * h, : 2 * w].view(B, N, h, 2, w, 2)

    relu_backward((d / 4)[:, :, :, None, :, None].expand_as(cells(F)), cells(F), cells(out))
    out[..., 2 * h :, :], out[..., 2 * w :] = 0, 0
    return out


def maximum(F: Tensor) -> Tensor:
    """The maximum of every cell.

    >>> maximum(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[6.]]]])
    """
    return nnf.max_pool2d(F, 2)


def maximum_backward(F: Tensor, d: Tensor, out: Tensor) -> Tensor:
    """The place of the maximum gets d, if its response is positive; of equal places the first.

    >>> F = torch.tensor([[[[1.0, 6.0], [3.0, 6.0]]]])
    >>> maximum_backward(F, torch.tensor([[[[8.0]]]]), F)
    tensor([[[[0., 8.],
              [0., 0.]]]])
    """
    with torch.enable_grad():
        leaf = F.detach().requires_grad_()
        pooled = maximum(leaf)
    return relu_backward(torch.autograd.grad(pooled, leaf, d)[0], F, out)


POOLINGS = {"avg": Pooling(average, average_backward), "max": Pooling(maximum, maximum_backward)}
