"""An objective in, a stream of steps out; everything that watches a run reads this stream."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor

from nstlab.base.files.checkpoints import Checkpoint
from nstlab.base.numerics.arguments import naming, whole
from nstlab.base.numerics.end_of_python import finished_before_exit
from nstlab.base.numerics.modes import without_modes
from nstlab.base.progress import watching
from nstlab.base.records import DivergenceError, Record, Result, Step, frame
from nstlab.objective import Objective, Point, checked_weights

GROWTH = 100.0  # times its first values that the total may reach before a run counts as diverged,
FAR = 1.0  # if a value is by more than this from mid-gray, where colors are within 0.5
FRAMES = 48  # of a run's film, at most


class Run(Iterator[Step]):
    """A stream of steps that keeps its last image, its best one and its history, whatever happens to its reader.

    It may be left in the middle, by `break`, an exception or Ctrl-C, and continued later. close() ends it for good.

    points: the images and losses in order, the start first. steps: how many steps may follow the start. objectives:
    what is minimized, stage by stage. blame: the cause to name if the run diverges. Raises ValueError for a number of
    steps that does not exist.

    >>> from nstlab import stylize_run
    >>> run = stylize_run("horses", "great_wave", size=64, steps=2)
    >>> for step in run:
    ...     if step.index == 1:
    ...         break
    >>> len(run.history), len(run.finish().history) == run.steps + 1  # paused, and continued to the end
    (2, True)
    """

    def __init__(self, points: Iterator[Point], steps: int, objectives: Sequence[Objective], blame: str = ""):
        self.points, self.steps, self.objectives, self.blame = points, whole("steps", steps), list(objectives), blame
        self.shown: Callable[[Tensor], Tensor] = lambda image: image  # the image of a step, from the one optimized
        self.image: Tensor | None = None
        self.best: Step | None = None  # the step with the lowest total at this size and with these weights
        self.history: list[Record] = []
        self.frames: list[Tensor] = []  # of every so many steps
        self.every = 1
        self.closed = False
        self.first: list[float] = []
        self.checkpoint: Checkpoint | None = None

    @finished_before_exit
    @without_modes()
    def __next__(self) -> Step:
        if self.closed or len(self.history) > self.steps:
            raise StopIteration
        began = time.perf_counter()
        point = next(self.points)
        size, last = (point.image.shape[2], point.image.shape[3]), self.history[-1] if self.history else None
        is_first = last is None or last.size != size or last.weights != point.weights
        self.guard(point, is_first)
        seconds = (last.seconds if last else 0.0) + time.perf_counter() - began
        step = Step(len(self.history), point.losses, point.weights, point.total, seconds, size, self.shown(point.image))
        if is_first or self.best is None or step.total < self.best.total:
            self.best = step
        self.image = step.image
        self.film(step)
        self.history.append(step.record())
        if self.checkpoint:
            self.checkpoint.keep(self.state(), is_last=len(self.history) > self.steps)
        return step

    def guard(self, point: Point, is_first: bool) -> None:
        """Raise DivergenceError on NaN and Inf, and if the total is GROWTH times that of the first two epochs at this
        size and with these weights, and the image is far from all colors: one that starts at its minimum may grow, too.
        """
        epoch, last = len(self.history), self.history[-1] if self.history else None
        first = [] if is_first else self.first
        grows = len(first) == 2 and point.total > GROWTH * max(map(abs, first))
        if math.isfinite(point.total) and not (grows and (point.image - 0.5).abs().max() > FAR):
            self.first = [*first, point.total][:2]
            return
        self.close()
        was = f"{last.total:.3g} one epoch before" if last else "there was no epoch before"
        rescued = " The last good image is in this error's `.image`." if last else ""
        terms = ", ".join(f"{name} {loss:.3g}" for name, loss in point.losses.items())
        raise DivergenceError(
            f"the run diverged at epoch {epoch}: the total is {point.total:.3g} ({terms}), {was}. "
            f"{self.blame or 'Lower the weights or the learning rate.'}{rescued}",
            self.image,
            self.history,
        )

    def film(self, step: Step) -> None:
        """Keep a frame of every so many steps; where they become too many, every second one of them."""
        if step.index % self.every == 0:
            self.frames = [*self.frames, frame(step.image)]
        if len(self.frames) > FRAMES:
            self.frames, self.every = self.frames[::2], 2 * self.every

    @naming("weigh")
    def weigh(self, **weights: float) -> None:
        """Change weights by name, here and at later sizes, from the next step on. Raises ValueError for others."""
        for objective in self.objectives:
            unknown = set(weights) - set(objective.weights)
            if unknown:
                raise ValueError(f"there is no {', '.join(unknown)}; the terms are {', '.join(objective.weights)}.")
            objective.weights.update(checked_weights(weights))

    def finish(self, watch: Callable[[Step], object] | None = None) -> Result:
        """Take all remaining steps, call `watch` with each, and give the result, also if Ctrl-C ends it early.

        Without `watch`, the page of a notebook shows a progress bar. Raises KeyboardInterrupt only if there is no image
        yet, and whatever `watch` raises; the run keeps its image.
        """
        interrupted = False
        try:
            with watching(watch, self.steps, len(self.history) - 1) as watcher:
                for step in self:
                    watcher(step)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if self.checkpoint:
                self.checkpoint.release()
        if self.best is None:
            raise KeyboardInterrupt
        image = self.best.image.clamp(0, 1).cpu()
        return Result(image, self.history, interrupted, self.best.index, frames=self.frames)

    def close(self) -> None:
        """No more steps; image and history stay."""
        self.closed = True
        if self.checkpoint:
            self.checkpoint.release()

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep this run in a checkpoint, and continue from there if it has a state, one of a run with these objectives.

        points must have `state` and `restore`, as `CoarseToFine` has. Raises ValueError if another run holds the file.
        """
        checkpoint.hold()
        self.checkpoint = checkpoint
        if checkpoint.state:
            points, weights, own = checkpoint.state
            self.history, self.first, self.image, self.best, self.frames, self.every = own
            self.points.restore(points)  # type: ignore[attr-defined]
            for objective, weights_then in zip(self.objectives, weights, strict=True):
                objective.weights.update(weights_then)

    def state(self) -> list[Any]:
        """What changes from step to step, for a checkpoint."""
        own = [self.history, self.first, self.image, self.best, self.frames, self.every]
        return [self.points.state(), [dict(o.weights) for o in self.objectives], own]  # type: ignore[attr-defined]
