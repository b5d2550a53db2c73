"""What is found of the Matting Laplacian M by multiplying with it again and again: its solves, its largest eigenvalue.

Both methods look for their answer in the space of v, M v, M M v, ..., named after Krylov.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nstlab.preconditioner import ColorPyramid
from nstlab.stencil import apply_stencil

LANCZOS_STEPS = 100  # at most; pictures need 10 to 30
FEWEST_STEPS = 20  # before that the start may hold so little of the last eigenvector that the one before looks largest


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


def largest_eigenvalue(planes: Tensor) -> float:
    """Lanczos' method: the largest eigenvalue of M on the space of v, M v, M M v, ..., v random with a fixed seed.

    In a basis of that space M is the tridiagonal matrix T. It stops where an eigenvalue of M is within 0.3 % of T's.
    """
    v = torch.randn(1, *planes.shape[1:], generator=torch.Generator().manual_seed(0)).to(planes)
    v, before, beta = v / v.norm(), torch.zeros_like(v), 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(1, LANCZOS_STEPS + 1):
        w = apply_stencil(planes, v) - beta * before
        diagonal.append(float((w * v).sum()))
        w -= diagonal[-1] * v
        beta = float(w.norm())
        T = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
        T += torch.diag(torch.tensor(beside, dtype=torch.float64), -1)
        eigenvalues, eigenvectors = torch.linalg.eigh(T)  # reads the lower half
        distance = beta * abs(float(eigenvectors[-1, -1])) / float(eigenvalues[-1])
        if distance <= 1e-6 or (distance <= 0.003 and step >= FEWEST_STEPS):
            break
        beside.append(beta)
        before, v = v, w / beta
    return min(9.0, float(eigenvalues[-1]))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of each channel: (C, H, W) twice, gives (C, 1, 1)."""
    return (a * b).sum((1, 2), keepdim=True)
