"""The loss curves of a run that is still going on, as SVG: in a few milliseconds, where Matplotlib needs a hundred.

`plots.plot_losses` draws the same two panels for a page that stays.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from nstlab.notebook.figures import COLORS
from nstlab.runs import Record

WIDTH, PANEL = 520, 170  # in CSS pixels; two panels, one above the other
LEFT, RIGHT, TOP, BOTTOM = 46, 112, 22, 24  # margins of a panel: numbers, names, heading, epochs
MORE_COLORS = ("#d55e00", "#e69f00", "#cc79a7", "#56b4e9", "#8c6d31", "#999999", "#009e73")  # of losses per layer
POINTS = 150  # of one curve at most: more would not show


def losses_svg(history: Sequence[Record], epochs: int) -> str:
    """Raw losses above, weighted losses and their sum below, on log scales; a dotted line where the size changed.

    epochs: where the axis ends. The last numbers stand in the label for those who cannot see the curves.

    >>> svg = losses_svg([Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.1, (48, 64))], epochs=10)
    >>> svg.count("<svg"), "epoch 0: style 2, total 1" in svg
    (1, True)
    """
    last = history[-1]
    kept = [*history[: -1 : -(-len(history) // POINTS)], last]
    raw = {name: [r.losses[name] for r in kept] for name in last.losses}
    weighted = {name: [r.weights[name] * r.losses[name] for r in kept] for name in last.losses}
    weighted["total"] = [r.total for r in kept]
    xs = [LEFT + (WIDTH - LEFT - RIGHT) * r.index / max(epochs, 1) for r in kept]
    sizes = {x: max(b.size) for a, b, x in zip(kept, kept[1:], xs[1:], strict=False) if a.size != b.size}
    numbers = ", ".join(f"{name} {loss:.3g}" for name, loss in [*last.losses.items(), ("total", last.total)])
    label = html.escape(f"Losses by epoch, raw and weighted, on log scales. At epoch {last.index}: {numbers}.")
    upper = panel("raw losses", raw, xs, sizes, epochs)
    lower = panel("weighted losses, their sum", weighted, xs, sizes, epochs)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {2 * PANEL}" width="{WIDTH}" '
        f'style="max-width:100%;height:auto" font-family="sans-serif" font-size="11" fill="currentColor">'
        f'{upper}<g transform="translate(0 {PANEL})">{lower}</g></svg>'
    )


def panel(heading: str, curves: dict[str, list[float]], xs: list[float], sizes: dict[float, int], epochs: int) -> str:
    """One pair of axes with its curves; `sizes` are new longer sides by place."""
    bottom = PANEL - BOTTOM
    positive = [y for ys in curves.values() for y in ys if y > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.floor(math.log10(max(positive))) + 1
    scale = (bottom - TOP) / (high - low)
    parts = [text(LEFT, TOP - 8, heading, "font-weight='bold'")]
    for decade in range(low, high + 1, -(-(high - low) // 5)):
        y = bottom - (decade - low) * scale
        parts.append(line(LEFT, y, WIDTH - RIGHT, y, "stroke='currentColor' opacity='0.2'"))
        parts.append(text(LEFT - 5, y + 4, power(decade), "text-anchor='end'"))
    for epoch in ticks(epochs):
        x = LEFT + (WIDTH - LEFT - RIGHT) * epoch / max(epochs, 1)
        parts.append(text(x, bottom + 14, str(epoch), "text-anchor='middle'"))
    parts.append(text(WIDTH - RIGHT + 12, bottom + 14, "epoch"))
    for x, size in sizes.items():
        parts.append(line(x, TOP, x, bottom, "stroke='currentColor' stroke-dasharray='1 3' opacity='0.7'"))
        parts.append(text(x + 3, TOP + 10, f"{size} px", "opacity='0.7'"))
    for k, (name, ys) in enumerate(curves.items()):
        look = f"stroke='{COLORS.get(name, MORE_COLORS[(k - 1) % len(MORE_COLORS)])}' stroke-width='2'"
        if name == "total":  # dashed, so that a term that makes up all of it still shows; legible on dark pages too
            look = "stroke='currentColor' stroke-width='1.5' stroke-dasharray='5 3'"
        points = " ".join(
            f"{x:.1f},{bottom - (math.log10(y) - low) * scale:.1f}" for x, y in zip(xs, ys, strict=True) if y > 0
        )
        parts.append(f"<polyline points='{points}' fill='none' stroke-linejoin='round' {look}/>")
        y = TOP + 6 + 16 * k
        parts.append(line(WIDTH - RIGHT + 12, y, WIDTH - RIGHT + 30, y, look))
        parts.append(text(WIDTH - RIGHT + 36, y + 4, name))
    return "".join(parts)


def ticks(epochs: int) -> range:
    """Round numbers from 0 to `epochs`, at most seven.

    >>> list(ticks(150)), list(ticks(24))
    ([0, 50, 100, 150], [0, 5, 10, 15, 20])
    """
    steps = (k * 10**n for n in range(9) for k in (1, 2, 5))
    return range(0, epochs + 1, next(step for step in steps if epochs / step <= 6))


def power(decade: int) -> str:
    """A power of ten in few signs.

    >>> power(-2), power(0), power(6)
    ('0.01', '1', '1e6')
    """
    return f"{10.0**decade:g}" if abs(decade) < 4 else f"1e{decade}"


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{html.escape(words)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' {look}/>"
