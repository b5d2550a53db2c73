"""The self-checks of notebook 01, and the finite differences with which later notebooks check gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

Loss = Callable[[Tensor], Tensor]
Place = tuple[int, ...]  # the index of a pixel value, (0, channel, row, column)


def central_difference(loss: Loss, image: Tensor, place: Place, h: float = 1e-5) -> float:
    """The derivative of a loss by one pixel value, from two evaluations and without autograd.

        dL/dx_i  ~  (L(x + h e_i) - L(x - h e_i)) / 2h

    image: (1, 3, H, W), in float64 unless h is large: in float32 the rounding error is larger than the difference.
    place: the index of the pixel value, (0, channel, row, column).

    >>> round(central_difference(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double(), (0, 0, 1, 2)), 6)
    2.0
    """
    up, down = image.detach().clone(), image.detach().clone()
    up[place] += h
    down[place] -= h
    return float((loss(up) - loss(down)).item() / (2 * h))


def gradient_gap(loss: Loss, image: Tensor, places: int = 8, h: float = 1e-5, seed: int = 0) -> float:
    """The largest difference between autograd and finite differences, relative to the largest entry of the gradient.

    image: (1, 3, H, W), float64. places: the number of random pixel values. For a right gradient the result is about
    1e-7 or less, or more if the loss has a kink, such as that of a ReLU, within h of the image. Raises ValueError for
    an image of another type.

    >>> gradient_gap(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double()) < 1e-7
    True
    """
    if image.dtype != torch.float64:
        raise ValueError(
            f"gradient_gap needs an image of float64 for finite differences; it is {image.dtype}. "
            f"Pass image.double(), and if the loss contains a network, use network.double()."
        )
    x = image.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    chosen = torch.randint(image.numel(), (places,), generator=torch.Generator().manual_seed(seed))
    indices = [tuple(int(i) for i in place) for place in torch.stack(torch.unravel_index(chosen, image.shape), 1)]
    gaps = [abs(central_difference(loss, image, place, h) - gradient[place].item()) for place in indices]
    return max(gaps) / max(gradient.abs().max().item(), 1e-30)


def steps_needed(mine: Callable[[float, float], int]) -> Verdict:
    """Exercise 1: the number of steps until the distance loss has fallen to 1/factor of its start.

    L_k = (1 - rate)^(2 k) L_0
    """
    cases = [(0.02, 1e3), (0.3, 1e3), (0.5, 50.0), (0.5, 64.0), (1.9, 1e6)]  # the fourth needs exactly 3 steps

    def exact(rate: float, factor: float) -> float:
        return math.log(factor) / (-2 * math.log(abs(1 - rate)))

    return compare(
        lambda: [mine(rate, factor) for rate, factor in cases],
        [math.ceil(exact(*case)) for case in cases],
        [
            Slip(
                [math.ceil(2 * exact(*case)) for case in cases],
                "This is the number of steps for the error. The loss is the error squared: it falls faster.",
            ),
            Slip(
                [math.floor(exact(*case)) for case in cases],
                "One step short: the loss is still a little too large. Which way must you round?",
            ),
            Slip(
                [math.floor(exact(*case)) + 1 for case in cases],
                "One step too many if the formula gives a whole number: that number is enough.",
            ),
            Slip(
                [-math.ceil(exact(*case)) for case in cases],
                "A number of steps is not negative: check the sign of the logarithm of a number below 1.",
            ),
            Slip([exact(*case) for case in cases], "Nearly: there are no parts of a step, so give a whole number."),
        ],
        "A rate of 0.02 needs 171 steps; a rate of 0.3 needs 10.",
    )


def finite_difference(mine: Callable[[Loss, Tensor, Place, float], Any]) -> Verdict:
    """Exercise 2: the derivative of a loss by one pixel value, as `central_difference` computes it."""
    image = torch.linspace(0, 1, 60, dtype=torch.float64).reshape(1, 3, 4, 5)
    place, h = (0, 1, 2, 3), 0.1  # large, so that one-sided and two-sided differences are not equal

    def loss(x: Tensor) -> Tensor:
        return torch.sin(3 * x).sum()

    def answer() -> Any:
        given = image.clone()
        slope = mine(loss, given, place, h)
        return slope if torch.equal(given, image) else "image changed"

    def loss_at(change: float) -> float:
        moved = image.clone()
        moved[place] += change
        return loss(moved).item()

    rise, here = loss_at(h) - loss_at(-h), loss(image).item()
    one_sided = "You step to one side only. If you step to both, the error is of order h squared instead of h."
    return compare(
        answer,
        rise / (2 * h),
        [
            Slip("image changed", "The image you were given has changed. Work on copies: `image.clone()`."),
            Slip(rise / h, "Too large by a factor of 2: how far apart are the two points at which you evaluate?"),
            Slip(rise, "That is the rise. A slope is the rise divided by something."),
            Slip(-rise / (2 * h), "The sign is wrong: which of the two values is subtracted from which?"),
            Slip((loss_at(h) - here) / h, one_sided),
            Slip((here - loss_at(-h)) / h, one_sided),
            Slip(
                (loss(image + h) - loss(image - h)).item() / (2 * h),
                "All pixels were moved. Move only the value at `place`.",
            ),
        ],
        "With this you can check any gradient.",
    )


def projected_step(mine: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Exercise 3: one step of gradient descent, projected to the box [0, 1].

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
            Slip("image changed", "The image you were given has changed. Return a new one."),
            Slip(x - rate * g, "Some values have left [0, 1]. If you clamp: does anything change after it?"),
            Slip((x + rate * g).clamp(0, 1), "You go uphill: the loss grows in the direction of the gradient."),
            Slip(x - rate * g.clamp(0, 1), "You clamp the gradient. It is the image that must stay in [0, 1]."),
            Slip((x - g).clamp(0, 1), "The rate is missing."),
        ],
        "Every optimizer of this package ends its steps in this way.",
    )


def total_variation_gradient(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 4: the gradient of the total variation, without autograd.

    L = 1/2 sum over neighbors (x_a - x_b)^2,   dL/dx_a = sum over the neighbors b of a  (x_a - x_b)
    """
    x = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    down, across = x.diff(dim=2), x.diff(dim=3)

    def gradient(down: Tensor, across: Tensor, first: float = -1.0, second: float = 1.0) -> Tensor:
        """The sum of all differences x_b - x_a, b after a, times `first` at place a and times `second` at place b."""
        g = torch.zeros_like(x)
        g[:, :, 1:] += second * down
        g[:, :, :-1] += first * down
        g[:, :, :, 1:] += second * across
        g[:, :, :, :-1] += first * across
        return g

    wrapped = sum((x - x.roll(by, dim) for by in (1, -1) for dim in (2, 3)), torch.zeros_like(x))
    return compare(
        lambda: mine(x.clone()),
        gradient(down, across),
        [
            Slip(2 * gradient(down, across), "Too large by a factor of 2: the loss begins with a half."),
            Slip(-gradient(down, across), "The sign is wrong: a pixel brighter than its neighbors must become darker."),
            Slip(
                gradient(down, across, first=0.0),
                "Every pixel has neighbors after it, too: each difference acts on both of its pixels.",
            ),
            Slip(
                gradient(down, across, second=0.0),
                "Every pixel has neighbors before it, too: each difference acts on both of its pixels.",
            ),
            Slip(gradient(down, across, first=1.0), "A difference acts on its two pixels with opposite signs."),
            Slip(gradient(down, 0 * across), "The neighbors to the left and right are missing."),
            Slip(gradient(0 * down, across), "The neighbors above and below are missing."),
            Slip(
                wrapped,
                "Your border pixels have neighbors on the other side of the picture. They should have fewer.",
            ),
        ],
        "Inside the picture it is 4 x minus the four neighbors, the discrete Laplacian. Notebook 07 has a larger one.",
    )
