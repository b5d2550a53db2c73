"""The display of a run: a status line, the pastiche, the loss curves, a link that saves the picture."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import ipywidgets as widgets
from PIL import Image

from nstlab import Record, Run, to_pil
from nstlab.notebook.figures import RED
from nstlab.notebook.live_curves import NO_CURVES, losses_svg
from nstlab.notebook.pictures import image_html
from nstlab.notebook.player import ENDED, Player
from nstlab.notebook.result_display import SIDE, save_link, shown_size

STATUS = {
    "ready": "Ready: press Start",
    "running": "Running",  # if another thread starts the run while the status is read
    "paused": "Paused",
    "stopped": "Stopped",
    "finished": "Finished",
    "failed": "Failed",
}
RUNNING_STATUS = {"play": "Running", "pause": "Pausing after this epoch", "stop": "Stopping after this epoch"}
BUILDING_STATUS = {
    "play": "Preparing: reading the pictures, computing their targets",
    "pause": "Pausing when everything is prepared",
    "stop": "Stopping when everything is prepared",
}
UNSEEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap"
PLACEHOLDER = (
    f"<div style='width:{SIDE}px;height:{SIDE * 3 // 4}px;box-sizing:border-box;border:1px dashed;opacity:0.7;"
    f"display:flex;align-items:center;justify-content:center'>The pastiche will grow here.</div>"
)
SAVE_LINK = 36  # CSS pixels: its height with its margins


class RunView(widgets.VBox):  # type: ignore[misc]
    """Shows the current state of a player's run each time that `show` is called.

    alt: the alternative text of the picture, to which the number of epochs is added. The height is the same before,
    during and after the run. A screen reader is told every change of the state, but not every epoch.
    """

    def __init__(self, alt: str):
        self.alt = alt
        self.status, self.problem, self.picture, self.save = (widgets.HTML() for _ in range(4))
        self.announced = widgets.HTML(layout={"height": "0", "margin": "0"})
        self.curves = widgets.HTML(layout={"flex": "1 1 400px", "max_width": "540px"})
        column = widgets.VBox([self.picture, self.save], layout={"min_height": f"{SIDE + SAVE_LINK}px"})
        pictures = widgets.HBox([column, self.curves])
        pictures.layout = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "8px"}
        super().__init__([self.status, self.announced, self.problem, pictures])

    def show(self, player: Player) -> None:
        """Update the status line first, as the answer to a click, then the curves and the picture."""
        run, ended = player.run, player.state in ENDED
        parts = status_parts(player)
        self.status.value = f"<span class='nstlab-status'>{html.escape(' · '.join(parts))}</span>"
        self.announced.value = f"<div role='status' style='{UNSEEN}'>{html.escape(parts[0])}</div>"
        problem = f"{type(player.error).__name__}: {player.error}" if player.error else ""
        self.problem.value = problem and f"<b role='alert' style='color:{RED}'>{html.escape(problem)}</b>"
        self.problem.layout.display = "" if problem else "none"
        image = player.image
        if run is None or run.best is None or image is None:
            self.picture.value, self.curves.value, self.save.value = PLACEHOLDER, NO_CURVES, ""
            return
        self.curves.value = losses_svg(run.history, run.steps)
        picture = to_pil(image.clamp(0, 1))
        alt = f"{self.alt}, after {(run.best if ended else run.history[-1]).index} epochs"
        self.picture.value = image_html(picture, alt, shown_size(picture)) if ended else frame(picture, alt)
        self.save.value = save_link(picture, "pastiche.png") if ended or player.state == "paused" else ""


def status_parts(player: Player) -> list[str]:
    """The parts of the status line: state, epoch, seconds, seconds left, image size.

    >>> status_parts(Player(lambda: None))
    ['Ready: press Start']
    """
    run, running = player.run, player.state == "running"
    hint = " (interrupt the kernel to pause)" if running and not player.threaded else ""
    if run is None or not run.history:
        begins = ": press Start to prepare it again" if player.state == "paused" else ""
        return [BUILDING_STATUS[player.request] + hint if running else STATUS[player.state] + begins]
    status = RUNNING_STATUS[player.request] if running else STATUS[player.state]
    last = run.history[-1]
    parts = [status + hint, f"epoch {last.index} of {run.steps}", f"{last.seconds:.1f} s"]
    if player.state in ("running", "paused"):
        left = seconds_left(run, run.history)
        parts.append(f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left")
    return [*parts, f"{last.size[1]} × {last.size[0]} pixels"]


def seconds_left(run: Run, history: Sequence[Record]) -> float:
    """An estimate of the seconds that the remaining epochs take, from the last ten epochs at the current size.

    The seconds per epoch are taken to be proportional to the longer side of the image. This lies between a GPU, which
    needs the same time for all small sizes, and the number of operations, which is proportional to the area.
    """
    last = history[-1]
    recent = [r for r in history[-10:] if r.size == last.size]
    per_epoch = (
        (last.seconds - recent[0].seconds) / (len(recent) - 1) if len(recent) > 1 else last.seconds / len(history)
    )
    stages = getattr(run.points, "stages", None)
    if stages is None:  # a run at one size
        return per_epoch * (run.steps - last.index)
    pixels_left, taken = 0, last.index  # the remaining epochs, each counted by its longer side
    for objective, steps in stages:
        pixels_left += max(steps - taken, 0) * max(objective.size)
        taken = max(taken - steps, 0)
    return per_epoch * pixels_left / max(last.size)


def frame(picture: Image.Image, alt: str) -> str:
    """A picture of a moving one as HTML: quick to encode, and decoded before the page shows it, so nothing flickers.

    Without chroma subsampling, which would blur colors at small sizes.
    """
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=85, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    named = f'<img alt="{html.escape(alt)}" decoding="sync"'
    return f'{named} style="{shown_size(picture)}" src="data:image/jpeg;base64,{data}">'
