"""Half precision where it does no harm: a network may multiply in bfloat16 or float16, its losses stay exact.

bfloat16 has the range of float32 and 8 bits of its 24; sums over it are taken in float32. float16 has 11 bits, and
reaches from 6e-8 to 65504: the responses of a VGG lie within, their derivatives do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.allocator import empty
from nstlab.once import differentiable_once

CHUNK = 1 << 20  # numbers that are widened at a time, so that they stay in a processor's cache


def widened(F: Tensor) -> Tensor:
    """F in float32, unless it is as wide already.

    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype, widened(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return F.float() if F.dtype in (torch.bfloat16, torch.float16) else F


def with_range(F: Tensor) -> Tensor:
    """F in float32 if it is float16, which has no room for what derives from it.

    >>> with_range(torch.ones(1, dtype=torch.float16)).dtype, with_range(torch.ones(1, dtype=torch.bfloat16)).dtype
    (torch.float32, torch.bfloat16)
    """
    return F.float() if F.dtype == torch.float16 else F


def within_range(linear: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    """linear(d), d and the answer in float32, of a linear function that is computed in float16.

        f(d) = s f(d / s),    s = max |d|

    >>> within_range(lambda d: 3 * d, torch.tensor([2e-9, 1e-9]))
    tensor([6.0000e-09, 3.0000e-09])
    """
    s = d.abs().amax().clamp(min=torch.finfo(d.dtype).tiny)
    return linear((d / s).half()).float().mul_(s)


def in_parts(F: Tensor, along: int) -> tuple[Tensor, ...]:
    """F cut along one of its dimensions into parts of about CHUNK numbers, on a processor; a GPU takes all at once.

    >>> [len(part) for part in in_parts(torch.ones(5, CHUNK // 2), 0)]
    [2, 2, 1]
    """
    if F.device.type != "cpu":
        return (F,)
    return F.split(max(1, CHUNK * F.shape[along] // max(1, F.numel())), along)


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
    def forward(ctx: Any, F: Tensor) -> Tensor:
        ctx.save_for_backward(F)
        images = F.permute(0, 2, 3, 1).unbind()  # (h, w, N): in channels-last layout a view
        G = [[product(f.flatten(0, 1).T) for f in in_parts(image, 0)] for image in images]
        return torch.stack([torch.stack(of_image).sum(0) for of_image in G])

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, D: Tensor) -> Tensor:
        (F,) = ctx.saved_tensors
        places_first = F.permute(0, 2, 3, 1)
        by_F = empty(tuple(F.shape), like=F)
        answers = by_F.permute(0, 2, 3, 1)
        for image, d, answer in zip(places_first, (D + D.transpose(1, 2)).to(F.dtype), answers, strict=True):
            for f, a in zip(in_parts(image, 0), in_parts(answer, 0), strict=True):
                torch.mm(f.flatten(0, 1), d, out=a.view(-1, a.shape[2]))
        return by_F


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
