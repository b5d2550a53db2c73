"""Approach 2 of the report: a pastiche made photorealistic again, in one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from nstlab.base.numerics.arguments import check_callback, check_choices, naming, number, whole
from nstlab.base.numerics.conjugate_gradients import Iterate
from nstlab.base.numerics.devices import chosen_device
from nstlab.base.numerics.modes import entrance
from nstlab.base.records import Result, Step
from nstlab.coarse_to_fine import optimize
from nstlab.images import ImageSource, load_image, resize
from nstlab.laplacian import MattingLaplacian
from nstlab.objective import Objective, Point
from nstlab.optimizers import Descent, Optimizer
from nstlab.preparation.inputs import network_on
from nstlab.preparation.style_transfer import CONTENT_WEIGHT, style_transfer_objective
from nstlab.preparation.weights import check_weights
from nstlab.runs import Run
from nstlab.terms import PhotorealismTerm, Term
from nstlab.vgg import VGG

Method = Literal["solve", "lbfgs", "descent"]
STEPS: dict[Method, int] = {"solve": 500, "lbfgs": 100, "descent": 200}  # at most
WEIGHT = 1e3  # lambda, of equation 5 as printed, and of its mean over pixels in equation 6
ROUNDING = 1e-5  # relative: the total of a solve may rise by this much before it counts as rising
NEAR = 2  # pixels: by so much the sides of pastiche and content may differ
SAFETY = 0.9  # share of the largest stable step that descent takes: the eigenvalue is known to 1 %


@entrance("photorealize")
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
    """`photorealize` as a stream of steps, to watch, pause and continue; it takes the same arguments.

    >>> content = load_image("waterfront_day", size=64)
    >>> run = photorealize_run(content.flip(3), content, steps=3)
    >>> [step.index for step in run]
    [0, 1, 2, 3]
    """
    check_choices(method=(method, STEPS))
    check_weights(weight=weight, content_weight=content_weight, style_weight=style_weight)
    if step is not None and method != "descent":
        raise ValueError(f"step={step!r} is for method='descent' only; method={method!r} does not use it.")
    rate = None if step is None else number("step", step, above=True)
    if style is not None and method != "lbfgs":
        raise ValueError(f"style is for method='lbfgs' only, with equation 6; method={method!r} does not use it.")
    n = STEPS[method] if steps is None else whole("steps", steps)
    place = chosen_device(device)
    with naming("content"):
        I = load_image(content).to(place)
    with naming("pastiche"):
        x = of_size(load_image(pastiche), (I.shape[2], I.shape[3])).to(place)
    if style is not None:
        network = network_on(place, vgg)
        with naming("style"):
            S = load_image(style, max(I.shape[2:])).to(place)
        equation_6 = style_transfer_objective(
            network, I, S, content_weight, style_weight, photorealism_weight=weight, tile="auto", precision="auto"
        )
        return optimize(equation_6, x, n)
    M = MattingLaplacian(I)
    if method == "descent":
        return descent_run(M, x, weight, n, rate)
    objective = Objective(
        {"photorealism": PhotorealismTerm(M), "distance": Term(lambda y, F: (y - x).square().sum())},
        {"photorealism": weight, "distance": 1.0},
        size=(x.shape[2], x.shape[3]),
        images={"content": I},
    )
    if method == "lbfgs":
        return optimize(objective, x, n)
    return Run(Solve(objective, x, M, n), n, [objective])


def of_size(pastiche: Tensor, size: tuple[int, int]) -> Tensor:
    """The pastiche, (1, 3, H, W), at the content's size: resized if rounding explains a difference, else ValueError.

    >>> of_size(load_image("horses", size=64), (43, 65)).shape
    torch.Size([1, 3, 43, 65])
    """
    (h, w), (H, W) = pastiche.shape[2:], size
    if max(abs(h - H), abs(w - W)) > NEAR:
        raise ValueError(
            f"it has {w} x {h} pixels, the content image {W} x {H}, but both need one size. Bring the content to "
            f"the pastiche's with resize(load_image(content), ({h}, {w}))."
        )
    return pastiche if (h, w) == (H, W) else resize(pastiche, size)


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

    >>> I = load_image("horses", size=64)
    >>> first, *_, last = descent_run(MattingLaplacian(I), I.flip(3), weight=1.0, steps=10, step=None)
    >>> last.total < first.total
    True
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

    pastiche, content: whatever `load_image` takes, at the same size; if the sides differ by at most 2 pixels, the
    pastiche is brought to the content's size. watch: is called with every `Step`.

    method: "solve" (default): the exact minimizer of |y - x|^2 + lambda L_m(y), one linear system; "lbfgs": the same
    sum step by step, or with a `style` image all of equation 6, started from the pastiche; "descent": gradient descent
    on lambda L_m alone, as in the report.
    weight: lambda, by default 1000; in equation 6, with a `style`, it weighs the mean over pixels of equation 5, next
    to content_weight and style_weight.
    steps: how many at most. step: of "descent", by default just below 1 / (lambda x largest eigenvalue of M), above
    which it explodes. vgg, device: as in `stylize`.

    Raises ImageError, ValueError and TypeError before the run begins, DivergenceError in it.

    >>> content = load_image("waterfront_day", size=64)
    >>> result = photorealize(content.flip(3), content)
    >>> result.history[-1].losses["photorealism"] < result.history[0].losses["photorealism"] / 100
    True
    """
    settings = {name: value for name, value in locals().items() if name != "watch"}
    check_callback("photorealize: watch", watch)
    return photorealize_run(**settings).finish(watch)
