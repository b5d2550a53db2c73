"""The self-checks of notebook 01: descent, finite differences, projection and the gradient of total variation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from nstlab.course.check.finite_differences import Loss, Place, central_difference
from nstlab.course.check.finite_differences import gradient_gap as gradient_gap  # for the notebooks
from nstlab.course.check.verdict import AUTOGRAD, Slip, Verdict, by_hand, compare, crash, unchanged


def steps_needed(mine: Callable[[float, float], int]) -> Verdict:
    """Exercise 1: the number of steps until the distance loss has fallen to 1/factor of its start.

    L_k = (1 - rate)^(2 k) L_0
    """
    cases = [(0.02, 1e3), (0.3, 1e3), (0.5, 70.0), (0.5, 64.0), (1.9, 1e6)]  # 64 needs exactly 3 steps, 70 needs 3.06

    def exact(rate: float, factor: float) -> float:
        return math.log(factor) / (-2 * math.log(abs(1 - rate)))

    def each(steps: Callable[[float, float], float]) -> list[float]:
        return [steps(rate, factor) for rate, factor in cases]

    too_short = "You take the rate itself: each step multiplies the error by 1 - rate."
    negative = "A number of steps is not negative: the logarithm of a number below 1 is."
    slips = [
        Slip(
            crash("math domain|positive input|NaN|complex"),
            "From a rate of 1 on, 1 - rate is negative and has no logarithm: only its size |1 - rate| counts.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil(2 * exact(rate, factor))),
            "This is the number of steps for the error. The loss is the error squared: it falls faster.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil(exact(rate, factor) / 2)),
            "The loss is the error squared: that is one factor of 2, and you have two of them.",
        ),
        Slip(
            each(lambda rate, factor: math.floor(exact(rate, factor))),
            "One step short: the loss is still a little too large. Which way must you round?",
        ),
        Slip(
            each(lambda rate, factor: round(exact(rate, factor))),
            "You round to the nearest number: below it the loss is still a little too large.",
        ),
        Slip(
            each(lambda rate, factor: math.floor(exact(rate, factor)) + 1),
            "One step too many if the formula gives a whole number: that number is enough.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil(exact(rate, factor)) + 1),
            "One step too many: L_k is the loss after k steps, the start has k = 0.",
        ),
        Slip(each(lambda rate, factor: -math.ceil(exact(rate, factor))), negative),
        Slip(each(lambda rate, factor: math.ceil(-exact(rate, factor))), negative),
        Slip(each(lambda rate, factor: math.ceil(math.log(factor) / (-2 * math.log(rate)))), too_short),
        Slip(each(lambda rate, factor: math.ceil(math.log(factor) / (2 * rate))), too_short),
        Slip(
            each(lambda rate, factor: math.ceil(math.log10(factor) / (-2 * math.log(abs(1 - rate))))),
            "Two kinds of logarithm: above and below the line must stand the same one.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil(factor / (-2 * math.log(abs(1 - rate))))),
            "The logarithm of the factor is missing: k is an exponent, take the logarithm of both sides.",
        ),
        Slip(lambda answers: any(k != int(k) for k in answers), "There are no parts of a step: give a whole number."),
    ]
    praise = "A rate of 0.02 needs 171 steps; a rate of 0.3 needs 10."
    right = each(lambda rate, factor: math.ceil(exact(rate, factor)))
    return compare(lambda: [mine(*case) for case in cases], right, slips, praise, cases)


def finite_difference(mine: Callable[[Loss, Tensor, Place, float], Any]) -> Verdict:
    """Exercise 2: the derivative of a loss by one pixel value, as `central_difference` computes it."""
    image = torch.linspace(0, 1, 60, dtype=torch.float64).reshape(1, 3, 4, 5)
    place, h = (0, 1, 2, 3), 0.1  # large, so that one-sided and two-sided differences are not equal

    def loss(x: Tensor) -> Tensor:
        return torch.sin(3 * x).sum()

    def answer() -> Any:
        given = image.clone()
        slope = mine(loss, given, place, h)
        unchanged(given, image)
        return slope

    def loss_with(value: float) -> float:
        moved = image.clone()
        moved[place] = value
        return loss(moved).item()

    x = image[place].item()
    up, here, down = loss_with(x + h), loss(image).item(), loss_with(x - h)
    one_sided = "You step to one side only. If you step to both, the error is of order h squared instead of h."
    not_moved = "One of the two is still the image itself, but you divide by 2 h: a step of h down from +h leads to 0."
    slips = [
        Slip((up - down) / h, "Too large by a factor of 2: how far apart are the two points at which you evaluate?"),
        Slip(up - down, "That is the rise. A slope is the rise divided by something."),
        Slip((up - down) / 2, "You divide by 2. By which distance should the rise be divided?"),
        Slip((up - down) / 2 * h, "`/ 2 * h` divides by 2 and then multiplies by h: it needs parentheses."),
        Slip((down - up) / (2 * h), "The sign is wrong: which of the two values is subtracted from which?"),
        Slip((up - here) / h, one_sided),
        Slip((here - down) / h, one_sided),
        Slip((up - here) / (2 * h), not_moved),
        Slip((here - down) / (2 * h), not_moved),
        Slip(0.0, "Both losses are equal: two names for one tensor? Each of the two points needs its own `clone()`."),
        Slip(up - down / (2 * h), "Only the second value is divided: the difference needs parentheses."),
        Slip(
            (loss_with(h) - loss_with(-h)) / (2 * h),
            "The value at `place` becomes h. It should change by h: `+=`, `-=`.",
        ),
        Slip(
            (loss_with(x * (1 + h)) - loss_with(x * (1 - h))) / (2 * h),
            "The value is multiplied. It should move by h, however large it is.",
        ),
        Slip((up + down) / (2 * h), "You add the two values. A slope is made of their difference."),
        Slip(
            (loss(image + h) - loss(image - h)).item() / (2 * h),
            "All pixels were moved. Move only the value at `place`.",
        ),
        Slip(
            3 * torch.cos(3 * image[place]),
            "This is the exact derivative. The judge does not ask autograd, and uses the h it is given.",
        ),
    ]
    right = central_difference(loss, image, place, h)
    return compare(answer, right, slips, "With this you can check any gradient.")


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
        unchanged(given, x)
        return stepped

    step = x - rate * g
    clamped_gradient = "You clamp the gradient. It is the image that must stay in [0, 1]."
    stretched = "This bends or stretches the whole image. Only the values outside of [0, 1] should change."
    slips = [
        Slip(step, "Some values have left [0, 1]. If you clamp: does anything change after it?"),
        Slip(step.clamp(min=0), "Values above 1 are still there: the box has two ends."),
        Slip(step.clamp(max=1), "Values below 0 are still there: the box has two ends."),
        Slip((x + rate * g).clamp(0, 1), "You go uphill: the loss grows in the direction of the gradient."),
        Slip(x + rate * g, "You go uphill, and nothing keeps the image in [0, 1]."),
        Slip(x - rate * g.clamp(0, 1), clamped_gradient),
        Slip(x - rate * g.clamp(-1, 1), clamped_gradient),
        Slip((x - rate * g.clamp(0, 1)).clamp(0, 1), clamped_gradient),
        Slip(step.clamp(-1, 1), "You clamp to [-1, 1]. Pixels lie between 0 and 1."),
        Slip(
            torch.where((step < 0) | (step > 1), x, step),
            "You take back the steps that leave [0, 1]. A pixel should go as far as the border.",
        ),
        Slip((x - g).clamp(0, 1), "The rate is missing."),
        Slip((x - g / rate).clamp(0, 1), "You divide by the rate: a larger rate should make a longer step."),
        Slip((-rate * g).clamp(0, 1), "This is the step alone. Where does it start?"),
        Slip(x, "Nothing has moved."),
        Slip((step - step.min()) / (step.max() - step.min()), stretched),
        Slip(step.sigmoid(), stretched),
    ]
    return compare(answer, step.clamp(0, 1), slips, "Every optimizer of this package ends its steps in this way.")


def total_variation_gradient(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 4: the gradient of the total variation, without autograd.

    L = 1/2 sum over neighbors (x_a - x_b)^2,   dL/dx_a = sum over the neighbors b of a  (x_a - x_b)
    """
    x = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    down, across = x.diff(dim=2), x.diff(dim=3)

    def gradient(down: Tensor = down, across: Tensor = across, first: float = -1.0, second: float = 1.0) -> Tensor:
        """The sum of all differences x_b - x_a, b after a, times `first` at place a and times `second` at place b."""
        g = torch.zeros_like(x)
        g[:, :, 1:] += second * down
        g[:, :, :-1] += first * down
        g[:, :, :, 1:] += second * across
        g[:, :, :, :-1] += first * across
        return g

    def padded(mode: str) -> Tensor:
        """4 x minus the four neighbors, where the picture is continued beyond its border in some way."""
        p = pad(x, (1, 1, 1, 1), mode)
        return 4 * x - p[:, :, 2:, 1:-1] - p[:, :, :-2, 1:-1] - p[:, :, 1:-1, 2:] - p[:, :, 1:-1, :-2]

    one_side = "Every pixel has neighbors {} it, too: each difference acts on both of its pixels."
    inside = torch.zeros_like(x)
    inside[:, :, 1:-1, 1:-1] = gradient()[:, :, 1:-1, 1:-1]
    slips = [
        Slip(AUTOGRAD, "You ask autograd. Write the sum over the neighbors yourself."),
        Slip(2 * gradient(), "Too large by a factor of 2: the loss begins with a half."),
        Slip(gradient() / 2, "Too small by a factor of 2: the square gives a 2, which cancels the half already."),
        Slip(-gradient(), "The sign is wrong: a pixel brighter than its neighbors must become darker."),
        Slip(gradient(first=0.0), one_side.format("after")),
        Slip(gradient(second=0.0), one_side.format("before")),
        Slip(gradient(first=1.0), "A difference acts on its two pixels with opposite signs."),
        Slip(gradient(across=0 * across), "The neighbors to the left and right are missing."),
        Slip(gradient(down=0 * down), "The neighbors above and below are missing."),
        Slip(
            gradient(down.sign(), across.sign()), "Each neighbor pulls with the difference itself, not with its sign."
        ),
        Slip(
            padded("circular"),
            "Your border pixels have neighbors on the other side of the picture. They should have fewer.",
        ),
        Slip(
            padded("constant"),
            "Beyond the border you have padded with zeros, black pixels that pull. There is no neighbor at all.",
        ),
        Slip(
            padded("reflect"), "You reflect at the border: the neighbor inside pulls twice there. It should do so once."
        ),
        Slip(
            gradient()[:, :, 1:-1, 1:-1], "The border is missing. A pixel there has three neighbors, in a corner two."
        ),
        Slip(inside, "The border is left at 0. A pixel there has three neighbors, in a corner two."),
        Slip(
            (down.square().sum() + across.square().sum()) / 2,
            "This is the total variation, one number. Its gradient has one number for each pixel value.",
        ),
    ]
    praise = (
        "Inside the picture it is 4 x minus the four neighbors, the discrete Laplacian. Notebook 07 has a larger one."
    )
    return compare(lambda: by_hand(mine, x.clone()), gradient(), slips, praise)
