"""M x and x^T M x as differentiable functions of x, for a symmetric matrix M that is kept as a stencil."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nstlab.numerics.stencil import apply_stencil


class Product(torch.autograd.Function):
    """M x. As M is symmetric, the gradient by x is M times the gradient by M x, any number of times."""

    @staticmethod
    def forward(x: Tensor, planes: Tensor) -> Tensor:
        return apply_stencil(planes, x[0])[None]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.planes = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return Product.apply(gradient, ctx.planes), None


class Energy(torch.autograd.Function):
    """sum_c x_c^T M x_c, with the gradient 2 M x_c: M x is computed once for both, and anew for a second derivative."""

    @staticmethod
    def forward(x: Tensor, planes: Tensor) -> tuple[Tensor, Tensor]:
        Mx = apply_stencil(planes, x[0])[None]
        accurate = x.dtype if x.device.type == "mps" else torch.float64
        return (x * Mx).sum(dtype=accurate).to(x.dtype), Mx

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.planes = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        x, Mx = ctx.saved_tensors
        return 2 * gradient * (Product.apply(x, ctx.planes) if torch.is_grad_enabled() else Mx), None
