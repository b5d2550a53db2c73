"""Figures that are read on a light page and on a dark one: their style, and the losses by epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nstlab import Record
from nstlab.base.files.atomic import replacing

GRAY = "#767676"  # of words and axes: contrast 4.5 to 1 on white, 4.2 to 1 on #111; no color has 4.5 to 1 on both
RED = "#d93025"  # of errors
OTHER_COLORS = ("#d55e00", "#009e73", "#c06a98", "#a87600", "#7b61c9", "#2f8fc9")  # at least 3 to 1 on both
COLORS = {"content": "#0072b2", "style": "#d55e00", "photorealism": "#009e73", "total": GRAY}  # after Okabe and Ito
THEMED: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), GRAY),
    **dict.fromkeys(("axes.edgecolor", "legend.edgecolor"), GRAY),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    "axes.prop_cycle": cycler(color=(COLORS["content"], *OTHER_COLORS)),
}  # Matplotlib's settings for figures that are read on a light page and on a dark one
rcParams.update(THEMED)  # for good, since titles and legends are made later; it also serves a reader's own figures


def figure(
    width: float = 8, height: float = 3.4, rows: int = 1, columns: int = 1, width_ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A new figure and its axes, row by row, without pyplot's global state.

    width, height: of the figure, in inches. width_ratios: of the columns, by default all equal.

    >>> fig, (left, right) = figure(columns=2)
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, list(fig.subplots(rows, columns, squeeze=False, width_ratios=width_ratios).flat)


def plot_losses(history: Sequence[Record], title: str = "") -> Figure:
    """The losses by epoch on a log scale, raw on the left and weighted on the right: figure 5 of the report.

    A dotted line marks each change to the next larger size. Raises ValueError for an empty history.

    >>> fig = plot_losses([Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.1, (48, 64))])
    """
    if not history:
        raise ValueError("plot_losses was given an empty history; take at least one step first.")
    fig, (raw, weighted) = figure(columns=2)
    epochs = [r.index for r in history]
    for name in history[0].losses:
        draw_curve(raw, epochs, [r.losses[name] for r in history], name)
        draw_curve(weighted, epochs, [r.weights[name] * r.losses[name] for r in history], name)
    draw_curve(weighted, epochs, [r.total for r in history], "total")
    for axes, heading in ((raw, "raw losses"), (weighted, "weighted losses and their sum")):
        axes.set(yscale="log", xlabel="epoch", ylabel="loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there are no half epochs
        axes.set_title(heading, pad=16)  # room for the sizes
        mark_sizes(axes, history)
        axes.grid(alpha=0.25)
        axes.legend()
    fig.suptitle(title)
    return fig


def draw_curve(axes: Axes, x: Sequence[float], y: Sequence[float], name: str) -> None:
    """Draw one loss in its color; the total is dashed, so that a term equal to the total still shows."""
    style = {"linestyle": "--", "linewidth": 1.2} if name == "total" else {"linewidth": 1.8}
    marker = "o" if len(x) == 1 else None
    axes.plot(x, y, label=name, color=COLORS.get(name), marker=marker, **style)


def mark_sizes(axes: Axes, history: Sequence[Record]) -> None:
    """Draw a dotted line at each change of size, with the new longer side above it."""
    for before, after in pairwise(history):
        if before.size != after.size:
            axes.axvline(after.index - 0.5, color=GRAY, linestyle=":", linewidth=1)
            label = f"{max(after.size)} px"
            transform = axes.get_xaxis_transform()  # x: the epoch; y: the fraction of the axes' height
            axes.text(after.index - 0.5, 1.01, label, transform=transform, va="bottom", ha="center", fontsize=8)


def save_figure(fig: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix (.png, .pdf, .svg ...), by default PNG.

    An error leaves no partial file. Raises ValueError for an unknown format, OSError if the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_figure(figure()[0], f"{folder}/empty.png")
    """
    with replacing(path) as temporary:
        fig.savefig(temporary, format=Path(path).suffix[1:] or "png", dpi=120)


def save_losses(history: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Write a history as CSV: epoch, seconds, height, width, total, then every loss raw and weighted.

    An error leaves no partial file. Raises ValueError for an empty history, OSError if the file cannot be written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> record = Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.1, (48, 64))
    >>> with TemporaryDirectory() as folder:
    ...     save_losses([record], f"{folder}/losses.csv")
    ...     print(Path(folder, "losses.csv").read_text().strip())
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


def figure_formats() -> set[str]:
    """The suffixes that `save_figure` can write without other programs; .pgf needs TeX.

    >>> ".png" in figure_formats()
    True
    """
    return {f".{suffix}" for suffix in FigureCanvasBase.get_supported_filetypes()} - {".pgf"}
