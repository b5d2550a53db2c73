"""The self-checks of notebook 07: right answers pass, and likely slips get the hint that names them."""

import pytest
import torch

from nstlab.course.check import laplacian as check
from nstlab.course.check.laplacian import window_block, windows
from nstlab.laplacian import MattingLaplacian


def block(I, epsilon, scale=1.0, one=1.0, spread=9, sign=-1.0, identity=1.0):
    d = I - I.mean(0)
    Sigma = d.T @ d / spread + epsilon / 9 * torch.eye(3, dtype=I.dtype)
    return identity * torch.eye(9, dtype=I.dtype) + sign * scale * (one + d @ torch.linalg.inv(Sigma) @ d.T) / 9


def recolor(image, A, b, layout="cd,ndhw->nchw"):
    return torch.einsum(layout, A, image) + b[None, :, None, None]


def energy(image, x, epsilon, price=1.0, intercept=True):
    I, y = windows(image), windows(x)
    if intercept:
        I, y = I - I.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    a = torch.linalg.solve(I.mT @ I + epsilon * torch.eye(3, dtype=I.dtype), I.mT @ y)
    return (y - I @ a).square().sum() + price * epsilon * a.square().sum()


@pytest.mark.parametrize(
    ("verdict", "answer"), [(check.block, block), (check.recoloring, recolor), (check.regression_energy, energy)]
)
def test_the_right_answer_passes(verdict, answer):
    assert verdict(answer).passed, verdict(answer)


@pytest.mark.parametrize(
    ("verdict", "answer", "hint"),
    [
        (check.block, lambda I, e: block(I, e, identity=0.0, sign=1.0), "from which matrix"),
        (check.block, lambda I, e: block(I, e, sign=1.0), "sign"),
        (check.block, lambda I, e: block(I, e, one=0.0), "Inside the bracket"),
        (check.block, lambda I, e: block(I, e, scale=9.0), "in front of the bracket"),
        (check.block, lambda I, e: block(I, 9 * e), "epsilon is divided by"),
        (check.block, lambda I, e: block(I, 0.0), "Epsilon is missing"),
        (check.block, lambda I, e: block(I, e, spread=1), "a sum over the nine"),
        (check.block, lambda I, e: block(I, e, spread=8), "torch.cov"),
        (check.recoloring, lambda image, A, b: recolor(image, A.T, b), "transposed"),
        (check.recoloring, lambda image, A, b: recolor(image, A, 0 * b), "offset"),
        (check.recoloring, lambda image, A, b: image + b[None, :, None, None], "matrix is not used"),
        (check.recoloring, lambda image, A, b: recolor(image, A.diag().diag(), b), "mixes the channels"),
        (check.regression_energy, lambda image, x, e: energy(image, x, e, price=0.0), "large a"),
        (check.regression_energy, lambda image, x, e: energy(image, x, e, price=1 / 9), "not divided by 9"),
        (check.regression_energy, lambda image, x, e: energy(image, x, e, intercept=False), "b is missing"),
        (check.regression_energy, lambda image, x, e: energy(image, x, 0.0), "plain least squares"),
        (check.regression_energy, lambda image, x, e: energy(image, x, e) / 6, "their sum"),
    ],
)
def test_a_likely_slip_fails_with_the_hint_that_names_it(verdict, answer, hint):
    assert not verdict(answer).passed
    assert hint.lower() in verdict(answer).message.lower()


def test_the_blocks_add_up_to_the_package_s_matrix():
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    blocks = [w[:, 0] @ window_block(I) @ w[:, 0] for I, w in zip(windows(image), windows(x), strict=True)]
    assert sum(blocks).item() == pytest.approx(MattingLaplacian(image, dtype=torch.float64).energy(x).item(), rel=1e-6)
    assert energy(image, x, 1e-7).item() == pytest.approx(sum(blocks).item(), rel=1e-6)
