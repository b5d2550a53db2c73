"""The self-checks of notebook 08: descent along eigenvectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.conjugate_gradients import conjugate_gradients as conjugate_gradients  # for notebook 09
from nstlab.course.check.verdict import Slip, Verdict, called, compare

EnergyAfter = Callable[[Tensor, Tensor, float, float, int], Any]


def stable_step(mine: Callable[[float, float], float]) -> Verdict:
    """Exercise 1: the largest step with which no pattern, an eigenvector of M, grows.

        |1 - 2 s lambda mu| <= 1  for all mu from 0 to the largest

    >>> stable_step(lambda weight, largest_eigenvalue: 1 / largest_eigenvalue)
    Not yet. Lambda is missing: it makes every gradient larger, and so every step.
    """
    weight, largest = 50.0, 7.3
    return compare(
        lambda: called(mine, weight, largest),
        1 / (weight * largest),
        [
            Slip(1 / largest, "Lambda is missing: it makes every gradient larger, and so every step."),
            Slip(2 / largest, "Lambda is missing, and the gradient of x^T M x has a 2 in it."),
            Slip(1 / weight, "The eigenvalue is missing: which pattern is the first to grow?"),
            Slip(
                1 / (9 * weight),
                "9 is a bound for all Matting Laplacians. The largest eigenvalue of this one is given.",
            ),
            Slip(2 / (weight * largest), "The gradient of x^T M x has a 2 in it. Put it into the factor of one epoch."),
            Slip(
                1 / (2 * weight * largest),
                "This step removes the roughest pattern in one epoch: its factor is 0. How far below 0 may it be?",
            ),
            Slip(-1 / (weight * largest), "A step is positive: the minus of descent is in the formula already."),
            Slip(
                2 / (9 * weight), "9 is a bound for all Matting Laplacians; and the gradient of x^T M x has a 2 in it."
            ),
            Slip(
                1 / (18 * weight),
                "9 is a bound for all Matting Laplacians. The largest eigenvalue of this one is given.",
            ),
            Slip(1 / (4 * weight * largest), "One factor of 2 is too many twice: the factor may go down to -1."),
            Slip(
                4 / (weight * largest), "The factor may go down to -1, and it is 1 - 2 s lambda mu: solve this for s."
            ),
            Slip(1 / (weight * largest**2), "The eigenvalue is in the factor of one epoch once, not squared."),
            Slip(1 / (weight * largest) ** 0.5, "There is no root: the factor of one epoch is linear in the step."),
            Slip(1 - 2 * weight * largest, "This is the factor of one epoch with a step of 1. Solve for the step."),
            Slip(1 / (weight**2 * largest), "Lambda is in the factor of one epoch once, not squared."),
            Slip(1 / (weight + largest), "Lambda and the eigenvalue are multiplied, not added."),
            Slip(
                lambda step: 0.5 < step * weight * largest < 1,
                "This step is stable, but not the largest one: no margin is asked for.",
            ),
            Slip(lambda step: step * weight * largest == float("inf"), "It explodes with any step above some limit."),
            Slip(0.0, "With a step of 0 nothing happens. How negative may the factor of an epoch become?"),
            Slip(weight / largest, "A larger lambda makes longer steps: is it in the numerator or in the denominator?"),
            Slip(largest / weight, "A larger eigenvalue is a steeper valley: it belongs in the denominator."),
            Slip(weight * largest, "This is half of the curvature. A larger curvature allows only smaller steps."),
            Slip(2 * weight * largest, "This is the curvature. A larger curvature allows only smaller steps."),
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
        lambda: called(mine, mu, share, step, weight, k),
        (mu * share * factor ** (2 * k)).sum(),
        [
            Slip((mu * share * factor**k).sum(), "The energy contains the square of each coefficient."),
            Slip((mu * share * factor**2).sum(), "This is the energy after one epoch, whatever k is."),
            Slip(
                (share * factor ** (2 * k)).sum(),
                "This is the squared length. In the energy each pattern is weighted by mu.",
            ),
            Slip((mu * factor ** (2 * k)).sum(), "How much of each pattern is in the picture? `share` says so."),
            Slip((mu * share.square() * factor ** (2 * k)).sum(), "`share` holds the squares already."),
            *(
                Slip((mu * share * factor ** (2 * k + more)).sum(), "How often is the factor taken after k epochs?")
                for more in (-2, -1, 1, 2)
            ),
            Slip((mu.square() * share * factor ** (2 * k)).sum(), "The energy x^T M x has one mu, not its square."),
            Slip((mu * share * factor ** (2 * k)).sum() / 2, "There is no half in x^T M x."),
            Slip((mu * share * factor ** (2 * k)).mean(), "This is a mean over the patterns. L_m is their sum."),
            Slip((mu * share * factor**k).sum().square(), "You square the sum. Each coefficient is squared by itself."),
            Slip((mu * share.sqrt() * factor ** (2 * k)).sum(), "`share` holds the squares: no root is needed."),
            Slip(
                (mu * share * (1 - 4 * step * weight * mu) ** (2 * k)).sum(),
                "The 2 of the gradient is in the factor twice.",
            ),
            Slip((mu * share * (1 - 2 * weight * mu) ** (2 * k)).sum(), "The step is missing in the factor."),
            Slip((mu * share * factor ** (2 * k)).sum().square(), "There is no square around the sum."),
            Slip(
                (mu * share * (1 - 2 * step * weight * mu * k) ** 2).sum(), "The factor is taken k times, not the step."
            ),
            Slip((mu * share * factor**2 * k).sum(), "`** 2 * k` squares, then multiplies: it needs parentheses."),
            Slip((mu * share * factor).sum(), "This is the energy with the factor taken once, without square."),
            Slip(
                (mu * share * torch.exp(-4 * step * weight * mu * k)).sum(), "Steps are finite: the factor is a power."
            ),
            Slip(
                (mu * share).sum() * (factor ** (2 * k)).sum(),
                "Each pattern has its own factor: multiply before you add up.",
            ),
            Slip(
                share.sum(), "This is the squared length at the start. The energy weighs by mu, and k epochs change it."
            ),
            Slip((share * factor**k).sum(), "Each pattern is weighted by mu, and its coefficient is squared."),
            Slip(
                sum((mu * share * factor ** (2 * j)).sum() for j in range(k + 1)),
                "These are the energies of all epochs, added up. What is it after the last?",
            ),
            Slip(
                (mu * share * (1 - 2 * step * weight * mu * share) ** (2 * k)).sum(),
                "How much there is of a pattern does not change its factor: `share` is in front alone.",
            ),
            Slip((mu * share).sum(), "This is the energy at the start. What do k epochs do to it?"),
            Slip((mu * share * factor * 2 * k).sum(), "`* 2 * k` multiplies. The factor is taken to a power."),
            Slip(
                (mu * share * (1 + 2 * step * weight * mu) ** (2 * k)).sum(),
                "The sign is wrong: descent goes against the gradient, so a small step makes the factor less than 1.",
            ),
            Slip(
                (mu * share * (1 - 2 * step * weight) ** (2 * k)).sum(),
                "Every pattern has the same factor here. Which eigenvalue is missing in it?",
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
