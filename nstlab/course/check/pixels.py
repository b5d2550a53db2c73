"""The self-checks of notebook 01: descent, finite differences, projection and the gradient of total variation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from nstlab.course.check.finite_differences import central_difference as central_difference  # these three for notebooks
from nstlab.course.check.finite_differences import finite_difference as finite_difference
from nstlab.course.check.finite_differences import gradient_gap as gradient_gap
from nstlab.course.check.verdict import AUTOGRAD, Slip, Verdict, by_hand, called, compare, crash


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
        Slip(each(lambda rate, factor: math.ceil(exact(rate, factor)) - 1), "One step short: count them once more."),
        Slip(
            each(lambda rate, factor: math.floor(2 * exact(rate, factor))),
            "This is the number of steps for the error, rounded down. The loss is the error squared.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil((1 - 1 / factor) / rate)),
            "A step takes a share of what is left, not of the start: the loss falls by a factor each time.",
        ),
        Slip(
            each(lambda rate, factor: math.ceil(1 / exact(rate, factor))),
            "Upside down: a larger factor needs more steps.",
        ),
        Slip(lambda answers: any(k != int(k) for k in answers), "There are no parts of a step: give a whole number."),
    ]
    praise = "A rate of 0.02 needs 171 steps; a rate of 0.3 needs 10."
    right = each(lambda rate, factor: math.ceil(exact(rate, factor)))
    return compare(lambda: [mine(*case) for case in cases], right, slips, praise, cases)


def projected_step(mine: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Exercise 3: one step of gradient descent, projected to the box [0, 1].

    x' = clamp(x - rate g, 0, 1)
    """
    x = torch.tensor([0.1, 0.5, 0.95, 1.0]).reshape(1, 1, 2, 2)
    g = torch.tensor([3.0, -0.4, -2.0, 1.5]).reshape(1, 1, 2, 2)
    rate = 0.5

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
        Slip(
            torch.where((step < 0) | (step > 1), 0.0, step),
            "You set what leaves [0, 1] to 0. What is above 1 becomes 1.",
        ),
        Slip(step % 1, "`%` lets a pixel come in again at the other end. It should stop at the border."),
        Slip((x - rate * g.sign()).clamp(0, 1), "This is the sign of the gradient. Its size counts, too."),
        Slip((rate * g - x).clamp(0, 1), "The sign is wrong: the step is subtracted from the image."),
        Slip(step.abs().clamp(max=1), "A value below 0 becomes 0: it is not mirrored."),
        Slip(x - (rate * g).clamp(0, 1), "You clamp the step. It is the image that must stay in [0, 1]."),
        Slip(x, "Nothing has moved."),
        Slip((step - step.min()) / (step.max() - step.min()), stretched),
        Slip(step.sigmoid(), stretched),
    ]
    praise = "Every optimizer of this package ends its steps in this way."
    return compare(lambda: called(mine, x, g, rate), step.clamp(0, 1), slips, praise)


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
            gradient(down.square(), across.square()),
            "These are squares. Each neighbor pulls with the difference itself.",
        ),
        Slip(4 * x - gradient(), "These are the neighbors alone. What becomes of 4 x?"),
        Slip(gradient() / x.numel(), "This is the gradient of a mean. The loss is a sum."),
        Slip(gradient(across=-across), "The differences of both directions are added, not subtracted."),
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
    return compare(lambda: by_hand(mine, x), gradient(), slips, praise)
