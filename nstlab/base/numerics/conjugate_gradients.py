"""Conjugate gradients: linear systems with the Matting Laplacian M, solved with products M x only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nstlab.base.numerics.modes import without_modes
from nstlab.base.numerics.preconditioner import ColorPyramid
from nstlab.base.numerics.stencil import apply_stencil


class Iterate(NamedTuple):
    """The state of `MattingLaplacian.solve_steps` after one iteration.

    image: the iterate y, (1, C, H, W). residual: |x - (Id + weight M) y| / |x|, an upper bound of |y - solution| / |x|.
    """

    iteration: int
    image: Tensor
    residual: float


class ConjugateGradients(Iterator[Iterate]):
    """Preconditioned conjugate gradients for (Id + weight M) y = x, from y = start.

    Nocedal and Wright, "Numerical Optimization", algorithm 5.3; every channel has its own step lengths. It stops after
    max_iterations, or when the residual r = x - (Id + weight M) y has norm at most residual * |x|. Its state changes
    only when an iteration is complete, so it can be interrupted and continued.

    image: the content image, (1, 3, H, W). planes: the stencil of M, (13, H, W). x, start: (1, C, H, W).
    """

    @without_modes()
    @torch.no_grad()
    def __init__(
        self,
        image: Tensor,
        planes: Tensor,
        x: Tensor,
        start: Tensor,
        weight: float,
        residual: float,
        max_iterations: int,
    ):
        self.planes, self.weight, self.max_iterations = planes, weight, max_iterations
        self.scale = float(x.norm()) or 1.0
        self.tolerance = residual * self.scale
        r = x[0] - start[0] - weight * apply_stencil(planes, start[0])
        self.state = (start[0], r, torch.zeros_like(r), torch.ones_like(r[:, :1, :1]))  # y, r, d, previous r^T z
        self.current = Iterate(0, start, float(r.norm()) / self.scale)
        self.precondition = ColorPyramid(image, planes, weight) if self.unfinished() else None

    def unfinished(self) -> bool:
        """Whether another iteration is needed and allowed."""
        residual = self.current.residual * self.scale
        return residual > self.tolerance and self.current.iteration < self.max_iterations

    @without_modes()
    @torch.no_grad()
    def __next__(self) -> Iterate:
        """One iteration: z is the preconditioned residual, d the search direction."""
        if self.precondition is None or not self.unfinished():
            raise StopIteration
        y, r, d, previous_rz = self.state
        tiny = torch.finfo(r.dtype).tiny
        z = self.precondition(r)
        rz = dot(r, z)
        d = torch.addcmul(z, rz / previous_rz, d)
        Ad = torch.add(d, apply_stencil(self.planes, d), alpha=self.weight)
        step = rz / dot(d, Ad).clamp(min=tiny)
        y, r = torch.addcmul(y, step, d), torch.addcmul(r, step, Ad, value=-1)
        current = Iterate(self.current.iteration + 1, y[None], float(r.norm()) / self.scale)
        self.state, self.current = (y, r, d, rz.clamp(min=tiny)), current  # r^T z is 0 in a channel that is solved
        return current


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of each channel. a, b: (C, H, W). Gives (C, 1, 1)."""
    return (a * b).sum((1, 2), keepdim=True)
