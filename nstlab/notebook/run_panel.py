"""The live run: a pastiche growing and its losses falling, with buttons and sliders that act on the run."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any, Literal

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from torch import Tensor

from nstlab.notebook.player import ENDED, Player
from nstlab.notebook.run_display import RunView, story
from nstlab.runs import Record, Run

FRAME = 0.25  # seconds from one frame to the next at least: the eye asks for no more, and drawing takes time
DECADES = 3  # how far a weight's slider goes to both sides of where it began
BUTTONS = {"Start": "play", "Pause": "pause", "Step": "step-forward", "Stop": "stop", "Reset": "refresh"}  # icons


class LiveRun(widgets.VBox):  # type: ignore[misc]
    """A run to watch and to steer; every button is also a method of its name.

    make_run: gives the run, such as `lambda: stylize_run("horses", "great_wave")`. The first Start calls it, and
    the next one after Reset, Stop or the end calls it again, so that what other widgets say by then counts.
    mode: "thread" leaves the notebook free while the run goes on; "foreground" comes back when it pauses or ends,
    and interrupting the kernel pauses it; "auto" takes the thread where somebody can press buttons meanwhile.
    alt: what the picture shows, for those who cannot see it.

    Raises ValueError for another mode.

    >>> from nstlab.transfer import stylize_run
    >>> live = LiveRun(lambda: stylize_run("horses", "great_wave", size=64, steps=2))
    >>> live.start()
    >>> live.wait()
    >>> live, live.image.shape
    (<live run: Finished, epoch 2 of 2>, torch.Size([1, 3, 42, 64]))
    """

    def __init__(
        self,
        make_run: Callable[[], Run],
        mode: Literal["auto", "thread", "foreground"] = "auto",
        alt: str = "The pastiche",
    ):
        if mode not in ("auto", "thread", "foreground"):
            raise ValueError(f"mode={mode!r} must be 'auto', 'thread' or 'foreground'.")
        self.make_run, self.mode = make_run, mode
        self.player = Player(make_run, self.refresh)
        self.painting = RLock()  # the thread that plays and a button may both want to paint
        self.painted: tuple[object, ...] = ()  # what is on the page: player, state, wish, epochs
        self.due = 0.0
        self.buttons = {name: widgets.Button(description=name, icon=icon) for name, icon in BUTTONS.items()}
        for button in self.buttons.values():
            button.layout.width = "90px"
            button.on_click(lambda button: getattr(self, button.description.lower())())
        self.buttons["Start"].button_style = "primary"
        self.view = RunView(alt)
        self.weights: dict[str, Any] = {}  # a slider by term
        self.sliders = widgets.VBox()
        super().__init__([widgets.HBox(list(self.buttons.values())), self.view, self.sliders])
        self.add_class("nstlab-live")
        self.refresh()
        stop_what_this_cell_made_before(self)

    def start(self) -> None:
        """Begin, or go on after a pause; after Stop, an error or the end begin anew."""
        self.play()

    def step(self) -> None:
        """One epoch; nothing while the run goes on."""
        if self.player.state != "running":
            self.play(epochs=1)

    def play(self, epochs: int | None = None) -> None:
        if self.player.state in ENDED:
            self.reset()
        threaded = self.mode == "thread" or (self.mode == "auto" and somebody_is_there())
        self.player.play(epochs, threaded)

    def pause(self) -> None:
        """Hold after the epoch that is being computed."""
        self.player.pause()

    def stop(self) -> None:
        """End the run after the epoch that is being computed; picture and curves stay."""
        self.player.stop()

    def reset(self) -> None:
        """Back to before the start. A run that goes on is ended, and forgotten."""
        self.player.stop()
        self.player = Player(self.make_run, self.refresh)
        self.refresh()

    def wait(self, timeout: float | None = None) -> None:
        """Come back when nothing runs any more; interrupting the kernel pauses the run.

        timeout: in seconds. Raises TimeoutError after it, and the error of a run that failed.
        """
        self.player.wait(timeout)

    def weigh(self, **weights: float) -> None:
        """Change weights by name from the next epoch on, as the sliders do.

        Raises ValueError for a name that the run does not know (before the first epoch: any) and for a weight that
        is no finite number from 0 up.
        """
        for name, weight in weights.items():
            if name not in self.weights:
                known = ", ".join(self.weights) or "none yet, call step() first"
                raise ValueError(f"weigh: {name!r} is not a term of this run; its terms are: {known}.")
            if not 0 <= weight < math.inf:
                raise ValueError(f"weigh: {name}={weight!r} must be a finite number from 0 up.")
        self.player.weigh(**weights)
        self.show_weights({name: slider.value for name, slider in self.weights.items()} | weights)

    @property
    def history(self) -> list[Record]:
        """The epochs so far, the start first."""
        return list(self.player.run.history) if self.player.run else []

    @property
    def image(self) -> Tensor | None:
        """The pastiche as it is now, (1, 3, H, W) in [0, 1] on the CPU; None before the start."""
        run = self.player.run
        return None if run is None or run.image is None else run.image.clamp(0, 1).cpu()

    @property
    def error(self) -> Exception | None:
        """What ended a run that failed; `wait` raises it."""
        return self.player.error

    def __repr__(self) -> str:
        return f"<live run: {', '.join(story(self.player)[:2])}>"

    def refresh(self) -> None:
        """Bring the page up to date: at once where the state has changed, else when the next frame is due."""
        with self.painting:
            player = self.player
            run, mood = player.run, (player, player.state, player.wish)
            now = (*mood, len(run.history) if run else 0)
            if now == self.painted or (mood == self.painted[:3] and time.monotonic() < self.due):
                return
            self.due, self.painted = time.monotonic() + FRAME, now
            self.show_buttons(player)
            self.view.show(player)
            weights = run.history[0].weights if run and run.history else {}
            if weights.keys() != self.weights.keys():
                self.show_weights(weights)
            for slider in self.weights.values():
                slider.disabled = player.state in ENDED

    def show_buttons(self, player: Player) -> None:
        """Which buttons have a meaning now; in the foreground none is heard before the run pauses or ends."""
        running, heard = player.state == "running", player.state == "running" and player.threaded
        meaning = {
            "Start": not running,
            "Pause": heard,
            "Step": not running,
            "Stop": heard or player.state == "paused",
            "Reset": heard or player.state in ("paused", *ENDED),
        }
        for name, button in self.buttons.items():
            button.disabled = not meaning[name]

    def show_weights(self, weights: Mapping[str, float]) -> None:
        """A control for every term, in place of those that were there."""
        gone = list(self.weights.values())
        self.weights = {name: weight_control(name, weight) for name, weight in weights.items()}
        for name, control in self.weights.items():
            control.observe(lambda change, name=name: self.player.weigh(**{name: change.new}), "value")
        self.sliders.children = tuple(self.weights.values())
        for control in gone:
            control.close()


def weight_control(name: str, weight: float) -> Any:
    """A slider on a log scale around the weight, or a box for a weight of zero, which has no logarithm."""
    look = {
        "description": f"weight of {name}",
        "style": {"description_width": "185px"},
        "layout": {"width": "540px", "max_width": "100%"},
        "continuous_update": False,
    }
    if weight <= 0:
        return widgets.BoundedFloatText(value=weight, min=0, max=sys.float_info.max, **look)
    middle = math.log10(weight)
    return widgets.FloatLogSlider(
        value=weight, min=middle - DECADES, max=middle + DECADES, step=0.1, readout_format=".4", **look
    )


def somebody_is_there() -> bool:
    """Whether a page is open whose buttons reach this kernel while a thread runs.

    Who executes notebooks from a program says with each request that nobody can be asked; a button's message comes
    from a page in any case. Colab shows nothing that comes from a thread.
    """
    request = current_request()
    asked = request.get("header", {}).get("msg_type") == "comm_msg" or request.get("content", {}).get("allow_stdin")
    return bool(asked) and "google.colab" not in sys.modules


def current_request() -> dict[str, Any]:
    """The Jupyter message that the kernel is working on; empty where there is no kernel."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel.get_parent() if kernel else {}


CELLS: dict[str, tuple[str, list[LiveRun]]] = {}  # by cell: the request that ran it last, and what that made


def stop_what_this_cell_made_before(live: LiveRun) -> None:
    """A cell that is run again loses its widgets; their runs would go on unseen, and nobody could stop them."""
    request = current_request()
    cell, number = request.get("metadata", {}).get("cellId"), request.get("header", {}).get("msg_id", "")
    if cell is None:
        return
    before, made = CELLS.get(cell, (number, []))
    if before != number:
        for earlier in made:
            earlier.stop()
        made = []
    CELLS[cell] = (number, [*made, live])
