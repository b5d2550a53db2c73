"""Notebook 08: its self-checks, on descent along eigenvectors and on the linear system that replaces it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

EnergyAfter = Callable[[Tensor, Tensor, float, float, int], Any]
Solve = Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]


def stable_step(mine: Callable[[float, float], float]) -> Verdict:
    """Exercise 1: the largest step with which no pattern grows.

        |1 - 2 s lambda mu| <= 1  for all mu from 0 to the largest

    >>> stable_step(lambda weight, largest_eigenvalue: 1 / largest_eigenvalue)
    Not yet. Lambda is missing: it makes every gradient larger, and so every step.
    """
    weight, largest = 50.0, 8.0
    return compare(
        lambda: mine(weight, largest),
        1 / (weight * largest),
        [
            Slip(1 / largest, "Lambda is missing: it makes every gradient larger, and so every step."),
            Slip(1 / weight, "The eigenvalue is missing: which pattern is the first to grow?"),
            Slip(2 / (weight * largest), "The gradient of x^T M x has a 2 in it. Put it into the factor of one epoch."),
            Slip(
                1 / (2 * weight * largest),
                "With this step the roughest pattern is gone in one epoch: its factor is 0. How far below 0 may it go?",
            ),
            Slip(weight / largest, "A larger lambda makes longer steps: on which side does it stand?"),
            Slip(weight * largest, "This is the curvature, or half of it. The step is what keeps it in check."),
        ],
        "And 1 / (9 lambda) is always safe: no Matting Laplacian has an eigenvalue above 9.",
    )


def energy_after(mine: EnergyAfter) -> Verdict:
    """Exercise 2: the energy after k epochs of descent, from the spectrum.

        L_m = sum_i mu_i c_i^2 (1 - 2 s lambda mu_i)^(2 k)

    >>> energy_after(lambda mu, share, step, weight, k: (mu * share * (1 - 2 * step * weight * mu) ** (2 * k)).sum())
    Right. A whole curve, and not one epoch was run.
    """
    mu, share = torch.tensor([0.0, 0.1, 2.0, 8.5]).double(), torch.tensor([5.0, 2.0, 1.0, 0.3]).double()
    step, weight, k = 0.024, 5.0, 7
    factor = 1 - 2 * step * weight * mu
    return compare(
        lambda: mine(mu.clone(), share.clone(), step, weight, k),
        (mu * share * factor ** (2 * k)).sum(),
        [
            Slip((mu * share * factor**k).sum(), "The energy sees the square of each coefficient."),
            Slip((mu * share * factor**2).sum(), "This is the energy after one epoch, whatever k is."),
            Slip(
                (share * factor ** (2 * k)).sum(),
                "This is a length. In the energy each pattern weighs mu.",
            ),
            Slip((mu * factor ** (2 * k)).sum(), "How much of each pattern is in the picture? `share` says so."),
            Slip(
                (mu * share.square() * factor ** (2 * k)).sum(),
                "`share` holds the squares already.",
            ),
            Slip(
                (mu * share * (1 - step * weight * mu) ** (2 * k)).sum(),
                "The gradient of x^T M x has a 2 in it, which the factor must have too.",
            ),
            Slip((mu * share * (1 - 2 * step * mu) ** (2 * k)).sum(), "Lambda is missing in the factor."),
            Slip(
                (weight * mu * share * factor ** (2 * k)).sum(),
                "Lambda is in the step, but L_m itself is not weighed by it.",
            ),
            Slip(mu * share * factor ** (2 * k), "Every pattern by itself. The energy is their sum."),
        ],
        "A whole curve, and not one epoch was run.",
    )


def conjugate_gradients(mine: Solve) -> Verdict:
    """Exercise 3: y with (Id + lambda M) y = x, by conjugate gradients from y = x.

    >>> conjugate_gradients(lambda times_M, x, weight, iterations: x)
    Not yet. This is x as it came: nothing was solved.
    """
    generator = torch.Generator().manual_seed(8)
    B = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    M, weight, calls = B @ B.T / 12, 3.0, [0]
    x = torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)

    def times_M(y: Tensor) -> Tensor:
        calls[0] += 1
        return (M @ y.flatten()).view_as(y)

    def after(iterations: int, fixed: bool = False) -> Tensor:
        """What the method has after that many iterations; fixed: with directions that forget the ones before."""
        y, r = x, -weight * times_M(x)
        d = r
        for _ in range(iterations):
            Ad = d + weight * times_M(d)
            rr = (r * r).sum()
            a = rr / (d * Ad).sum()
            y, r = y + a * d, r - a * Ad
            d = r if fixed else r + (r * r).sum() / rr * d
        return y

    def answer() -> Any:
        given = x.clone()
        y = mine(times_M, given, weight, 5)
        return y if torch.equal(given, x) else "image changed"

    slips = [
        Slip("image changed", "The image you were given has changed. Work on a copy: `x.clone()`."),
        Slip(x, "This is x as it came: nothing was solved."),
        Slip(
            after(5, fixed=True),
            "Every direction is the residual alone: the last formula adds the old one.",
        ),
        Slip(after(4), "One iteration is missing."),
        Slip(after(6), "This is one iteration too many."),
        Slip(
            torch.linalg.solve(torch.eye(12) + weight * M, x.flatten()).view_as(x),
            "This is the exact solution. It is asked what conjugate gradients have after so many iterations.",
        ),
    ]
    right = after(5)
    calls[0] = 0
    verdict = compare(answer, right, slips, "This is how the package cures a pastiche.")
    if verdict.passed and calls[0] > 7:
        return Verdict(True, f"But {calls[0]} products with M for 5 iterations: keep what you computed, 6 are enough.")
    return verdict
