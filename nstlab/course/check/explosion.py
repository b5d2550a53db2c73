"""The self-checks of notebooks 08 and 09: descent along eigenvectors, and the linear system that replaces it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare, crash, unchanged

EnergyAfter = Callable[[Tensor, Tensor, float, float, int], Any]
Solve = Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]


def stable_step(mine: Callable[[float, float], float]) -> Verdict:
    """Exercise 1: the largest step with which no pattern, an eigenvector of M, grows.

        |1 - 2 s lambda mu| <= 1  for all mu from 0 to the largest

    >>> stable_step(lambda weight, largest_eigenvalue: 1 / largest_eigenvalue)
    Not yet. Lambda is missing: it makes every gradient larger, and so every step.
    """
    weight, largest = 50.0, 7.3
    return compare(
        lambda: mine(weight, largest),
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


def conjugate_gradients(mine: Solve) -> Verdict:
    """Exercise 1 of notebook 09: y with (Id + lambda M) y = x, by conjugate gradients from y = x.

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

    def A(d: Tensor) -> Tensor:
        return d + weight * times_M(d)

    zero, r = torch.zeros_like(x), x - A(x)

    def solve(
        n: int = 5,
        y: Tensor = x,
        r: Tensor = r,
        in_a: Callable[[Tensor], Tensor] = A,
        in_r: Callable[[Tensor], Tensor] = A,
        direction: Callable[[Tensor, Tensor, Tensor | float], Tensor] = lambda r, d, ratio: r + ratio * d,
        in_place: bool = False,
        late: bool = False,
    ) -> Tensor:
        """n iterations from y and r; in_a, in_r: what stands for Id + lambda M in a and in r'; direction gets r', d and
        r'^T r' / r^T r. in_place: the first d is r itself. late: y changes after d."""
        d = r
        for k in range(n):
            old = (r * r).sum()
            a = old / (d * in_a(d)).sum()
            before, r = d, r - a * in_r(d)
            d = direction(r, r if in_place and k == 0 else d, (r * r).sum() / old)
            y = y + a * (d if late else before)
        return y

    def answer() -> Any:
        given = x.clone()
        y = mine(times_M, given, weight, 5)
        unchanged(given, x)
        return y

    incomplete: dict[str, Callable[[Tensor], Tensor]] = {
        "Id is forgotten: the matrix is Id + lambda M, it makes d + lambda M d of d.": lambda d: weight * times_M(d),
        "Lambda is forgotten: the matrix is Id + lambda M, not Id + M.": lambda d: d + times_M(d),
    }
    forgotten = [
        Slip(solve(r=x - first(x), in_a=in_a, in_r=in_r), hint)
        for hint, B in incomplete.items()
        for first, in_a, in_r in product((A, B), repeat=3)
        if B in (first, in_a, in_r)
    ]
    forgotten += [Slip(solve(y=zero, r=x, in_a=B, in_r=B), hint) for hint, B in incomplete.items()]
    exact = torch.linalg.solve(torch.eye(12) + weight * M, x.flatten()).view_as(x)
    slips = [
        Slip(
            crash("1D tensors|must match the size|size mismatch|mat1|same reduction dim"),
            "x is an image: the inner product of two of them is `(r * d).sum()`.",
        ),
        Slip(x, "This is x, unchanged: nothing was solved."),
        Slip(zero, "This is 0: nothing was solved."),
        Slip(
            solve(direction=lambda r, d, ratio: r),
            "Every direction is only the residual: the last formula adds a multiple of the old one.",
        ),
        Slip(
            solve(direction=lambda r, d, ratio: r + d),
            "r is overwritten before r^T r is kept, so the last formula divides r'^T r' by itself. Keep the old one.",
        ),
        Slip(
            solve(in_place=True),
            "r is changed in place, and the first d is the same tensor: write r = r - ... instead.",
        ),
        Slip(solve(direction=lambda r, d, ratio: r + d / ratio), "Upside down: in the last formula r'^T r' is above."),
        Slip(solve(direction=lambda r, d, ratio: r - ratio * d), "Wrong sign: the old direction is added to r'."),
        Slip(solve(direction=lambda r, d, ratio: d), "The direction never changes: the last formula is missing."),
        *forgotten,
        Slip(solve(late=True), "y goes along the new d. Change y before d."),
        *(Slip(solve(y=zero, r=r), "You start from 0. Start with y = x: what is the residual there?") for r in (x, r)),
        Slip(solve(r=-r), "y goes the wrong way. Two signs do that: r = x - (y + lambda M y), and y + a d."),
        Slip(solve(in_r=lambda d: -A(d)), "The sign is wrong where r changes: r - a (d + lambda M d)."),
        Slip(solve(4), "One iteration is missing."),
        Slip(solve(6), "This is one iteration too many."),
        Slip(solve(1), "You return after one iteration: is a `return` indented too far?"),
        Slip(exact, "This is the exact solution. The exercise asks for the result after `iterations` iterations."),
    ]
    right = solve()
    calls[0] = 0
    verdict = compare(answer, right, slips, "The package makes a pastiche photorealistic in the same way.")
    if verdict.passed and calls[0] > 7:
        return Verdict(
            True, f"But it takes {calls[0]} products with M for 5 iterations: keep what you computed, 6 are enough."
        )
    return verdict
