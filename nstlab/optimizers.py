"""L-BFGS, Adam and gradient descent. Each is an iterator of points, the start first.

An optimizer changes its state only when a step is complete, so it can be interrupted anywhere and continued, and it
notices if the weights were changed between two steps. L-BFGS and Adam keep pixels in [0, 1] by projection: every point
that they evaluate lies in this box, and nothing is clamped inside the function that is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from nstlab.base.numerics.color_curvature import color_scale, dot, numbers, over_colors, recolored
from nstlab.objective import Objective, Point

FIRST_MOVE = 0.02  # root mean square of the first step in pixel values, [0, 1]: 5 of 255 gray levels, visible
SUFFICIENT_DECREASE, CURVATURE = 1e-4, 0.9  # Nocedal and Wright, "Numerical Optimization", section 3.1
MEMORY = 10  # pairs that L-BFGS keeps; 20 or 40 save three evaluations of a hundred, and double the memory
TRIALS = 12  # step lengths that one line search tries


class Optimizer(Iterator[Point]):
    """The current point, and an iterator whose first point is the start."""

    STATE: ClassVar[tuple[str, ...]] = ("point",)  # the attributes that change from step to step

    def __init__(self, objective: Objective, start: Tensor):
        self.objective, self.start = objective, start
        self.point: Point | None = None

    def __next__(self) -> Point:
        if self.point is None:
            self.point = self.begin(self.start)
        else:
            if self.point.weights != self.objective.weights:
                self.restart()
            self.point = self.step(self.point)
        return self.point

    def restart(self) -> None:
        """Evaluate the current image again: the weights have changed, and so the function."""
        assert self.point is not None
        self.point = self.begin(self.point.image)

    def begin(self, image: Tensor) -> Point:
        """The point from which steps go on. Raises OverflowError for a gradient whose square is infinite."""
        point = self.objective.at(image)
        if math.isfinite(point.total) and bool(point.gradient.square().sum().isinf()):
            raise OverflowError(f"weights={point.weights} make the gradient too large. Lower them: ratios count.")
        return point

    def step(self, point: Point) -> Point:
        """The next point; raises StopIteration if no lower point is found."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What the optimizer knows; an optimizer for the same objective continues after `restore(state)`."""
        return {name: getattr(self, name) for name in self.STATE}

    def restore(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Pair(NamedTuple):
    """What L-BFGS keeps of a step.

    s = x' - x and y = g' - g, (1, 3, H, W); sy = s^T y; by_color: sum_p s_p s_p^T and sum_p y_p y_p^T over the pixels
    p, divided by s^T y, (2, 3, 3), float64 on the CPU.
    """

    s: Tensor
    y: Tensor
    sy: float
    by_color: Tensor


class LBFGS(Optimizer):
    """Limited-memory BFGS in the box [0, 1], the optimizer that [1] is usually run with.

        x' = clamp(x - t H g),   H from the last m pairs  s = x' - x,  y = g' - g

    Nocedal and Wright, algorithm 7.4, for the pixels that can move; a pixel at a border whose gradient points outwards
    stays where it is (Bertsekas 1982, projected Newton methods). t is 1 at almost every step, so that a step costs one
    evaluation; if 1 fails, the line search bisects until the weak Wolfe conditions hold (Lewis and Overton 2013,
    algorithm 2.6). The total never rises.

    The initial H is a 3 x 3 matrix over the colors, the same at every pixel, see `color_scale`: the loss curves more
    along brightness than along tint, and this saves as many evaluations as twice the pairs would.
    """

    STATE = ("point", "pairs")

    def __init__(self, objective: Objective, start: Tensor):
        super().__init__(objective, start)
        self.pairs: list[Pair] = []  # the newest last

    def restart(self) -> None:
        super().restart()
        self.pairs = []

    def step(self, point: Point) -> Point:
        found = self.search(point)
        if found is None and self.pairs:  # the pairs mislead: drop them, and take the steepest descent once
            self.pairs = []
            found = self.search(point)
        if found is None:
            raise StopIteration
        s, y = found.image - point.image, found.gradient - point.gradient
        products = torch.stack([over_colors(s, s), over_colors(y, y), over_colors(s, y)]).cpu().double()
        _, yy, sy = (product.trace().item() for product in products)
        if sy > 1e-10 * yy:  # a pair without positive curvature would make H indefinite
            self.pairs = [*self.pairs, Pair(s, y, sy, products[:2] / sy)][-MEMORY:]
        return found

    def direction(self, point: Point) -> Tensor:
        """-H g over the pixels that can move, by the two-loop recursion."""
        x, g = point.image, point.gradient
        free = ~((x <= 0) & (g > 0) | (x >= 1) & (g < 0))
        q = g * free
        if not self.pairs:
            return q * (-FIRST_MOVE / q.square().mean().sqrt().clamp(min=1e-30))
        alphas = []
        for s, y, sy, _ in reversed(self.pairs):
            alphas.append(dot(s, q) / sy)
            q.addcmul_(y, alphas[-1], value=-1)
        C = color_scale(*torch.stack([pair.by_color for pair in self.pairs]).sum(0)).to(q.dtype).to(q.device)
        s, y, sy, _ = self.pairs[-1]
        q = recolored(C, q) * (sy / dot(y, recolored(C, y)))
        for s, y, sy, _ in self.pairs:
            q.addcmul_(s, alphas.pop() - dot(y, q) / sy)
        return -q * free

    def search(self, point: Point) -> Point | None:
        """The first point along the projected direction that meets the weak Wolfe conditions, or the best, or None."""
        d = self.direction(point)
        low, high, t = 0.0, float("inf"), 1.0
        best = None
        for _ in range(TRIALS):
            trial = self.objective.at((point.image + t * d).clamp(0, 1))
            g = point.gradient
            expected, slope, there = numbers(dot(g, trial.image - point.image), dot(g, d), dot(trial.gradient, d))
            if not trial.total <= point.total + SUFFICIENT_DECREASE * expected or trial.total == point.total:
                high = t
            else:
                if best is None or trial.total <= best.total:
                    best = trial
                if there >= CURVATURE * slope:
                    return best
                low = t
            t = (low + high) / 2 if high < float("inf") else 2 * t
        # NaN and Inf on every trial are given back, for the run to report; no lower point ends the optimization
        return best if best is not None or math.isfinite(trial.total) else trial


class Adam(Optimizer):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1, with a projection after a step.

    m' = beta1 m + (1 - beta1) g,   v' = beta2 v + (1 - beta2) g^2
    x' = clamp(x - rate m' / (1 - beta1^t) / (sqrt(v' / (1 - beta2^t)) + 1e-8))
    """

    BETAS = (0.9, 0.99)
    STATE = ("point", "moments", "t")

    def __init__(self, objective: Objective, start: Tensor, rate: float = 0.02):
        super().__init__(objective, start)
        self.rate = rate
        self.moments = (torch.zeros_like(start), torch.zeros_like(start))
        self.t = 0

    def step(self, point: Point) -> Point:
        g, t, (beta1, beta2) = point.gradient, self.t + 1, self.BETAS
        m, v = self.moments[0].lerp(g, 1 - beta1), self.moments[1].lerp(g * g, 1 - beta2)
        move = m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + 1e-8)
        found = self.objective.at((point.image - self.rate * move).clamp(0, 1))
        self.moments, self.t = (m, v), t  # only now: an interrupt in the evaluation leaves everything as it was
        return found


class Descent(Optimizer):
    """Gradient descent with a fixed step, x' = x - step g, without bounds: it can explode, and shows it.

    >>> objective = Objective({"square": lambda x, F: x.square().sum()}, {"square": 1.0}, size=(1, 1))
    >>> [round(point.total, 2) for point, _ in zip(Descent(objective, torch.ones(1, 3, 1, 1), rate=0.25), range(3))]
    [3.0, 0.75, 0.19]
    """

    def __init__(self, objective: Objective, start: Tensor, rate: float):
        super().__init__(objective, start)
        self.rate = rate

    def step(self, point: Point) -> Point:
        return self.objective.at(point.image - self.rate * point.gradient)


OPTIMIZERS: dict[str, type[LBFGS] | type[Adam]] = {"lbfgs": LBFGS, "adam": Adam}
