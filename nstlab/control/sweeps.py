"""Sweeps: one run for every combination of settings, on one core, many, or a cluster, and a sheet of their images."""

from __future__ import annotations

import csv
import inspect
import os
import textwrap
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from nstlab import Record, Result, stylize
from nstlab.base.files.atomic import replacing
from nstlab.base.files.pixels import described
from nstlab.base.numerics.arguments import check_type, naming, short
from nstlab.control.sheets import contact_sheet

NOT_RUN = "not run: the sweep was interrupted"
Settings = dict[str, Any]


class Outcome(NamedTuple):
    """What a run leaves behind, as it travels between processes: an array is copied, a tensor would be shared."""

    image: np.ndarray | None
    history: list[Record]
    error: str | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Entry:
    """One run of a sweep.

    settings: those that vary; image: (1, 3, H, W) on the CPU, or None; error: why there is no image, or None; seconds:
    of the run, with loading; history: one record per epoch.
    """

    settings: Settings
    image: Tensor | None
    error: str | None
    seconds: float
    history: list[Record]

    @property
    def losses(self) -> dict[str, float]:
        """The losses of the last epoch by name, unweighted, with their weighted sum, "total"."""
        last = self.history[-1:]
        return {name: loss for record in last for name, loss in [*record.losses.items(), ("total", record.total)]}


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `sweep` gives: `entries`, in the order of the grid, and `values`, those of every setting by name.

    >>> found = sweep({"content": "horses", "style": ["great_wave"], "size": 64, "steps": [0, 1]}, progress=False)
    >>> found.varied, [len(entry.history) for entry in found.entries], [row["steps"] for row in found.table()]
    (['steps'], [1, 2], [0, 1])
    """

    entries: list[Entry]
    values: dict[str, list[Any]]

    @property
    def varied(self) -> list[str]:
        """The settings that have several values."""
        return [name for name, several in self.values.items() if len(several) > 1]

    def table(self) -> list[dict[str, Any]]:
        """One row per entry: the settings that vary, the seconds, the final losses, the error."""
        names = list(dict.fromkeys(name for entry in self.entries for name in entry.losses))
        return [
            {name: plain(value) for name, value in entry.settings.items()}
            | {"seconds": round(entry.seconds, 3)}
            | {name if name == "total" else f"{name} loss": entry.losses.get(name) for name in names}
            | {"error": entry.error}
            for entry in self.entries
        ]

    def save_table(self, path: str | os.PathLike[str]) -> None:
        """Write the table as CSV. An error leaves no partial file. Raises OSError if the file cannot be written."""
        rows = self.table()
        with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    def sheet(self) -> Image.Image:
        """The images side by side, labeled with their settings: the first that varies by row, the second by column.

        If only one varies, it varies by column; a third and more make more rows. An entry without an image is a gray
        tile with its error. Above the images stand the settings that are the same for all. The ground is transparent,
        for light pages and dark ones: save it as PNG.
        """
        across = (self.varied[1:2] or self.varied[:1] or list(self.values)[:1])[0]
        down = [name for name in self.varied if name != across]
        same = [name for name in self.values if name not in (across, *down)]
        shape = [len(several) for several in self.values.values()]
        number = np.arange(len(self.entries)).reshape(shape)
        table = np.moveaxis(number, list(self.values).index(across), -1).reshape(-1, len(self.values[across]))
        entries = [[self.entries[k] for k in row] for row in table]
        return contact_sheet(
            [[entry.error or "" if entry.image is None else entry.image for entry in row] for row in entries],
            ["\n".join(labels) for labels in product(*map(self.labels, down))],
            self.labels(across),
            ",  ".join(label for name in same for label in self.labels(name)),
        )

    def labels(self, name: str) -> list[str]:
        """The values of a setting as text, with its name; those that read the same are numbered."""
        texts = [str(plain(value)) for value in self.values[name]]
        return [f"{name} {k}: {t}" if texts.count(t) > 1 else f"{name} {t}" for k, t in enumerate(texts, 1)]


@naming("sweep")
def sweep(
    grid: Mapping[str, Any],
    executor: Executor | None = None,
    run: Callable[..., Result] = stylize,
    progress: bool = True,
) -> Sweep:
    """One run for every combination of the settings in a grid.

    grid: by name of an argument of `run`, a list of values; a value that is not a list is the only one. The last
    setting varies fastest. executor: any `concurrent.futures.Executor`; by default one run after another. For a cluster
    take Dask's: `dask.distributed.Client(...).get_executor()`. Other processes import `nstlab` and `run`, so `run` is a
    function of a module; a script that starts processes needs `if __name__ == "__main__":`. Several runs at a time
    compete for the cores: set OMP_NUM_THREADS for the processes. run: what to call with each combination, `stylize`,
    `photorealize` or another function that gives a `Result`. progress: show a bar on standard error.

    A run that fails leaves its error in its entry, and the others go on. Ctrl-C keeps the entries of all runs that are
    done and cancels the rest; those that other processes have begun still end.

    Gives a `Sweep`. Raises ValueError for a grid without values or with arguments that `run` does not take.

    >>> found = sweep(
    ...     {"content": "horses", "style": "great_wave", "content_weight": [0.02, 0.08], "size": 64, "steps": 1},
    ...     progress=False,
    ... )
    >>> [entry.settings for entry in found.entries]
    [{'content_weight': 0.02}, {'content_weight': 0.08}]
    """
    check_type("grid", grid, Mapping, "Give a dict of lists of values by argument.")
    check_type("executor", executor, (Executor, type(None)), "Give a concurrent.futures.Executor, or leave it out.")
    if not callable(run):
        raise TypeError(f"run={short(run)} must be a function that gives a Result, such as stylize.")
    values = {name: value if isinstance(value, list) else [value] for name, value in grid.items()}
    settings = [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]
    check_grid(values, settings, run)
    found = Sweep([Entry({}, None, NOT_RUN, 0.0, [])] * len(settings), values)
    for k, of_run in enumerate(settings):
        found.entries[k] = Entry({name: of_run[name] for name in found.varied}, None, NOT_RUN, 0.0, [])
    bar = tqdm(total=len(settings), unit="run", disable=not progress)
    with suppress(KeyboardInterrupt), bar, closing(outcomes(settings, executor, run)) as stream:
        for k, (pixels, history, error, seconds) in stream:
            image = None if pixels is None else torch.tensor(pixels, device="cpu")
            found.entries[k] = Entry(found.entries[k].settings, image, error, seconds, history)
            bar.update()
    return found


def check_grid(values: Mapping[str, list[Any]], settings: Sequence[Settings], run: Callable[..., Result]) -> None:
    """Raise ValueError for a setting without values, and unless `run` takes all settings and needs no others."""
    empty = [name for name, several in values.items() if not several]
    if empty:
        raise ValueError(f"grid has no values for {', '.join(empty)}; give at least one, or leave it out.")
    signature, name = inspect.signature(run), getattr(run, "__name__", repr(run))
    try:
        signature.bind(**settings[0])
    except TypeError as error:
        raise ValueError(
            f"the grid does not fit {name}: {error}. Its arguments are {', '.join(signature.parameters)}."
        ) from None


def outcomes(
    settings: Sequence[Settings], executor: Executor | None, run: Callable[..., Result]
) -> Generator[tuple[int, Outcome], None, None]:
    """The outcome of every run, with its number, as they end; what has not begun is canceled if the reader leaves."""
    if executor is None:
        yield from ((k, attempt(run, of_run)) for k, of_run in enumerate(settings))
        return
    futures = {executor.submit(attempt, run, of_run): k for k, of_run in enumerate(settings)}
    try:
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except Exception as error:  # the process ended, or something cannot be sent to it
                outcome = Outcome(None, [], described_error(error), 0.0)
            yield futures[future], outcome
    finally:
        for future in futures:
            future.cancel()


def attempt(run: Callable[..., Result], settings: Settings) -> Outcome:
    """One run, in whatever process. Raises nothing but KeyboardInterrupt, also if the run has caught it."""
    began = time.perf_counter()
    try:
        result = run(**settings)
    except Exception as error:
        return Outcome(None, [], described_error(error), time.perf_counter() - began)
    if result.interrupted:
        raise KeyboardInterrupt
    return Outcome(result.image.detach().cpu().numpy(), list(result.history), None, time.perf_counter() - began)


def described_error(error: Exception) -> str:
    """The kind of an error and its message.

    >>> described_error(ValueError("size=0"))
    'ValueError: size=0'
    """
    return f"{type(error).__name__}: {error}"


def plain(value: Any) -> Any:
    """A value as a table shows it: numbers and text as they are, pictures and other objects by a short description.

    >>> plain(0.5), plain(("great_wave", "night_cafe")), plain(torch.zeros(1, 3, 8, 8))
    (0.5, 'great_wave, night_cafe', 'Tensor, (1, 3, 8, 8), torch.float32')
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (tuple, list)):
        return ", ".join(str(plain(part)) for part in value)
    if isinstance(value, (Tensor, np.ndarray, Image.Image, bytes)):
        return described(value)
    return textwrap.shorten(repr(value), 60)
