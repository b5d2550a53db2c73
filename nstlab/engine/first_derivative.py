"""A guard for backward passes that are written out: they have no derivative of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def no_second_derivative(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for the backward of an autograd.Function: raises RuntimeError if a second derivative is requested.

    PyTorch's `once_differentiable` raises only if the incoming gradient requires a derivative; without that, a Hessian
    would silently be 0.
    """

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "nstlab's losses have a first derivative only, but a second derivative was requested. "
                "Leave create_graph=True out, or approximate a Hessian by differences of gradients."
            )
        return backward(ctx, *gradients)

    return checked
