"""The answer of a self-check: it compares a learner's result with the right one, then with those of likely mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Verdict:
    """The answer of a self-check: whether the exercise is solved, and a sentence to the learner.

    >>> Verdict(False, "Try again.")
    Not yet. Try again.
    """

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'Right.' if self.passed else 'Not yet.'} {self.message}".strip()


@dataclass(frozen=True)
class Slip:
    """A likely mistake: its result, and a hint that names the mistake without giving the answer."""

    wrong: Any
    hint: str


def compare(answer: Callable[[], Any], right: Any, slips: Sequence[Slip], praise: str = "") -> Verdict:
    """Compare the result of `answer()` with the right one, then with that of each slip.

    Numbers and tensors are equal up to a relative difference of 1e-4. An exception becomes a message.

    >>> compare(lambda: 3.0, 6.0, [Slip(3.0, "Something is missing: a factor.")])
    Not yet. Something is missing: a factor.
    >>> compare(lambda: None, 6.0, [])
    Not yet. It returns nothing: end the function with `return`.
    """
    try:
        mine = answer()
    except NotImplementedError:
        return Verdict(False, "It is still yours to write.")
    except Exception as error:
        return Verdict(False, f"It stops with {type(error).__name__}: {error}")
    if mine is None:
        return Verdict(False, "It returns nothing: end the function with `return`.")
    if equal(mine, right):
        return Verdict(True, praise)
    for slip in slips:
        if equal(mine, slip.wrong):
            return Verdict(False, slip.hint)
    expected, found = shape(right), shape(mine)
    if expected != found:
        return Verdict(False, f"It returns the shape {found}; the shape {expected} is expected.")
    return Verdict(False, "The shape is right, the values are not: compare with the equation, term by term.")


def equal(mine: Any, right: Any) -> bool:
    """Whether two numbers, tensors or plain objects are equal; numbers and tensors to a relative 1e-4."""
    try:
        if isinstance(right, (bool, str, list, tuple, dict)):
            return bool(mine == right)
        a, b = torch.as_tensor(mine).detach().double(), torch.as_tensor(right).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-6 * float(b.abs().max() + 1e-30))


def shape(value: Any) -> tuple[int, ...]:
    """The shape of a tensor, an array or a number, () for any other object."""
    return tuple(getattr(value, "shape", ()))
