"""M x and x^T M x as differentiable functions of x, for a symmetric matrix M that is stored as a stencil."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nstlab.base.numerics.stencil import apply_stencil


class Product(torch.autograd.Function):
    """M x; differentiable any number of times. As M is symmetric, dL/dx = M dL/d(M x).

    x: (1, C, H, W). planes: the stencil of M, (13, H, W). Gives (1, C, H, W).
    """

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
    """sum_c x_c^T M x_c and M x; the gradient of the sum, 2 M x, uses the same M x.

    x: (1, C, H, W). planes: the stencil of M, (13, H, W). Gives a scalar and (1, C, H, W), which is not differentiable.
    For a second derivative M x is computed again, as a differentiable `Product`.
    """

    @staticmethod
    def forward(x: Tensor, planes: Tensor) -> tuple[Tensor, Tensor]:
        Mx = apply_stencil(planes, x[0])[None]
        sum_type = x.dtype if x.device.type == "mps" else torch.float64  # MPS has no float64
        return (x * Mx).sum(dtype=sum_type).to(x.dtype), Mx

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.planes = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        x, Mx = ctx.saved_tensors
        return 2 * gradient * (Product.apply(x, ctx.planes) if torch.is_grad_enabled() else Mx), None
