"""What is seen of a run: a line of text, the pastiche, the loss curves."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence

import ipywidgets as widgets
from PIL import Image

from nstlab.coarse_to_fine import CoarseToFine
from nstlab.images import to_pil
from nstlab.notebook.figures import image_html
from nstlab.notebook.live_curves import losses_svg
from nstlab.notebook.player import ENDED, Player
from nstlab.runs import Record, Run

SIDE = 320  # longer side of the picture on the page, in CSS pixels
STATES = {
    "ready": "Ready: press Start",
    "running": "Running",
    "paused": "Paused",
    "stopped": "Stopped",
    "finished": "Finished",
    "failed": "Failed",
}
WISHES = {"play": "Running", "pause": "Pausing after this epoch", "stop": "Stopping after this epoch"}
PLACEHOLDER = (
    f"<div style='width:{SIDE}px;height:{SIDE * 3 // 4}px;box-sizing:border-box;border:1px dashed;opacity:0.5;"
    f"display:flex;align-items:center;justify-content:center'>The pastiche will grow here.</div>"
)


class RunView(widgets.VBox):  # type: ignore[misc]
    """Shows a player's run as it is now, each time that `show` is called.

    alt: what the picture shows, for those who cannot see it. While a run goes on its picture is replaced in place;
    after the end it is an HTML image with alternative text.
    """

    def __init__(self, alt: str):
        self.alt = alt
        self.status, self.problem = widgets.HTML(), widgets.HTML()
        self.moving, self.still = widgets.Image(format="jpeg"), widgets.HTML()
        self.curves = widgets.HTML(layout={"flex": "1 1 400px", "max_width": "540px"})
        pictures = widgets.HBox([widgets.VBox([self.moving, self.still]), self.curves])
        pictures.layout = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "8px"}
        super().__init__([self.status, self.problem, pictures])

    def show(self, player: Player) -> None:
        """Text first: it is what answers to a button."""
        run, ended = player.run, player.state in ENDED
        self.status.value = f"<span class='nstlab-status'>{html.escape(' · '.join(story(player)))}</span>"
        problem = f"{type(player.error).__name__}: {player.error}" if player.error else ""
        self.problem.value = problem and f"<b style='color:#c62828'>{html.escape(problem)}</b>"
        self.problem.layout.display = "" if problem else "none"
        begun = run is not None and run.image is not None and run.history
        if run is None or run.image is None or not run.history:
            self.still.value, self.curves.value = PLACEHOLDER, ""
        else:
            self.curves.value = losses_svg(run.history, run.steps)
            picture = to_pil(run.image.clamp(0, 1))
            width, height = (f"{round(SIDE * side / max(picture.size))}px" for side in picture.size)
            if ended:
                alt = f"{self.alt}, after {run.history[-1].index} epochs"
                self.still.value = image_html(picture, alt, f"display:block;width:{width};height:{height}")
            else:
                self.moving.layout.width, self.moving.layout.height = width, height
                self.moving.value = jpeg(picture)
        self.moving.layout.display = "" if begun and not ended else "none"
        self.still.layout.display = "none" if begun and not ended else ""


def story(player: Player) -> list[str]:
    """The status line in parts: what it does, epoch, seconds, seconds left, size.

    >>> story(Player(lambda: None))
    ['Ready: press Start']
    """
    run, running = player.run, player.state == "running"
    hint = " (interrupt the kernel to pause)" if running and not player.threaded else ""
    state = WISHES[player.wish] if running else STATES[player.state]
    if run is None or not run.history:
        return ["Preparing: reading the pictures, computing their targets" + hint if running else state]
    last = run.history[-1]
    parts = [state + hint, f"epoch {last.index} of {run.steps}", f"{last.seconds:.1f} s"]
    if player.state in ("running", "paused"):
        left = seconds_left(run, run.history)
        parts.append(f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left")
    return [*parts, f"{last.size[1]} × {last.size[0]} pixels"]


def seconds_left(run: Run, history: Sequence[Record]) -> float:
    """What the remaining epochs will take, from the pace of the last ten at this size.

    An epoch of another size is taken to cost in proportion to its side: between a GPU, which is as fast at every small
    size, and arithmetic, which goes with the area.
    """
    last = history[-1]
    recent = [r for r in history[-10:] if r.size == last.size]
    pace = (last.seconds - recent[0].seconds) / (len(recent) - 1) if len(recent) > 1 else last.seconds / len(history)
    if not isinstance(run.points, CoarseToFine):
        return pace * (run.steps - last.index)
    left, taken = 0, last.index
    for objective, steps in run.points.stages:
        left += max(steps - taken, 0) * max(objective.size)
        taken = max(taken - steps, 0)
    return pace * left / max(last.size)


def jpeg(picture: Image.Image) -> bytes:
    """Small and quick, for a frame that is soon gone; the colors of single pixels stay, as coarse sizes need them."""
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=85, subsampling=0)
    return buffer.getvalue()
