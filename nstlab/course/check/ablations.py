"""Notebook 06: its self-checks, on fair comparisons and on pixels that stay in their box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

BASE = {"pooling": "avg", "start": "noise", "steps": 20}
PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (BASE, BASE | {"pooling": "max"}),
    (BASE, BASE | {"pooling": "max", "steps": 40}),
    (BASE, BASE),
    (BASE, {"pooling": "avg", "start": "noise"}),
    ({"pooling": "avg"}, {"pooling": "avg", "seed": 1}),
]
SEEN = [(1, 90.0), (2, 50.0), (5, 20.0), (6, 9.0), (8, 11.0), (9, 7.0)]


def one_factor(mine: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None]) -> Verdict:
    """Exercise 1: the name of the one setting that differs, or None where none does or more than one.

    >>> one_factor(lambda a, b: next((name for name in {**a, **b} if a.get(name) != b.get(name)), None))
    Not yet. Two runs that differ in two settings compare nothing: what should come then?
    """

    def answers() -> list[str | None]:
        return [mine(dict(a), dict(b)) for a, b in PAIRS]

    def by(
        pick: Callable[[list[str]], str | None], names: Callable[[dict[str, Any], dict[str, Any]], list[str]]
    ) -> list[str | None]:
        return [pick([name for name in names(a, b) if a.get(name) != b.get(name)]) for a, b in PAIRS]

    def only(different: list[str]) -> str | None:
        return different[0] if len(different) == 1 else None

    def first(different: list[str]) -> str | None:
        return different[0] if different else None

    every, left, right, both = (
        lambda a, b: list(dict.fromkeys([*a, *b])),
        lambda a, b: list(a),
        lambda a, b: list(b),
        lambda a, b: [name for name in a if name in b],
    )
    missing = "A setting that only one of the two has is a difference as well: which names does your loop visit?"
    slips = [
        Slip(by(first, every), "Two runs that differ in two settings compare nothing: what should come then?"),
        *(Slip(by(pick, names), missing) for pick in (only, first) for names in (left, right, both)),
    ]
    return compare(answers, by(only, every), slips, "One factor at a time.")


def evaluations_to(mine: Callable[[Sequence[tuple[int, float]], float], int | None]) -> Verdict:
    """Exercise 2: how many evaluations it takes until the total is for the first time at or below a level.

    >>> evaluations_to(lambda seen, level: next((n for n, total in seen if total <= level), None))
    Right. Evaluations are what a run costs; epochs are only how often it was looked at.
    """
    right = [6, 5, None]
    slips = [
        Slip([3, 2, None], "These are places in the list. How many evaluations had been made there?"),
        Slip([4, 3, None], "These are places in the list. How many evaluations had been made there?"),
        Slip([9, 9, None], "That is the last time. Which was the first?"),
        Slip([9.0, 20.0, None], "These are the totals. How many evaluations had been made there?"),
        Slip([6, 6, None], "A total that equals the level has reached it."),
        Slip([1, 1, 1], "At the start the total is above the level: which way does the comparison go?"),
    ]
    praise = "Evaluations are what a run costs; epochs are only how often it was looked at."
    levels = (10.0, 20.0, 1.0)
    return compare(lambda: [mine(list(SEEN), level) for level in levels], right, slips, praise)


def projected_descent(mine: Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]) -> Verdict:
    """Exercise 3: gradient descent whose every step ends in the box.

        x' = clamp(x - rate g(x), 0, 1)

    >>> projected_descent(lambda gradient, x, rate, steps: x - rate * gradient(x))
    Not yet. One step was taken: take as many as `steps` says.
    """
    H = torch.tensor([[2.0, 1.2, 0.4], [1.2, 2.0, 0.8], [0.4, 0.8, 1.0]])
    goal, start, rate, steps = torch.tensor([1.6, -0.5, 0.4]), torch.tensor([0.9, 0.1, 0.7]), 0.3, 4

    def gradient(x: Tensor) -> Tensor:
        return H @ (x - goal)

    def descend(n: int = steps, before: bool = False, after: bool = True, sign: float = -1.0) -> Tensor:
        x = start
        for _ in range(n):
            x = x.clamp(0, 1) if before else x
            x = x + sign * rate * gradient(x)
            x = x.clamp(0, 1) if after else x
        return x

    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return gradient(x)

    slips = [
        Slip(descend(n=1), "One step was taken: take as many as `steps` says."),
        Slip(descend(n=1, after=False), "One step was taken: take as many as `steps` says."),
        Slip(descend(after=False), "The result lies outside of [0, 1]: nothing keeps the pixels in."),
        Slip(
            descend(after=False).clamp(0, 1),
            "It is clamped once, at the end: by then the steps have gone astray outside.",
        ),
        Slip(
            descend(before=True, after=False),
            "The last step leaves the box: clamp after the step, not before the gradient.",
        ),
        Slip(descend(sign=1.0), "It climbs: which way does the gradient point?"),
        Slip(descend(n=steps - 1), "One step is missing."),
        Slip(descend(n=steps + 1), "It takes one step too many."),
    ]
    verdict = compare(
        lambda: mine(watched, start.clone(), rate, steps),
        descend(),
        slips,
        "Every gradient is taken at a picture, and every step ends at one.",
    )
    if verdict.passed and any(x.min() < 0 or x.max() > 1 for x in seen):
        return Verdict(False, "The result is right, but gradients were taken outside of [0, 1].")
    return verdict
