"""The self-checks of notebook 07: right answers pass, and likely slips get the hint that names them."""

import pytest
import torch
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab import MattingLaplacian
from nstlab.course.check import laplacian as check
from nstlab.course.check.laplacian import window_block, windows


def block(I, epsilon, scale=1.0, one=1.0, spread=9, sign=-1.0, identity=1.0, inverse=torch.linalg.inv, mean=1.0):
    d = I - mean * I.mean(0)
    Sigma = (I - I.mean(0)).T @ (I - I.mean(0)) / spread + epsilon / 9 * torch.eye(3, dtype=I.dtype)
    return identity * torch.eye(9, dtype=I.dtype) + sign * scale * (one + d @ inverse(Sigma) @ d.T) / 9


def recolor(image, A, b, layout="cd,ndhw->nchw"):
    return torch.einsum(layout, A, image) + b[None, :, None, None]


def energy(image, x, epsilon, price=1.0, colors=True, values=True, in_a=1.0, total=torch.sum):
    I, y = windows(image), windows(x)
    I = I - I.mean(1, keepdim=True) if colors else I
    y = y - y.mean(1, keepdim=True) if values else y
    a = torch.linalg.solve(I.mT @ I + in_a * epsilon * torch.eye(3, dtype=I.dtype), I.mT @ y)
    return total((y - I @ a).square().sum((1, 2)) + price * epsilon * a.square().sum((1, 2)))


RIGHT = [(check.block, block), (check.recoloring, recolor), (check.regression_energy, energy)]
WRONG = [
    (check.block, lambda I, e: block(I, e, identity=0.0, sign=1.0), "From which matrix"),
    (check.block, lambda I, e: block(I, e, sign=1.0), "The sign is wrong"),
    (check.block, lambda I, e: block(I, e, one=0.0), "Inside the bracket"),
    (check.block, lambda I, e: block(I, e, scale=9.0), "in front of the bracket"),
    (check.block, lambda I, e: block(I, e, scale=0.0), "delta alone"),
    (check.block, lambda I, e: block(I, 9 * e), "what epsilon is divided by"),
    (check.block, lambda I, e: block(I, 0.0), "Epsilon is missing"),
    (check.block, lambda I, e: block(I, e, spread=1), "a sum over the nine"),
    (check.block, lambda I, e: block(I, e, spread=8), "torch.cov"),
    (check.block, lambda I, e: block(I, e, mean=0.0), "Subtract the mean"),
    (check.block, lambda I, e: block(I, e, inverse=lambda S: S), "must be inverted"),
    (check.block, lambda I, e: torch.eye(9) - (1 + (I @ torch.eye(9).double()) @ I.T) / 9, "Which product has which"),
    (check.block, lambda I, e: torch.eye(9) - torch.eye(3), "Which product has which"),
    (check.block, lambda I, e: torch.ones(9, 9) - torch.eye(9) + block(I, e), "delta is 1 for i = j only"),
    (check.block, lambda I, e: block(I, e) + (1 - torch.eye(9)) / 9, "for every i and j"),
    (check.block, lambda I, e: block(I, 0, inverse=lambda S: torch.linalg.inv(S + e / 9)), "on the diagonal of Sigma"),
    (check.block, lambda I, e: block(I, e, inverse=lambda S: 1 / S), "entry by entry"),
    (check.recoloring, lambda image, A, b: recolor(image, A.sum(1).diag(), b), "is only scaled: A mixes"),
    (
        check.recoloring,
        lambda image, A, b: (image.view(-1, 3) @ A.T + b).view(image.shape),
        "does not move the channels",
    ),
    (check.recoloring, lambda image, A, b: image.permute(0, 2, 3, 1) @ A.T + b, "move them back"),
    (check.recoloring, lambda image, A, b: recolor(image, A, 0 * b) + b.mean(), "a number of its own"),
    (check.recoloring, lambda image, A, b: recolor(image, A.T, b), "matrix is transposed: its rows"),
    (check.recoloring, lambda image, A, b: recolor(image, A.T, 0 * b), "transposed, and the offset"),
    (check.recoloring, lambda image, A, b: recolor(image, A, 0 * b), "offset b is missing"),
    (check.recoloring, lambda image, A, b: recolor(image, A, -b), "sign of the offset"),
    (check.recoloring, lambda image, A, b: image + b[None, :, None, None], "matrix is not used"),
    (check.recoloring, lambda image, A, b: recolor(image, A.diag().diag(), b), "mixes the channels"),
    (check.recoloring, lambda image, A, b: recolor(image + b[None, :, None, None], A, 0 * b), "it is added after A"),
    (check.recoloring, lambda image, A, b: recolor(image, A, b).clamp(0, 1), "not affine"),
    (check.recoloring, lambda image, A, b: torch.einsum("cd,ndhw->nchw", A, image) + b, "give it its axes"),
    (check.recoloring, lambda image, A, b: A @ image + b[None, :, None, None], "rows of pixels"),
    (check.recoloring, lambda image, A, b: image, "Nothing has changed"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, price=0.0), "What does a large a cost"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, price=1 / 9), "not divided by 9"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, price=1 / e), "epsilon |a|^2, not"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, price=9), "counts nine times"),
    (check.regression_energy, lambda image, x, e: energy(0 * image, x, e), "colors are not in it"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, price=-1), "not subtracted"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, colors=False, values=False), "b is missing"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, values=False), "Only the colors are centered"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, colors=False), "Only x is centered"),
    (check.regression_energy, lambda image, x, e: energy(image, x, 0.0), "plain least squares: epsilon is not"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, in_a=0.0), "epsilon changes a, too"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, in_a=1 / 9), "for sums over nine"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, in_a=9), "of another epsilon"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e) / 6, "their sum"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e) / 9, "summed, not averaged"),
    (check.regression_energy, lambda image, x, e: energy(image, x, e, total=lambda costs: costs), "adds them up"),
    (check.regression_energy, lambda image, x, e: windows(image) @ windows(x), "`.mT` transposes a stack"),
]


def test_the_blocks_add_up_to_the_package_s_matrix():
    image = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    blocks = [w[:, 0] @ window_block(I) @ w[:, 0] for I, w in zip(windows(image), windows(x), strict=True)]
    assert sum(blocks).item() == pytest.approx(MattingLaplacian(image, dtype=torch.float64).energy(x).item(), rel=1e-6)
    assert energy(image, x, 1e-7).item() == pytest.approx(sum(blocks).item(), rel=1e-6)
