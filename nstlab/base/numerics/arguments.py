"""Arguments as users have them: numbers of any library, names, callables; anything else is told by name."""

from __future__ import annotations

import math
import operator
import re
import reprlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

LARGEST = 1e12  # a weight: in float32 the squares of larger gradients become infinite
SEEDS = (-(2**63), 2**64 - 1)  # what a torch.Generator takes


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put a name before the message of any TypeError or ValueError from inside: the function called, or its argument.

    As a decorator it names a function. A message that begins with this name, or with NAME_run, stays as it is.

    >>> with naming("stylize"):
    ...     whole("steps", -1)
    Traceback (most recent call last):
    ValueError: stylize: steps=-1 must be a whole number from 0 up.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if len(error.args) == 1 and not re.match(rf"{re.escape(name)}(_run)?\b", str(error)):
            error.args = (f"{name}: {error}",)
        raise


def short(value: object) -> str:
    """The repr of a value on one line, shortened.

    >>> short(256), short([0] * 9)
    ('256', '[0, 0, 0, 0, 0, 0, ...]')
    """
    return reprlib.repr(value).replace("\n", " ")


def whole(argument: str, value: Any, least: int = 0, most: float = math.inf) -> int:
    """A whole number: an int, or what has `__index__`, as NumPy's integers; no bool. Raises ValueError for another.

    >>> import numpy as np
    >>> whole("steps", np.int64(3))
    3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        number = None
    if number is None or not least <= number <= most:
        limits = f"from {least} up" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{argument}={short(value)} must be a whole number {limits}.")
    return number


def number(argument: str, value: Any, least: float = 0.0, most: float = LARGEST, above: bool = False) -> float:
    """A finite number: a float, or what has `__float__`, as NumPy's floats; no bool.

    above=True: `least` itself is too small. Raises ValueError for anything else, and outside the limits.

    >>> number("weight", 3)
    3.0
    """
    try:
        found = float(value) if hasattr(value, "__float__") and not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = math.nan
    if not least <= found <= most or (above and found == least):
        limits = f"above {least:g} and at most" if above else f"from {least:g} to"
        raise ValueError(f"{argument}={short(value)} must be a finite number {limits} {most:g}.")
    return found


def check_choices(**choices: tuple[Any, Collection[str]]) -> None:
    """Raise ValueError unless each value is one of the names beside it.

    >>> check_choices(pooling=("avg", ["avg", "max"]))
    """
    for argument, (value, known) in choices.items():
        if not (isinstance(value, str) and value in known):
            raise ValueError(f"{argument}={short(value)} is not known; choose one of {', '.join(known)}.")


def check_callback(argument: str, value: Any) -> None:
    """Raise TypeError unless the value is None or can be called.

    >>> check_callback("watch", print)
    """
    if not (value is None or callable(value)):
        given = f"size={short(value)}" if isinstance(value, int) else "size=256"
        raise TypeError(f"{argument}={short(value)} must be a function; give settings by name, such as {given}.")


def check_type(argument: str, value: Any, kind: type | tuple[type, ...], remedy: str) -> None:
    """Raise TypeError with a remedy unless the value is of this kind.

    >>> check_type("x", 3, int, "")
    """
    if not isinstance(value, kind):
        raise TypeError(f"{argument}={short(value)} is of type {type(value).__name__}. {remedy}")
