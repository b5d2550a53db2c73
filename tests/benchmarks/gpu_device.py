"""How `gpu.py` measures: time and memory of a call on a device, in a format, and what happens if it fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from measuring import pictures
from torch import Tensor

from nstlab.engine.precision import fastest_precision
from nstlab.objective import Objective
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.vgg import VGG

Row = dict[str, Any]  # of a table, by column


class Setting(NamedTuple):
    """The device, longer sides in pixels, and whether everything is only rehearsed."""

    device: torch.device
    sizes: list[int]
    quick: bool

    @property
    def rounds(self) -> int:
        """How often a call is timed."""
        return 1 if self.quick else 5

    @property
    def fastest(self) -> str:
        """The precision that a run has on this device by default."""
        return fastest_precision(self.device)

    def wait(self) -> None:
        """Return when the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def pictures(self, size: int) -> tuple[Tensor, Tensor]:
        """Content and style on the device."""
        content, style = pictures(size)
        return content.to(self.device), style.to(self.device)

    def objective(self, size: int, precision: str) -> tuple[Objective, VGG, Tensor]:
        """The objective of approach 1 with its network, and an image to evaluate it at: noise."""
        vgg, (content, style) = VGG().to(self.device), self.pictures(size)
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        return style_transfer_objective(vgg, content, style, precision=precision), vgg, noise

    def timed(self, call: Callable[[], object]) -> Row:
        """Seconds of one call, and by how many gigabytes the device's memory grows at its peak, where that is known."""
        on_gpu = self.device.type == "cuda"
        self.wait()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        began = time.perf_counter()
        call()
        self.wait()
        row = {"seconds": time.perf_counter() - began}
        return row | ({"GB": (torch.cuda.max_memory_allocated(self.device) - before) / 1e9} if on_gpu else {})

    def measured(self, call: Callable[[], object]) -> Row:
        """The shortest of several calls, after one that makes what is made once and kept."""
        call()
        return min((self.timed(call) for _ in range(self.rounds)), key=lambda row: row["seconds"])


def tried(found: Callable[[], Row]) -> Row:
    """A row, or why there is none.

    >>> tried(lambda: {"px": 1 // 0})
    {'failed': 'ZeroDivisionError: integer division or modulo by zero'}
    """
    try:
        return found()
    except Exception as error:
        reason = (str(error).strip() or "without a word").splitlines()[0]
        return {"failed": f"{type(error).__name__}: {reason}"}


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether float32 products may be rounded to the 11 significant bits of TF32. PyTorch's default: in convolutions.

    >>> with tf32(True):
    ...     torch.backends.cuda.matmul.allow_tf32
    True
    """
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        allow_tf32(places, [allowed, allowed])
        yield
    finally:
        allow_tf32(places, before)


def allow_tf32(places: tuple[Any, ...], allowed: list[bool]) -> None:
    """Set it. PyTorch 2.9 wants newer names, which 2.8 does not have, and which `torch.compile` does not read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*TF32")
        for place, value in zip(places, allowed, strict=True):
            place.allow_tf32 = value


def difference(got: Tensor, expected: Tensor) -> float:
    """The distance of two tensors, relative to the second.

    >>> difference(torch.tensor([5.0, 0.0]), torch.tensor([4.0, 0.0]))
    0.25
    """
    return float((got - expected).norm() / expected.norm())
