"""Figures for people: losses by epoch, pictures side by side, and both with words for those who cannot see them."""

from __future__ import annotations

import base64
import csv
import html
import io
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from nstlab.files.atomic import replacing
from nstlab.images import to_pil
from nstlab.runs import Record

COLORS = {
    "content": "#0072b2",
    "style": "#d55e00",
    "photorealism": "#009e73",
    "total": "#222222",
}  # Okabe and Ito
MAX_BYTES = 150_000  # of one figure in a notebook
SMALLEST = 384  # pixels: smaller images are shown enlarged


def figure(
    width: float = 8, height: float = 3.4, rows: int = 1, columns: int = 1, width_ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes in reading order, width and height in inches, outside of pyplot's global state.

    width_ratios: of the columns, by default all alike.

    >>> fig, (left, right) = figure(columns=2)
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, list(fig.subplots(rows, columns, squeeze=False, width_ratios=width_ratios).flat)


def plot_losses(history: Sequence[Record], title: str = "") -> Figure:
    """The losses by epoch on a log scale, raw on the left and weighted on the right: figure 5 of the report.

    A dotted line stands where the run went on at the next larger size. Raises ValueError for an empty history.

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
        axes.set_title(heading, pad=16)  # room for the sizes
        mark_sizes(axes, history)
        axes.grid(alpha=0.25)
        axes.legend()
    fig.suptitle(title)
    return fig


def draw_curve(axes: Axes, x: Sequence[float], y: Sequence[float], name: str) -> None:
    """One loss in its color; the total is dashed, so that a term that makes up all of it still shows."""
    style = {"linestyle": "--", "linewidth": 1.2} if name == "total" else {"linewidth": 1.8}
    marker = "o" if len(x) == 1 else None
    axes.plot(x, y, label=name, color=COLORS.get(name), marker=marker, **style)


def mark_sizes(axes: Axes, history: Sequence[Record]) -> None:
    """A dotted line where the size changes, with the new longer side above it."""
    for before, after in pairwise(history):
        if before.size != after.size:
            axes.axvline(after.index - 0.5, color="#888888", linestyle=":", linewidth=1)
            label = f"{max(after.size)} px"
            upright = axes.get_xaxis_transform()  # epochs across, shares of the height upwards
            axes.text(after.index - 0.5, 1.01, label, transform=upright, va="bottom", ha="center", fontsize=8)


def compare(images: Mapping[str, Tensor], height: float = 2.6, columns: int | None = None) -> Figure:
    """Pictures side by side, each under its caption; every row of them `height` inches high.

    images: (1, 3, H, W) in [0, 1] by caption; sizes may differ. columns: pictures in a row, by default all.

    >>> from nstlab.images import load_image
    >>> fig = compare({"content": load_image("horses", 64), "style": load_image("great_wave", 64)})
    """
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    widths = [max(x.shape[3] / x.shape[2] for x in list(images.values())[k::columns]) for k in range(columns)]
    fig, axes = figure(sum(widths) * height, rows * (height + 0.3), rows, columns, widths)
    for place in axes:
        place.axis("off")
    for place, (caption, image) in zip(axes, images.items(), strict=False):
        place.imshow(to_pil(image))
        place.set_title(caption, fontsize=10)
    return fig


def save_figure(fig: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix (.png, .pdf, .svg ...), by default PNG; it appears whole or not
    at all.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_figure(figure()[0], f"{folder}/empty.png")
    """
    with replacing(path) as temporary:
        fig.savefig(temporary, format=Path(path).suffix[1:] or "png", dpi=120)


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


def figure_formats() -> set[str]:
    """The suffixes that `save_figure` can write, whatever else is installed: .pgf would want TeX.

    >>> ".png" in figure_formats()
    True
    """
    return {f".{suffix}" for suffix in FigureCanvasBase.get_supported_filetypes()} - {".pgf"}


class Shown:
    """A picture as a notebook shows it: an HTML image with alternative text and a caption.

    >>> print(Shown(Image.new("RGB", (4, 4)), alt="a black square"))
    <picture: a black square>
    """

    def __init__(self, picture: Image.Image, alt: str, caption: str = ""):
        self.picture, self.alt, self.caption = picture.convert("RGB"), alt, caption

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure style="margin:0">{image_html(self.picture, self.alt)}{caption}</figure>'


def show(what: Figure | Tensor, alt: str, caption: str = "") -> Shown:
    """A figure or an image (1, 3, H, W), ready to be the last line of a cell.

    alt: what it shows, in words, for those who cannot see it; it must not be empty. Raises ValueError where it is.

    >>> from nstlab.images import load_image
    >>> show(load_image("red_panda", 64), alt="a red panda")
    <picture: a red panda>
    """
    if not alt.strip():
        raise ValueError("show needs alt=..., a sentence for those who cannot see the picture; it was empty.")
    if isinstance(what, Figure):
        buffer = io.BytesIO()
        what.savefig(buffer, format="png", dpi=100)
        return Shown(Image.open(buffer), alt, caption)
    picture = to_pil(what.clamp(0, 1))
    enlarged = max(1, SMALLEST // max(picture.size))  # whole pixels, so that a small image shows as what it is
    return Shown(picture.resize([enlarged * side for side in picture.size], Image.Resampling.NEAREST), alt, caption)


def encoded(picture: Image.Image) -> tuple[str, bytes]:
    """A picture as PNG where that is small, else as the best JPEG of at most MAX_BYTES: (format, data).

    Where even a poor JPEG takes more, as pure noise may, it is that one.

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
    """An HTML image that carries its data with it.

    >>> image_html(Image.new("RGB", (4, 4)), alt="a black square").split(" src=")[0]
    '<img alt="a black square" style="max-width:100%;height:auto"'
    """
    kind, data = encoded(picture)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{html.escape(alt)}" style="{style}" src="{source}">'
