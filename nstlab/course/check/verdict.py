"""The answer of a self-check: it compares a learner's result with the right one, then with those of likely mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from nstlab.course.check.crashes import explain

FACTORS = (-1.0, 2.0, 0.5, 4.0, 0.25)  # of a second mistake besides one that has a hint


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
    """A likely mistake: its result, and a hint that names the mistake without giving the answer.

    wrong: what the mistake gives; or, if that is no fixed value, a function that recognizes it in what came back.
    """

    wrong: Any
    hint: str

    def fits(self, outcome: Any) -> bool:
        """Whether a result, or the exception raised in its place, comes of this mistake."""
        if not callable(self.wrong):
            return equal(outcome, self.wrong)
        try:
            return bool(self.wrong(outcome))
        except Exception:  # the outcome may be anything
            return False


class Refusal(Exception):
    """What comes back cannot be compared; the message is the hint. Raised by the `answer` of a check."""


def called(mine: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function that must leave its arguments as they are. Raises Refusal if it has changed a tensor.

    >>> called(lambda x: 2 * x, torch.ones(1))
    tensor([2.])
    """
    given = [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments]
    result = mine(*given)
    if any(isinstance(a, torch.Tensor) and not torch.equal(a, b) for a, b in zip(arguments, given, strict=True)):
        raise Refusal("What you were given has changed. Work on a copy: `x.clone()`, and `x = x + ...` for `x += ...`.")
    return result


def crash(pattern: str) -> Callable[[Any], bool]:
    """For a `Slip`: recognizes an exception by its type and message.

    >>> crash("KeyError|IndexError")(KeyError("steps")), crash("KeyError")(1.5)
    (True, False)
    """
    return lambda outcome: (
        isinstance(outcome, Exception) and re.search(pattern, f"{type(outcome).__name__}: {outcome}") is not None
    )


def by_hand(mine: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function that should not ask autograd for a gradient; it raises RuntimeError if it does.

    >>> by_hand(lambda x: 2 * x, torch.ones(1))
    tensor([2.])
    """
    with torch.no_grad():
        return called(mine, *arguments)


AUTOGRAD = crash("does not require grad")  # what `by_hand` raises for an answer that asks autograd


def compare(
    answer: Callable[[], Any], right: Any, slips: Sequence[Slip], praise: str = "", cases: Sequence[Any] = ()
) -> Verdict:
    """Compare the result of `answer()` with the right one, then with that of each slip.

    Numbers and tensors are equal up to a relative difference of 1e-4. An exception becomes a message. cases: the
    arguments of which the result is a list; the first one with a wrong result is named if no slip fits.

    >>> compare(lambda: 3.0, 6.0, [Slip(3.0, "Something is missing: a factor.")])
    Not yet. Something is missing: a factor.
    >>> compare(lambda: None, 6.0, [])
    Not yet. It returns nothing: end the function with `return`.
    """
    try:
        outcome = answer()
    except NotImplementedError:
        return Verdict(False, "It is still yours to write.")
    except Refusal as refusal:
        return Verdict(False, str(refusal))
    except Exception as error:
        outcome = error
    if outcome is None or (isinstance(outcome, list) and outcome and all(one is None for one in outcome)):
        return Verdict(False, "It returns nothing: end the function with `return`.")
    if equal(outcome, right):
        return Verdict(True, praise)
    for slip in slips:
        if slip.fits(outcome):
            return Verdict(False, slip.hint)
    if isinstance(outcome, Exception):
        return Verdict(False, explain(outcome))
    twice = scaled_slip(outcome, right, slips)
    if twice:
        return Verdict(False, twice)
    for k, case in enumerate(cases):
        if not equal(outcome[k], right[k]):
            return Verdict(False, f"With {case} it gives {outcome[k]}: follow that case by hand, step by step.")
    return Verdict(False, difference(outcome, right))


def scaled_slip(outcome: Any, right: Any, slips: Sequence[Slip]) -> str:
    """The hint of a slip of which the outcome is a plain multiple, two mistakes at once; "" if there is none.

    >>> scaled_slip(1.0, 7.0, [Slip(2.0, "A root too many.")])
    'A root too many. Besides, it is 0.5 times that.'
    """
    if any(equal(outcome, factor * right) for factor in FACTORS if isinstance(right, (float, torch.Tensor))):
        return ""
    numbers = [slip for slip in slips if isinstance(slip.wrong, (float, torch.Tensor))]
    for factor, slip in product(FACTORS, numbers):
        if equal(outcome, factor * slip.wrong):
            return f"{slip.hint} Besides, it is {factor:g} times that."
    return ""


def equal(mine: Any, right: Any) -> bool:
    """Whether two numbers, tensors or plain objects are equal; numbers and tensors to a relative 1e-4."""
    try:
        if right is None or isinstance(right, (bool, str, list, tuple, dict)):
            return bool(mine == right)
        a, b = as_numbers(mine), as_numbers(right)
    except Exception:  # mine may be anything
        return False
    return a.shape == b.shape and bool(close(a, b).all())


def close(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Where two tensors of one shape are equal to a relative 1e-4, or to 1e-6 of the largest value of b.

    >>> close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    return torch.isclose(a, b, rtol=1e-4, atol=1e-6 * float(b.abs().max() + 1e-30))


def as_numbers(value: Any) -> torch.Tensor:
    """A number, an array or a tensor as a tensor of float64. Raises TypeError for complex numbers.

    >>> as_numbers(3)
    tensor(3., dtype=torch.float64)
    """
    tensor = torch.as_tensor(value).detach()
    if tensor.is_complex():
        raise TypeError("real numbers are expected")
    return tensor.double()


def difference(mine: Any, right: Any) -> str:
    """A sentence on what a result that no slip explains has in common with the right one.

    >>> difference(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    'It is 2 times what it should be: which factor is that?'
    >>> difference("sky", 1.0)
    "It returns 'sky'. A number is expected."
    """
    try:
        a, b = as_numbers(mine), as_numbers(right)
    except Exception:  # mine may be anything
        wanted = f"A tensor of shape {shape(right)}" if shape(right) else "A number"
        return f"It returns {str(mine)[:40]!r}. {wanted} is expected."
    if a.shape != b.shape:
        if b.numel() == 1 and equal(a.sum(), b.sum()):
            return f"These are its parts, of shape {shape(a)}. One number is expected: add them up."
        if equal(a.flatten(), b.flatten()):
            return f"The numbers are right. Return them in the shape {shape(b)}, not {shape(a)}."
        return f"It returns the shape {shape(a)}; the shape {shape(b)} is expected."
    if not a.isfinite().all():
        return "It is not finite: something is divided by 0, or the root or logarithm of a negative number is taken."
    factor = float((a * b).sum() / b.square().sum())
    if factor and equal(a, factor * b) and (b.numel() > 1 or is_plain(factor)):
        return f"It is {factor:.4g} times what it should be: which factor is that?"
    good = close(a, b)
    if good.double().mean() > 0.1:
        first = tuple((~good).nonzero()[0].tolist())
        return (
            f"{int(good.sum())} of {b.numel()} values are right. What is special about the first wrong one, at {first}?"
        )
    return "The shape is right, the values are not: compare with the equation, term by term."


def is_plain(factor: float) -> bool:
    """Whether a factor, or one over it, is a whole number up to 100.

    >>> is_plain(-0.25), is_plain(0.3)
    (True, False)
    """
    large = max(abs(factor), 1 / abs(factor))
    return large < 100.5 and abs(large - round(large)) < 1e-4 * large


def shape(value: Any) -> tuple[int, ...]:
    """The shape of a tensor, an array or a number, () for any other object."""
    return tuple(getattr(value, "shape", ()))
