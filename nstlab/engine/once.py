"""What autograd is told of the ways back that are written out in this package: they can be gone once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A way back that has no derivative itself, and says so where one is wanted.

    PyTorch's own `once_differentiable` says so only where the gradient that comes in wants a derivative, too; to a
    Hessian it would answer 0.
    """

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "nstlab's losses can be differentiated once, and a second derivative was asked for. "
                "Leave create_graph=True out; a Hessian can be had from differences of gradients."
            )
        return backward(ctx, *gradients)

    return checked
