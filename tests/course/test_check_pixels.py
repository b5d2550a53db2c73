"""The self-checks of notebook 01: right answers pass, and likely slips get the hint that names them."""

import math

import pytest
import torch

from nstlab.course.check import pixels as check


def steps(loss_factor=2, rounded=math.ceil):
    return lambda rate, factor: rounded(math.log(factor) / (-loss_factor * math.log(abs(1 - rate))))


def difference(loss, image, place, up, down, over):
    a, b = image.clone(), image.clone()
    a[place] += up
    b[place] -= down
    return (loss(a) - loss(b)) / over


def in_place(loss, image, place, h):
    image[place] += h
    up = loss(image)
    image[place] -= 2 * h
    return (up - loss(image)) / (2 * h)


def variation_gradient(x, factor=1.0):
    x = x.requires_grad_()
    loss = factor * (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum())
    return torch.autograd.grad(loss, x)[0]


def to_the_next_only(x):
    g = torch.zeros_like(x)
    g[:, :, :-1] -= x.diff(dim=2)
    g[:, :, :, :-1] -= x.diff(dim=3)
    return g


def around_the_torus(x):
    return 4 * x - x.roll(1, 2) - x.roll(-1, 2) - x.roll(1, 3) - x.roll(-1, 3)


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (check.steps_needed, steps()),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 2 * h)),
        (check.finite_difference, check.central_difference),
        (check.projected_step, lambda x, g, rate: torch.clamp(x - rate * g, 0, 1)),
        (check.total_variation_gradient, lambda x: variation_gradient(x, 0.5)),
    ],
)
def test_the_right_answer_passes(verdict, answer):
    assert verdict(answer).passed, verdict(answer)


@pytest.mark.parametrize(
    ("verdict", "answer", "hint"),
    [
        (check.steps_needed, steps(loss_factor=1), "error squared"),
        (check.steps_needed, steps(rounded=math.floor), "short"),
        (check.steps_needed, steps(rounded=lambda k: int(k) + 1), "too many"),
        (check.steps_needed, steps(rounded=float), "give a whole number"),
        (check.steps_needed, lambda rate, factor: -steps()(rate, factor), "sign"),
        (
            check.steps_needed,
            lambda rate, factor: math.ceil(math.log(factor) / (-2 * math.log(1 - rate))),
            "stops with",
        ),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, h), "how far apart"),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, h, 1), "the rise"),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, h, 0, h), "one side"),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, 0, h, h), "one side"),
        (check.finite_difference, lambda f, x, p, h: difference(f, x, p, -h, -h, 2 * h), "sign"),
        (check.finite_difference, lambda f, x, p, h: (f(x + h) - f(x - h)) / (2 * h), "All pixels"),
        (check.finite_difference, in_place, "clone"),
        (check.projected_step, lambda x, g, rate: x - rate * g, "left [0, 1]"),
        (check.projected_step, lambda x, g, rate: (x + rate * g).clamp(0, 1), "uphill"),
        (check.projected_step, lambda x, g, rate: x.clamp(0, 1) - rate * g, "after it"),
        (check.projected_step, lambda x, g, rate: x - rate * g.clamp(0, 1), "the gradient"),
        (check.projected_step, lambda x, g, rate: (x - g).clamp(0, 1), "rate"),
        (check.projected_step, lambda x, g, rate: x.sub_(rate * g).clamp_(0, 1), "has changed"),
        (check.total_variation_gradient, variation_gradient, "half"),
        (check.total_variation_gradient, lambda x: -variation_gradient(x, 0.5), "sign"),
        (check.total_variation_gradient, to_the_next_only, "before it"),
        (check.total_variation_gradient, around_the_torus, "other side of the picture"),
    ],
)
def test_a_likely_slip_fails_with_the_hint_that_names_it(verdict, answer, hint):
    assert not verdict(answer).passed
    assert hint in verdict(answer).message


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
