"""Equations 1 and 2 with their gradients written out: exact sums of half-precision responses, and no wide copies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nstlab.engine.buffers import empty
from nstlab.engine.once import differentiable_once
from nstlab.engine.precision import widened

CHUNK = 1 << 20  # numbers that are widened at a time, so that they stay in a processor's cache


def in_parts(F: Tensor, along: int, chunk: int = CHUNK) -> tuple[Tensor, ...]:
    """F cut along one of its dimensions into parts of about `chunk` numbers, on a processor; a GPU takes all at once.

    >>> [len(part) for part in in_parts(torch.ones(5, CHUNK // 2), 0)]
    [2, 2, 1]
    """
    if F.device.type != "cpu":
        return (F,)
    return torch.split(F, max(1, chunk * F.shape[along] // max(1, F.numel())), along)


class SquaredDistance(torch.autograd.Function):
    """sum_ij (F_ij - P_ij)^2 of two tensors of one shape, (B, N, h, w) or (N, M), and dL/dF = 2 D (F - P), D = dL/dsum.

    dL/dP is its negative. autograd alone would keep four wide copies of F.

    >>> SquaredDistance.apply(torch.ones(1, 2, 3, 3, dtype=torch.bfloat16), torch.zeros(1, 2, 3, 3))
    tensor(18.)
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, P: Tensor) -> Tensor:
        ctx.save_for_backward(F, P)
        down = max(0, F.ndim - 2)  # row by row
        parts = zip(in_parts(F, down), in_parts(P, down), strict=True)
        return torch.stack([(widened(f) - widened(p)).square().sum() for f, p in parts]).sum()

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, D: Tensor) -> tuple[Tensor, Tensor | None]:
        F, P = ctx.saved_tensors
        by_F = (F - P).mul_(2 * D)
        return by_F, -by_F if ctx.needs_input_grad[1] else None


class SelfProduct(torch.autograd.Function):
    """G = F F^T of responses (B, N, h, w), over their M = h w places; as G is symmetric, dL/dF = (dL/dG + dL/dG^T) F.

    autograd alone would multiply twice on the way back, and answer in another layout than F's, which makes the sum
    with what comes from deeper layers ten times as slow. Some rows at a time: a part of larger responses, as a tile
    has it, then needs no copy.

    >>> SelfProduct.apply(torch.ones(1, 2, 3, 3, dtype=torch.bfloat16))
    tensor([[[9., 9.],
             [9., 9.]]])
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, chunk: int = CHUNK) -> Tensor:
        ctx.save_for_backward(F)
        ctx.chunk = chunk
        images = F.permute(0, 2, 3, 1).unbind()  # (h, w, N): in channels-last layout a view
        G = [[product(f.flatten(0, 1).T) for f in in_parts(image, 0, chunk)] for image in images]
        return torch.stack([torch.stack(of_image).sum(0) for of_image in G])

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, D: Tensor) -> tuple[Tensor, None]:
        (F,) = ctx.saved_tensors
        places_first = F.permute(0, 2, 3, 1)
        by_F = empty(tuple(F.shape), like=F)
        answers = by_F.permute(0, 2, 3, 1)
        for image, d, answer in zip(places_first, (D + D.transpose(1, 2)).to(F.dtype), answers, strict=True):
            for f, a in zip(in_parts(image, 0, ctx.chunk), in_parts(answer, 0, ctx.chunk), strict=True):
                torch.mm(f.flatten(0, 1), d, out=a.view(-1, a.shape[2]))
        return by_F, None


def product(F: Tensor) -> Tensor:
    """F F^T of a matrix (N, M), in float32 at least: (N, N).

    >>> product(torch.ones(1, 300, dtype=torch.bfloat16))
    tensor([[300.]])
    """
    if F.dtype != torch.bfloat16 or F.device.type == "mps":  # where mm knows no out_dtype
        wide = widened(F)
        return wide @ wide.T
    if F.device.type == "cpu":
        return product_in_two_parts(F)
    return torch.mm(F, F.T, out_dtype=torch.float32)  # a GPU hands its sums out as they are


def product_in_two_parts(F: Tensor) -> Tensor:
    """F F^T of a bfloat16 matrix, in float32: seven times as fast as with a wide copy of F, and nearly as exact.

        G = high + low,    high = round(F F^T),    low = round(F F^T - high)

    A processor multiplies bfloat16 exactly and adds in float32, but hands the sum out rounded to 8 bits. Asked for what
    the rounding took away it gives 8 bits more.

    >>> F = torch.rand(8, 999).bfloat16()
    >>> torch.allclose(product_in_two_parts(F), F.float() @ F.float().T, rtol=3e-5)
    True
    """
    high = F @ F.T
    return high.float() + torch.addmm(high, F, F.T, beta=-1).float()
