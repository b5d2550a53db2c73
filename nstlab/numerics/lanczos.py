"""Lanczos' method: the largest eigenvalue of the Matting Laplacian M, by products with it alone."""

from __future__ import annotations

import torch
from torch import Tensor

from nstlab.numerics.stencil import apply_stencil

STEPS = 100  # at most; pictures need 10 to 30
FEWEST_STEPS = 20  # before that the start may hold so little of the last eigenvector that the one before looks largest


def largest_eigenvalue(planes: Tensor) -> float:
    """Lanczos' method: the largest eigenvalue of M on the space of v, M v, M M v, ..., v random with a fixed seed.

    In a basis of that space M is the tridiagonal matrix T. It stops where an eigenvalue of M is within 0.3 % of T's.
    """
    v = torch.randn(1, *planes.shape[1:], generator=torch.Generator().manual_seed(0)).to(planes)
    v, before, beta = v / v.norm(), torch.zeros_like(v), 0.0
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(1, STEPS + 1):
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
