"""The self-check of notebook 09: the linear system of approach 2, by conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash

Solve = Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]


def conjugate_gradients(mine: Solve) -> Verdict:
    """Exercise 1 of notebook 09: y with (Id + lambda M) y = x, by conjugate gradients from y = x.

    >>> conjugate_gradients(lambda times_M, x, weight, iterations: x)
    Not yet. This is x, unchanged: nothing was solved.
    """
    generator = torch.Generator().manual_seed(8)
    B = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    M, weight, calls = B @ B.T / 12, 3.0, [0]
    x = torch.randn(1, 1, 3, 4, generator=generator, dtype=torch.float64)  # y leaves [0, 1], so that a clamp shows

    def times_M(y: Tensor) -> Tensor:
        calls[0] += 1
        return (M @ y.flatten()).view_as(y)

    def A(d: Tensor) -> Tensor:
        return d + weight * times_M(d)

    def step(r: Tensor, d: Tensor, Ad: Tensor) -> Tensor:
        return (r * r).sum() / (d * Ad).sum()

    zero, r = torch.zeros_like(x), x - A(x)

    def solve(
        n: int = 5,
        y: Tensor = x,
        r: Tensor = r,
        in_a: Callable[[Tensor], Tensor] = A,
        in_r: Callable[[Tensor], Tensor] = A,
        step: Callable[[Tensor, Tensor, Tensor], Tensor] = step,
        rest: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda r, a, Ad: r - a * Ad,
        direction: Callable[[Tensor, Tensor, Tensor | float], Tensor] = lambda r, d, ratio: r + ratio * d,
        along: Callable[[Tensor, Tensor], Tensor] = lambda r, d: d,
        in_place: bool = False,
        late: bool = False,
    ) -> Tensor:
        """n iterations from y and r; in_a, in_r: what stands for Id + lambda M in a and in r'. step gives a, rest gives
        r', direction gives d' from r', d and r'^T r' / r^T r. along: where y goes. in_place: the first d is r itself.
        late: y changes after d."""
        d = r
        for k in range(n):
            old, a = (r * r).sum(), step(r, d, in_a(d))
            before, r = along(r, d), rest(r, a, in_r(d))
            d = direction(r, r if in_place and k == 0 else d, (r * r).sum() / old)
            y = y + a * (d if late else before)
        return y

    incomplete: dict[str, Callable[[Tensor], Tensor]] = {
        "Id is forgotten: the matrix is Id + lambda M, it makes d + lambda M d of d.": lambda d: weight * times_M(d),
        "Lambda is forgotten: the matrix is Id + lambda M, not Id + M.": lambda d: d + times_M(d),
        "Id and lambda are forgotten: the matrix is Id + lambda M, not M alone.": times_M,
        "There is no 2 in the matrix Id + lambda M: it cancels where the gradient is set to 0.": lambda d: (
            d + 2 * weight * times_M(d)
        ),
        "The sign of lambda is wrong: the matrix is Id + lambda M.": lambda d: d - weight * times_M(d),
    }
    forgotten = [
        Slip(solve(r=x - first(x), in_a=in_a, in_r=in_r), hint)
        for hint, B in incomplete.items()
        for first, in_a, in_r in product((A, B), repeat=3)
        if B in (first, in_a, in_r)
    ]
    forgotten += [Slip(solve(y=zero, r=x, in_a=B, in_r=B), hint) for hint, B in incomplete.items()]
    exact = torch.linalg.solve(torch.eye(12) + weight * M, x.flatten()).view_as(x)
    root = "There is no root in the formulas: r^T r is a sum of squares, not a length."
    slips = [
        Slip(
            solve(step=lambda r, d, Ad: (r * r).sum() / (d * d).sum()),
            "a is divided by d^T d. In between stands the matrix: d^T (d + lambda M d).",
        ),
        Slip(
            solve(step=lambda r, d, Ad: (r * r).sum() / (r * A(r)).sum()),
            "a is divided by r^T (Id + lambda M) r. Below the line stands d, twice.",
        ),
        Slip(
            solve(step=lambda r, d, Ad: (r * r).sum() / (Ad * Ad).sum()),
            "a is divided by the square of (Id + lambda M) d. Below the line d comes first.",
        ),
        Slip(
            lambda y: not y.isfinite().all(), "It grows without bound. a is r^T r / d^T (d + lambda M d), one number."
        ),
        Slip(
            solve(step=lambda r, d, Ad: (d * d).sum() / (d * Ad).sum()), "Above the line in a stands r^T r, not d^T d."
        ),
        Slip(solve(step=lambda r, d, Ad: r.norm() / (d * Ad).sum()), root),
        Slip(solve(step=lambda r, d, Ad: r.norm() / (d * Ad).sum().sqrt()), root),
        Slip(solve(direction=lambda r, d, ratio: r + torch.as_tensor(ratio).sqrt() * d), root),
        Slip(solve(step=lambda r, d, Ad: (r * r).sum() / (d * Ad)), "d^T (d + lambda M d) is one number: `.sum()`."),
        Slip(solve(step=lambda r, d, Ad: 2 * step(r, d, Ad)), "There is no factor of 2 in a."),
        Slip(solve(step=lambda r, d, Ad: step(r, d, Ad) / 2), "There is no factor of 1/2 in a."),
        Slip(solve(step=lambda r, d, Ad: torch.ones(()).double()), "a is missing: how far does each step go?"),
        Slip(solve(rest=lambda r, a, Ad: r - Ad), "Where r changes, a is missing: r - a (d + lambda M d)."),
        Slip(solve(rest=lambda r, a, Ad: r), "r never changes: it loses a (d + lambda M d) in every iteration."),
        Slip(solve(in_r=lambda d: d), "r loses a d. Between them stands the matrix: r - a (d + lambda M d)."),
        Slip(solve(along=lambda r, d: r), "y goes along r. It goes along d."),
        Slip(solve(direction=lambda r, d, ratio: r + (r * r).sum() * d), "The last formula divides by the old r^T r."),
        Slip(solve(direction=lambda r, d, ratio: ratio * r + d), "In the last formula the ratio stands in front of d."),
        Slip(solve(direction=lambda r, d, ratio: ratio * (r + d)), "In the last formula the ratio multiplies d alone."),
        Slip(solve(direction=lambda r, d, ratio: ratio * d), "r' is missing in the last formula: r' + ... d."),
        Slip(solve(r=x), "The first r is x. What of x - (y + lambda M y) is left, with y = x?"),
        Slip(A(x), "This is the product with Id + lambda M. Which y gives x when it is multiplied?"),
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
        Slip(solve(r=-r), "y goes the wrong way. Two signs do that: r = x - (y + lambda M y), and y + a d."),
        *forgotten,
        Slip(solve(late=True), "y goes along the new d. Change y before d."),
        *(Slip(solve(y=zero, r=r), "You start from 0. Start with y = x: what is the residual there?") for r in (x, r)),
        Slip(solve(in_r=lambda d: -A(d)), "The sign is wrong where r changes: r - a (d + lambda M d)."),
        Slip(solve(4), "One iteration is missing."),
        Slip(solve(6), "This is one iteration too many."),
        Slip(solve(1), "You return after one iteration: is a `return` indented too far?"),
        Slip(exact, "This is the exact solution. The exercise asks for the result after `iterations` iterations."),
    ]
    right = solve()
    slips += [
        Slip(right.clamp(0, 1), "A clamp at the end: then it no longer solves the system. Leave y as it is."),
        Slip(x - A(right), "This is the residual r. Return y."),
    ]
    calls[0] = 0
    verdict = compare(
        lambda: called(mine, times_M, x, weight, 5),
        right,
        slips,
        "The package makes a pastiche photorealistic in the same way.",
    )
    if verdict.passed and calls[0] > 7:
        return Verdict(
            True, f"But it takes {calls[0]} products with M for 5 iterations: keep what you computed, 6 are enough."
        )
    return verdict
