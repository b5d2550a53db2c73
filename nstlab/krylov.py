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


@torch.no_grad()
def conjugate_gradients(
    image: Tensor, planes: Tensor, x: Tensor, weight: float, residual: float, max_iterations: int
) -> Iterator[Iterate]:
    """Preconditioned conjugate gradients on (Id + weight M) y = x from y = x, each channel with steps of its own.

    Nocedal and Wright, "Numerical Optimization", algorithm 5.3. image, planes: of M, (1, 3, H, W) and (13, H, W).
    x: (1, C, H, W). r: what is missing, x - (Id + weight M) y. d: the direction of the step, z: the preconditioner's.
    """
    tiny = torch.finfo(x.dtype).tiny
    scale = float(x.norm()) or 1.0
    y, r = x[0], -weight * apply_stencil(planes, x[0])
    if float(r.norm()) <= residual * scale:
        return
    precondition = ColorPyramid(image, planes, weight)
    d, before = torch.zeros_like(r), torch.ones_like(r[:, :1, :1])
    for iteration in range(1, max_iterations + 1):
        z = precondition(r)
        rz = dot(r, z)
        d = torch.addcmul(z, rz / before, d)
        before = rz.clamp(min=tiny)  # 0 in a channel that is solved
        Ad = torch.add(d, apply_stencil(planes, d), alpha=weight)
        step = rz / dot(d, Ad).clamp(min=tiny)
        y, r = torch.addcmul(y, step, d), torch.addcmul(r, step, Ad, value=-1)
        reached = float(r.norm()) / scale
        yield Iterate(iteration, y[None], reached)
        if reached <= residual:
            return


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
