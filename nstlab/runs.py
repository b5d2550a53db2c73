"""An objective in, a stream of steps out; everything that watches a run reads this stream."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from nstlab.coarse_to_fine import CoarseToFine, Start, starting_image
from nstlab.objective import Objective, Point
from nstlab.optimizers import OPTIMIZERS

GROWTH = 100.0  # times its first values that the total may reach before a run counts as diverged


@dataclass(frozen=True)
class Record:
    """One epoch in numbers. The start is epoch 0.

    losses: unweighted, by name; weights: by name; total: their weighted sum; seconds: since the run began, without
    pauses; size: (H, W) of the image.
    """

    index: int
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    seconds: float
    size: tuple[int, int]


@dataclass(frozen=True)
class Step(Record):
    """One epoch with its image, (1, 3, H, W)."""

    image: Tensor

    def record(self) -> Record:
        """The numbers without the image: what a history keeps."""
        return Record(self.index, self.losses, self.weights, self.total, self.seconds, self.size)


@dataclass(frozen=True)
class Result:
    """What a run leaves behind.

    image: (1, 3, H, W) in [0, 1] on the CPU; history: one record per epoch, the start first; interrupted: whether
    Ctrl-C stopped it before its end.
    """

    image: Tensor
    history: list[Record]
    interrupted: bool = False


class DivergenceError(ArithmeticError):
    """A run whose total grew without bound, or became NaN or Inf.

    image: the last good image, or None if even the start was bad; history: the records so far.
    """

    def __init__(self, message: str, image: Tensor | None, history: Sequence[Record]):
        super().__init__(message)
        self.image, self.history = image, list(history)


class Run(Iterator[Step]):
    """A stream of steps that keeps its last image and its history, whatever happens to its reader.

    It may be left in the middle, by `break`, by an exception or by Ctrl-C, and iterated again later: it continues where
    it was. close() ends it for good.

    points: the images and losses in order, the start first. steps: how many steps may follow the start. objectives:
    what is minimized, stage by stage. blame: the cause to name if the run diverges. Raises ValueError for a number of
    steps that does not exist.
    """

    def __init__(self, points: Iterator[Point], steps: int, objectives: Sequence[Objective], blame: str = ""):
        self.points, self.steps, self.objectives, self.blame = points, checked_steps(steps), list(objectives), blame
        self.shown: Callable[[Tensor], Tensor] = lambda image: image  # the image of a step, from the one optimized
        self.image: Tensor | None = None
        self.history: list[Record] = []
        self.closed = False
        self.first: list[float] = []

    def __next__(self) -> Step:
        if self.closed or len(self.history) > self.steps:
            raise StopIteration
        began = time.perf_counter()
        point = next(self.points)
        self.guard(point)
        seconds = (self.history[-1].seconds if self.history else 0.0) + time.perf_counter() - began
        size = (point.image.shape[2], point.image.shape[3])
        step = Step(len(self.history), point.losses, point.weights, point.total, seconds, size, self.shown(point.image))
        self.image = step.image
        self.history.append(step.record())
        return step

    def guard(self, point: Point) -> None:
        """Raise DivergenceError on NaN and Inf, and if the total is GROWTH times that of the first two epochs.

        First means at this size and with these weights: another size or other weights are another function.
        """
        epoch, last = len(self.history), self.history[-1] if self.history else None
        if last and (last.size != tuple(point.image.shape[2:]) or last.weights != point.weights):
            self.first = []
        if math.isfinite(point.total) and (len(self.first) < 2 or point.total <= GROWTH * max(map(abs, self.first))):
            self.first = [*self.first, point.total][:2]
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

    def weigh(self, **weights: float) -> None:
        """Change weights by name, at this size and all that follow, from the next step on. Raises ValueError for an
        unknown name."""
        for objective in self.objectives:
            unknown = set(weights) - set(objective.weights)
            if unknown:
                raise ValueError(
                    f"weigh: there is no {', '.join(unknown)}; the terms are {', '.join(objective.weights)}."
                )
            objective.weights.update(weights)

    def finish(self, watch: Callable[[Step], object] | None = None) -> Result:
        """Take all remaining steps, call `watch` with each, and give the result, also if Ctrl-C ends it early.

        Raises KeyboardInterrupt only if there is no image yet, and whatever `watch` raises; the run keeps its image.
        """
        interrupted = False
        try:
            for step in self:
                if watch is not None:
                    watch(step)
        except KeyboardInterrupt:
            interrupted = True
        if self.image is None:
            raise KeyboardInterrupt
        return Result(self.image.clamp(0, 1).cpu(), self.history, interrupted)

    def close(self) -> None:
        """No more steps; image and history stay."""
        self.closed = True


def optimize(
    objective: Objective | Sequence[tuple[Objective, int]],
    start: Start = "noise",
    steps: int = 100,
    optimizer: str = "lbfgs",
    seed: int = 0,
) -> Run:
    """Change the pixels of an image so that the objective falls, and give every step on the way.

    objective: what to minimize, or from coarse to fine a list of (objective, steps), the smallest size first; `steps`
    is then ignored, and sizes without steps are left out. start: "noise" (drawn with `seed`, see `starting_image`),
    "content", "style", or an image (1, 3, H, W) in [0, 1]; it is resized to the first size. optimizer: "lbfgs" or
    "adam".

    Gives a `Run`: an iterator of `Step`, the start as epoch 0. Raises ValueError for a start, an optimizer or a
    number of steps that does not exist, and from the iterator DivergenceError.

    >>> from nstlab.terms import Term
    >>> distance = Term(lambda image, F: (image - 0.25).square().mean())
    >>> result = optimize(Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4)), steps=9).finish()
    >>> round(result.image.mean().item(), 4)
    0.25
    """
    stages = [(objective, steps)] if isinstance(objective, Objective) else list(objective)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer={optimizer!r} is not known; choose one of {', '.join(OPTIMIZERS)}.")
    if not stages:
        raise ValueError("objective is an empty list; give an Objective, or (objective, steps) for every size.")
    steps = sum(checked_steps(n) for _, n in stages)
    stages = [stage for stage in stages if stage[1]] or stages[-1:]
    image = starting_image(stages[0][0], start, seed)
    return Run(CoarseToFine(stages, image, OPTIMIZERS[optimizer]), steps, [o for o, _ in stages])


def checked_steps(steps: int) -> int:
    """A number of steps that a run can take. Raises ValueError for any other.

    >>> checked_steps(0)
    0
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps={steps!r} must be a whole number from 0 up.")
    return steps
