"""What a run tells of each epoch, and the table that is kept of it."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nstlab.files import replacing


@dataclass(frozen=True)
class Record:
    """One epoch in numbers. The start is epoch 0.

    losses: raw, by name; weights: what each was weighed with; total: their weighted sum; seconds: since the run began,
    pauses left out; size: (H, W) of the image.
    """

    index: int
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    seconds: float
    size: tuple[int, int]


@dataclass(frozen=True)
class Step(Record):
    """One epoch with its image, (1, 3, H, W)."""

    image: Tensor

    def record(self) -> Record:
        """The numbers without the image: what a history keeps."""
        return Record(self.index, self.losses, self.weights, self.total, self.seconds, self.size)


def save_losses(history: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Write a history as CSV: epoch, seconds, height, width, total, then every loss raw and weighted.

    The file appears whole or not at all. Raises ValueError for an empty history, OSError where it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> record = Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.1, (48, 64))
    >>> with TemporaryDirectory() as folder:
    ...     save_losses([record], f"{folder}/losses.csv")
    ...     print(open(f"{folder}/losses.csv").read().strip())
    epoch,seconds,height,width,total,style,style weighted
    0,0.100,48,64,1.0,2.0,1.0
    """
    if not history:
        raise ValueError("save_losses was given an empty history; take at least one step first.")
    names = list(history[0].losses)
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        columns = [column for name in names for column in (name, f"{name} weighted")]
        table.writerow(["epoch", "seconds", "height", "width", "total", *columns])
        for r in history:
            losses = [number for n in names for number in (r.losses[n], r.weights[n] * r.losses[n])]
            table.writerow([r.index, f"{r.seconds:.3f}", *r.size, r.total, *losses])
