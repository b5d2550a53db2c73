"""The Lanczos method: the largest eigenvalue of the Matting Laplacian M, with products M x only."""

from __future__ import annotations

import torch
from torch import Tensor

from nstlab.base.numerics.stencil import apply_stencil

MAX_STEPS = 100  # pictures need at most 30
MIN_STEPS = 30  # a start nearly orthogonal to the top eigenvector needs so many, or gives the second largest eigenvalue


def largest_eigenvalue(planes: Tensor) -> float:
    """The largest eigenvalue of M by the Lanczos method, from a random vector v with a fixed seed.

    In an orthonormal basis of the span of v, M v, M^2 v, ... the matrix M becomes the tridiagonal matrix T. The method
    stops when an eigenvalue of M is certain to lie within 0.3 % of the largest eigenvalue of T.

    planes: the stencil of M, (13, H, W). Gives at most 9, the bound for every image.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(1, *planes.shape[1:], generator=generator, dtype=torch.float32, device="cpu").to(planes)
    v, previous, beta = v / v.norm(), torch.zeros_like(v), 0.0
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for step in range(1, MAX_STEPS + 1):
        w = apply_stencil(planes, v) - beta * previous
        diagonal.append(float((w * v).sum()))
        w -= diagonal[-1] * v
        beta = float(w.norm())
        T = torch.diag(torch.tensor(diagonal, dtype=torch.float64, device="cpu"))
        T += torch.diag(torch.tensor(off_diagonal, dtype=torch.float64, device="cpu"), -1)
        eigenvalues, eigenvectors = torch.linalg.eigh(T)  # eigh reads the lower triangle only
        error = beta * abs(float(eigenvectors[-1, -1])) / float(eigenvalues[-1])
        if error <= 1e-6 or (error <= 0.003 and step >= MIN_STEPS):
            break
        off_diagonal.append(beta)
        previous, v = v, w / beta
    return min(9.0, float(eigenvalues[-1]))
