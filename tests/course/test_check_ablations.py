"""The self-checks of notebook 06: right answers pass, and likely slips get the hint that names them."""

import pytest

from nstlab.course.check import ablations as check


def different(a, b, names=None):
    return [name for name in (names or {**a, **b}) if a.get(name) != b.get(name)]


def only(names):
    return names[0] if len(names) == 1 else None


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (lambda a, b: next(iter(different(a, b)), None), "differ in two"),
        (lambda a, b: only(different(a, b, list(a))), "only one of the two has"),
        (lambda a, b: only(different(a, b, list(b))), "only one of the two has"),
        (lambda a, b: only([name for name in a if name in b and a[name] != b[name]]), "only one of the two has"),
        (lambda a, b: only([name for name in a if a[name] != b[name]]), "KeyError"),
    ],
)
def test_one_factor(wrong, hint):
    assert check.one_factor(lambda a, b: only(different(a, b))).passed
    verdict = check.one_factor(wrong)
    assert not verdict.passed
    assert hint in verdict.message


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (
            lambda totals, level: next((k for k, (_, t) in enumerate(totals) if t <= level), None),
            "positions in the list",
        ),
        (
            lambda totals, level: next((k for k, (_, t) in enumerate(totals, 1) if t <= level), None),
            "positions in the list",
        ),
        (lambda totals, level: next((t for _, t in totals if t <= level), None), "These are the totals"),
        (lambda totals, level: next((n for n, t in totals if t < level), None), "equals the level"),
        (lambda totals, level: next((n for n, t in reversed(totals) if t <= level), None), "last time"),
        (lambda totals, level: next((n for n, t in totals if t >= level), None), "which way"),
    ],
)
def test_evaluations_to(wrong, hint):
    assert check.evaluations_to(lambda totals, level: next((n for n, t in totals if t <= level), None)).passed
    verdict = check.evaluations_to(wrong)
    assert not verdict.passed
    assert hint in verdict.message


def descent(clamp, sign=-1, change=0):
    """Descent that clamps nowhere, before the gradient, after the step, or once at the end."""

    def run(gradient, x, rate, steps):
        for _ in range(steps + change):
            x = x.clamp(0, 1) if clamp == "before" else x
            x = x + sign * rate * gradient(x)
            x = x.clamp(0, 1) if clamp == "after" else x
        return x.clamp(0, 1) if clamp == "at the end" else x

    return run


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (descent("never"), "nothing keeps"),
        (descent("at the end"), "once, at the end"),
        (descent("before"), "not before the gradient"),
        (descent("after", sign=1), "climbs"),
        (descent("after", change=-1), "missing"),
        (descent("after", change=1), "too many"),
        (lambda gradient, x, rate, steps: (x - rate * gradient(x)).clamp(0, 1), "One step"),
    ],
)
def test_projected_descent(wrong, hint):
    assert check.projected_descent(descent("after")).passed
    verdict = check.projected_descent(wrong)
    assert not verdict.passed
    assert hint in verdict.message
