"""The self-checks of notebooks 08 and 09: right answers pass, and likely slips get the hint that names them."""

import torch
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import explosion as check


def energy_after(mu, share, step, weight, k, two=2, square=2):
    return (mu * share * (1 - two * step * weight * mu) ** (square * k)).sum()


def forgotten(slip, place=""):
    """What a slip forgets at a place, "Id" or "lambda": everywhere if it names no place."""
    what, _, where = (slip or "").partition(" in ")
    return what if where in ("", place) else None


def conjugate_gradients(
    times_M,
    x,
    weight,
    iterations,
    slip=None,
    step=lambda r, d, Ad: (r * r).sum() / (d * Ad).sum(),
    turn=lambda r, d, ratio: r + ratio * d,
):
    """The right solution, or that of a slip, of another a or of another last formula."""

    def A(d, forgotten):
        if forgotten == "Id and lambda":
            return times_M(d)
        if forgotten == "Id":
            return weight * times_M(d)
        return d + (1 if forgotten == "lambda" else weight) * times_M(d)

    y = torch.zeros_like(x) if slip in ("zero start", "zero start, old r") else x.clone()
    r = x - A(x if slip == "zero start, old r" else y, forgotten(slip, "the first r"))
    r = -r if slip == "sign of the first r" else r
    d = r
    for _ in range(iterations):
        Ad, old_d = A(d, forgotten(slip)), d.clone()
        rr = (r * r).sum()
        a = step(r, d, A(d, forgotten(slip, "a")))
        if slip == "in place":
            r -= a * Ad
        else:
            r = r + a * Ad if slip == "sign of r" else r - a * Ad
        rr = (r * r).sum() if slip == "r first" else rr
        ratio = rr / (r * r).sum() if slip == "upside down" else (r * r).sum() / rr
        if slip == "steepest":
            d = r
        elif slip != "one direction":
            d = r - ratio * d if slip == "sign of d" else turn(r, d, ratio)
        along = d if slip == "y late" else old_d
        y = y - a * along if slip == "sign of y" else y + a * along
        if slip == "return":
            break
    return y


def slipping(slip):
    return lambda *arguments: conjugate_gradients(*arguments, slip)


def stepping(step):
    return lambda *arguments: conjugate_gradients(*arguments, step=step)


def turning(turn):
    return lambda *arguments: conjugate_gradients(*arguments, turn=turn)


def residual(times_M, x, weight, iterations):
    y = conjugate_gradients(times_M, x, weight, iterations)
    return x - y - weight * times_M(y)


def in_place(times_M, x, weight, iterations):
    return x.add_(1)


def wasteful(times_M, x, weight, iterations):
    for _ in range(5):
        times_M(x)
    return conjugate_gradients(times_M, x, weight, iterations)


RIGHT = [
    (check.stable_step, lambda weight, largest: 1 / (weight * largest)),
    (check.energy_after, energy_after),
    (check.conjugate_gradients, conjugate_gradients),
]
WRONG = [
    (check.stable_step, lambda weight, largest: 1 / largest, "Lambda is missing: it"),
    (check.stable_step, lambda weight, largest: 2 / largest, "Lambda is missing, and"),
    (check.stable_step, lambda weight, largest: 1 / (9 * weight), "9 is a bound"),
    (check.stable_step, lambda weight, largest: 2 / (weight * largest), "has a 2 in it"),
    (check.stable_step, lambda weight, largest: 0.5 / (weight * largest), "below 0"),
    (check.stable_step, lambda weight, largest: 2 / (9 * weight), "9 is a bound"),
    (check.stable_step, lambda weight, largest: -1 / (weight * largest), "A step is positive"),
    (check.stable_step, lambda weight, largest: 1 / (weight * largest**2), "not squared"),
    (check.stable_step, lambda weight, largest: 1 / weight, "eigenvalue is missing"),
    (check.stable_step, lambda weight, largest: weight / largest, "numerator or in the denominator"),
    (check.stable_step, lambda weight, largest: largest / weight, "a steeper valley"),
    (check.stable_step, lambda weight, largest: 2 * weight * largest, "This is the curvature"),
    (check.stable_step, lambda weight, largest: 1 - 2 * weight * largest, "Solve for the step"),
    (check.stable_step, lambda weight, largest: 1 / (weight**2 * largest), "once, not squared"),
    (check.stable_step, lambda weight, largest: 1 / (weight + largest), "not added"),
    (check.stable_step, lambda weight, largest: 0.9 / (weight * largest), "not the largest one"),
    (check.stable_step, lambda weight, largest: float("inf"), "explodes with any step"),
    (check.energy_after, lambda *a: energy_after(*a) ** 2, "no square around the sum"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, k * s, w, 1), "taken k times, not the step"),
    (check.energy_after, lambda mu, c, s, w, k: k * energy_after(mu, c, s, w, 1), "it needs parentheses"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, s, w, 0.5), "without square"),
    (check.energy_after, lambda mu, c, s, w, k: (mu * c * (-4 * s * w * mu * k).exp()).sum(), "Steps are finite"),
    (
        check.energy_after,
        lambda mu, c, s, w, k: (mu * c).sum() * energy_after(1, 1, s, w * mu, k),
        "multiply before you add up",
    ),
    (check.energy_after, lambda mu, c, s, w, k: c.sum(), "the squared length at the start"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(1, c, s, w * mu, k / 2), "and its coefficient is squared"),
    (check.energy_after, lambda *a: sum(energy_after(*a[:-1], j) for j in range(a[-1] + 1)), "energies of all epochs"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, s * c, w, k), "in front alone"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu.mul_(1.5), c, s, w, k), "has changed"),
    (check.energy_after, lambda *a: energy_after(*a, square=1), "square of each coefficient"),
    (check.energy_after, lambda *a: energy_after(*a, two=1), "has a 2 in it"),
    (check.energy_after, lambda *a: energy_after(*a, two=4), "in the factor twice"),
    (check.energy_after, lambda *a: energy_after(*a) / 2, "no half"),
    (check.energy_after, lambda *a: energy_after(*a[:-1], a[-1] - 1), "after k epochs"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, mu * c, s, w, k), "not its square"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, 1, w, k), "step is missing"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c.sqrt(), s, w, k), "no root is needed"),
    (check.energy_after, lambda *a: energy_after(*a, two=-2), "against the gradient"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c.square(), s, w, k), "squares already"),
    (check.energy_after, lambda mu, c, s, w, k: (c * (1 - 2 * s * w * mu) ** (2 * k)).sum(), "weighted by mu"),
    (check.energy_after, lambda mu, c, s, w, k: w * energy_after(mu, c, s, w, k), "itself is not weighted"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, s, 1, k), "Lambda is missing in the factor"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, s, w, 1), "whatever k is"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, c, s, w, 0), "energy at the start"),
    (check.energy_after, lambda mu, c, s, w, k: energy_after(mu, 1, s, w, k), "`share` says so"),
    (check.energy_after, lambda mu, c, s, w, k: (mu * c * (1 - 2 * s * w) ** (2 * k)).sum(), "same factor"),
    (check.energy_after, lambda mu, c, s, w, k: (mu * c * (1 - 2 * s * w * mu) * 2 * k).sum(), "taken to a power"),
    (check.energy_after, lambda mu, c, s, w, k: mu * c * (1 - 2 * s * w * mu) ** (2 * k), "L_m is their sum"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n - 1), "One iteration is missing"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n + 1), "one iteration too many"),
    (check.conjugate_gradients, slipping("return"), "after one iteration"),
    (check.conjugate_gradients, slipping("r first"), "overwritten before r^T r is kept"),
    (check.conjugate_gradients, slipping("in place"), "changed in place"),
    (check.conjugate_gradients, slipping("Id"), "Id is forgotten"),
    (check.conjugate_gradients, slipping("lambda"), "Lambda is forgotten"),
    (check.conjugate_gradients, slipping("Id in a"), "Id is forgotten"),
    (check.conjugate_gradients, slipping("lambda in a"), "Lambda is forgotten"),
    (check.conjugate_gradients, slipping("Id in the first r"), "Id is forgotten"),
    (check.conjugate_gradients, slipping("lambda in the first r"), "Lambda is forgotten"),
    (check.conjugate_gradients, slipping("y late"), "Change y before d"),
    (check.conjugate_gradients, slipping("sign of the first r"), "y goes the wrong way"),
    (check.conjugate_gradients, slipping("sign of y"), "y goes the wrong way"),
    (check.conjugate_gradients, slipping("sign of r"), "wrong where r changes"),
    (check.conjugate_gradients, slipping("sign of d"), "old direction is added"),
    (check.conjugate_gradients, slipping("upside down"), "Upside down"),
    (check.conjugate_gradients, slipping("zero start"), "You start from 0"),
    (check.conjugate_gradients, slipping("zero start, old r"), "You start from 0"),
    (check.conjugate_gradients, slipping("steepest"), "multiple of the old one"),
    (check.conjugate_gradients, slipping("one direction"), "direction never changes"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, 60), "exact solution"),
    (check.conjugate_gradients, lambda M, x, w, n: x, "nothing was solved"),
    (check.conjugate_gradients, lambda M, x, w, n: x.mT @ x @ M(x), "`(r * d).sum()`"),
    (check.conjugate_gradients, in_place, "clone"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: (r * r).sum() / (d * d).sum()), "is divided by d^T d"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: (r * r).sum() / (Ad * Ad).sum()), "divided by the square"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: (d * Ad).sum() / (r * r).sum()), "grows without bound"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: (d * d).sum() / (d * Ad).sum()), "Above the line in a"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: r.norm() / (d * Ad).sum()), "no root in the formulas"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: (r * r).sum() / (d * Ad)), "is one number"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: 2 * (r * r).sum() / (d * Ad).sum()), "no factor of 2 in a"),
    (check.conjugate_gradients, stepping(lambda r, d, Ad: 1.0), "how far does each step go"),
    (check.conjugate_gradients, turning(lambda r, d, ratio: r + ratio.sqrt() * d), "no root in the formulas"),
    (check.conjugate_gradients, turning(lambda r, d, ratio: r + (r * r).sum() * d), "divides by the old r^T r"),
    (check.conjugate_gradients, turning(lambda r, d, ratio: ratio * r + d), "the ratio stands in front of d"),
    (check.conjugate_gradients, turning(lambda r, d, ratio: ratio * (r + d)), "the ratio multiplies d alone"),
    (check.conjugate_gradients, turning(lambda r, d, ratio: ratio * d), "r' is missing"),
    (check.conjugate_gradients, slipping("Id and lambda"), "Id and lambda are forgotten"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, 2 * w, n), "There is no 2 in the matrix"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, -w, n), "sign of lambda is wrong"),
    (check.conjugate_gradients, lambda M, x, w, n: conjugate_gradients(M, x, w, n).clamp(0, 1), "A clamp at the end"),
    (check.conjugate_gradients, lambda M, x, w, n: x + w * M(x), "the product with Id"),
    (check.conjugate_gradients, residual, "This is the residual"),
]


def test_wasted_products_are_noticed():
    assert check.conjugate_gradients(wasteful).passed
    assert "keep what you computed" in check.conjugate_gradients(wasteful).message


def test_conjugate_gradients_of_the_check_solve_the_system():
    M = torch.diag(torch.tensor([0.0, 1.0, 2.0, 4.0], dtype=torch.float64))
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    y = conjugate_gradients(lambda v: (M @ v.flatten()).view_as(v), x, 3.0, 4)
    assert torch.allclose(y.flatten(), 1 / (1 + 3.0 * M.diag()))
