"""The curvature of a loss along the directions of color space: a 3 x 3 matrix to start L-BFGS with."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-3  # added to the diagonals of S and Y, relative to their traces


def over_colors(a: Tensor, b: Tensor) -> Tensor:
    """sum_p a_p b_p^T over the pixels p.

    a, b: (1, 3, H, W). Gives a matrix over colors, (3, 3).

    >>> over_colors(torch.tensor([1.0, 2.0, 0.0]).view(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
    tensor([[1., 1., 1.],
            [2., 2., 2.],
            [0., 0., 0.]])
    """
    return a[0].flatten(1) @ b[0].flatten(1).T


def recolored(C: Tensor, v: Tensor) -> Tensor:
    """C v_p at every pixel p.

    C: (3, 3). v: (1, 3, H, W). Gives (1, 3, H, W).

    >>> recolored(2 * torch.eye(3), torch.ones(1, 3, 1, 1)).flatten()
    tensor([2., 2., 2.])
    """
    return (C @ v[0].flatten(1)).view_as(v)


def color_scale(S: Tensor, Y: Tensor) -> Tensor:
    """The symmetric positive definite matrix C over colors that maps changes y of the gradient to steps s.

        C Y C = S,    C = Y^-1/2 (Y^1/2 S Y^1/2)^1/2 Y^-1/2

    It is the geometric mean of S and Y^-1. S, Y: sum s_p s_p^T and sum y_p y_p^T over the pairs (s, y) of L-BFGS and
    the pixels p, (3, 3), float64. Both may be singular: FLOOR makes them positive definite. Gives (3, 3).

    >>> color_scale(4 * torch.eye(3), torch.eye(3)).diagonal()
    tensor([2., 2., 2.])
    """
    S, Y = (A + FLOOR * A.trace() * torch.eye(3, dtype=A.dtype, device=A.device) for A in (S, Y))
    root, inverse_root = power(Y, 0.5), power(Y, -0.5)
    return inverse_root @ power(root @ S @ root, 0.5) @ inverse_root


def power(A: Tensor, exponent: float) -> Tensor:
    """A to the power `exponent`, for a symmetric positive definite matrix A."""
    values, vectors = torch.linalg.eigh(A)
    A_power: Tensor = vectors * values**exponent @ vectors.T
    return A_power


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of two images, a scalar on their device."""
    return torch.dot(a.flatten(), b.flatten())


def numbers(*scalars: Tensor) -> list[float]:
    """The values of these scalars, fetched from the device at once."""
    return torch.stack(scalars).tolist()
