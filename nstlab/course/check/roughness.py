"""The self-check of notebook 05 for a term of the learner's own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash


def roughness(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 4: the sum of the squared differences of neighboring pixels.

        R(x) = sum (x_{i+1,j} - x_ij)^2 + sum (x_{i,j+1} - x_ij)^2

    >>> roughness(lambda x: x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum())
    Right. It is zero for an image of one color, and every speck increases it.
    """
    x = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(6))
    down, across = x.diff(dim=2), x.diff(dim=3)

    def variation(x: Tensor) -> Tensor:
        return x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()

    right = variation(x)
    around = (x - x.roll(1, 2)).square().sum() + (x - x.roll(1, 3)).square().sum()
    slips = [
        Slip(down.square().sum(), "Only neighbors above each other are compared: what about those side by side?"),
        Slip(across.square().sum(), "Only neighbors side by side are compared: what about those above each other?"),
        Slip(
            down.abs().sum() + across.abs().sum(),
            "These are absolute differences: what does the equation do to each one?",
        ),
        Slip(
            down.sum() + across.sum(), "Differences of both signs cancel: what does the equation do to each one first?"
        ),
        Slip(down.square().mean() + across.square().mean(), "These are means: the equation has sums."),
        Slip(around, "The last row is compared with the first one: the picture has no neighbors beyond its border."),
        Slip(crash("must match the size"), "The two kinds of difference have different shapes: sum each, then add."),
        *(
            Slip(
                variation(pad(x, sides)), "You have padded with zeros: beyond its border the picture has no neighbors."
            )
            for sides in ((0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 1, 1))
        ),
        Slip(right + x.diff(dim=1).square().sum(), "Dimension 1 holds the colors of one pixel: they are no neighbors."),
        Slip(
            x.diff(dim=1).square().sum() + down.square().sum(), "Dimension 1 holds the colors: rows are 2, columns 3."
        ),
        Slip((down.sum() + across.sum()).square(), "You square the sum: the equation sums the squares."),
        Slip(-right, "Roughness is not negative: where does the minus come from?"),
        Slip(down.square().sum() * across.square().sum(), "The two sums are added, not multiplied."),
        Slip(down.square().max() + across.square().max(), "These are the largest squares. The equation adds up all."),
        Slip((x - x.mean()).square().sum(), "This compares with the mean. Compare each pixel with its neighbor."),
        Slip(
            (x[:, :, 2:] - x[:, :, :-2]).square().sum() + (x[..., 2:] - x[..., :-2]).square().sum(),
            "These pixels have one between them. Neighbors are next to each other.",
        ),
        Slip(
            x.diff(2, dim=2).square().sum() + x.diff(2, dim=3).square().sum(),
            "These are differences of differences: `diff` once in each direction is enough.",
        ),
        Slip(right / 3, "You divide by the number of colors: the equation has sums alone."),
        Slip(variation(x[:, :1]), "Only the first color is in it."),
        Slip(
            (x[:, :, 1:] + x[:, :, :-1]).square().sum() + (x[..., 1:] + x[..., :-1]).square().sum(),
            "Neighbors are added. Roughness is in their difference.",
        ),
        Slip(down.norm() + across.norm(), "There is no root in the equation."),
        Slip(right / x.numel(), "You divide by the number of values: the equation has sums alone."),
        Slip(down.square().sum() - across.square().sum(), "The two sums are added, not subtracted."),
        Slip(
            down[..., 1:].square().sum() + across[:, :, 1:].square().sum(),
            "Pairs in the first row or column are left out, though they are neighbors.",
        ),
        Slip(variation(x.mean(1, keepdim=True)), "The colors are averaged first. Each color counts by itself."),
        Slip(right.sqrt(), "There is no root in the equation."),
        Slip(right / 2, "Too small by a factor of 2: the equation has no factor in front."),
        Slip(2 * right, "Too large by a factor of 2: count every pair once."),
    ]
    return compare(
        lambda: called(mine, x), right, slips, "It is zero for an image of one color, and every speck increases it."
    )
