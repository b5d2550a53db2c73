"""The schedule of sizes: a run starts small, where an evaluation is cheap, and doubles the size a few times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from nstlab.colors import match_colors
from nstlab.files.pixels import in_range
from nstlab.images import resize, without_color
from nstlab.objective import Objective, Point
from nstlab.optimizers import OPTIMIZERS, Optimizer
from nstlab.runs import Run, checked_steps

Start = Literal["noise", "content", "style"] | Tensor
NAMED_STARTS = ("noise", "content", "style")
Build = Callable[[Objective, Tensor], Optimizer]  # makes an optimizer for an objective and a start
SIZES = 4  # that a run goes through, each half of the next
SMALLEST = 48  # pixels: no size has a shorter longer side
NARROWEST = 16  # pixels: block 5, behind four poolings, still has a place


def pyramid(size: int, steps: int, coarse_to_fine: bool = True) -> list[tuple[int, int]]:
    """(longer side, steps) from the smallest size to the largest, each twice the one before.

    The small sizes decide where things go and cost little, so they get more steps: twice as many at a quarter of the
    full size, three times at an eighth. Half the size gets as many as the full one, where a step gains more.

    >>> pyramid(512, 30)
    [(64, 90), (128, 60), (256, 30), (512, 30)]
    >>> pyramid(128, 30), pyramid(512, 30, coarse_to_fine=False)
    ([(64, 30), (128, 30)], [(512, 30)])
    """
    levels = [(size >> k, max(1, k) * steps) for k in range(SIZES if coarse_to_fine else 1)]
    return [level for level in reversed(levels) if level[0] >= SMALLEST or level[0] == size]


class CoarseToFine(Iterator[Point]):
    """One optimizer after another, each started from the image of the one before, resized to its own size.

    stages: (objective, steps) from the smallest size to the largest, with steps above 0 in all but the first. start: of
    the first stage. build: makes the optimizers. at_full_size: gives the start at the last size. It is the last
    point where it has a lower total, so that a run never ends above its start.

    The start of every stage but the first belongs to its first step; it is that step if the optimizer finds no lower
    point. What the optimizer has learned about the curvature is dropped: at another size it misleads.
    """

    def __init__(
        self,
        stages: Sequence[tuple[Objective, int]],
        start: Tensor,
        build: Build,
        at_full_size: Callable[[], Tensor] | None = None,
    ):
        self.stages, self.build, self.at_full_size = list(stages), build, at_full_size
        self.stage, self.left = 0, stages[0][1] + 1
        self.points = self.build(stages[0][0], start)
        self.image, self.total = start, math.inf
        self.first: Point | None = None  # the start of a stage, until a step was handed out

    def __next__(self) -> Point:
        if self.left == 0:
            self.next_stage()
        point = next(self.points, None)
        if point is None:  # this optimizer finds no lower point
            point, self.left = self.first, 1
        elif self.first and point.total > self.first.total:
            point = self.first
        if self.at_full_size and self.left == 1 and 1 < len(self.stages) == self.stage + 1:
            start = self.stages[-1][0].at(self.at_full_size())
            point = start if start.total < (point.total if point else self.total) else point
        if point is None:
            self.left = 0
            return next(self)
        self.left, self.first = self.left - 1, None
        self.image, self.total = point.image, point.total
        return point

    def next_stage(self) -> None:
        """Go to the next stage once its start is evaluated: an interrupt before that leaves everything as it was."""
        if self.stage + 1 == len(self.stages):
            raise StopIteration
        objective, steps = self.stages[self.stage + 1]
        points = self.build(objective, enlarged(self.image, objective))
        first = next(points)
        self.stage, self.left, self.points, self.first = self.stage + 1, steps, points, first

    def state(self) -> dict[str, Any]:
        """Where the schedule is; one with the same stages continues after `restore(state)`."""
        here = {name: getattr(self, name) for name in ("stage", "left", "image", "total", "first")}
        return {**here, "optimizer": self.points.state()}

    def restore(self, state: dict[str, Any]) -> None:
        vars(self).update({name: value for name, value in state.items() if name != "optimizer"})
        self.points = self.build(self.stages[self.stage][0], self.image)
        self.points.restore(state["optimizer"])


def enlarged(image: Tensor, objective: Objective) -> Tensor:
    """The image at the objective's size, with the details that were too fine for its own size.

        x' = up(x) + (D - up(down(D))),     D = objective.details

    In style transfer D is the content image: without it, about ten steps would go into sharpening what the enlargement
    has blurred.
    """
    x, D = resize(image, objective.size), objective.details
    if D is None:
        return x
    size = (image.shape[2], image.shape[3])
    return (x + D - resize(resize(D, size), objective.size)).clamp(0, 1)


def starting_image(objective: Objective, start: Start, seed: int) -> Tensor:
    """The image that a run begins with, (1, 3, H, W), at the objective's size and on its device.

    "noise" is uniform in [0, 1]; if there is a style image, its colors get that image's mean and covariance. The losses
    hardly determine the color of flat areas, so that the tints of the start would stay there as grain.

    Raises ValueError for a seed or a start that does not exist, ImageError for values outside [0, 1].
    """
    if isinstance(start, str) and start == "noise":
        if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**64:
            raise ValueError(f"seed={seed!r} must be a whole number of at most 64 bits.")
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(1, 3, *objective.size, generator=generator).to(objective.device)
        if "style" in objective.images:
            noise = match_colors(noise, objective.images["style"])
        return without_color(noise) if objective.gray else noise
    image = objective.images.get(start) if isinstance(start, str) else start
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, 3):
        known = ", ".join(repr(name) for name in ("noise", *objective.images))
        came = repr(start) if isinstance(start, str) else f"of shape {tuple(getattr(start, 'shape', ()))}"
        raise ValueError(f"start is {came}; it must be one of {known}, or an image (1, 3, H, W) with values in [0, 1].")
    wide = image.to(torch.promote_types(image.dtype, torch.float32))
    image = resize(in_range(wide, "start").to(objective.device), objective.size)
    return without_color(image) if objective.gray else image


def shrunk(image: Tensor, longer_side: int) -> Tensor:
    """The image with its longer side reduced to this many pixels, if it is longer. A panorama stays larger: its shorter
    side keeps the NARROWEST pixels that the network needs.

    >>> shrunk(torch.rand(1, 3, 64, 48), 32).shape, shrunk(torch.rand(1, 3, 32, 512), 64).shape
    (torch.Size([1, 3, 32, 24]), torch.Size([1, 3, 16, 256]))
    """
    longer, shorter = max(image.shape[2:]), min(image.shape[2:])
    longer_side = max(longer_side, math.ceil(NARROWEST * longer / shorter))
    return resize(image, longer_side) if longer > longer_side else image


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
    is_noise = isinstance(start, str) and start == "noise"  # whose total is higher than that of any small pastiche
    at_full_size = None if is_noise else lambda: starting_image(stages[-1][0], start, seed)
    points = CoarseToFine(stages, image, OPTIMIZERS[optimizer], at_full_size)
    return Run(points, steps, [objective for objective, _ in stages])
