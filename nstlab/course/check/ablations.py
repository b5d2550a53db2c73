"""The self-checks of notebook 06: comparisons that change one setting, and descent inside the box [0, 1]."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash

Settings = dict[str, Any]

BASE = {"pooling": "avg", "start": "noise", "steps": 20}
PAIRS: list[tuple[Settings, Settings]] = [
    (BASE, BASE | {"pooling": "max"}),
    (BASE, BASE | {"pooling": "max", "steps": 40}),
    (BASE, BASE),
    (BASE, {"pooling": "avg", "start": "noise"}),
    ({"pooling": "avg", "seed": 0}, {"pooling": "avg"}),
    (BASE | {"rate": 0.04}, BASE | {"rate": float("0.04")}),  # equal, and not the same object
    ({"pooling": "avg"}, {"pooling": "avg", "seed": 1}),
]
TOTALS = [(1, 90.0), (2, 50.0), (5, 20.0), (6, 9.0), (7, 9.5), (8, 11.0), (9, 7.0)]  # (evaluations, total)


def one_factor(mine: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None]) -> Verdict:
    """Exercise 1: the name of the one setting that differs; None if no setting differs, or more than one.

    >>> one_factor(lambda a, b: next((name for name in {**a, **b} if a.get(name) != b.get(name)), None))
    Not yet. Two runs that differ in two settings show the effect of neither: return None.
    """

    Names = list[str]

    def in_either(a: Settings, b: Settings) -> Names:
        return list(dict.fromkeys([*a, *b]))

    def only(different: Names) -> Any:
        return different[0] if len(different) == 1 else None

    def first(different: Names) -> Any:
        return different[0] if different else None

    def answers_by(
        choose: Callable[[Names], Any] = only,
        visited: Callable[[Settings, Settings], Names] = in_either,
        differ: Callable[[Any, Any], bool] = operator.ne,
    ) -> list[Any]:
        """The answers of a function that visits these names and chooses from those whose values differ."""
        return [choose([name for name in visited(a, b) if differ(a.get(name), b.get(name))]) for a, b in PAIRS]

    too_few: list[Callable[[Settings, Settings], Names]] = [
        lambda a, b: list(a),
        lambda a, b: list(b),
        lambda a, b: [name for name in a if name in b],
    ]
    missing = "A setting that only one of the two has is a difference as well: which names does your loop visit?"
    right = answers_by()
    slips = [
        *(
            Slip(answers_by(choose), "Two runs that differ in two settings show the effect of neither: return None.")
            for choose in (first, lambda names: names[-1] if names else None)
        ),
        *(Slip(answers_by(choose, visited), missing) for choose in (only, first) for visited in too_few),
        Slip(answers_by(differ=operator.is_not), "`is` asks for the same object. Values are compared by == and !=."),
        Slip(
            answers_by(differ=lambda a, b: (a or None) != (b or None)),
            "A 0 is a value, and a setting that is missing has none: they differ.",
        ),
        Slip(crash("KeyError"), "A setting may be missing in one of the two: `a.get(name)` gives None there."),
        Slip(crash("IndexError|StopIteration"), "If no setting differs, there is no first one: return None."),
        Slip(
            lambda answers: any(isinstance(found, (list, tuple, set)) for found in answers),
            "It gives a collection of names. Return the one name, a string, or None.",
        ),
        Slip([a != b for a, b in PAIRS], "It says whether anything differs. Return the name of the one setting."),
        Slip(
            [next((k for k in a if a.get(k) == b.get(k)), None) for a, b in PAIRS], "This setting is the same in both."
        ),
        Slip(crash("not subscriptable"), "A set has no first entry: collect the names in a list."),
        Slip(answers_by(lambda names: len(names) == 1), "It says whether one setting differs. Return its name."),
        Slip(answers_by(len), "It says how many settings differ. Return the name of the one."),
        Slip(
            [name and b.get(name) for name, (_, b) in zip(right, PAIRS, strict=True)],
            "This is the setting's value. Return its name.",
        ),
        Slip([name or "" for name in right], "Return None, not an empty string, if there is no such setting."),
        Slip([str(name) for name in right], "Return None itself, not the word 'None'."),
    ]
    return compare(lambda: [mine(dict(a), dict(b)) for a, b in PAIRS], right, slips, "One factor at a time.", PAIRS)


def evaluations_to(mine: Callable[[Sequence[tuple[int, float]], float], int | None]) -> Verdict:
    """Exercise 2: the number of evaluations when the total first is at or below a level; None if it never is.

    >>> evaluations_to(lambda totals, level: next((n for n, total in totals if total <= level), None))
    Right. The cost of a run is its number of evaluations, not of epochs.
    """
    levels, right = (10.0, 20.0, 0.5), [6, 5, None]
    positions = "These are positions in the list. How many evaluations had been made there?"
    never = "The last level is never reached: what should the function return then?"
    slips = [
        Slip(crash("IndexError|StopIteration|ValueError|NoneType"), never),
        Slip(crash("KeyError"), "No total needs to be equal to the level: look for one that is at or below it."),
        Slip(
            lambda answers: isinstance(answers[0], list),
            "These are all entries at or below it. Return the first alone.",
        ),
        Slip(lambda answers: isinstance(answers[0], bool), "It says whether the level is reached. Return when."),
        Slip([9, 9, 9], "This is the end of the run, or its smallest total: look for the first at or below the level."),
        Slip([7, 6, None], "One too many: return the evaluations at the first total at or below the level."),
        Slip([90.0, 90.0, None], "An entry is (evaluations so far, total): you take the one for the other."),
        Slip([None, 5, None], "A total below the level has reached it, too: it need not be equal."),
        Slip([3, 2, None], positions),
        Slip([4, 3, None], positions),
        Slip([9, 9, None], "That is the last time. Which was the first?"),
        Slip([9, 5, None], "The total has risen again later. When was it at or below the level for the first time?"),
        Slip([7, 5, None], "You sort the totals. The list is in the order of the run, and its first entry counts."),
        Slip([9.0, 20.0, None], "These are the totals. How many evaluations had been made there?"),
        Slip([(6, 9.0), (5, 20.0), None], "These are whole entries of the list. Return the evaluations alone."),
        Slip([6, 6, None], "A total that equals the level has reached it."),
        Slip([5, 2, None], "This is the entry before it: there the total is still above the level."),
        Slip(
            [1, 1, None], "You leave at the first entry: is its total compared, and is no `return` indented too little?"
        ),
        Slip([1, 1, 1], "At the start the total is above the level: which way does the comparison go?"),
        Slip(lambda answers: answers[:2] == right[:2], never),
    ]
    praise = "The cost of a run is its number of evaluations, not of epochs."
    return compare(lambda: [mine(list(TOTALS), level) for level in levels], right, slips, praise, levels)


def projected_descent(mine: Callable[[Callable[[Tensor], Tensor], Tensor, float, int], Tensor]) -> Verdict:
    """Exercise 3: gradient descent with every step projected to the box [0, 1].

        x' = clamp(x - rate g(x), 0, 1)

    >>> projected_descent(lambda gradient, x, rate, steps: x - rate * gradient(x))
    Not yet. One step was taken: take as many as `steps` says.
    """
    # with these numbers pixels leave the box and come back, so that every slip has a result of its own
    H = torch.tensor([[2.0, 0.6, 0.4, 0.3], [0.6, 1.6, -0.7, 1.5], [0.4, -0.7, 1.1, -0.8], [0.3, 1.5, -0.8, 2.8]])
    goal, start, rate, steps = torch.tensor([2.0, 0.0, -0.9, -1.9]), torch.tensor([0.5, 0.8, 0.5, 0.7]), 0.4, 4

    def gradient(x: Tensor) -> Tensor:
        return H @ (x - goal)

    def same(x: Tensor) -> Tensor:
        return x

    def boxed(x: Tensor) -> Tensor:
        return x.clamp(0, 1)

    def descend(
        n: int = steps,
        asked: Callable[[Tensor], Tensor] = same,
        step: Callable[[Tensor], Tensor] = lambda g: -rate * g,
        after: Callable[[Tensor], Tensor] = boxed,
    ) -> Tensor:
        """n steps; asked: the place where the gradient is taken; after: what becomes of the image after a step."""
        x = start
        for _ in range(n):
            x = after(x + step(gradient(asked(x))))
        return x

    evaluated: list[Tensor] = []

    def recorded_gradient(x: Tensor) -> Tensor:
        evaluated.append(x.detach().clone())
        return gradient(x)

    one_step = "One step was taken: take as many as `steps` says."
    copy = "The gradient is taken at a clamped copy, while the image itself leaves the box: clamp the image."
    before = descend(n=steps - 1) - rate * gradient(descend(n=steps - 1))
    clamped_gradient = "You clamp the gradient or the step. It is the image that must stay in [0, 1]."
    two_ends = "The box has two ends: pixels must stay above 0 and below 1."
    slips = [
        Slip(start, "Nothing has moved: is the new image given back?"),
        Slip(descend(n=1), one_step),
        Slip(descend(n=1, after=same), one_step),
        Slip(descend(after=same), "The result is outside of [0, 1]: nothing keeps the pixels inside."),
        Slip(descend(after=same).clamp(0, 1), "You clamp once, at the end: the steps before it leave the box."),
        Slip(before, "The last step leaves the box: clamp after the step, not before the gradient."),
        Slip(descend(asked=boxed, after=same), copy),
        Slip(descend(asked=boxed, after=same).clamp(0, 1), copy),
        Slip(
            descend(asked=lambda x: start),
            "The gradient is taken at the start only: each step needs that of its image.",
        ),
        Slip(descend(step=lambda g: rate * g), "It climbs: which way does the gradient point?"),
        Slip(descend(step=lambda g: -rate * g.clamp(-1, 1)), clamped_gradient),
        Slip(descend(step=lambda g: -g), "The rate is missing: it scales every step."),
        Slip(descend(step=lambda g: -rate * g.clamp(0, 1)), clamped_gradient),
        Slip(descend(step=lambda g: -rate * g.clamp(0, 1), after=same), clamped_gradient),
        Slip(descend(step=lambda g: -(rate * g).clamp(0, 1)), clamped_gradient),
        Slip(descend(after=lambda x: x.clamp(min=0)), two_ends),
        Slip(descend(after=lambda x: x.clamp(max=1)), two_ends),
        Slip(descend(n=steps - 1), "One step is missing."),
        Slip(descend(n=steps + 1), "It takes one step too many."),
    ]
    praise = "Every gradient is taken at a valid image, and every step ends at one."
    verdict = compare(lambda: called(mine, recorded_gradient, start, rate, steps), descend(), slips, praise)
    if verdict.passed and any(x.min() < 0 or x.max() > 1 for x in evaluated):
        return Verdict(False, "The result is right, but gradients were taken outside of [0, 1].")
    return verdict
