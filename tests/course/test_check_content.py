"""The self-checks of notebook 03: right answers pass, and likely slips get the hint that names them."""

import pytest
import torch
from torch.nn.functional import mse_loss

from nstlab.course.check import content as check


def gradient_by_autograd(F, P):
    Z = torch.where(F > 0, F, -1.0).requires_grad_()
    return torch.autograd.grad((Z.relu() - P).square().sum() / 2, Z)[0]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (check.content_loss, lambda F, P: (F - P).square().sum() / 2),
        (check.content_loss, lambda F, P: 0.5 * ((F - P) ** 2).sum().item()),
        (check.content_loss, lambda F, P: mse_loss(F, P, reduction="sum") / 2),
        (check.content_gradient, lambda F, P: torch.where(F > 0, F - P, 0.0)),
        (check.content_gradient, gradient_by_autograd),
        (check.silent_share, lambda F, P: (P[F == 0].square().sum() / (F - P).square().sum()).item()),
        (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[1] * P.shape[2] * P.shape[3]),
    ],
)
def test_the_right_answer_passes(verdict, answer):
    assert verdict(answer).passed, verdict(answer)


@pytest.mark.parametrize(
    ("verdict", "answer", "hint"),
    [
        (check.content_loss, lambda F, P: (F - P).square().sum(), "factor of 2"),
        (check.content_loss, mse_loss, "mean of the squares"),
        (check.content_loss, lambda F, P: mse_loss(F, P) / 2, "a mean over maps and places"),
        (check.content_loss, lambda F, P: (F - P).sum() / 2, "cancel"),
        (check.content_loss, lambda F, P: (F - P).abs().sum() / 2, "absolute"),
        (check.content_loss, lambda F, P: (F - P).sum() ** 2 / 2, "sums the squares"),
        (check.content_loss, lambda F, P: (F - P).norm(), "square root"),
        (check.content_loss, lambda F, P: (F**2 - P**2).sum() / 2, "their difference"),
        (check.content_loss, lambda F, P: (F - P) ** 2 / 2, "each response"),
        (check.content_loss, lambda F, P: None, "return"),
        (check.content_loss, lambda F, P: (F - P).square().total(), "stops with AttributeError"),
        (check.content_gradient, lambda F, P: F - P, "set to 0"),
        (check.content_gradient, lambda F, P: (P - F) * (F > 0), "sign"),
        (check.content_gradient, lambda F, P: P - F, "sign"),
        (check.content_gradient, lambda F, P: 2 * (F - P) * (F > 0), "factor of 2"),
        (check.content_gradient, lambda F, P: 2 * (F - P), "factor of 2"),
        (check.content_gradient, lambda F, P: (F - P) * (P > 0), "Your mask is P"),
        (check.content_gradient, lambda F, P: (F - P).relu(), "too weak has a gradient"),
        (check.content_gradient, lambda F, P: (F - P) * (F > 0) / F.numel(), "of the mean"),
        (check.content_gradient, lambda F, P: (F > 0).float(), "This is the mask"),
        (check.content_gradient, lambda F, P: ((F - P) * (F > 0)).flatten(1), "shape"),
        (check.silent_share, lambda F, P: (F == 0).float().mean(), "share of the responses"),
        (check.silent_share, lambda F, P: (F - P)[F > 0].square().sum() / (F - P).square().sum(), "the other one"),
        (check.silent_share, lambda F, P: (F - P)[F == 0].square().sum(), "divide by the whole"),
        (check.silent_share, lambda F, P: (F - P)[F == 0].square().sum() / 2, "divide by the whole"),
        (check.silent_share, lambda F, P: (F - P)[P == 0].square().sum() / (F - P).square().sum(), "where P is silent"),
        (check.silent_share, lambda F, P: 100 * P[F == 0].square().sum() / (F - P).square().sum(), "percentage"),
        (check.silent_share, lambda F, P: P[F == 0].square().mean() / (F - P).square().mean(), "Compare sums"),
        (check.weight_on_the_mean, lambda alpha, P: alpha / P.numel(), "wrong way round"),
        (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[2] * P.shape[3], "over maps, too"),
        (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[1], "over places, too"),
        (check.weight_on_the_mean, lambda alpha, P: alpha * P.numel() / 2, "The half"),
        (check.weight_on_the_mean, lambda alpha, P: P.numel(), "becomes of alpha"),
        (check.weight_on_the_mean, lambda alpha, P: alpha, "By which factor"),
    ],
)
def test_a_likely_slip_fails_with_the_hint_that_names_it(verdict, answer, hint):
    assert not verdict(answer).passed
    assert hint in verdict(answer).message
