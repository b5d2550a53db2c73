"""Approach 2 of the report: a pastiche made photorealistic again, in one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from nstlab.coarse_to_fine import optimize
from nstlab.images import ImageSource, load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.numerics.conjugate_gradients import Iterate
from nstlab.numerics.devices import checked_device, default_device
from nstlab.objective import Objective, Point
from nstlab.optimizers import Descent, Optimizer
from nstlab.runs import Result, Run, Step
from nstlab.terms import PhotorealismTerm, Term, check_weights
from nstlab.transfer_objective import CONTENT_WEIGHT, network_on, style_transfer_objective
from nstlab.vgg import VGG

Method = Literal["solve", "lbfgs", "descent"]
STEPS: dict[Method, int] = {"solve": 500, "lbfgs": 100, "descent": 200}  # at most
WEIGHT = 1e3  # lambda, of equation 5 as printed, and of its mean over pixels in equation 6
ROUNDING = 1e-5  # relative: the total of a solve may rise by this much before it counts as rising
SAFETY = 0.9  # share of the largest stable step that descent takes: the eigenvalue is known to 1 %


def photorealize_run(
    pastiche: ImageSource,
    content: ImageSource,
    *,
    weight: float = WEIGHT,
    method: Method = "solve",
    style: ImageSource | None = None,
    steps: int | None = None,
    step: float | None = None,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    vgg: VGG | None = None,
    device: str | None = None,
) -> Run:
    """`photorealize` as a stream of steps, to watch, pause and continue; it takes the same arguments."""
    if method not in STEPS:
        raise ValueError(f"method={method!r} is not known; choose one of {', '.join(STEPS)}.")
    check_weights(weight=weight, content_weight=content_weight, style_weight=style_weight)
    if step is not None and (method != "descent" or not 0 < step < math.inf):
        raise ValueError(f"step={step!r} must be a finite number above 0, and is for method='descent' only.")
    if style is not None and method != "lbfgs":
        raise ValueError(f"style is for method='lbfgs' only, with equation 6; method={method!r} does not use it.")
    place = checked_device(device) if device else default_device()
    x, I = load_image(pastiche).to(place), load_image(content).to(place)
    if x.shape != I.shape:
        raise ValueError(
            f"photorealize needs two images of one size: the pastiche has {x.shape[3]} x {x.shape[2]} pixels, the "
            f"content image {I.shape[3]} x {I.shape[2]}. Make the larger one smaller with load_image(..., size=...)."
        )
    n = STEPS[method] if steps is None else steps
    if style is not None:
        S, network = load_image(style, max(I.shape[2:])).to(place), network_on(place, vgg)
        equation_6 = style_transfer_objective(
            network, I, S, content_weight, style_weight, photorealism_weight=weight, tile="auto", precision="auto"
        )
        return optimize(equation_6, x, n)
    M = MattingLaplacian(I)
    if method == "descent":
        return descent_run(M, x, weight, n, step)
    objective = Objective(
        {
            "photorealism": PhotorealismTerm(M),
            "distance": Term(lambda y, F: (y - x).square().sum()),
        },
        {"photorealism": weight, "distance": 1.0},
        size=(x.shape[2], x.shape[3]),
        images={"content": I},
    )
    if method == "lbfgs":
        return optimize(objective, x, n)
    return Run(Solve(objective, x, M, n), n, [objective])


class Solve(Optimizer):
    """Conjugate gradients on (Id + lambda M) y = x, which sets the gradient of |y - x|^2 + lambda L_m(y) to 0.

    One iteration is one step. If the weight of L_m changes, the iterations start again from the current image. They end
    when the total falls no further, at the latest at the accuracy of float32: with a weight from 1e8 on, float32 cannot
    represent the solution.
    """

    def __init__(self, objective: Objective, x: Tensor, M: MattingLaplacian, steps: int):
        super().__init__(objective, x)
        self.M, self.steps = M, steps
        self.iterates: Iterator[Iterate] | None = None
        self.next: Iterate | None = None  # computed, not yet evaluated

    def restart(self) -> None:
        super().restart()
        self.iterates = self.next = None

    def step(self, point: Point) -> Point:
        if self.iterates is None:
            of_energy, of_distance = point.weights["photorealism"], point.weights["distance"]
            weight = of_energy / of_distance if of_distance else math.inf
            self.iterates = self.M.solve_steps(self.start, weight, max_iterations=self.steps, start=point.image)
        if self.next is None:
            self.next = next(self.iterates)
        found = self.objective.at(self.next.image)
        if found.total > point.total * (1 + ROUNDING):
            raise StopIteration
        self.next = None
        return found


def descent_run(M: MattingLaplacian, x: Tensor, weight: float, steps: int, step: float | None) -> Run:
    """Gradient descent on lambda L_m alone, x' = x - step 2 lambda M x: the report's experiment.

    It is stable if and only if step < 1 / (lambda x largest eigenvalue of M); the default is SAFETY times this limit.
    """
    objective = Objective({"photorealism": PhotorealismTerm(M)}, {"photorealism": weight}, (x.shape[2], x.shape[3]))
    stable = 1 / max(weight * M.largest_eigenvalue(), 1e-30)
    rate = SAFETY * stable if step is None else step
    blame = (
        f"Descent on lambda L_m is stable up to a step of 1 / (lambda x largest eigenvalue) = {stable:.4g}, "
        f"and this step was {rate:.4g}: the roughest pattern grew by {abs(1 - 2 * rate / stable):.3g} an epoch."
    )
    return Run(Descent(objective, x, rate), steps, [objective], blame)


def photorealize(
    pastiche: ImageSource,
    content: ImageSource,
    watch: Callable[[Step], object] | None = None,
    *,
    weight: float = WEIGHT,
    method: Method = "solve",
    style: ImageSource | None = None,
    steps: int | None = None,
    step: float | None = None,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    vgg: VGG | None = None,
    device: str | None = None,
) -> Result:
    """Approach 2: the pastiche made photorealistic again, by the content's Matting Laplacian. Equation 5, [2].

        L_m = sum_c x_c^T M x_c

    pastiche, content: whatever `load_image` takes, at the same size. watch: is called with every `Step`.

    method: "solve" (default): the exact minimizer of |y - x|^2 + lambda L_m(y), one linear system; "lbfgs": the same
    sum step by step, or with a `style` image all of equation 6, started from the pastiche; "descent": gradient descent
    on lambda L_m alone, as in the report.
    weight: lambda, by default 1000; in equation 6, with a `style`, it weighs the mean over pixels of equation 5, next
    to content_weight and style_weight.
    steps: how many at most. step: of "descent", by default just below 1 / (lambda x largest eigenvalue of M), above
    which it explodes. vgg, device: as in `stylize`.

    Raises ImageError and ValueError before the run begins, DivergenceError in it.

    >>> content = load_image("waterfront_day", size=64)
    >>> result = photorealize(content.flip(3), content)
    >>> result.history[-1].losses["photorealism"] < result.history[0].losses["photorealism"] / 100
    True
    """
    run = photorealize_run(
        pastiche,
        content,
        weight=weight,
        method=method,
        style=style,
        steps=steps,
        step=step,
        content_weight=content_weight,
        style_weight=style_weight,
        vgg=vgg,
        device=device,
    )
    return run.finish(watch)
