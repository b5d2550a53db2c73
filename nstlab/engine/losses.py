"""Equations 1 and 2 with written-out gradients: sums in float32 over half-precision responses, in little memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nstlab.engine.buffers import empty
from nstlab.engine.first_derivative import no_second_derivative
from nstlab.engine.precision import at_least_float32
from nstlab.losses import check_same_shape

CHUNK = 1 << 20  # numbers converted to float32 at a time, so that they stay in the CPU's cache


def split(F: Tensor, dim: int, chunk: int = CHUNK) -> tuple[Tensor, ...]:
    """Views of F, split along `dim` into parts of about `chunk` numbers on a CPU; on other devices F in one part.

    >>> [len(part) for part in split(torch.ones(5, CHUNK // 2), 0)]
    [2, 2, 1]
    """
    if F.device.type != "cpu":
        return (F,)
    return torch.split(F, max(1, chunk * F.shape[dim] // max(1, F.numel())), dim)


class SquaredDistance(torch.autograd.Function):
    """The squared distance of two tensors; twice the content loss, equation 1.

        S = sum_ij (F_ij - P_ij)^2,    dL/dF = 2 dL/dS (F - P),    dL/dP = -dL/dF

    F, P: of one shape, (B, N, h, w) or (N, M). Gives a scalar, float32 at least. Raises ValueError if the shapes
    differ. autograd would keep four float32 copies of F for half-precision responses.

    >>> SquaredDistance.apply(torch.ones(1, 2, 3, 3, dtype=torch.bfloat16), torch.zeros(1, 2, 3, 3))
    tensor(18.)
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, P: Tensor) -> Tensor:
        check_same_shape(F, P)
        ctx.save_for_backward(F, P)
        dim = max(0, F.ndim - 2)  # rows
        parts = zip(split(F, dim), split(P, dim), strict=True)
        return torch.stack([(at_least_float32(f) - at_least_float32(p)).square().sum() for f, p in parts]).sum()

    @staticmethod
    @no_second_derivative
    def backward(ctx: Any, dS: Tensor) -> tuple[Tensor, Tensor | None]:
        F, P = ctx.saved_tensors
        dF = (F - P).mul_(2 * dS)
        return dF, -dF if ctx.needs_input_grad[1] else None


class SelfProduct(torch.autograd.Function):
    """The Gram matrix, equation 2, over the M = h w places.

        G = F F^T,    dL/dF = (dL/dG + dL/dG^T) F

    F: (B, N, h, w). Gives (B, N, N), float32 at least. In its backward pass autograd would multiply twice, and give
    dL/dF in another memory layout than F's, which makes adding the gradient from deeper layers ten times slower. F is
    processed some rows at a time, so that a part of a larger tensor, as a tile gives it, needs no contiguous copy.

    >>> SelfProduct.apply(torch.ones(1, 2, 3, 3, dtype=torch.bfloat16))
    tensor([[[9., 9.],
             [9., 9.]]])
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, chunk: int = CHUNK) -> Tensor:
        ctx.save_for_backward(F)
        ctx.chunk = chunk
        images = F.permute(0, 2, 3, 1).unbind()  # (h, w, N), for channels-last responses without a copy
        G = [[gram(rows.flatten(0, 1).T) for rows in split(image, 0, chunk)] for image in images]
        return torch.stack([torch.stack(parts).sum(0) for parts in G])

    @staticmethod
    @no_second_derivative
    def backward(ctx: Any, dG: Tensor) -> tuple[Tensor, None]:
        (F,) = ctx.saved_tensors
        dF = empty(tuple(F.shape), like=F)
        symmetric = (dG + dG.transpose(1, 2)).to(F.dtype)
        for image, factor, output in zip(F.permute(0, 2, 3, 1), symmetric, dF.permute(0, 2, 3, 1), strict=True):
            for rows, out in zip(split(image, 0, ctx.chunk), split(output, 0, ctx.chunk), strict=True):
                torch.mm(rows.flatten(0, 1), factor, out=out.view(-1, out.shape[2]))
        return dF, None


class RegionProduct(torch.autograd.Function):
    """The Gram matrix of every region, over the places that its mask m_r covers.

        G_r = F diag(m_r) F^T,    dL/dF = sum_r (dL/dG_r + dL/dG_r^T) F diag(m_r)

    F: (1, N, h, w); masks: (R, 1, h, w). Gives (R, N, N), float32 at least. F is processed some rows at a time, and a
    region only where it has a share of these rows.

    >>> RegionProduct.apply(torch.ones(1, 2, 3, 3), torch.full((1, 1, 3, 3), 0.5))
    tensor([[[4.5000, 4.5000],
             [4.5000, 4.5000]]])
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, masks: Tensor, chunk: int = CHUNK) -> Tensor:
        ctx.save_for_backward(F, masks)
        ctx.chunk = chunk
        N = F.shape[1]
        G = F.new_zeros(len(masks), N, N, dtype=at_least_float32(F[:0]).dtype)
        for rows, m in in_rows(F, masks, chunk):
            for r in covered(m):
                G[r] += gram((rows * m[r].sqrt().to(rows.dtype)).T)
        return G

    @staticmethod
    @no_second_derivative
    def backward(ctx: Any, dG: Tensor) -> tuple[Tensor, None, None]:
        F, masks = ctx.saved_tensors
        dF = empty(tuple(F.shape), like=F)
        symmetric = (dG + dG.transpose(1, 2)).to(F.dtype)
        parts = zip(in_rows(F, masks, ctx.chunk), split(dF[0].permute(1, 2, 0), 0, ctx.chunk), strict=True)
        for (rows, m), out in parts:
            total = out.view(-1, out.shape[2]).zero_()
            for r in covered(m):
                total.add_((rows @ symmetric[r]).mul_(m[r].to(rows.dtype)))
        return dF, None, None


def in_rows(F: Tensor, masks: Tensor, chunk: int) -> list[tuple[Tensor, Tensor]]:
    """F, (1, N, h, w), and masks, (R, 1, h, w), in parts of some rows: (places, N) and (R, places, 1)."""
    parts = split(F[0].permute(1, 2, 0), 0, chunk)
    lengths = [len(part) for part in parts]
    return [
        (rows.flatten(0, 1), m.flatten(1)[:, :, None])
        for rows, m in zip(parts, torch.split(masks[:, 0], lengths, 1), strict=True)
    ]


def covered(m: Tensor) -> list[int]:
    """The regions that have a share of these places; m: (R, places, 1)."""
    return [r for r, there in enumerate(m.flatten(1).any(1).tolist()) if there]


def gram(F: Tensor) -> Tensor:
    """F F^T in float32 at least. F: (N, M). Gives (N, N).

    >>> gram(torch.ones(1, 300, dtype=torch.bfloat16))
    tensor([[300.]])
    """
    if F.dtype == torch.bfloat16 and F.device.type == "cpu":
        return gram_bfloat16(F)
    if F.dtype == torch.bfloat16 and F.device.type == "cuda":  # where mm has out_dtype
        return torch.mm(F, F.T, out_dtype=torch.float32)
    F = at_least_float32(F)
    return F @ F.T


def gram_bfloat16(F: Tensor) -> Tensor:
    """F F^T of a bfloat16 matrix in float32: seven times as fast as with a float32 copy of F, and nearly as accurate.

        G = high + low,    high = round(F F^T),    low = round(F F^T - high)

    A CPU multiplies bfloat16 numbers exactly and adds them in float32, but rounds the sum to the 8 bits of bfloat16.
    The second product gives the rounding error, 8 more bits.

    F: (N, M). Gives (N, N).

    >>> F = torch.rand(8, 999).bfloat16()
    >>> torch.allclose(gram_bfloat16(F), F.float() @ F.float().T, rtol=3e-5)
    True
    """
    high = F @ F.T
    return high.float() + torch.addmm(high, F, F.T, beta=-1).float()
