"""Sums over half-precision responses, taken in float32: a network may answer in bfloat16, its losses stay exact."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1 << 19  # numbers that are widened at a time, so that they stay in a processor's cache


def widened(F: Tensor) -> Tensor:
    """F in float32, unless it is as wide already.

    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype, widened(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return F.float() if F.dtype in (torch.bfloat16, torch.float16) else F


class SelfProduct(torch.autograd.Function):
    """G = F F^T, for F (B, N, M), and as G is symmetric, dL/dF = (dL/dG + dL/dG^T) F.

    Products of two bfloat16 numbers are exact in float32, so G is as good as float32 can add. autograd alone would
    keep a wide copy of F and multiply twice on the way back.

    >>> SelfProduct.apply(torch.ones(1, 2, 9, dtype=torch.bfloat16))
    tensor([[[9., 9.],
             [9., 9.]]])
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor) -> Tensor:
        ctx.save_for_backward(F)
        if F.dtype not in (torch.bfloat16, torch.float16):
            return F @ F.transpose(1, 2)
        B, N, M = F.shape
        G = torch.zeros(B, N, N, device=F.device)
        for part in F.split(max(1, CHUNK // (B * N)) if F.device.type == "cpu" else M, dim=2):
            wide = part.float()
            G.baddbmm_(wide, wide.transpose(1, 2))
        return G

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, D: Tensor) -> Tensor:
        (F,) = ctx.saved_tensors
        return (D + D.transpose(1, 2)).to(F.dtype) @ F
