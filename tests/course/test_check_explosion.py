"""The self-checks of notebook 08: right answers pass, and likely slips get the hint that names them."""

import pytest
import torch

from nstlab.course.check import explosion as check


def energy_after(mu, share, step, weight, k, two=2, square=2):
    return (mu * share * (1 - two * step * weight * mu) ** (square * k)).sum()


def conjugate_gradients(times_M, x, weight, iterations, steepest=False):
    y, r = x.clone(), -weight * times_M(x)
    d = r
    for _ in range(iterations):
        Ad = d + weight * times_M(d)
        rr = (r * r).sum()
        a = rr / (d * Ad).sum()
        y, r = y + a * d, r - a * Ad
        d = r if steepest else r + (r * r).sum() / rr * d
    return y


def in_place(times_M, x, weight, iterations):
    return x.add_(1)


def wasteful(times_M, x, weight, iterations):
    for _ in range(5):
        times_M(x)
    return conjugate_gradients(times_M, x, weight, iterations)


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (check.stable_step, lambda weight, largest: 1 / (weight * largest)),
        (check.energy_after, energy_after),
        (check.conjugate_gradients, conjugate_gradients),
    ],
)
def test_the_right_answer_passes(verdict, answer):
    assert verdict(answer).passed, verdict(answer)


@pytest.mark.parametrize(
    ("verdict", "answer", "hint"),
    [
        (check.stable_step, lambda weight, largest: 1 / largest, "Lambda is missing"),
        (check.stable_step, lambda weight, largest: 2 / (weight * largest), "has a 2 in it"),
        (check.stable_step, lambda weight, largest: 0.5 / (weight * largest), "below 0"),
        (check.stable_step, lambda weight, largest: 1 / weight, "eigenvalue is missing"),
        (check.energy_after, lambda *a: energy_after(*a, square=1), "square of each"),
        (check.energy_after, lambda *a: energy_after(*a, two=1), "has a 2 in it"),
        (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c.square(), s, w, k), "already"),
        (check.energy_after, lambda mu, c, s, w, k: (c * (1 - 2 * s * w * mu) ** (2 * k)).sum(), "weighted by mu"),
        (check.energy_after, lambda mu, c, s, w, k: w * energy_after(mu, c, s, w, k), "not weighted"),
        (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n - 1), "One iteration is missing"),
        (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n + 1), "too many"),
        (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n, steepest=True), "the old one"),
        (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, 60), "exact solution"),
        (check.conjugate_gradients, lambda M, x, w, n: x, "nothing was solved"),
        (check.conjugate_gradients, in_place, "clone"),
    ],
)
def test_a_likely_slip_fails_with_the_hint_that_names_it(verdict, answer, hint):
    assert not verdict(answer).passed
    assert hint in verdict(answer).message


def test_wasted_products_are_noticed():
    assert check.conjugate_gradients(wasteful).passed
    assert "keep what you computed" in check.conjugate_gradients(wasteful).message


def test_conjugate_gradients_of_the_check_solve_the_system():
    M = torch.diag(torch.tensor([0.0, 1.0, 2.0, 4.0], dtype=torch.float64))
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    y = conjugate_gradients(lambda v: (M @ v.flatten()).view_as(v), x, 3.0, 4)
    assert torch.allclose(y.flatten(), 1 / (1 + 3.0 * M.diag()))
