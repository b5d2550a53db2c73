"""How strongly a loss curves along each direction of color: a 3 x 3 matrix that L-BFGS starts from."""

from __future__ import annotations

import torch
from torch import Tensor

LITTLE = 1e-3  # share of all movement that every color is assumed to have moved at least


def over_colors(a: Tensor, b: Tensor) -> Tensor:
    """sum_p a_p b_p^T over the places p of two images, (1, 3, H, W): a matrix (3, 3).

    >>> over_colors(torch.tensor([1.0, 2.0, 0.0]).view(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
    tensor([[1., 1., 1.],
            [2., 2., 2.],
            [0., 0., 0.]])
    """
    return a[0].flatten(1) @ b[0].flatten(1).T


def recolored(C: Tensor, v: Tensor) -> Tensor:
    """C v_p at every place p of v, (1, 3, H, W)."""
    return (C @ v[0].flatten(1)).view_as(v)


def color_scale(S: Tensor, Y: Tensor) -> Tensor:
    """The matrix over colors, (3, 3), symmetric and positive, that takes changes of the gradient to steps.

        C Y C = S,    C = Y^-1/2 (Y^1/2 S Y^1/2)^1/2 Y^-1/2

    S = sum s_p s_p^T, Y = sum y_p y_p^T over pairs and places, float64. A direction in which nothing has moved counts
    as moved a little, so that there always is an answer.

    >>> color_scale(4 * torch.eye(3), torch.eye(3)).diagonal()
    tensor([2., 2., 2.])
    """
    S, Y = (A + LITTLE * A.trace() * torch.eye(3).to(A) for A in (S, Y))
    root, inverse = power(Y, 0.5), power(Y, -0.5)
    return inverse @ power(root @ S @ root, 0.5) @ inverse


def power(A: Tensor, exponent: float) -> Tensor:
    """A to that power, for a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(A)
    A_power: Tensor = vectors * values**exponent @ vectors.T
    return A_power
