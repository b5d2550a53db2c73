"""The self-checks of notebook 01: right answers pass, and likely slips get the hint that names them."""

import math

import pytest
import torch
from torch.nn.functional import conv2d, pad
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import pixels as check


def steps(loss_factor=2, rounded=math.ceil, left=lambda rate: abs(1 - rate), log=math.log):
    return lambda rate, factor: rounded(log(factor) / (-loss_factor * math.log(left(rate))))


def difference(loss, image, place, up, down, over):
    a, b = image.clone(), image.clone()
    a[place] += up
    b[place] -= down
    return (loss(a) - loss(b)) / over


def plus(image, place, change):
    moved = image.clone()
    moved[place] += change
    return moved


def in_place(loss, image, place, h):
    image[place] += h
    up = loss(image)
    image[place] -= 2 * h
    return (up - loss(image)) / (2 * h)


def one_clone(loss, image, place, h):
    up = down = image.clone()
    up[place] += h
    down[place] -= h
    return (loss(up) - loss(down)) / (2 * h)


def a_step_too_short(loss, image, place, h):
    moved = image.clone()
    moved[place] += h
    up = loss(moved)
    moved[place] -= h
    return (up - loss(moved)) / (2 * h)


def by_autograd(loss, image, place, h):
    image = image.clone().requires_grad_()
    return torch.autograd.grad(loss(image), image)[0][place]


def stay(x, g, rate):
    step = x - rate * g
    return torch.where((step < 0) | (step > 1), x, step)


def variation_gradient(x, factor=0.5):
    """The right gradient, times 2 factor, by way of a padding that repeats the border."""
    return 2 * factor * padded(x, "replicate")


def padded(x, mode):
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).expand(3, 1, 3, 3)
    return conv2d(pad(x, (1, 1, 1, 1), mode), kernel, groups=3)


def variation_by_autograd(x):
    x = x.requires_grad_()
    loss = 0.5 * (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum())
    return torch.autograd.grad(loss, x)[0]


def to_the_next_only(x):
    g = torch.zeros_like(x)
    g[:, :, :-1] -= x.diff(dim=2)
    g[:, :, :, :-1] -= x.diff(dim=3)
    return g


def to_the_last_only(x):
    g = torch.zeros_like(x)
    g[:, :, 1:] += x.diff(dim=2)
    g[:, :, :, 1:] += x.diff(dim=3)
    return g


def along(x, dim):
    d = x.diff(dim=dim)
    zero = torch.zeros_like(x.narrow(dim, 0, 1))
    return torch.cat([zero, d], dim) - torch.cat([d, zero], dim)


def inside_only(x):
    g = torch.zeros_like(x)
    g[:, :, 1:-1, 1:-1] = variation_gradient(x)[:, :, 1:-1, 1:-1]
    return g


def around_the_torus(x):
    return 4 * x - x.roll(1, 2) - x.roll(-1, 2) - x.roll(1, 3) - x.roll(-1, 3)


RIGHT = [
    (check.steps_needed, steps()),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 2 * h)),
    (check.finite_difference, check.central_difference),
    (check.projected_step, lambda x, g, rate: torch.clamp(x - rate * g, 0, 1)),
    (check.total_variation_gradient, variation_gradient),
    (check.total_variation_gradient, lambda x: along(x, 2) + along(x, 3)),
]
WRONG = [
    (check.steps_needed, steps(left=lambda rate: 1 - rate), "only its size |1 - rate| counts"),
    (
        check.steps_needed,
        lambda rate, factor: math.ceil(math.log(factor) / (-2 * torch.tensor(1 - rate).log())),
        "only its size |1 - rate| counts",
    ),
    (check.steps_needed, steps(loss_factor=1), "error squared: it falls faster"),
    (check.steps_needed, steps(loss_factor=4), "one factor of 2, and you have two"),
    (check.steps_needed, steps(rounded=math.floor), "One step short"),
    (check.steps_needed, steps(rounded=round), "round to the nearest"),
    (check.steps_needed, steps(rounded=lambda k: int(k) + 1), "if the formula gives a whole number"),
    (check.steps_needed, steps(rounded=lambda k: math.ceil(k) + 1), "L_k is the loss after k steps"),
    (check.steps_needed, steps(rounded=float), "give a whole number"),
    (check.steps_needed, steps(loss_factor=-2), "not negative"),
    (check.steps_needed, lambda rate, factor: -steps()(rate, factor), "not negative"),
    (check.steps_needed, steps(left=lambda rate: rate), "by 1 - rate"),
    (check.steps_needed, lambda rate, factor: math.ceil(math.log(factor) / (2 * rate)), "by 1 - rate"),
    (check.steps_needed, steps(log=math.log10), "Two kinds of logarithm"),
    (check.steps_needed, steps(log=float), "logarithm of the factor is missing"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, h), "how far apart"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 1), "That is the rise"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 2), "You divide by 2. By which"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 2) * h, "parentheses"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, 0, h, h), "one side only"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, 0, h), "one side only"),
    (check.finite_difference, lambda f, x, p, h: f(plus(x, p, h)) - f(plus(x, p, -h)) / (2 * h), "needs parentheses"),
    (check.finite_difference, lambda f, x, p, h: (f(plus(x, p, h)) + f(plus(x, p, -h))) / (2 * h), "You add the two"),
    (
        check.finite_difference,
        lambda f, x, p, h: difference(f, x, p, h - x[p], h + x[p], 2 * h),
        "The value at `place` becomes h",
    ),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h * x[p], h * x[p], 2 * h), "is multiplied"),
    (check.finite_difference, a_step_too_short, "from +h leads to 0"),
    (check.finite_difference, one_clone, "two names for one tensor"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, -h, -h, 2 * h), "sign is wrong"),
    (check.finite_difference, lambda f, x, p, h: (f(x + h) - f(x - h)) / (2 * h), "All pixels were moved"),
    (
        check.finite_difference,
        lambda f, x, p, h: (f(x + h * (x == x[p])) - f(x - h * (x == x[p]))) / (2 * h),
        "Every pixel with that value",
    ),
    (check.finite_difference, by_autograd, "does not ask autograd"),
    (check.finite_difference, in_place, "has changed. Work on a copy"),
    (
        check.finite_difference,
        lambda f, x, p, h: (f(x[p] + h) - f(x[p] - h)) / (2 * h),
        "one pixel alone",
    ),
    (check.steps_needed, lambda rate, factor: steps()(rate, factor) - 1, "count them once more"),
    (check.steps_needed, steps(loss_factor=1, rounded=math.floor), "rounded down"),
    (check.steps_needed, lambda rate, factor: math.ceil((1 - 1 / factor) / rate), "a share of what is left"),
    (check.steps_needed, lambda rate, factor: math.ceil(1 / steps(rounded=float)(rate, factor)), "Upside down"),
    (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, h**2), "h squared"),
    (
        check.finite_difference,
        lambda f, x, p, h: (f(plus(x, p, h)) - 2 * f(x) + f(plus(x, p, -h))) / h**2,
        "second derivative",
    ),
    (check.finite_difference, lambda f, x, p, h: (f(x + h) - f(x)) / h, "to one side. Move"),
    (check.finite_difference, lambda f, x, p, h: f(plus(x, p, h)) / f(plus(x, p, -h)), "a quotient of losses"),
    (
        check.projected_step,
        lambda x, g, rate: torch.where((x - rate * g - 0.5).abs() > 0.5, 0.0, x - rate * g),
        "to 0. What is above",
    ),
    (check.projected_step, lambda x, g, rate: (x - rate * g) % 1, "at the other end"),
    (check.projected_step, lambda x, g, rate: (x - rate * g.sign()).clamp(0, 1), "sign of the gradient"),
    (check.projected_step, lambda x, g, rate: (rate * g - x).clamp(0, 1), "subtracted from the image"),
    (check.projected_step, lambda x, g, rate: (x - rate * g).abs().clamp(max=1), "not mirrored"),
    (check.projected_step, lambda x, g, rate: x - (rate * g).clamp(0, 1), "You clamp the step"),
    (check.total_variation_gradient, lambda x: 4 * x - variation_gradient(x), "the neighbors alone"),
    (check.total_variation_gradient, lambda x: variation_gradient(x) / x.numel(), "of a mean"),
    (check.total_variation_gradient, lambda x: along(x, 2) - along(x, 3), "added, not subtracted"),
    (check.total_variation_gradient, lambda x: variation_gradient(x) + 0 * x.mul_(2), "has changed"),
    (check.projected_step, lambda x, g, rate: (x - g.mul_(rate)).clamp(0, 1), "has changed"),
    (check.projected_step, lambda x, g, rate: x - rate * g, "have left [0, 1]"),
    (check.projected_step, lambda x, g, rate: x.clamp(0, 1) - rate * g, "does anything change after it"),
    (check.projected_step, lambda x, g, rate: (x - rate * g).clamp(min=0), "Values above 1"),
    (check.projected_step, lambda x, g, rate: (x - rate * g).clamp(max=1), "Values below 0"),
    (check.projected_step, lambda x, g, rate: (x + rate * g).clamp(0, 1), "uphill: the loss"),
    (check.projected_step, lambda x, g, rate: x + rate * g, "uphill, and nothing keeps"),
    (check.projected_step, lambda x, g, rate: x - rate * g.clamp(0, 1), "You clamp the gradient"),
    (check.projected_step, lambda x, g, rate: (x - rate * g).clamp(-1, 1), "You clamp to [-1, 1]"),
    (check.projected_step, stay, "go as far as the border"),
    (check.projected_step, lambda x, g, rate: (x - g).clamp(0, 1), "rate is missing"),
    (check.projected_step, lambda x, g, rate: (x - g / rate).clamp(0, 1), "divide by the rate"),
    (check.projected_step, lambda x, g, rate: (-rate * g).clamp(0, 1), "the step alone"),
    (check.projected_step, lambda x, g, rate: torch.sigmoid(x - rate * g), "stretches the whole image"),
    (check.projected_step, lambda x, g, rate: x, "Nothing has moved"),
    (check.projected_step, lambda x, g, rate: x.sub_(rate * g).clamp_(0, 1), "has changed"),
    (check.total_variation_gradient, lambda x: variation_gradient(x, 1), "begins with a half"),
    (check.total_variation_gradient, lambda x: variation_gradient(x, 0.25), "cancels the half already"),
    (check.total_variation_gradient, lambda x: -variation_gradient(x), "must become darker"),
    (check.total_variation_gradient, to_the_next_only, "neighbors before it"),
    (check.total_variation_gradient, to_the_last_only, "neighbors after it"),
    (check.total_variation_gradient, lambda x: along(x, 2), "left and right are missing"),
    (check.total_variation_gradient, lambda x: along(x, 3), "above and below are missing"),
    (check.total_variation_gradient, around_the_torus, "other side of the picture"),
    (check.total_variation_gradient, lambda x: padded(x, "constant"), "padded with zeros"),
    (check.total_variation_gradient, lambda x: padded(x, "reflect"), "pulls twice"),
    (check.total_variation_gradient, inside_only, "border is left at 0"),
    (check.total_variation_gradient, variation_by_autograd, "You ask autograd"),
    (
        check.total_variation_gradient,
        lambda x: 0.5 * sum(x.diff(dim=dim).square().sum() for dim in (2, 3)),
        "This is the total variation, one number",
    ),
]


def test_gradient_gap_is_tiny_for_autograd_and_large_for_a_wrong_gradient():
    class WrongSquare(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square().sum()

        @staticmethod
        def backward(ctx, upstream):
            return upstream * ctx.saved_tensors[0]  # the 2 is forgotten

    image = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert check.gradient_gap(lambda x: x.square().sum(), image) < 1e-7
    assert check.gradient_gap(WrongSquare.apply, image) > 0.1


def test_gradient_gap_asks_for_float64():
    with pytest.raises(ValueError, match="float64"):
        check.gradient_gap(lambda x: x.sum(), torch.rand(1, 3, 4, 4))
