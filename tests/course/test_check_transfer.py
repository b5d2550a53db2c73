"""The self-checks of notebook 05: right answers pass, and likely slips get the hint that names them."""

import pytest

from nstlab.course.check import transfer as check
from nstlab.losses import content_loss, gram_matrix, layer_style_loss, mean_gram_matrix
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS


def parts(image, vgg, P, A, gram=mean_gram_matrix):
    """The content loss and the style losses E_l, as a learner computes them."""
    F = vgg(image, [CONTENT_LAYER, *STYLE_LAYERS])
    return content_loss(F[CONTENT_LAYER], P), [layer_style_loss(gram(F[layer]), A[layer]) for layer in STYLE_LAYERS]


def answer(total, gram=mean_gram_matrix):
    """A total_loss made of the two losses in some way."""

    def total_loss(image, vgg, P, A, alpha, beta):
        return total(*parts(image, vgg, P, A, gram), alpha, beta, P)

    return total_loss


def test_total_loss_with_numpy_is_told_so():
    def total_loss(image, vgg, P, A, alpha, beta):
        C, E = parts(image, vgg, P, A)
        return (alpha * C + beta * sum(E) / 5).numpy()

    verdict = check.total_loss(total_loss)
    assert not verdict.passed and "stops with RuntimeError" in verdict.message


@pytest.mark.parametrize(
    ("total", "hint"),
    [
        (lambda C, E, alpha, beta, P: alpha * C.item() + beta * sum(E) / 5, "content term has no gradient"),
        (lambda C, E, alpha, beta, P: alpha * C + beta * sum(e.item() for e in E) / 5, "style term has no gradient"),
        (lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).detach(), "no gradient flows back"),
        (lambda C, E, alpha, beta, P: alpha * C + beta * (sum(E) - E[2] + E[2].item()) / 5, "values are not"),
    ],
)
def test_total_loss_without_a_part_of_its_gradient(total, hint):
    verdict = check.total_loss(answer(total))
    assert not verdict.passed and hint in verdict.message


def test_total_loss_right():
    assert check.total_loss(answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 5)).passed


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (answer(lambda C, E, alpha, beta, P: alpha * C), "content term alone"),
        (answer(lambda C, E, alpha, beta, P: beta * sum(E) / 5), "style term alone"),
        (answer(lambda C, E, alpha, beta, P: C + sum(E) / 5), "not weighted"),
        (answer(lambda C, E, alpha, beta, P: beta * C + alpha * sum(E) / 5), "are swapped"),
        (answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E)), "w_l"),
        (answer(lambda C, E, alpha, beta, P: alpha * C / P.numel() + beta * sum(E) / 5), "mean"),
        (answer(lambda C, E, alpha, beta, P: alpha * C * 2 + beta * sum(E) / 5), "too large by a factor of 2"),
        (answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 5, gram=gram_matrix), "per place"),
        (answer(lambda C, E, alpha, beta, P: alpha * C + beta * E[-1] / 5), "overwrites"),
        (answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).item()), "no gradient"),
        (answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).detach()), "no gradient"),
        (answer(lambda C, E, alpha, beta, P: None), "returns nothing"),
    ],
)
def test_total_loss_wrong(wrong, hint):
    verdict = check.total_loss(wrong)
    assert not verdict.passed
    assert hint in verdict.message


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (lambda weight, P: weight * P.square().sum() / 2, "other way round"),
        (lambda weight, P: weight / P.square().sum(), "half"),
        (lambda weight, P: weight / P.numel(), "makes a mean"),
        (lambda weight, P: 2 * weight / P.square().mean(), "not a mean"),
        (lambda weight, P: 2 * weight / P.sum(), "squares"),
        (lambda weight, P: weight / P.norm(), "No root"),
        (lambda weight, P: 2 / P.square().sum(), "multiply it by content_weight"),
    ],
)
def test_alpha_of(wrong, hint):
    assert check.alpha_of(lambda weight, P: 2 * weight / P.square().sum()).passed
    verdict = check.alpha_of(wrong)
    assert not verdict.passed
    assert hint in verdict.message


@pytest.mark.parametrize("weight, hint", [(None, "yours to choose"), (-1.0, "finite"), ("much", "stops with")])
def test_balance_without_a_run(weight, hint):
    verdict = check.balance(weight)
    assert not verdict.passed
    assert hint in verdict.message


@pytest.mark.parametrize("weight, hint", [(5.0, "style should have more"), (0.01, "It should have more")])
def test_balance_wrong(weight, hint):
    verdict = check.balance(weight)
    assert not verdict.passed
    assert hint in verdict.message


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (lambda x: x.diff(dim=2).square().sum(), "side by side"),
        (lambda x: x.diff(dim=3).square().sum(), "above each other"),
        (lambda x: x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum(), "absolute"),
        (lambda x: x.diff(dim=2).sum() + x.diff(dim=3).sum(), "cancel"),
        (lambda x: x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean(), "means"),
        (lambda x: (x - x.roll(1, 2)).square().sum() + (x - x.roll(1, 3)).square().sum(), "border"),
    ],
)
def test_roughness(wrong, hint):
    assert check.roughness(lambda x: x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()).passed
    verdict = check.roughness(wrong)
    assert not verdict.passed
    assert hint in verdict.message
