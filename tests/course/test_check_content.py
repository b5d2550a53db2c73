"""The self-checks of notebook 03: right answers pass, and likely slips get the hint that names them."""

import torch
from torch.nn.functional import mse_loss
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import content as check


def gradient_by_autograd(F, P):
    Z = torch.where(F > 0, F, -1.0).requires_grad_()
    return torch.autograd.grad((Z.relu() - P).square().sum() / 2, Z)[0]


RIGHT = [
    (check.content_loss, lambda F, P: (F - P).square().sum() / 2),
    (check.content_loss, lambda F, P: 0.5 * ((F - P) ** 2).sum().item()),
    (check.content_loss, lambda F, P: mse_loss(F, P, reduction="sum") / 2),
    (check.content_gradient, lambda F, P: torch.where(F > 0, F - P, 0.0)),
    (check.silent_share, lambda F, P: (P[F == 0].square().sum() / (F - P).square().sum()).item()),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[1] * P.shape[2] * P.shape[3]),
]
WRONG = [
    (check.content_loss, lambda F, P: (F - P).square().sum(), "factor of 2"),
    (check.content_loss, mse_loss, "mean of the squares"),
    (check.content_loss, lambda F, P: mse_loss(F, P) / 2, "a mean over maps and places"),
    (check.content_loss, lambda F, P: (F - P).sum() / 2, "cancel"),
    (check.content_loss, lambda F, P: (F - P).abs().sum() / 2, "absolute"),
    (check.content_loss, lambda F, P: (F - P).sum() ** 2 / 2, "sums the squares"),
    (check.content_loss, lambda F, P: (F - P).norm(), "square root"),
    (check.content_loss, lambda F, P: (F**2 - P**2).sum() / 2, "their difference"),
    (check.content_loss, lambda F, P: (F - P) ** 2 / 2, "each response"),
    (check.content_loss, lambda F, P: None, "`return`"),
    (check.content_loss, lambda F, P: (F - P).square().total(), "There is nothing of this name"),
    (check.content_loss, lambda F, P: ((F - P).square() * (F > 0)).sum() / 2, "leave out the silent"),
    (check.content_loss, lambda F, P: (F - P).square().sum() / P.square().sum(), "divide by the content"),
    (check.content_loss, lambda F, P: ((F - P) / 2).square().sum(), "The half is in it twice"),
    (check.content_loss, lambda F, P: (F + P).square().sum() / 2, "where is the minus"),
    (check.content_gradient, lambda F, P: (F - P) * (F == 0), "mask is turned around"),
    (check.content_gradient, lambda F, P: (F - P) * (F > 0) * (P > 0), "One mask too many"),
    (check.content_gradient, lambda F, P: (F - P).abs() * (F > 0), "The sign is lost"),
    (check.content_gradient, lambda F, P: (F - P) * (F > 0) / 2, "cancels the half"),
    (check.content_gradient, lambda F, P: (F - P)[F > 0], "Keep all"),
    (check.content_gradient, lambda F, P: F - P if F > 0 else 0, "`if` takes one truth value"),
    (check.content_gradient, lambda F, P: F - P, "set to 0"),
    (check.content_gradient, lambda F, P: (P - F) * (F > 0), "a larger F makes the loss larger"),
    (check.content_gradient, lambda F, P: P - F, "sign is wrong, and the second case"),
    (check.content_gradient, lambda F, P: 2 * (F - P) * (F > 0), "a factor in equation 1 cancels"),
    (check.content_gradient, lambda F, P: 2 * (F - P), "factor of 2, and the second case"),
    (check.content_gradient, lambda F, P: (F - P) * (P > 0), "Your mask is P"),
    (check.content_gradient, lambda F, P: (F - P).relu(), "too weak has a gradient"),
    (check.content_gradient, lambda F, P: (F - P) * (F > 0) / F.numel(), "of the mean"),
    (check.content_gradient, lambda F, P: (F > 0).float(), "This is the mask"),
    (check.content_gradient, lambda F, P: ((F - P) * (F > 0)).square() / 2, "A derivative has no square"),
    (check.content_gradient, mse_loss, "This is a loss"),
    (check.content_gradient, gradient_by_autograd, "You ask autograd"),
    (check.content_gradient, lambda F, P: ((F - P) * (F > 0)).flatten(1), "Return them in the shape (1, 3, 4, 5)"),
    (check.silent_share, lambda F, P: (F == 0).float().mean(), "share of the responses"),
    (check.silent_share, lambda F, P: (F == 0).sum(), "number of silent responses"),
    (check.silent_share, lambda F, P: (F - P).square().sum() / P[F == 0].square().sum(), "Upside down"),
    (check.silent_share, lambda F, P: P[F == 0].square().sum() / 2 / (F - P).square().sum(), "it stands in both"),
    (check.silent_share, lambda F, P: P[F == 0].square().sum() / P.square().sum(), "You divide by the squares of P"),
    (check.silent_share, lambda F, P: (F - P)[F > 0].square().sum() / (F - P).square().sum(), "the other one"),
    (check.silent_share, lambda F, P: (F - P)[F == 0].square().sum(), "divide by the whole"),
    (check.silent_share, lambda F, P: (F - P)[F == 0].square().sum() / 2, "divide by the whole"),
    (check.silent_share, lambda F, P: (F - P)[P == 0].square().sum() / (F - P).square().sum(), "where P is silent"),
    (check.silent_share, lambda F, P: 100 * P[F == 0].square().sum() / (F - P).square().sum(), "percentage"),
    (check.silent_share, lambda F, P: P[F == 0].square().mean() / (F - P).square().mean(), "Compare sums"),
    (check.silent_share, lambda F, P: P[F == 0].abs().sum() / (F - P).abs().sum(), "absolute"),
    (check.silent_share, lambda F, P: P[F == 0].square().sum() / (F - P)[F > 0].square().sum(), "the rest"),
    (check.weight_on_the_mean, lambda alpha, P: alpha / P.numel(), "wrong way round"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[2] * P.shape[3], "over maps, too"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[1], "over places, too"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.shape[1] * P.shape[2], "columns"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.numel() / 2, "The half"),
    (check.weight_on_the_mean, lambda alpha, P: P.numel(), "becomes of alpha"),
    (check.weight_on_the_mean, lambda alpha, P: P.numel() / alpha, "into the denominator"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * (6 + 35), "how many responses"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.numel() ** 0.5, "no root"),
    (check.weight_on_the_mean, lambda alpha, P: alpha, "By which factor"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.numel() ** 2, "only once"),
    (check.weight_on_the_mean, lambda alpha, P: alpha * P.square().sum(), "not on their values"),
]
