"""The schedule of sizes: a run starts small, where an evaluation is cheap, and doubles the size a few times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor

from nstlab.base.numerics.arguments import check_choices, naming, short, whole
from nstlab.base.numerics.modes import entrance
from nstlab.base.records import Record, Step
from nstlab.images import resize
from nstlab.objective import Objective, Point
from nstlab.optimizers import OPTIMIZERS, Optimizer, Pair
from nstlab.preparation.starts import Start, loaded_start, starting_image
from nstlab.runs import Run

Build = Callable[[Objective, Tensor], Optimizer]  # makes an optimizer for an objective and a start
SIZES = 4  # that a run goes through, each half of the next
SMALLEST = 48  # pixels: no size has a shorter longer side
NARROWEST = 16  # pixels: block 5, behind four poolings, still has a place
STATE_TYPES = (Point, Pair, Record, Step)  # what the state of a run is made of


@naming("pyramid")
def pyramid(size: int, steps: int, coarse_to_fine: bool = True) -> list[tuple[int, int]]:
    """(longer side, steps) from the smallest size to the largest, each twice the one before.

    The small sizes decide where things go and cost little, so they get more steps: twice as many at a quarter of the
    full size, three times at an eighth. Half the size gets as many as the full one, where a step gains more.

    >>> pyramid(512, 30)
    [(64, 90), (128, 60), (256, 30), (512, 30)]
    >>> pyramid(128, 30), pyramid(512, 30, coarse_to_fine=False)
    ([(64, 30), (128, 30)], [(512, 30)])
    """
    size, steps = whole("size", size, least=1), whole("steps", steps)
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


def shrunk(image: Tensor, longer_side: int) -> Tensor:
    """The image with its longer side reduced to this many pixels, if it is longer. A panorama stays larger: its shorter
    side keeps the NARROWEST pixels that the network needs.

    >>> import torch
    >>> shrunk(torch.rand(1, 3, 64, 48), 32).shape, shrunk(torch.rand(1, 3, 32, 512), 64).shape
    (torch.Size([1, 3, 32, 24]), torch.Size([1, 3, 16, 256]))
    """
    longer, shorter = max(image.shape[2:]), min(image.shape[2:])
    longer_side = max(longer_side, math.ceil(NARROWEST * longer / shorter))
    return resize(image, longer_side) if longer > longer_side else image


@entrance("optimize")
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
    "content", "style", or whatever `load_image` takes; it is resized to the first size. optimizer: "lbfgs" or "adam".

    Gives a `Run`: an iterator of `Step`, the start as epoch 0. Raises ValueError for a start, an optimizer or a
    number of steps that does not exist, and from the iterator DivergenceError.

    >>> from nstlab.terms import Term
    >>> distance = Term(lambda image, F: (image - 0.25).square().mean())
    >>> result = optimize(Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4)), steps=9).finish()
    >>> round(result.image.mean().item(), 4)
    0.25
    """
    check_choices(optimizer=(optimizer, OPTIMIZERS))
    stages = checked_stages([(objective, steps)] if isinstance(objective, Objective) else objective)
    steps = sum(n for _, n in stages)
    stages = [stage for stage in stages if stage[1]] or stages[-1:]
    begin = loaded_start(start)
    image = starting_image(stages[0][0], begin, seed)
    is_noise = isinstance(begin, str) and begin == "noise"  # whose total is higher than that of any small pastiche
    at_full_size = None if is_noise else lambda: starting_image(stages[-1][0], begin, seed)
    points = CoarseToFine(stages, image, OPTIMIZERS[optimizer], at_full_size)
    return Run(points, steps, [objective for objective, _ in stages])


def checked_stages(stages: Sequence[tuple[Objective, int]]) -> list[tuple[Objective, int]]:
    """The stages of a run, with their numbers of steps as ints. Raises ValueError for anything else."""
    given = list(stages) if isinstance(stages, (list, tuple)) else []
    pairs = [pair for pair in given if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], Objective)]
    if not pairs or len(pairs) < len(given):
        raise ValueError(f"objective={short(stages)} must be an Objective, or (objective, steps) for every size.")
    return [(objective, whole("steps", steps)) for objective, steps in pairs]
