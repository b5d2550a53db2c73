"""Conjugate gradients: the linear systems of the Matting Laplacian M, solved by products with it alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nstlab.numerics.preconditioner import ColorPyramid
from nstlab.numerics.stencil import apply_stencil


class Iterate(NamedTuple):
    """One step of `MattingLaplacian.solve_steps`.

    image: y so far, (1, C, H, W). residual: |x - (Id + weight M) y| / |x|, never less than |y - solution| / |x|.
    """

    iteration: int
    image: Tensor
    residual: float


class ConjugateGradients(Iterator[Iterate]):
    """Preconditioned conjugate gradients on (Id + weight M) y = x from y = start, each channel with steps of its own.

    Nocedal and Wright, "Numerical Optimization", algorithm 5.3. image, planes: of M, (1, 3, H, W) and (13, H, W).
    x, start: (1, C, H, W). Ends after max_iterations, or where what is missing, r = x - (Id + weight M) y, is at most
    residual * |x|. It changes nothing until an iteration is complete: it can be interrupted and asked again.
    """

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
        self.enough = residual * self.scale
        r = x[0] - start[0] - weight * apply_stencil(planes, start[0])
        self.state = (start[0], r, torch.zeros_like(r), torch.ones_like(r[:, :1, :1]))  # y, r, d, r^T z of before
        self.at = Iterate(0, start, float(r.norm()) / self.scale)
        self.precondition = ColorPyramid(image, planes, weight) if self.goes_on() else None

    def goes_on(self) -> bool:
        """Whether there is an iteration to come."""
        return self.at.residual * self.scale > self.enough and self.at.iteration < self.max_iterations

    @torch.no_grad()
    def __next__(self) -> Iterate:
        """d: the direction of the step, from the preconditioner's answer z to r."""
        if self.precondition is None or not self.goes_on():
            raise StopIteration
        y, r, d, before = self.state
        tiny = torch.finfo(r.dtype).tiny
        z = self.precondition(r)
        rz = dot(r, z)
        d = torch.addcmul(z, rz / before, d)
        Ad = torch.add(d, apply_stencil(self.planes, d), alpha=self.weight)
        step = rz / dot(d, Ad).clamp(min=tiny)
        y, r = torch.addcmul(y, step, d), torch.addcmul(r, step, Ad, value=-1)
        at = Iterate(self.at.iteration + 1, y[None], float(r.norm()) / self.scale)
        self.state, self.at = (y, r, d, rz.clamp(min=tiny)), at  # r^T z is 0 in a channel that is solved
        return at


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of each channel: (C, H, W) twice, gives (C, 1, 1)."""
    return (a * b).sum((1, 2), keepdim=True)
