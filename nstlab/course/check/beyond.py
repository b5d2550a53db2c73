"""The self-checks of notebook 10: Gram matrices of regions and mixed styles; `color_changes` has the other two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, relu

from nstlab import gram_matrix, mean_gram_matrix, on_grid, region_gram_matrices
from nstlab.course.check.color_changes import content_colors as content_colors  # these three for notebook 10
from nstlab.course.check.color_changes import power as power
from nstlab.course.check.color_changes import recolored as recolored
from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash

Pair = Callable[[Tensor, Tensor], Any]


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
        lambda: called(mine, F, m),
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
            Slip(undivided / g.max(), "This is divided by the largest value of the mask, not by their sum."),
            Slip(undivided / g.square().sum(), "The sum is over the mask itself, not over its squares."),
            Slip(gram_matrix(F * g) / 54, "The mask enters every product twice, and you divide by all places."),
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
        lambda: called(mine, A, mix),
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
