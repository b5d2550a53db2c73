"""Plays a run: it starts, pauses, goes on and stops on demand, in a thread of its own or in the caller's."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from threading import Lock, Thread
from typing import Literal

from nstlab.runs import Run

State = Literal["ready", "running", "paused", "stopped", "finished", "failed"]
ENDED = ("stopped", "finished", "failed")


class Player:
    """One run and whoever wants something of it.

    make_run: gives the run; it is called once, by the first `play`, and where the run is played. watch: called without
    arguments after every epoch and every change of `state` or `wish`, by the thread in which it happened.
    error: what ended a run that failed.

    >>> from nstlab.objective import Objective
    >>> from nstlab.terms import Term
    >>> from nstlab.runs import optimize
    >>> distance = Term(lambda image, responses: (image - 0.25).square().mean())
    >>> objective = Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4))
    >>> player = Player(lambda: optimize(objective, steps=3))
    >>> player.play(epochs=1)
    >>> player.state, len(player.run.history)
    ('paused', 2)
    """

    def __init__(self, make_run: Callable[[], Run], watch: Callable[[], object] = lambda: None):
        self.make_run = make_run
        self.watch = watch
        self.run: Run | None = None
        self.state: State = "ready"
        self.wish: Literal["play", "pause", "stop"] = "play"
        self.error: Exception | None = None
        self.weights: dict[str, float] = {}  # asked for since the last epoch
        self.epochs: int | None = None  # still to be taken; None: all
        self.threaded = False
        self.thread: Thread | None = None
        self.lock = Lock()  # for `state`, `wish`, `weights` and `epochs`, never held for long

    def play(self, epochs: int | None = None, threaded: bool = False) -> None:
        """Take that many epochs, by default all that are left; the start of the run comes first and is not counted.

        Asked again while it runs, it takes that many more. threaded: return at once, and play in a daemon thread.
        Otherwise return when it pauses or ends; KeyboardInterrupt pauses it. A run that has ended stays ended.
        """
        with self.lock:
            if self.state in ENDED:
                return
            self.wish = "play"
            if self.state == "running":  # or about to pause, and now goes on
                self.epochs = None if epochs is None or self.epochs is None else self.epochs + epochs
                return
            self.state, self.threaded, self.epochs = "running", threaded, epochs
        self.watch()
        if threaded:
            self.thread = Thread(target=self.take_in_thread, daemon=True)
            self.thread.start()
        else:
            self.take()

    def pause(self) -> None:
        """Hold after the epoch that is being computed."""
        self.interrupt("pause")

    def stop(self) -> None:
        """End the run after the epoch that is being computed."""
        self.interrupt("stop")

    def interrupt(self, wish: Literal["pause", "stop"]) -> None:
        with self.lock:
            self.wish = wish
            if self.state == "paused" and wish == "stop":
                self.state = "stopped"
        self.watch()

    def wait(self, timeout: float | None = None) -> None:
        """Return when nothing runs any more; KeyboardInterrupt pauses.

        timeout: in seconds. Raises TimeoutError after it, and the error of a run that failed.
        """
        if self.thread is not None:
            try:
                self.thread.join(timeout)
            except KeyboardInterrupt:
                self.pause()
                self.thread.join(timeout)
            if self.thread.is_alive():
                raise TimeoutError(
                    f"wait: the run still goes on after {timeout:g} s; pause() or stop() it, or wait longer."
                )
        if self.error is not None:
            raise self.error

    def weigh(self, **weights: float) -> None:
        """Change weights from the next epoch on."""
        with self.lock:
            self.weights.update(weights)

    def take_in_thread(self) -> None:
        """Python must not end in the middle of an epoch: PyTorch would abort the process."""
        atexit.register(self.leave)
        try:
            self.take()
        finally:
            atexit.unregister(self.leave)

    def leave(self) -> None:
        """Let the epoch that is being computed be the last, and wait for it."""
        self.watch = lambda: None
        self.stop()
        if self.thread is not None:
            self.thread.join()

    def take(self) -> None:
        """Epoch after epoch, until a wish, the end or an error; what happened is in `state` before this returns."""
        try:
            if self.run is None:
                self.run = self.make_run()
            if not self.run.history:
                next(self.run)
                self.watch()
            while self.goes_on(self.run):
                if next(self.run, None) is None:  # the optimizer has nothing left to gain
                    self.state = "finished"
                    break
                self.watch()
        except KeyboardInterrupt:
            self.state = "paused"
        except Exception as error:  # of whatever kind: the caller meets it in wait()
            self.error, self.state = error, "failed"
        self.watch()

    def goes_on(self, run: Run) -> bool:
        """Whether to take another epoch. State and wish are read and set in one go, so that no wish is lost."""
        with self.lock:
            if len(run.history) > run.steps:
                self.state = "finished"
            elif self.wish == "stop":
                self.state = "stopped"
            elif self.wish == "pause" or self.epochs == 0:
                self.state = "paused"
            if self.state == "running" and self.weights:
                run.weigh(**self.weights)
                self.weights.clear()
            if self.state == "running" and self.epochs is not None:
                self.epochs -= 1
            return self.state == "running"
