"""Objective in, stream of steps out: what everybody who watches a run reads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nstlab.history import Record, Step
from nstlab.images import in_range, resize, without_color
from nstlab.objective import Objective, Point
from nstlab.optimizers import LBFGS, Adam

Start = Literal["noise", "content", "style"] | Tensor
NAMED_STARTS = ("noise", "content", "style")
OPTIMIZERS: dict[str, Callable[[Objective, Tensor], Iterator[Point]]] = {"lbfgs": LBFGS, "adam": Adam}
GROWTH = 100.0  # times its first values that the total may reach before a run counts as diverged


class DivergenceError(ArithmeticError):
    """A run that grew without bound, or met NaN or Inf.

    image: the last good image, or None where even the start was bad; history: the records so far.
    """

    def __init__(self, message: str, image: Tensor | None, history: Sequence[Record]):
        super().__init__(message)
        self.image, self.history = image, list(history)


class Run(Iterator[Step]):
    """A stream of steps that keeps the last image and the history, whatever happens to whoever reads it.

    points: the images and losses in order, the start first. It may be left in the middle, by `break`, by an exception
    or by Ctrl-C, and iterated again later: it goes on where it was. close() ends it for good.
    steps: how many steps follow the start at most. objectives: what is minimized, stage by stage. blame: what to say
    of the cause if the run diverges. Raises ValueError for a number of steps that does not exist.
    """

    def __init__(self, points: Iterator[Point], steps: int, objectives: Sequence[Objective], blame: str = ""):
        self.points, self.steps, self.objectives, self.blame = points, checked_steps(steps), list(objectives), blame
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
        step = Step(len(self.history), point.losses, point.weights, point.total, seconds, size, point.image)
        self.image = step.image
        self.history.append(step.record())
        return step

    def guard(self, point: Point) -> None:
        """Raise DivergenceError on NaN and Inf, and on a total GROWTH times that of the first two epochs.

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
        """Change weights by name, of this size and all that follow; the next step notices."""
        for objective in self.objectives:
            unknown = set(weights) - set(objective.weights)
            if unknown:
                raise ValueError(
                    f"weigh: there is no {', '.join(unknown)}; the terms are {', '.join(objective.weights)}."
                )
            objective.weights.update(weights)

    def close(self) -> None:
        """No more steps; image and history stay."""
        self.closed = True


@dataclass(frozen=True)
class Result:
    """What a run leaves behind.

    image: (1, 3, H, W) in [0, 1] on the CPU; history: one record per epoch, the start first; interrupted: whether it
    was stopped by Ctrl-C before its end.
    """

    image: Tensor
    history: list[Record]
    interrupted: bool = False


def finish(run: Run, watch: Callable[[Step], object] | None = None) -> Result:
    """Take every step of a run, show each to `watch`, and give what it ends with, also when Ctrl-C ends it early.

    Raises KeyboardInterrupt only where there is no image yet, and whatever `watch` raises; the run keeps its image
    then.
    """
    interrupted = False
    try:
        for step in run:
            if watch is not None:
                watch(step)
    except KeyboardInterrupt:
        interrupted = True
    if run.image is None:
        raise KeyboardInterrupt
    return Result(run.image.clamp(0, 1).cpu(), run.history, interrupted)


class CoarseToFine(Iterator[Point]):
    """One optimizer after another, each started from the image of the one before, brought to its own size.

    stages: (objective, steps) from the coarsest to the finest, steps above 0 in all but the first. The start of every
    stage but the first belongs to its first step, and is that step where nothing is left to gain. What the optimizer
    learned of the curvature is not carried over: at another size it misleads.
    """

    def __init__(self, stages: Sequence[tuple[Objective, int]], start: Tensor, optimizer: str):
        self.stages, self.build = list(stages), OPTIMIZERS[optimizer]
        self.stage, self.left = 0, stages[0][1] + 1
        self.points = self.build(stages[0][0], start)
        self.image = start
        self.first: Point | None = None  # the start of a stage that was not handed out

    def __next__(self) -> Point:
        if self.left == 0:
            self.climb()
        point = next(self.points, None)
        if point is None:  # this stage has nothing left to gain
            point, self.left = self.first, 1
        if point is None:
            self.left = 0
            return next(self)
        self.left, self.first = self.left - 1, None
        self.image = point.image
        return point

    def climb(self) -> None:
        """To the next stage, once its start is evaluated: an interrupt before that leaves everything as it was."""
        if self.stage + 1 == len(self.stages):
            raise StopIteration
        objective, steps = self.stages[self.stage + 1]
        points = self.build(objective, carried(self.image, objective))
        first = next(points)
        self.stage, self.left, self.points, self.first = self.stage + 1, steps, points, first


def carried(image: Tensor, objective: Objective) -> Tensor:
    """The image of a coarser stage at the size of the next, with the details that were too fine for the coarser one.

        x' = up(x) + (D - up(down(D))),     D = objective.details

    In style transfer D is the content image: otherwise the first ten steps or so would go into sharpening what the
    enlargement has blurred.
    """
    x, D = resize(image, objective.size), objective.details
    if D is None:
        return x
    size = (image.shape[2], image.shape[3])
    return (x + D - resize(resize(D, size), objective.size)).clamp(0, 1)


def optimize(
    objective: Objective | Sequence[tuple[Objective, int]],
    start: Start = "noise",
    steps: int = 100,
    optimizer: str = "lbfgs",
    seed: int = 0,
) -> Run:
    """Change the pixels of an image so that the objective falls, and hand out every step on the way.

    objective: what to minimize, or for coarse to fine a list of (objective, steps), the smallest size first (`steps`
    then says nothing, and sizes without steps are passed over). start: "noise" (uniform in [0, 1], drawn with `seed`),
    "content", "style", or an image (1, 3, H, W) in [0, 1]; it is brought to the first size. optimizer: "lbfgs" or
    "adam".

    Gives a `Run`: an iterator of `Step`, the start as epoch 0. Raises ValueError for a start, an optimizer or a
    number of steps that does not exist, and from the iterator DivergenceError.

    >>> from nstlab.objective import Term
    >>> distance = Term(lambda image, responses: (image - 0.25).square().mean())
    >>> objective = Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4))
    >>> run = optimize(objective, steps=9)
    >>> for step in run:
    ...     pass
    >>> round(run.image.mean().item(), 4)
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
    return Run(CoarseToFine(stages, image, optimizer), steps, [o for o, _ in stages])


def checked_steps(steps: int) -> int:
    """A number of steps that a run can take. Raises ValueError for any other.

    >>> checked_steps(0)
    0
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps={steps!r} must be a whole number from 0 up.")
    return steps


def starting_image(objective: Objective, start: Start, seed: int) -> Tensor:
    """The image that a run begins with, (1, 3, H, W), at the objective's size and on its device."""
    if isinstance(start, str) and start == "noise":
        if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**64:
            raise ValueError(f"seed={seed!r} must be a whole number of at most 64 bits.")
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(1, 3, *objective.size, generator=generator).to(objective.device)
        return without_color(noise) if objective.gray else noise
    image = objective.images.get(start) if isinstance(start, str) else start
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        known = ", ".join(repr(name) for name in ("noise", *objective.images))
        came = repr(start) if isinstance(start, str) else f"of shape {tuple(getattr(start, 'shape', ()))}"
        raise ValueError(f"start is {came}; it must be one of {known}, or an image (1, 3, H, W) with values in [0, 1].")
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    image = resize(in_range(wide, "start").to(objective.device), objective.size)
    return without_color(image) if objective.gray else image
