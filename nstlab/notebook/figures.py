"""Figures: losses by epoch, images side by side, and both as HTML with alternative text."""

from __future__ import annotations

import base64
import csv
import html
import io
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from nstlab import Record, to_pil
from nstlab.base.files.atomic import replacing

COLORS = {
    "content": "#0072b2",
    "style": "#d55e00",
    "photorealism": "#009e73",
    "total": "#222222",
}  # of the palette of Okabe and Ito, which color-blind readers can tell apart, and a dark gray
MAX_BYTES = 150_000  # of one figure in a notebook
SHOWN_SIDE = 384  # pixels: `show` enlarges images with a longer side of half of this or less


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
            axes.axvline(after.index - 0.5, color="#888888", linestyle=":", linewidth=1)
            label = f"{max(after.size)} px"
            transform = axes.get_xaxis_transform()  # x: the epoch; y: the fraction of the axes' height
            axes.text(after.index - 0.5, 1.01, label, transform=transform, va="bottom", ha="center", fontsize=8)


def compare(images: Mapping[str, Tensor], height: float = 2.6, columns: int | None = None) -> Figure:
    """A figure of images side by side, each with its caption above it.

    images: (1, 3, H, W) in [0, 1], by caption; sizes may differ. height: of a row, in inches. columns: images in a row,
    by default all of them.

    >>> from nstlab.images import load_image
    >>> fig = compare({"content": load_image("horses", 64), "style": load_image("great_wave", 64)})
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    widths = [max(x.shape[3] / x.shape[2] for x in list(images.values())[k::columns]) for k in range(columns)]
    fig, axes = figure(sum(widths) * height, rows * (height + 0.3), rows, columns, widths)
    for ax in axes:
        ax.axis("off")
    for ax, (caption, image) in zip(axes, images.items(), strict=False):  # the last row may have empty axes
        ax.imshow(to_pil(image))
        ax.set_title(caption, fontsize=10)
    return fig


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


class Shown:
    """A picture that a notebook shows as an HTML image, with alternative text and a caption, `code` in backticks.

    >>> print(Shown(Image.new("RGB", (4, 4)), alt="a black square"))
    <picture: a black square>
    """

    def __init__(self, picture: Image.Image, alt: str, caption: str = ""):
        self.picture, self.alt, self.caption = picture.convert("RGB"), alt, caption

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"

    def _repr_html_(self) -> str:
        words = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(self.caption))
        caption = f"<figcaption>{words}</figcaption>" if words else ""
        return f'<figure style="margin:0">{image_html(self.picture, self.alt)}{caption}</figure>'


def show(what: Figure | Tensor, alt: str, caption: str = "") -> Shown:
    """A figure or an image as HTML with alternative text: for the last line of a cell.

    what: a figure, or an image (1, 3, H, W), which is clamped to [0, 1]. alt: the alternative text. caption: may hold
    `code` in backticks. Raises ValueError if alt is empty.

    >>> from nstlab.images import load_image
    >>> show(load_image("red_panda", 64), alt="a red panda")
    <picture: a red panda>
    """
    if not alt.strip():
        raise ValueError("show needs alternative text, alt=..., a sentence that describes the picture; it was empty.")
    if isinstance(what, Figure):
        buffer = io.BytesIO()
        what.savefig(buffer, format="png", dpi=100)
        return Shown(Image.open(buffer), alt, caption)
    picture = to_pil(what.clamp(0, 1))
    factor = max(1, SHOWN_SIDE // max(picture.size))  # a whole number, so that every pixel becomes a square
    return Shown(picture.resize([factor * side for side in picture.size], Image.Resampling.NEAREST), alt, caption)


def encoded(picture: Image.Image) -> tuple[str, bytes]:
    """A picture as PNG, or if that exceeds MAX_BYTES, as the best JPEG that does not: (format, data).

    If every JPEG is larger, as it may be for noise, the smallest one.

    >>> encoded(Image.new("RGB", (4, 4)))[0]
    'png'
    """
    for quality in (None, 85, 75, 60, 40):
        buffer = io.BytesIO()
        if quality is None:
            picture.save(buffer, "png", optimize=True)
        else:
            picture.save(buffer, "jpeg", quality=quality)
        if buffer.tell() <= MAX_BYTES:
            break
    return "jpeg" if quality else "png", buffer.getvalue()


def image_html(picture: Image.Image, alt: str, style: str = "max-width:100%;height:auto") -> str:
    """An HTML image with its data in a data URL.

    >>> image_html(Image.new("RGB", (4, 4)), alt="a black square").split(" src=")[0]
    '<img alt="a black square" style="max-width:100%;height:auto"'
    """
    kind, data = encoded(picture)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{html.escape(alt)}" style="{style}" src="{source}">'
