"""Notebook 01: its self-checks, and the finite differences that every later notebook trusts gradients by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

Loss = Callable[[Tensor], Tensor]
Place = tuple[int, ...]


def central_difference(loss: Loss, image: Tensor, place: Place, h: float = 1e-5) -> float:
    """The slope of a loss along one pixel value, by two evaluations and no autograd.

        dL/dx_i  ~  (L(x + h e_i) - L(x - h e_i)) / 2h

    image: (1, 3, H, W), in float64 unless h is large: in float32 rounding drowns the difference. place: the index of
    the pixel value, (0, channel, row, column).

    >>> round(central_difference(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double(), (0, 0, 1, 2)), 6)
    2.0
    """
    up, down = image.detach().clone(), image.detach().clone()
    up[place] += h
    down[place] -= h
    return float((loss(up) - loss(down)).item() / (2 * h))


def gradient_gap(loss: Loss, image: Tensor, places: int = 8, h: float = 1e-5, seed: int = 0) -> float:
    """How far autograd is from finite differences, at random places, relative to the largest entry of the gradient.

    image: (1, 3, H, W), float64. A right gradient gives about 1e-7 or less; a loss with a kink, such as a ReLU, more
    where the kink lies within h of the image. Raises ValueError for an image of another type.

    >>> gradient_gap(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double()) < 1e-7
    True
    """
    if image.dtype != torch.float64:
        raise ValueError(
            f"gradient_gap(image of {image.dtype}): finite differences need float64. "
            f"Give image.double(), and if the loss has a network in it, network.double()."
        )
    x = image.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    chosen = torch.randint(image.numel(), (places,), generator=torch.Generator().manual_seed(seed))
    where = [tuple(int(i) for i in place) for place in torch.stack(torch.unravel_index(chosen, image.shape), 1)]
    gaps = [abs(central_difference(loss, image, place, h) - gradient[place].item()) for place in where]
    return max(gaps) / max(gradient.abs().max().item(), 1e-30)


def steps_needed(mine: Callable[[float, float], int]) -> Verdict:
    """Exercise 1: after how many steps the distance loss has fallen to 1/factor, at a rate.

    L_k = (1 - rate)^(2 k) L_0
    """
    cases = [(0.02, 1e3), (0.3, 1e3), (0.5, 50.0), (0.5, 64.0), (1.9, 1e6)]  # one comes to a whole number

    def least(rate: float, factor: float) -> float:
        return math.log(factor) / (-2 * math.log(abs(1 - rate)))

    return compare(
        lambda: [mine(rate, factor) for rate, factor in cases],
        [math.ceil(least(*case)) for case in cases],
        [
            Slip(
                [math.ceil(2 * least(*case)) for case in cases],
                "That is when the error has fallen so far. The loss is the error squared: it falls faster.",
            ),
            Slip(
                [math.floor(least(*case)) for case in cases],
                "One step short: the loss is not quite there yet. Which way must a number of steps be rounded?",
            ),
            Slip(
                [math.floor(least(*case)) + 1 for case in cases],
                "One step too many where the formula gives a whole number: that is enough already.",
            ),
            Slip(
                [-math.ceil(least(*case)) for case in cases],
                "A number of steps is not negative: mind the sign of the logarithm of a number below 1.",
            ),
            Slip([least(*case) for case in cases], "Nearly: a step cannot be taken in part, so give a whole number."),
        ],
        "A rate of 0.02 needs 171 steps for what 0.3 does in 10.",
    )


def finite_difference(mine: Callable[[Loss, Tensor, Place, float], Any]) -> Verdict:
    """Exercise 2: the slope of a loss along one pixel value, as `central_difference` computes it."""
    image = torch.linspace(0, 1, 60, dtype=torch.float64).reshape(1, 3, 4, 5)
    place, h = (0, 1, 2, 3), 0.1  # large enough that one side and two sides differ

    def loss(x: Tensor) -> Tensor:
        return torch.sin(3 * x).sum()

    def answer() -> Any:
        given = image.clone()
        slope = mine(loss, given, place, h)
        return slope if torch.equal(given, image) else "image changed"

    def moved(by: float) -> float:
        other = image.clone()
        other[place] += by
        return loss(other).item()

    rise, here = moved(h) - moved(-h), loss(image).item()
    one_sided = "You look to one side only. Step to both sides of the pixel: its error is of order h squared, not h."
    return compare(
        answer,
        rise / (2 * h),
        [
            Slip("image changed", "The image you were given has changed. Work on copies: `image.clone()`."),
            Slip(rise / h, "Twice too large: how far apart are the two points at which you evaluate?"),
            Slip(rise, "That is the rise. A slope is the rise divided by something."),
            Slip(-rise / (2 * h), "The sign is turned: which of the two values is taken from which?"),
            Slip((moved(h) - here) / h, one_sided),
            Slip((here - moved(-h)) / h, one_sided),
            Slip(
                (loss(image + h) - loss(image - h)).item() / (2 * h),
                "All pixels were moved. Move only the value at `place`.",
            ),
        ],
        "With this you can put any gradient to the test, your own and other people's.",
    )


def projected_step(mine: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Exercise 3: one step of descent, then back into the box.

    x' = clamp(x - rate g, 0, 1)
    """
    x = torch.tensor([0.1, 0.5, 0.95, 1.0]).reshape(1, 1, 2, 2)
    g = torch.tensor([3.0, -0.4, -2.0, 1.5]).reshape(1, 1, 2, 2)
    rate = 0.5

    def answer() -> Any:
        given = x.clone()
        stepped = mine(given, g.clone(), rate)
        return stepped if torch.equal(given, x) else "image changed"

    return compare(
        answer,
        (x - rate * g).clamp(0, 1),
        [
            Slip("image changed", "The image you were given has changed. Give back a new one."),
            Slip(x - rate * g, "Some values have left [0, 1]. If you do clamp: does anything still move after it?"),
            Slip((x + rate * g).clamp(0, 1), "You go uphill: the gradient points to where the loss grows."),
            Slip(x - rate * g.clamp(0, 1), "You clamp the gradient. It is the image that must stay in [0, 1]."),
            Slip((x - g).clamp(0, 1), "The rate is missing."),
        ],
        "Every optimizer of this package ends its steps so.",
    )


def total_variation_gradient(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 4: the gradient of the total variation, by hand.

    L = 1/2 sum over neighbors (x_a - x_b)^2        dL/dx_a = sum over the neighbors b of a  (x_a - x_b)
    """
    x = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    down, across = x.diff(dim=2), x.diff(dim=3)

    def spread(down: Tensor, across: Tensor, far: float = -1.0, near: float = 1.0) -> Tensor:
        """Every difference x_b - x_a, a before b, added to b `near` times and to a `far` times."""
        g = torch.zeros_like(x)
        g[:, :, 1:] += near * down
        g[:, :, :-1] += far * down
        g[:, :, :, 1:] += near * across
        g[:, :, :, :-1] += far * across
        return g

    wrapped = sum((x - x.roll(by, dim) for by in (1, -1) for dim in (2, 3)), torch.zeros_like(x))
    return compare(
        lambda: mine(x.clone()),
        spread(down, across),
        [
            Slip(2 * spread(down, across), "Twice too large: the loss begins with a half."),
            Slip(-spread(down, across), "The sign is turned: a pixel above its neighbors must come down."),
            Slip(
                spread(down, across, far=0.0),
                "Every pixel has neighbors after it too: each difference pulls at both its ends.",
            ),
            Slip(
                spread(down, across, near=0.0),
                "Every pixel has neighbors before it too: each difference pulls at both its ends.",
            ),
            Slip(spread(down, across, far=1.0), "A difference pulls its two ends in opposite directions."),
            Slip(spread(down, 0 * across), "The neighbors to the left and right are missing."),
            Slip(spread(0 * down, across), "The neighbors above and below are missing."),
            Slip(
                wrapped,
                "Your border pixels have neighbors on the other side of the picture. At the border there are fewer.",
            ),
        ],
        "Inside the picture it is 4 x minus the four neighbors: the discrete Laplacian. You will meet its big brother.",
    )
