"""The self-checks of notebook 10: Gram matrices of regions, the linear color map, luminance, and mixed styles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, relu

from nstlab import gram_matrix, luminance, mean_gram_matrix, on_grid, region_gram_matrices
from nstlab.course.check.verdict import Slip, Verdict, compare, crash

Pair = Callable[[Tensor, Tensor], Any]


def power(K: Tensor, exponent: float) -> Tensor:
    """K^exponent of a symmetric matrix with positive eigenvalues: the eigenvectors stay, the eigenvalues get the power.

    >>> power(torch.diag(torch.tensor([4.0, 9.0])), 1 / 2).diagonal()
    tensor([2., 3.])
    """
    values, vectors = torch.linalg.eigh(K)
    result: Tensor = (vectors * values**exponent) @ vectors.T
    return result


def region_gram(mine: Pair) -> Verdict:
    """Exercise 1: the Gram matrix of one region. F: responses, (1, N, h, w); m: the mask, (1, 1, H, W), of the image.

        G_r = (F sqrt(m_r)) (F sqrt(m_r))^T / sum_j m_rj,    m_r on the grid of F

    >>> region_gram(lambda F, m: gram_matrix(F * on_grid(m, F.shape[2:])) / on_grid(m, F.shape[2:]).sum())
    Not yet. The mask enters every product twice: its square root, in each factor, enters once.
    """
    generator = torch.Generator().manual_seed(9)
    F = relu(torch.randn(1, 4, 6, 9, generator=generator) + 0.3)
    m = interpolate(torch.rand(1, 1, 7, 10, generator=generator), (24, 36), mode="bilinear").mul(2).sub(0.6).clamp(0, 1)
    size = (6, 9)
    g, rows = on_grid(m, size), F.flatten(2)
    right = region_gram_matrices(F, g)
    undivided = right * g.sum()
    inside = (g > 0.5).float()
    one_pixel = m[:, :, ::4, ::4]

    return compare(
        lambda: mine(F.clone(), m.clone()),
        right,
        [
            Slip(
                crash("must match the size"),
                "The mask has the size of the image, F that of its layer: first bring m to its grid.",
            ),
            Slip(
                region_gram_matrices(F, on_grid((m > 0.5).to(m), size)),
                "The mask is rounded to 0 and 1. Its border counts with its share: take m as it is.",
            ),
            Slip(
                gram_matrix(F * g) / g.sum(),
                "The mask enters every product twice: its square root, in each factor, enters once.",
            ),
            Slip(gram_matrix(F * g), "The mask enters every product twice, and nothing is divided."),
            Slip(
                gram_matrix(F * g) / g.square().sum(), "The mask enters every product twice. Where is its square root?"
            ),
            Slip(gram_matrix(F) / g.sum(), "The mask is in the divisor alone: it weighs the responses, too."),
            Slip(
                gram_matrix(F * (1 - g).sqrt()) / (1 - g).sum(),
                "This is the rest of the picture, outside of the region.",
            ),
            Slip(
                undivided / g.sqrt().sum(), "You divide by the sum of the roots. The equation has the sum of the mask."
            ),
            Slip(undivided / g.sum().square(), "It is divided by the sum of the mask once, not twice."),
            Slip(undivided, "It is not divided yet: a large region has a large matrix."),
            Slip(undivided / 54, "This is divided by all places. Only those of the region count, each with its share."),
            Slip(undivided / m.sum(), "This is divided by the sum over pixels. Add up the mask on the layer's grid."),
            Slip(undivided / m.mean(), "This is divided by the share of the area. How many places is that?"),
            Slip(undivided / g.sum() / 4, "This is divided by N too. The equation has the sum of the mask alone."),
            Slip(undivided / (g > 0).sum(), "This counts every place that the region touches as a whole one."),
            Slip(mean_gram_matrix(F), "This is the matrix of the whole picture: the mask is not in it."),
            Slip(
                gram_matrix(F * inside) / inside.sum(),
                "You made the mask 0 or 1. A place at the border counts as much as its share.",
            ),
            Slip(
                region_gram_matrices(F, one_pixel),
                "This takes one pixel of the mask for each place: `on_grid` takes the mean over the place's area.",
            ),
            Slip(
                (rows * g.flatten()).transpose(1, 2) @ rows / g.sum(),
                "This is the transposed product, of places with places. Over which index does the sum run?",
            ),
            Slip(
                (rows * g.flatten().sqrt()).transpose(1, 2) @ (rows * g.flatten().sqrt()) / g.sum(),
                "This is the transposed product, of places with places. Over which index does the sum run?",
            ),
            Slip(right[0], "The numbers are right. Keep the first axis: (1, N, N), as `gram_matrix` gives it."),
        ],
        "A place at the border of a region counts with its share, once.",
    )


def recolored(mine: Pair) -> Verdict:
    """Exercise 2: colors x, (n, 3), with the mean and the covariance of the colors y, changed as little as possible.

        x' = C (x - mean(x)) + mean(y),    C = K^-1/2 (K^1/2 L K^1/2)^1/2 K^-1/2

    >>> recolored(lambda x, y: x - x.mean(0) + y.mean(0))
    Not yet. The mean is y's. The covariance is still that of x: where is C?
    """
    generator = torch.Generator().manual_seed(10)
    x, y = torch.rand(2, 60, 3, generator=generator, dtype=torch.float64)
    x = x @ torch.tensor([[0.5, 0.3, 0.1], [0.0, 0.2, 0.2], [0.0, 0.0, 0.3]]).double() + 0.2
    y = y @ torch.tensor([[0.2, 0.1, 0.0], [0.1, 0.4, 0.2], [0.3, 0.0, 0.2]]).double() + 0.1
    K, L = (torch.cov(colors.T) for colors in (x, y))
    d, mean, own_mean = x - x.mean(0), y.mean(0), x.mean(0)
    root, back = power(K, 0.5), power(K, -0.5)
    middle = power(root @ L @ root, 0.5)
    C = back @ middle @ back
    of_each = (L.diagonal() / K.diagonal()).sqrt()
    turning = power(L, 0.5) @ back
    triangular = torch.linalg.cholesky(L) @ torch.linalg.inv(torch.linalg.cholesky(K))
    turned = "The covariance is right, but this C is not symmetric: it also turns colors into each other."
    no_root = "Covariances are squares of colors. Where does C take a root?"
    return compare(
        lambda: mine(x.clone(), y.clone()),
        d @ C + mean,
        [
            Slip(x, "These are the colors of x, unchanged."),
            Slip(y, "These are the colors of y. The colors of x should move, each to its own place."),
            Slip(
                d @ root @ power(back @ L @ back, 0.5) @ root + mean,
                "The roots are exchanged: K^1/2 stands beside L, K^-1/2 outside.",
            ),
            Slip(d @ root @ middle @ root + mean, "On the outside K^-1/2 is needed: it takes the spread of x away."),
            Slip(
                d @ back @ power(power(L, 0.5) @ K @ power(L, 0.5), 0.5) @ back + mean,
                "In the middle K and L are exchanged: L stands between two roots of K.",
            ),
            Slip(d @ back + mean, "The spread of x is gone. Where does that of y come in?"),
            Slip(d @ C - mean, "The mean of y is added, not subtracted."),
            Slip(d @ C + y.mean(), "The mean of y is a color: one number for each channel."),
            Slip(d @ power(L, 0.5) + mean, "The spread of x is still in it: K is missing in C."),
            Slip(d + mean, "The mean is y's. The covariance is still that of x: where is C?"),
            Slip(x @ C + mean, "Subtract the mean of x before C is applied: C moves it too."),
            Slip(x @ C, "Both means are missing: x without its own goes through C, then y's is added."),
            Slip(d @ C, "The covariance is right, and the mean is 0. Which mean should it be?"),
            Slip(d @ C + own_mean, "The covariance is right. The mean is still that of x."),
            Slip(d @ torch.linalg.inv(C) + mean, "This C leads from y to x. Which covariance is K, which is L?"),
            Slip(
                (y - mean) @ torch.linalg.inv(C) + own_mean,
                "This gives y the colors of x: it should be the other way round.",
            ),
            Slip(
                d * of_each + mean, "Each channel alone: the spread of each is right, but not how they vary together."
            ),
            Slip(d * of_each.square() + mean, "Each channel alone, and variances where roots are due."),
            Slip(d @ torch.linalg.inv(K) @ L + mean, no_root),
            Slip(d @ L @ torch.linalg.inv(K) + mean, no_root),
            Slip(d @ L + mean, "This C is L itself: the root in the middle is missing."),
            Slip(d @ middle + mean, "The factors in the middle are right. What stands on both sides of them?"),
            Slip(d @ turning.T + mean, turned),
            Slip(d @ triangular.T + mean, turned),
        ],
        "The colors of one region under the light of another.",
    )


def content_colors(mine: Pair) -> Verdict:
    """Exercise 3: the colors of a photograph, (1, 3, H, W), under another luminance Y, (1, 1, H, W).

        x' = x + Y - Y(x)

    >>> content_colors(lambda photo, Y: photo + Y - luminance(photo))
    Right. Only the luminance has changed: I and Q do not see a number that is added to all three colors.
    """
    generator = torch.Generator().manual_seed(11)
    photo = 0.35 + 0.3 * torch.rand(1, 3, 4, 5, generator=generator)
    Y = 0.4 + 0.2 * torch.rand(1, 1, 4, 5, generator=generator)
    own = luminance(photo)
    return compare(
        lambda: mine(photo.clone(), Y.clone()),
        photo + Y - own,
        [
            Slip(photo, "This is the photograph: its luminance has not changed."),
            Slip(photo + Y, "The photograph's own luminance is still in it."),
            Slip(photo + Y - own.mean(), "One number is taken away. Every pixel has a luminance of its own."),
            Slip((photo + Y) / 2, "This is half of each. The photograph's own luminance must go, and Y come."),
            Slip(photo * Y, "This multiplies. The luminance is taken away, and another added."),
            Slip(
                photo + Y - photo[:, 1:2],
                "This takes the green away. Luminance is a mixture of all three: `luminance`.",
            ),
            Slip(photo + own - Y, "The sign is turned: the luminance moves away from Y."),
            Slip(photo - own, "The old luminance is gone. Which one comes in its place?"),
            Slip(Y - own, "This is what is to be added. To what?"),
            Slip(Y, "This is the new luminance, a gray picture. The colors are missing."),
            Slip(Y.expand(1, 3, 4, 5), "This is the new luminance, a gray picture. The colors are missing."),
            Slip(
                photo + Y - photo.mean(1, keepdim=True),
                "Luminance is not the plain mean of the three colors: green counts most. `luminance` has the weights.",
            ),
            Slip(photo * Y / own, "This multiplies. Colors get stronger where the picture gets brighter: add instead."),
            Slip(photo + (Y - own).mean(), "One number for the whole picture. Every pixel needs its own."),
        ],
        "Only the luminance has changed: I and Q do not see a number that is added to all three colors.",
    )


def constant(mine: Pair) -> Verdict:
    """Exercise 4: what the mixed target leaves out. A: Gram matrices (K, N, N) of K styles; mix: shares that add to 1.

        sum_k mix_k |G - A_k|^2 - |G - sum_k mix_k A_k|^2 = sum_k mix_k |A_k|^2 - |sum_k mix_k A_k|^2

    >>> constant(lambda A, mix: 0.0)
    Not yet. It is 0 only if all styles are the same.
    """
    generator = torch.Generator().manual_seed(12)
    F = relu(torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64) + 0.2)
    A, mix = mean_gram_matrix(F), torch.tensor([0.5, 0.3, 0.2]).double()
    mixed = torch.einsum("k,kij->ij", mix, A)
    squares, square = A.square().sum((1, 2)), mixed.square().sum()
    apart = (A - mixed).square().sum((1, 2))
    right = mix @ apart
    return compare(
        lambda: mine(A.clone(), mix.clone()),
        right,
        [
            Slip(0.0, "It is 0 only if all styles are the same."),
            Slip(-right, "The sign is turned: which of the two sides is larger?"),
            Slip(mix @ squares, "Multiply out the square of the mixed target too: it brings a constant with it."),
            Slip(
                mix @ squares - A.mean(0).square().sum(), "The target is the mean with the shares, not the plain one."
            ),
            Slip(mix @ squares - A.sum(0).square().sum(), "The target is the mean with the shares, not the sum."),
            Slip(mix @ squares.sqrt() - square.sqrt(), "These are norms. The equation has their squares."),
            Slip(mix.square() @ squares, "The shares enter squared, and the square of the mixed target is missing."),
            Slip(2 * right, "There is no factor of 2: the mixed products cancel between the two sides."),
            Slip(right / 2, "There is no half in the equation."),
            Slip(squares, "These are the squares of each style. The constant is one number."),
            Slip(
                crash("batch2|mat1|mat2|must match the size|same reduction dim"),
                "A share weighs a whole matrix: give `mix` two more axes, or use `torch.einsum`.",
            ),
            Slip(square, "This is the constant of the mixed target's square. What is the left side if G is 0?"),
            Slip(mix @ squares + square, "One of the two parts has the wrong sign."),
            Slip(squares.sum() - square, "Each style counts with its share on the left side."),
            Slip(apart.sum(), "These are the distances of the styles from their mixture. Each counts with its share."),
            Slip(apart.mean(), "Each style counts with its share, not with a third."),
            Slip(mix.square() @ apart, "The shares enter squared. On the left side they are in front of the squares."),
            Slip(
                mix @ (A - A.mean(0)).square().sum((1, 2)),
                "You compare with the plain mean of the styles. The target is the mean with the shares.",
            ),
            Slip(mix @ apart.sqrt(), "These are distances. The equation has their squares."),
            Slip(right / 16, "This is a mean over the entries of the matrices. The squared norm is their sum."),
            Slip(mix * apart, "These are the parts of each style. The constant is their sum."),
            Slip(mixed, "This is the mixed target. The constant is one number."),
        ],
        "It does not depend on G, so it has no gradient: one mixed target does the work of several.",
    )
