"""The self-checks of notebook 06: right answers pass, and likely slips get the hint that names them."""

from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import ablations as check


def different(a, b, names=None):
    return [name for name in (names or {**a, **b}) if a.get(name) != b.get(name)]


def only(names):
    return names[0] if len(names) == 1 else None


def reached(totals, level):
    return next((n for n, total in totals if total <= level), None)


def descent(clamp, sign=-1, change=0, at=lambda x: x, limit=lambda g: g, box=lambda x: x.clamp(0, 1), rated=True):
    """Descent that clamps nowhere, before the gradient, after the step, or once at the end."""

    def run(gradient, x, rate, steps):
        for _ in range(steps + change):
            x = box(x) if clamp == "before" else x
            x = x + sign * (rate if rated else 1) * limit(gradient(at(x)))
            x = box(x) if clamp == "after" else x
        return box(x) if clamp == "at the end" else x

    return run


def one_gradient(gradient, x, rate, steps):
    g = gradient(x)
    for _ in range(steps):
        x = (x - rate * g).clamp(0, 1)
    return x


RIGHT = [
    (check.one_factor, lambda a, b: only(different(a, b))),
    (check.evaluations_to, reached),
    (check.projected_descent, descent("after")),
]
WRONG = [
    (check.one_factor, lambda a, b: next(iter(different(a, b)), None), "differ in two"),
    (check.one_factor, lambda a, b: next(iter(different(a, b)[::-1]), None), "differ in two"),
    (check.one_factor, lambda a, b: only(different(a, b, list(a))), "only one of the two has"),
    (check.one_factor, lambda a, b: only(different(a, b, list(b))), "only one of the two has"),
    (check.one_factor, lambda a, b: only([name for name in a if name in b and a[name] != b[name]]), "only one of the"),
    (check.one_factor, lambda a, b: only([name for name in a if a[name] != b[name]]), "may be missing in one"),
    (check.one_factor, lambda a, b: different(a, b)[0], "there is no first one"),
    (check.one_factor, lambda a, b: different(a, b), "a collection of names"),
    (check.one_factor, lambda a, b: different(a, b) if len(different(a, b)) == 1 else None, "a collection of names"),
    (check.one_factor, lambda a, b: set(different(a, b))[0], "A set has no first entry"),
    (check.one_factor, lambda a, b: a != b, "whether anything differs"),
    (check.one_factor, lambda a, b: next((k for k in a if a[k] == b.get(k)), None), "the same in both"),
    (check.one_factor, lambda a, b: len(different(a, b)), "how many settings differ"),
    (check.one_factor, lambda a, b: len(different(a, b)) == 1, "whether one setting differs"),
    (check.one_factor, lambda a, b: only([b.get(name) for name in different(a, b)]), "the setting's value"),
    (check.one_factor, lambda a, b: only(different(a, b)) or "", "not an empty string"),
    (check.one_factor, lambda a, b: f"{only(different(a, b))}", "not the word"),
    (
        check.one_factor,
        lambda a, b: only([name for name in {**a, **b} if a.get(name) is not b.get(name)]),
        "`is` asks for the same object",
    ),
    (
        check.one_factor,
        lambda a, b: only([name for name in {**a, **b} if (a.get(name) or None) != (b.get(name) or None)]),
        "A 0 is a value",
    ),
    (
        check.evaluations_to,
        lambda totals, level: next((k for k, (_, t) in enumerate(totals) if t <= level), None),
        "positions in the list",
    ),
    (
        check.evaluations_to,
        lambda totals, level: next((k for k, (_, t) in enumerate(totals, 1) if t <= level), None),
        "positions in the list",
    ),
    (check.evaluations_to, lambda totals, level: next((t for _, t in totals if t <= level), None), "the totals. How"),
    (check.evaluations_to, lambda totals, level: next((e for e in totals if e[1] <= level), None), "whole entries"),
    (check.evaluations_to, lambda totals, level: next((n for n, t in totals if t < level), None), "equals the level"),
    (check.evaluations_to, lambda totals, level: reached(totals[::-1], level), "last time"),
    (
        check.evaluations_to,
        lambda totals, level: reached(sorted(totals, key=lambda entry: -entry[1]), level),
        "You sort the totals",
    ),
    (check.evaluations_to, lambda totals, level: next((n for n, t in totals if t >= level), None), "which way"),
    (check.evaluations_to, lambda totals, level: next(n for n, t in totals if t <= level), "never reached: what"),
    (check.evaluations_to, lambda totals, level: min(n for n, t in totals if t <= level), "never reached: what"),
    (check.evaluations_to, lambda totals, level: sorted(n for n, t in totals if t <= level)[0], "never reached: what"),
    (check.evaluations_to, lambda totals, level: reached(totals, level) or totals[-1][0], "never reached: what"),
    (check.evaluations_to, lambda totals, level: reached(totals, level) or -1, "never reached: what"),
    (check.evaluations_to, lambda totals, level: reached(totals, level) or float("inf"), "never reached: what"),
    (check.evaluations_to, lambda totals, level: {t: n for n, t in totals}[level], "equal to the level: look"),
    (check.evaluations_to, lambda totals, level: [n for n, t in totals if t <= level], "Return the first alone"),
    (check.evaluations_to, lambda totals, level: any(t <= level for _, t in totals), "Return when"),
    (check.evaluations_to, lambda totals, level: totals[-1][0], "end of the run"),
    (
        check.evaluations_to,
        lambda totals, level: next((t for t, n in totals if t <= level), None),
        "is its total compared",
    ),
    (check.evaluations_to, lambda totals, level: next((n for n, t in totals if t == level), None), "need not be equal"),
    (check.evaluations_to, lambda totals, level: totals[0][0] if level > 5 else None, "is its total compared"),
    (check.projected_descent, descent("never"), "nothing keeps"),
    (check.projected_descent, descent("at the end"), "once, at the end"),
    (check.projected_descent, descent("before"), "not before the gradient"),
    (check.projected_descent, descent("never", at=lambda x: x.clamp(0, 1)), "at a clamped copy"),
    (check.projected_descent, descent("at the end", at=lambda x: x.clamp(0, 1)), "at a clamped copy"),
    (check.projected_descent, descent("after", limit=lambda g: g.clamp(0, 1)), "You clamp the gradient"),
    (check.projected_descent, descent("after", limit=lambda g: g.clamp(-1, 1)), "You clamp the gradient"),
    (check.projected_descent, descent("after", box=lambda x: x.clamp(min=0)), "two ends"),
    (check.projected_descent, descent("after", box=lambda x: x.clamp(max=1)), "two ends"),
    (check.projected_descent, descent("after", sign=1), "climbs"),
    (check.projected_descent, descent("after", rated=False), "rate is missing"),
    (check.projected_descent, descent("after", change=-1), "One step is missing"),
    (check.projected_descent, descent("after", change=1), "one step too many"),
    (check.projected_descent, one_gradient, "at the start only"),
    (check.projected_descent, lambda gradient, x, rate, steps: (x - rate * gradient(x)).clamp(0, 1), "One step was"),
    (check.projected_descent, lambda gradient, x, rate, steps: x, "Nothing has moved"),
]
