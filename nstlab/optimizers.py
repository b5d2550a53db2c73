"""Three ways downhill: L-BFGS, Adam, plain gradient descent. Each is an iterator of points, the start first.

Between two steps an optimizer keeps everything in itself and changes nothing until a step is complete: it can be
interrupted anywhere and asked for the next point again, and it notices when the weights were changed meanwhile.
Pixels stay in [0, 1] by projection: every point that is evaluated lies in the box, and nothing is clamped inside the
function that is differentiated.
"""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from nstlab.objective import Objective, Point

FIRST_MOVE = 0.02  # root mean square of the first step in pixel values, [0, 1]: 5 of 255 gray levels, visible
SUFFICIENT_DECREASE, CURVATURE = 1e-4, 0.9  # Nocedal and Wright, "Numerical Optimization", section 3.1
TRIALS = 12  # step lengths that one line search tries


class Optimizer:
    """What the three have in common: where they are, and that the first point is the start."""

    def __init__(self, objective: Objective, start: Tensor):
        self.objective, self.start = objective, start
        self.point: Point | None = None

    def __iter__(self) -> Optimizer:
        return self

    def __next__(self) -> Point:
        if self.point is None:
            self.point = self.objective.at(self.start)
        else:
            if self.point.weights != self.objective.weights:
                self.restart()
            self.point = self.step(self.point)
        return self.point

    def restart(self) -> None:
        """Look again from where we are: the weights have changed, and with them the function."""
        assert self.point is not None
        self.point = self.objective.at(self.point.image)

    def step(self, point: Point) -> Point:
        """The next point; StopIteration where there is no way further down."""
        raise NotImplementedError


class LBFGS(Optimizer):
    """Limited-memory BFGS in the box [0, 1]: the default of [1] and of everybody since.

        x' = clamp(x - t H g),   H from the last m pairs  s = x' - x,  y = g' - g

    Nocedal and Wright, algorithm 7.4, for the pixels that can move; a pixel at a border whose gradient points outwards
    stays where it is (Bertsekas 1982, projected Newton methods). t is 1 at almost every step, so that a step costs one
    evaluation; where 1 fails, the line search bisects until the weak Wolfe conditions hold (Lewis and Overton 2013,
    algorithm 2.6). The total never rises.
    """

    def __init__(self, objective: Objective, start: Tensor, memory: int = 20):
        super().__init__(objective, start)
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=memory)

    def restart(self) -> None:
        super().restart()
        self.pairs.clear()

    def step(self, point: Point) -> Point:
        found = self.search(point)
        if found is None and self.pairs:  # the memory misleads: forget it, go straight down once
            self.pairs.clear()
            found = self.search(point)
        if found is None:
            raise StopIteration
        s, y = found.image - point.image, found.gradient - point.gradient
        sy = dot(s, y)
        if sy > 1e-10 * dot(y, y):  # a pair without positive curvature would make H indefinite
            self.pairs.append((s, y, sy))
        return found

    def direction(self, point: Point) -> Tensor:
        """-H g over the pixels that can move, by the two-loop recursion."""
        x, g = point.image, point.gradient
        free = ~((x <= 0) & (g > 0) | (x >= 1) & (g < 0))
        q = g * free
        if not self.pairs:
            return q * (-FIRST_MOVE / max(q.square().mean().sqrt().item(), 1e-30))
        alphas = []
        for s, y, sy in reversed(self.pairs):
            alphas.append(dot(s, q) / sy)
            q = q.sub(y, alpha=alphas[-1])
        s, y, sy = self.pairs[-1]
        q.mul_(sy / dot(y, y))
        for s, y, sy in self.pairs:
            q.add_(s, alpha=alphas.pop() - dot(y, q) / sy)
        return -q * free

    def search(self, point: Point) -> Point | None:
        """The first point along the projected direction that meets the weak Wolfe conditions, or the best one found.

        None at a standstill.
        """
        d = self.direction(point)
        slope = dot(point.gradient, d)
        low, high, t = 0.0, float("inf"), 1.0
        best = None
        for _ in range(TRIALS):
            trial = self.objective.at((point.image + t * d).clamp(0, 1))
            expected = dot(point.gradient, trial.image - point.image)
            if not trial.total <= point.total + SUFFICIENT_DECREASE * expected or trial.total == point.total:
                high = t
            else:
                if best is None or trial.total <= best.total:
                    best = trial
                if dot(trial.gradient, d) >= CURVATURE * slope:
                    return best
                low = t
            t = (low + high) / 2 if high < float("inf") else 2 * t
        # NaN and Inf on every trial are for the run to report; a mere standstill is the end of the way
        return best if best is not None or math.isfinite(trial.total) else trial


class Adam(Optimizer):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, by PyTorch, with a projection after a step."""

    def __init__(self, objective: Objective, start: Tensor, rate: float = 0.02):
        super().__init__(objective, start)
        self.pixels = start.detach().clone().requires_grad_()
        self.adam = torch.optim.Adam([self.pixels], lr=rate, betas=(0.9, 0.99))

    def step(self, point: Point) -> Point:
        self.pixels.grad = point.gradient
        self.adam.step()
        with torch.no_grad():
            self.pixels.clamp_(0, 1)
        return self.objective.at(self.pixels.clone())


class Descent(Optimizer):
    """Gradient descent with a fixed step, x' = x - step g, unbounded: what can explode, shown as it is."""

    def __init__(self, objective: Objective, start: Tensor, rate: float):
        super().__init__(objective, start)
        self.rate = rate

    def step(self, point: Point) -> Point:
        return self.objective.at(point.image - self.rate * point.gradient)


def dot(a: Tensor, b: Tensor) -> float:
    """The inner product of two images."""
    return torch.dot(a.flatten(), b.flatten()).item()
