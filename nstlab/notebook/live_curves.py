"""The loss curves of a running run as SVG: drawn in a few milliseconds; Matplotlib needs about a hundred.

`figures.plot_losses` draws the same two panels with Matplotlib.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from nstlab import Record
from nstlab.notebook.figures import COLORS, OTHER_COLORS

WIDTH, PANEL_HEIGHT = 520, 170  # in CSS pixels; one panel above the other
LEFT, RIGHT, TOP, BOTTOM = 46, 112, 22, 24  # margins of a panel: for tick labels, legend, heading, epochs
SIZE = f'viewBox="0 0 {WIDTH} {2 * PANEL_HEIGHT}" width="{WIDTH}" style="max-width:100%;height:auto"'
NO_CURVES = f'<svg aria-hidden="true" {SIZE}></svg>'  # keeps their place before there are any
MAX_POINTS = 150  # of one curve, which is 362 pixels wide


def losses_svg(history: Sequence[Record], epochs: int) -> str:
    """Raw losses above, weighted losses and their sum below, on log scales; a dotted line marks a change of size.

    epochs: the end of the horizontal axis. The alternative text gives the last value of every loss.

    >>> svg = losses_svg([Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.1, (48, 64))], epochs=10)
    >>> svg.count("<svg"), "epoch 0: style 2, total 1" in svg
    (1, True)
    """
    last = history[-1]
    records = [*history[: -1 : -(-len(history) // MAX_POINTS)], last]
    raw = {name: [r.losses[name] for r in records] for name in last.losses}
    weighted = {name: [r.weights[name] * r.losses[name] for r in records] for name in last.losses}
    weighted["total"] = [r.total for r in records]
    xs = [LEFT + (WIDTH - LEFT - RIGHT) * r.index / max(epochs, 1) for r in records]
    sizes = {x: max(b.size) for a, b, x in zip(records, records[1:], xs[1:], strict=False) if a.size != b.size}
    numbers = ", ".join(f"{name} {loss:.3g}" for name, loss in [*last.losses.items(), ("total", last.total)])
    label = html.escape(f"Losses by epoch, raw and weighted, on log scales. At epoch {last.index}: {numbers}.")
    upper = panel("raw losses", raw, xs, sizes, epochs)
    lower = panel("weighted losses, their sum", weighted, xs, sizes, epochs)
    return (
        f'<svg role="img" aria-label="{label}" {SIZE} font-family="sans-serif" font-size="11" fill="currentColor">'
        f'{upper}<g transform="translate(0 {PANEL_HEIGHT})">{lower}</g></svg>'
    )


def panel(heading: str, curves: dict[str, list[float]], xs: list[float], sizes: dict[float, int], epochs: int) -> str:
    """One pair of axes with its curves and legend.

    curves: values by name, one for each of xs. sizes: by x, the new longer side of the image in pixels.
    """
    bottom = PANEL_HEIGHT - BOTTOM
    positive = [y for ys in curves.values() for y in ys if y > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.floor(math.log10(max(positive))) + 1
    scale = (bottom - TOP) / (high - low)
    parts = [svg_text(LEFT, TOP - 8, heading, "font-weight='bold'")]
    for decade in range(low, high + 1, -(-(high - low) // 5)):
        y = bottom - (decade - low) * scale
        parts.append(svg_line(LEFT, y, WIDTH - RIGHT, y, "stroke='currentColor' opacity='0.2'"))
        parts.append(svg_text(LEFT - 5, y + 4, power_of_ten(decade), "text-anchor='end'"))
    for epoch in ticks(epochs):
        x = LEFT + (WIDTH - LEFT - RIGHT) * epoch / max(epochs, 1)
        parts.append(svg_text(x, bottom + 14, str(epoch), "text-anchor='middle'"))
    parts.append(svg_text(WIDTH - RIGHT + 12, bottom + 14, "epoch"))
    for x, size in sizes.items():
        parts.append(svg_line(x, TOP, x, bottom, "stroke='currentColor' stroke-dasharray='1 3' opacity='0.7'"))
        parts.append(svg_text(x + 3, TOP + 10, f"{size} px", "opacity='0.7'"))
    for k, (name, ys) in enumerate(curves.items()):
        stroke = f"stroke='{COLORS.get(name, OTHER_COLORS[(k - 1) % len(OTHER_COLORS)])}' stroke-width='2'"
        if name == "total":  # dashed, so that a term equal to the total still shows; readable on dark pages, too
            stroke = "stroke='currentColor' stroke-width='1.5' stroke-dasharray='5 3'"
        points = " ".join(
            f"{x:.1f},{bottom - (math.log10(y) - low) * scale:.1f}" for x, y in zip(xs, ys, strict=True) if y > 0
        )
        parts.append(f"<polyline points='{points}' fill='none' stroke-linejoin='round' {stroke}/>")
        y = TOP + 6 + 16 * k
        parts.append(svg_line(WIDTH - RIGHT + 12, y, WIDTH - RIGHT + 30, y, stroke))
        parts.append(svg_text(WIDTH - RIGHT + 36, y + 4, name))
    return "".join(parts)


def ticks(epochs: int) -> range:
    """Round numbers from 0 to `epochs`, at most seven.

    >>> list(ticks(150)), list(ticks(24))
    ([0, 50, 100, 150], [0, 5, 10, 15, 20])
    """
    steps = (k * 10**n for n in range(9) for k in (1, 2, 5))
    return range(0, epochs + 1, next(step for step in steps if epochs / step <= 6))


def power_of_ten(exponent: int) -> str:
    """A short label for a power of ten.

    >>> power_of_ten(-2), power_of_ten(0), power_of_ten(6)
    ('0.01', '1', '1e6')
    """
    return f"{10.0**exponent:g}" if abs(exponent) < 4 else f"1e{exponent}"


def svg_text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {attributes}>{html.escape(text)}</text>"


def svg_line(x1: float, y1: float, x2: float, y2: float, attributes: str) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' {attributes}/>"
