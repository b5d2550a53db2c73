"""The self-checks of notebook 08: descent along eigenvectors, and the linear system that replaces it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

EnergyAfter = Callable[[Tensor, Tensor, float, float, int], Any]
Solve = Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]


def stable_step(mine: Callable[[float, float], float]) -> Verdict:
    """Exercise 1: the largest step with which no pattern, an eigenvector of M, grows.

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
                "This step removes the roughest pattern in one epoch: its factor is 0. How far below 0 may it be?",
            ),
            Slip(weight / largest, "A larger lambda makes longer steps: is it in the numerator or in the denominator?"),
            Slip(weight * largest, "This is half of the curvature. A larger curvature allows only smaller steps."),
        ],
        "And 1 / (9 lambda) is always safe: no Matting Laplacian has an eigenvalue above 9.",
    )


def energy_after(mine: EnergyAfter) -> Verdict:
    """Exercise 2: the energy after k epochs of descent, from the spectrum.

        L_m = sum_i mu_i c_i^2 (1 - 2 s lambda mu_i)^(2 k)

    >>> energy_after(lambda mu, share, step, weight, k: (mu * share * (1 - 2 * step * weight * mu) ** (2 * k)).sum())
    Right. The whole curve, without running an epoch.
    """
    mu, share = torch.tensor([0.0, 0.1, 2.0, 8.5]).double(), torch.tensor([5.0, 2.0, 1.0, 0.3]).double()
    step, weight, k = 0.024, 5.0, 7
    factor = 1 - 2 * step * weight * mu
    return compare(
        lambda: mine(mu.clone(), share.clone(), step, weight, k),
        (mu * share * factor ** (2 * k)).sum(),
        [
            Slip((mu * share * factor**k).sum(), "The energy contains the square of each coefficient."),
            Slip((mu * share * factor**2).sum(), "This is the energy after one epoch, whatever k is."),
            Slip(
                (share * factor ** (2 * k)).sum(),
                "This is the squared length. In the energy each pattern is weighted by mu.",
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
                "Lambda is in the step, but L_m itself is not weighted by it.",
            ),
            Slip(mu * share * factor ** (2 * k), "This is the energy of each pattern. L_m is their sum."),
        ],
        "The whole curve, without running an epoch.",
    )


def conjugate_gradients(mine: Solve) -> Verdict:
    """Exercise 3: y with (Id + lambda M) y = x, by conjugate gradients from y = x.

    >>> conjugate_gradients(lambda times_M, x, weight, iterations: x)
    Not yet. This is x, unchanged: nothing was solved.
    """
    generator = torch.Generator().manual_seed(8)
    B = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    M, weight, calls = B @ B.T / 12, 3.0, [0]
    x = torch.rand(1, 1, 3, 4, generator=generator, dtype=torch.float64)

    def times_M(y: Tensor) -> Tensor:
        calls[0] += 1
        return (M @ y.flatten()).view_as(y)

    def after(iterations: int, steepest: bool = False) -> Tensor:
        """The result after this many iterations. steepest: take the residual itself as the direction."""
        y, r = x, -weight * times_M(x)
        d = r
        for _ in range(iterations):
            Ad = d + weight * times_M(d)
            rr = (r * r).sum()
            a = rr / (d * Ad).sum()
            y, r = y + a * d, r - a * Ad
            d = r if steepest else r + (r * r).sum() / rr * d
        return y

    def answer() -> Any:
        given = x.clone()
        y = mine(times_M, given, weight, 5)
        return y if torch.equal(given, x) else "image changed"

    slips = [
        Slip("image changed", "The image you were given has changed. Work on a copy: `x.clone()`."),
        Slip(x, "This is x, unchanged: nothing was solved."),
        Slip(
            after(5, steepest=True),
            "Every direction is only the residual: the last formula adds a multiple of the old one.",
        ),
        Slip(after(4), "One iteration is missing."),
        Slip(after(6), "This is one iteration too many."),
        Slip(
            torch.linalg.solve(torch.eye(12) + weight * M, x.flatten()).view_as(x),
            "This is the exact solution. The exercise asks for the result after `iterations` iterations.",
        ),
    ]
    right = after(5)
    calls[0] = 0
    verdict = compare(answer, right, slips, "The package makes a pastiche photorealistic in the same way.")
    if verdict.passed and calls[0] > 7:
        return Verdict(
            True, f"But it takes {calls[0]} products with M for 5 iterations: keep what you computed, 6 are enough."
        )
    return verdict
