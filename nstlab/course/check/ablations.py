"""The self-checks of notebook 06: comparisons that change one setting, and descent inside the box [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

Settings = dict[str, Any]

BASE = {"pooling": "avg", "start": "noise", "steps": 20}
PAIRS: list[tuple[Settings, Settings]] = [
    (BASE, BASE | {"pooling": "max"}),
    (BASE, BASE | {"pooling": "max", "steps": 40}),
    (BASE, BASE),
    (BASE, {"pooling": "avg", "start": "noise"}),
    ({"pooling": "avg"}, {"pooling": "avg", "seed": 1}),
]
TOTALS = [(1, 90.0), (2, 50.0), (5, 20.0), (6, 9.0), (8, 11.0), (9, 7.0)]  # (evaluations so far, total)


def one_factor(mine: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None]) -> Verdict:
    """Exercise 1: the name of the one setting that differs; None if no setting differs, or more than one.

    >>> one_factor(lambda a, b: next((name for name in {**a, **b} if a.get(name) != b.get(name)), None))
    Not yet. Two runs that differ in two settings show the effect of neither. What should the function return?
    """

    def answers() -> list[str | None]:
        return [mine(dict(a), dict(b)) for a, b in PAIRS]

    def answers_by(
        choose: Callable[[list[str]], str | None], visited: Callable[[Settings, Settings], list[str]]
    ) -> list[str | None]:
        """The answers of a function that visits these names and chooses from those that differ."""
        return [choose([name for name in visited(a, b) if a.get(name) != b.get(name)]) for a, b in PAIRS]

    def only(different: list[str]) -> str | None:
        return different[0] if len(different) == 1 else None

    def first(different: list[str]) -> str | None:
        return different[0] if different else None

    def in_either(a: Settings, b: Settings) -> list[str]:
        return list(dict.fromkeys([*a, *b]))

    too_few: list[Callable[[Settings, Settings], list[str]]] = [
        lambda a, b: list(a),
        lambda a, b: list(b),
        lambda a, b: [name for name in a if name in b],
    ]
    two_differ = "Two runs that differ in two settings show the effect of neither. What should the function return?"
    missing = "A setting that only one of the two has is a difference as well: which names does your loop visit?"
    slips = [
        Slip(answers_by(first, in_either), two_differ),
        *(Slip(answers_by(choose, visited), missing) for choose in (only, first) for visited in too_few),
    ]
    return compare(answers, answers_by(only, in_either), slips, "One factor at a time.")


def evaluations_to(mine: Callable[[Sequence[tuple[int, float]], float], int | None]) -> Verdict:
    """Exercise 2: the number of evaluations when the total first is at or below a level; None if it never is.

    >>> evaluations_to(lambda totals, level: next((n for n, total in totals if total <= level), None))
    Right. The cost of a run is its number of evaluations, not of epochs.
    """
    right = [6, 5, None]
    slips = [
        Slip([3, 2, None], "These are positions in the list. How many evaluations had been made there?"),
        Slip([4, 3, None], "These are positions in the list. How many evaluations had been made there?"),
        Slip([9, 9, None], "That is the last time. Which was the first?"),
        Slip([9.0, 20.0, None], "These are the totals. How many evaluations had been made there?"),
        Slip([6, 6, None], "A total that equals the level has reached it."),
        Slip([1, 1, 1], "At the start the total is above the level: which way does the comparison go?"),
    ]
    praise = "The cost of a run is its number of evaluations, not of epochs."
    levels = (10.0, 20.0, 1.0)
    return compare(lambda: [mine(list(TOTALS), level) for level in levels], right, slips, praise)


def projected_descent(mine: Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]) -> Verdict:
    """Exercise 3: gradient descent with every step projected to the box [0, 1].

        x' = clamp(x - rate g(x), 0, 1)

    >>> projected_descent(lambda gradient, x, rate, steps: x - rate * gradient(x))
    Not yet. One step was taken: take as many as `steps` says.
    """
    H = torch.tensor([[2.0, 1.2, 0.4], [1.2, 2.0, 0.8], [0.4, 0.8, 1.0]])
    goal, start, rate, steps = torch.tensor([1.6, -0.5, 0.4]), torch.tensor([0.9, 0.1, 0.7]), 0.3, 4

    def gradient(x: Tensor) -> Tensor:
        return H @ (x - goal)

    def descend(n: int = steps, clamp_before: bool = False, clamp_after: bool = True, sign: float = -1.0) -> Tensor:
        x = start
        for _ in range(n):
            x = x.clamp(0, 1) if clamp_before else x
            x = x + sign * rate * gradient(x)
            x = x.clamp(0, 1) if clamp_after else x
        return x

    evaluated: list[Tensor] = []

    def recorded_gradient(x: Tensor) -> Tensor:
        evaluated.append(x.detach().clone())
        return gradient(x)

    slips = [
        Slip(descend(n=1), "One step was taken: take as many as `steps` says."),
        Slip(descend(n=1, clamp_after=False), "One step was taken: take as many as `steps` says."),
        Slip(descend(clamp_after=False), "The result is outside of [0, 1]: nothing keeps the pixels inside."),
        Slip(
            descend(clamp_after=False).clamp(0, 1),
            "You clamp once, at the end: the steps before it leave the box.",
        ),
        Slip(
            descend(clamp_before=True, clamp_after=False),
            "The last step leaves the box: clamp after the step, not before the gradient.",
        ),
        Slip(descend(sign=1.0), "It climbs: which way does the gradient point?"),
        Slip(descend(n=steps - 1), "One step is missing."),
        Slip(descend(n=steps + 1), "It takes one step too many."),
    ]
    verdict = compare(
        lambda: mine(recorded_gradient, start.clone(), rate, steps),
        descend(),
        slips,
        "Every gradient is taken at a valid image, and every step ends at one.",
    )
    if verdict.passed and any(x.min() < 0 or x.max() > 1 for x in evaluated):
        return Verdict(False, "The result is right, but gradients were taken outside of [0, 1].")
    return verdict
