"""The live run: a run shown while it is computed, with buttons and sliders that control it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from threading import RLock, Thread
from typing import Any, Literal

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from torch import Tensor

from nstlab import Record, Run
from nstlab.base.numerics.arguments import number
from nstlab.notebook.player import ENDED, Player
from nstlab.notebook.run_display import RunView, status_parts
from nstlab.notebook.weight_control import WeightControl

FRAME_INTERVAL = 0.25  # seconds between two frames, at least: drawing takes time from the run
BUTTONS = {"Start": "play", "Pause": "pause", "Step": "step-forward", "Stop": "stop", "Reset": "refresh"}  # icons
DIMMING = "<style>.nstlab-idle { opacity: 0.5; }</style>"  # of buttons without an effect


class LiveRun(widgets.VBox):  # type: ignore[misc]
    """A widget that shows a run and controls it; every button is also a method of the same name.

    make_run: returns the run, for example `lambda: stylize_run("horses", "great_wave")`. It is called at the first
    Start, and again at the next Start after Reset, Stop or the end, so that it can read other widgets.
    mode: "thread" leaves the notebook free during the run; "foreground" returns when the run pauses or ends, and
    interrupting the kernel pauses it; "auto" chooses "thread" on an interactive page, "foreground" otherwise.
    alt: the alternative text of the picture.
    weights: by term, the weights to begin with; their sliders are there before the first Start, and keep their values
    from one run to the next. By default sliders appear with the run.
    then: is called with the finished run, and returns another run to go on with, or None.

    Raises ValueError for an unknown mode.

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
        weights: Mapping[str, float] | None = None,
        then: Callable[[Run], Run | None] | None = None,
    ):
        if mode not in ("auto", "thread", "foreground"):
            raise ValueError(f"mode={mode!r} must be 'auto', 'thread' or 'foreground'.")
        self.make_run, self.mode, self.then = make_run, mode, then
        self.weights = dict(weights or {})  # of the next run
        self.player = self.new_player()
        self.refresh_lock = RLock()  # the playing thread and a button may refresh at the same time
        self.shown: tuple[object, ...] = ()  # what the page shows: player, state, request, number of records
        self.next_frame = 0.0  # not before this time, in seconds of time.monotonic()
        self.buttons = {name: widgets.Button(description=name, icon=icon) for name, icon in BUTTONS.items()}
        for button in self.buttons.values():
            button.layout.width = "90px"
            button.on_click(lambda button: getattr(self, button.description.lower())())
        self.buttons["Start"].button_style = "primary"
        self.view = RunView(alt)
        self.weight_controls: dict[str, WeightControl] = {}  # by term
        self.sliders = widgets.VBox(layout={"min_height": "64px"})  # of two, which most runs have
        dimming = widgets.HTML(DIMMING, layout={"display": "none"})
        super().__init__([widgets.HBox(list(self.buttons.values())), self.view, self.sliders, dimming])
        self.add_class("nstlab-live")
        self.refresh()
        stop_earlier_runs_of_the_cell(self, current_message())

    def start(self) -> None:
        """Start the run, or continue it after a pause; start a new run after Stop, an error or the end."""
        self.play()

    def step(self) -> None:
        """Take one epoch; do nothing if the run is running."""
        if self.player.state != "running":
            self.play(epochs=1)

    def play(self, epochs: int | None = None) -> None:
        """Take this many epochs, by default all that are left, in the mode of this live run."""
        if self.player.state in ENDED:
            self.reset()
        threaded = self.mode == "thread" or (self.mode == "auto" and is_interactive(current_message()))
        self.player.play(epochs, threaded)

    def pause(self) -> None:
        """Pause the run after the current epoch."""
        self.player.pause()

    def stop(self) -> None:
        """End the run after the current epoch; its picture and its curves stay on the page."""
        self.player.stop()

    def reset(self) -> None:
        """Return to the state before the first start; a running run is stopped and discarded."""
        self.player.stop()
        self.player = self.new_player(self.player.thread)
        self.refresh()

    def new_player(self, discarded: Thread | None = None) -> Player:
        """A player for the next run, which is made when the discarded one is over: both may have one checkpoint."""

        def make_run() -> Run:
            if discarded is not None:
                discarded.join()
            return self.make_run()

        player = Player(make_run, self.refresh, self.then)
        player.weigh(**self.weights)
        return player

    def wait(self, timeout: float | None = None) -> None:
        """Return when the run has paused or ended; interrupting the kernel pauses it.

        timeout: in seconds. Raises TimeoutError when it is over, and the error of a failed run.
        """
        self.player.wait(timeout)

    def weigh(self, **weights: float) -> None:
        """Change weights by name from the next epoch on, as the sliders do.

        Raises ValueError for a name without a slider (before the first epoch, these are the `weights` of this live run)
        and for a weight that is not a number from 0 to 1e12.
        """
        for name, weight in weights.items():
            if name not in self.weight_controls:
                known = ", ".join(self.weight_controls) or "none yet, call step() first"
                raise ValueError(f"weigh: {name!r} is not a term of this run; its terms are: {known}.")
            number(f"weigh: {name}", weight)
        self.keep_weights(weights)
        self.show_weights({name: control.value for name, control in self.weight_controls.items()} | weights)

    def keep_weights(self, weights: Mapping[str, float]) -> None:
        """Take these weights from the next epoch on, and for the runs that follow."""
        self.player.weigh(**weights)
        self.weights.update({name: weight for name, weight in weights.items() if name in self.weights})

    @property
    def history(self) -> list[Record]:
        """The epochs so far, the start first."""
        return list(self.player.run.history) if self.player.run else []

    @property
    def image(self) -> Tensor | None:
        """The pastiche that is shown, (1, 3, H, W) in [0, 1] on the CPU: the current one, at the end the best one; None
        before the start."""
        image = self.player.image
        return None if image is None else image.clamp(0, 1).cpu()

    @property
    def error(self) -> BaseException | None:
        """The exception that ended a failed run, else None; `wait` raises it."""
        return self.player.error

    def __repr__(self) -> str:
        return f"<live run: {', '.join(status_parts(self.player)[:2])}>"

    def refresh(self) -> None:
        """Update the page: at once if the state or the request has changed, else when the next frame is due."""
        with self.refresh_lock:
            player = self.player
            run, state = player.run, (player, player.state, player.request)
            current = (*state, len(run.history) if run else 0)
            if current == self.shown or (state == self.shown[:3] and time.monotonic() < self.next_frame):
                return
            self.next_frame = time.monotonic() + FRAME_INTERVAL
            self.show_buttons(player)
            weights = run.history[0].weights if run and run.history else self.weights
            if weights.keys() != self.weight_controls.keys():
                self.show_weights(weights)
            for name, control in self.weight_controls.items():
                control.disabled = player.state in ENDED and name not in self.weights
            self.view.show(player)
            self.shown = current

    def show_buttons(self, player: Player) -> None:
        """Dim the buttons that have no effect now; they stay enabled, for a disabled button loses the keyboard's focus.

        While a foreground run is running, all are disabled: it would receive a click only after it has paused or ended.
        """
        running = player.state == "running"
        effective = {
            "Start": not running,
            "Pause": running,
            "Step": not running,
            "Stop": running or player.state == "paused",
            "Reset": player.state != "ready",
        }
        for name, button in self.buttons.items():
            button.disabled = running and not player.threaded
            (button.remove_class if effective[name] else button.add_class)("nstlab-idle")
            button.tooltip = name if effective[name] else f"{name} has no effect now"

    def show_weights(self, weights: Mapping[str, float]) -> None:
        """Replace the controls of the weights, one for every term."""
        replaced = list(self.weight_controls.values())
        self.weight_controls = {name: WeightControl(name, weight) for name, weight in weights.items()}
        for name, control in self.weight_controls.items():
            control.observe(lambda change, name=name: self.keep_weights({name: change.new}), "value")
        self.sliders.children = tuple(self.weight_controls.values())
        for control in replaced:
            control.close()


def is_interactive(message: Mapping[str, Any]) -> bool:
    """Whether a Jupyter message comes from a page that can show a run in a thread and send clicks during it.

    A program that executes notebooks sends allow_stdin = False; only a page sends the comm_msg of a click. Colab does
    not show the output of a thread.
    """
    from_page = message.get("header", {}).get("msg_type") == "comm_msg" or message.get("content", {}).get("allow_stdin")
    return bool(from_page) and "google.colab" not in sys.modules


def current_message() -> dict[str, Any]:
    """The Jupyter message that the kernel is processing; empty if there is no kernel."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel.get_parent() if kernel else {}


RUNS_BY_CELL: dict[str, tuple[str, list[LiveRun]]] = {}  # the id of the cell's last execution, its live runs


def stop_earlier_runs_of_the_cell(live: LiveRun, message: Mapping[str, Any]) -> None:
    """Stop the live runs that earlier executions of this cell have made, and remember this one.

    Jupyter removes their widgets when the cell is executed again, and with them the Stop button.
    """
    cell, execution = message.get("metadata", {}).get("cellId"), message.get("header", {}).get("msg_id", "")
    if cell is None:
        return
    last_execution, runs = RUNS_BY_CELL.get(cell, (execution, []))
    if last_execution != execution:
        for earlier in runs:
            earlier.stop()
        runs = []
    RUNS_BY_CELL[cell] = (execution, [*runs, live])
