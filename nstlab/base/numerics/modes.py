"""Modes that a caller may have set in PyTorch for its own computations; the package computes without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nstlab.base.numerics import forks  # noqa: F401, for every process that computes
from nstlab.base.numerics.arguments import naming


@contextmanager
def without_modes() -> Iterator[None]:
    """No autocast, which would round sums of squares to half precision, and no inference mode, in which there are no
    derivatives; afterwards both are as before. As a decorator it holds for a function.

    >>> with torch.autocast("cpu", torch.bfloat16), without_modes():
    ...     (torch.ones(1, 1) @ torch.ones(1, 1)).dtype
    torch.float32
    """
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    with torch.inference_mode(False), torch.autocast("cpu", enabled=False), torch.autocast(device, enabled=False):
        yield


@contextmanager
def entrance(function: str) -> Iterator[None]:
    """What every function that a user calls begins with, as its decorator: `naming` and `without_modes`.

    >>> @entrance("area")
    ... def area(side):
    ...     raise ValueError("side is negative.")
    >>> area(-1)
    Traceback (most recent call last):
    ValueError: area: side is negative.
    """
    with naming(function), without_modes():
        yield
