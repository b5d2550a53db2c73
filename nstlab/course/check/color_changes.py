"""The self-checks of notebook 10 on colors: the linear color map, and luminance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab import luminance
from nstlab.course.check.verdict import Slip, Verdict, called, compare

Pair = Callable[[Tensor, Tensor], Any]


def power(K: Tensor, exponent: float) -> Tensor:
    """K^exponent of a symmetric matrix with positive eigenvalues: the eigenvectors stay, the eigenvalues get the power.

    >>> power(torch.diag(torch.tensor([4.0, 9.0])), 1 / 2).diagonal()
    tensor([2., 3.])
    """
    values, vectors = torch.linalg.eigh(K)
    result: Tensor = (vectors * values**exponent) @ vectors.T
    return result


def recolored(mine: Pair) -> Verdict:
    """Exercise 2: colors x, (n, 3), with the mean and the covariance of the colors y, changed as little as possible.

        x' = C (x - mean(x)) + mean(y),    C = K^-1/2 (K^1/2 L K^1/2)^1/2 K^-1/2

    >>> recolored(lambda x, y: x - x.mean(0) + y.mean(0))
    Not yet. The mean is y's. The covariance is still that of x: where is C?
    """
    generator = torch.Generator().manual_seed(10)
    x, y = torch.rand(2, 60, 3, generator=generator, dtype=torch.float64)
    x = x @ torch.tensor([[0.5, 0.3, 0.1], [0.0, 0.2, 0.2], [0.0, 0.0, 0.3]]).double() + 0.2
    y = y @ torch.tensor([[0.2, 0.1, 0.0], [0.1, 0.4, 0.2], [0.3, 0.0, 0.2]]).double() + 0.6  # above 1, too
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
        lambda: called(mine, x, y),
        d @ C + mean,
        [
            Slip(x, "These are the colors of x, unchanged."),
            Slip(
                (d @ C + mean).clamp(0, 1), "A clamp changes the mean and the covariance again: leave what is above 1."
            ),
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
            Slip((x - mean) @ C + mean, "Subtract the mean of x, not that of y: C turns around the middle of x."),
            Slip((d + mean) @ C, "The mean of y goes through C, too. It is added after C."),
            Slip((x - x.mean()) @ C + mean, "One number is subtracted. The mean of x is a color: `x.mean(0)`."),
            Slip(d, "Only the mean of x is gone: where are C and the mean of y?"),
            Slip(C, "This is C. Which colors does it act on?"),
            Slip(d @ back @ middle + mean, "K^-1/2 stands on both sides of the root."),
            Slip(d @ middle @ back + mean, "K^-1/2 stands on both sides of the root."),
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
        lambda: called(mine, photo, Y),
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
