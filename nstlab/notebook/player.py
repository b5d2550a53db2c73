"""A player starts, pauses, continues and stops a run, in a thread of its own or in the caller's thread."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Lock, Thread
from typing import Literal

from torch import Tensor

from nstlab import Run
from nstlab.notebook.interrupts import HeldInterrupts

State = Literal["ready", "running", "paused", "stopped", "finished", "failed"]
ENDED = ("stopped", "finished", "failed")


class Player:
    """Plays one run and follows the requests to play, pause or stop it.

    make_run: returns the run; the first `play` calls it, in the thread that plays. watch: is called without arguments
    after every epoch and every change of `state` or `request`, in the thread that makes the change. then: is called
    once with the finished run, and returns another run to go on with, or None. error: the exception that ended a failed
    run, of `make_run` and `watch`, too; else None.

    >>> from nstlab.objective import Objective
    >>> from nstlab.terms import Term
    >>> from nstlab.coarse_to_fine import optimize
    >>> distance = Term(lambda image, responses: (image - 0.25).square().mean())
    >>> objective = Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4))
    >>> player = Player(lambda: optimize(objective, steps=3))
    >>> player.play(epochs=1)
    >>> player.state, len(player.run.history)
    ('paused', 2)
    """

    def __init__(
        self,
        make_run: Callable[[], Run],
        watch: Callable[[], object] = lambda: None,
        then: Callable[[Run], Run | None] | None = None,
    ):
        self.make_run, self.watch, self.then = make_run, watch, then
        self.run: Run | None = None
        self.state: State = "ready"
        self.request: Literal["play", "pause", "stop"] = "play"  # followed before the next epoch
        self.error: BaseException | None = None
        self.new_weights: dict[str, float] = {}  # set since the last epoch
        self.epochs_left: int | None = None  # before the next pause; None: as many as the run has
        self.threaded = False
        self.thread: Thread | None = None
        self.lock = Lock()  # for `state`, `request`, `new_weights` and `epochs_left`; never held during an epoch

    @property
    def image(self) -> Tensor | None:
        """The image to show: the run's current one; of an ended run its best one, as in a `Result`; None at first."""
        if self.run is None or self.run.best is None:
            return None
        return self.run.best.image if self.state in ENDED else self.run.image

    def play(self, epochs: int | None = None, threaded: bool = False) -> None:
        """Take this many epochs, by default all that are left; the start of the run is not counted.

        If the run is running already, the epochs are added to those still to be taken. An ended run stays ended.
        threaded: play in a daemon thread and return at once. Otherwise return when the run pauses or ends;
        KeyboardInterrupt pauses it.
        """
        with HeldInterrupts() as held:  # an interrupt between two changes of the state would leave it "running"
            with self.lock:
                if self.state in ENDED:
                    return
                self.request = "play"
                if self.state == "running":  # this also cancels a request to pause
                    self.epochs_left = None if epochs is None or self.epochs_left is None else self.epochs_left + epochs
                    return
                self.state, self.threaded, self.epochs_left = "running", threaded, epochs
            if threaded:
                self.thread = Thread(target=self.take_epochs, daemon=True)
                atexit.register(self.stop_at_exit)  # here: during an exit, a thread can no longer register it
                self.thread.start()
            else:
                self.take_epochs(held.released)

    def pause(self) -> None:
        """Pause the run after the current epoch."""
        self.interrupt("pause")

    def stop(self) -> None:
        """End the run after the current epoch."""
        self.interrupt("stop")

    def interrupt(self, request: Literal["pause", "stop"]) -> None:
        """Request a pause or a stop; a paused run stops at once."""
        with self.lock:
            self.request = request
            if self.state == "paused" and request == "stop":
                self.state = "stopped"
        self.close_ended_run()
        self.watch()

    def wait(self, timeout: float | None = None) -> None:
        """Return when the run has paused or ended; KeyboardInterrupt pauses it.

        timeout: in seconds. Raises TimeoutError when it is over, and the error of a failed run.
        """
        if self.thread is not None:
            try:
                self.thread.join(timeout)
            except KeyboardInterrupt:
                self.pause()
                self.thread.join(timeout)
            if self.thread.is_alive():
                raise TimeoutError(
                    f"wait: the run is still running after {timeout:g} s; pause() or stop() it, or wait longer."
                )
        if self.error is not None:
            raise self.error

    def weigh(self, **weights: float) -> None:
        """Change weights from the next epoch on."""
        with self.lock:
            self.new_weights.update(weights)

    def stop_at_exit(self) -> None:
        """Stop the run without a call of `watch`, and wait for the end of the current epoch.

        If Python ends in the middle of an epoch, PyTorch aborts the process.
        """
        self.watch = lambda: None
        self.stop()
        if self.thread is not None:
            self.thread.join()

    def take_epochs(self, interruptible: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """Take epochs until a request, the end of the run or an error; `state` says which.

        interruptible: makes a context manager around what may raise KeyboardInterrupt.
        """
        try:
            self.watch()
            if self.run is None:
                with interruptible():
                    self.run = self.make_run()
            while self.prepare_epoch(self.run):
                with interruptible():
                    run = self.advanced(self.run)
                self.go_on(run)
                self.watch()
        except KeyboardInterrupt:
            self.state = "paused"
        except BaseException as error:  # of any kind: wait() raises it in the caller's thread
            self.fail(error)
        for last in (self.close_ended_run, self.watch):
            try:
                last()
            except Exception as error:
                self.fail(error)
        atexit.unregister(self.stop_at_exit)

    def advanced(self, run: Run) -> Run | None:
        """The run to go on with after its next epoch: the same one, at its end the one that follows it, or None."""
        if next(run, None) is not None and len(run.history) <= run.steps:
            return run
        following = self.then(run) if self.then else None
        if following is not None:
            next(following)  # its start, so that there is a picture to show at every moment
        return following

    def go_on(self, run: Run | None) -> None:
        """Make this the run that is played; None: the state is "finished"."""
        if run is None:
            self.state = "finished"
        elif run is not self.run:
            self.run, self.then = run, None

    def close_ended_run(self) -> None:
        """Let go of the checkpoint of a run that has ended."""
        if self.state in ENDED and self.run is not None:
            self.run.close()

    def fail(self, error: BaseException) -> None:
        """End the run with an error; the first one is kept."""
        self.error, self.state = self.error or error, "failed"

    def prepare_epoch(self, run: Run) -> bool:
        """Update the state and set the new weights; returns whether to take another epoch, or the start.

        One lock covers reading the request and setting the state, so that no request is lost between the two.
        """
        with self.lock:
            if self.state != "running":
                return False
            if self.request == "stop":
                self.state = "stopped"
            elif self.request == "pause" or self.epochs_left == 0:
                self.state = "paused"
            else:
                terms = run.objectives[0].weights  # a slider of the run before may have been moved in the last moment
                run.weigh(**{name: weight for name, weight in self.new_weights.items() if name in terms})
                self.new_weights.clear()
                if self.epochs_left is not None and run.history:
                    self.epochs_left -= 1
            return self.state == "running"
