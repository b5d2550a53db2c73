"""The self-checks of notebook 07: one window of the Matting Laplacian, its null space, and its energy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare

PIXELS = 9  # of a 3x3 window


def window_block(I: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The block that one window adds to the Matting Laplacian: Levin, Lischinski and Weiss, 2008.

        B_ij = delta_ij - 1/9 (1 + (I_i - mu)^T (Sigma + epsilon/9 Id)^-1 (I_j - mu))

    I: colors of the window's nine pixels, (9, 3), in float64. Gives (9, 9).

    >>> B = window_block(torch.rand(9, 3, dtype=torch.float64))
    >>> B.shape, bool(B.sum(1).abs().max() < 1e-9)
    (torch.Size([9, 9]), True)
    """
    d = I - I.mean(0)
    Sigma = d.T @ d / PIXELS + epsilon / PIXELS * torch.eye(3, dtype=I.dtype)
    K: Tensor = d @ torch.linalg.solve(Sigma, d.T)
    return torch.eye(PIXELS, dtype=I.dtype) - (1 + K) / PIXELS


def windows(image: Tensor) -> Tensor:
    """Every 3x3 window of an image (1, C, H, W), row by row: ((H-2)(W-2), 9, C).

    >>> windows(torch.rand(1, 3, 5, 5)).shape
    torch.Size([9, 9, 3])
    """
    C = image.shape[1]
    return image[0].unfold(1, 3, 1).unfold(2, 3, 1).permute(1, 2, 3, 4, 0).reshape(-1, PIXELS, C)


def block(mine: Callable[[Tensor, float], Tensor]) -> Verdict:
    """Exercise 2: the block of one window.

    >>> block(window_block)
    Right. Nine colors in, 81 numbers out: the Matting Laplacian is the sum of such blocks.
    """
    I = torch.rand(PIXELS, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    epsilon, one = 0.05, torch.eye(3, dtype=torch.float64)
    d, Id = I - I.mean(0), torch.eye(PIXELS, dtype=torch.float64)
    Sigma = d.T @ d / PIXELS

    def K(S: Tensor, d: Tensor = d) -> Tensor:
        product: Tensor = d @ torch.linalg.solve(S, d.T)
        return product

    right = K(Sigma + epsilon / PIXELS * one)
    return compare(
        lambda: mine(I.clone(), epsilon),
        window_block(I, epsilon),
        [
            Slip((1 + right) / PIXELS, "This is what is subtracted. From which matrix is it subtracted?"),
            Slip(Id + (1 + right) / PIXELS, "The sign is wrong: the second part is subtracted."),
            Slip(Id - right / PIXELS, "Inside the bracket a summand is missing."),
            Slip(Id - (1 + right), "The factor in front of the bracket is missing."),
            Slip(Id - (1 + K(Sigma + epsilon * one)) / PIXELS, "Look again at what epsilon is divided by."),
            Slip(Id - (1 + K(Sigma)) / PIXELS, "Epsilon is missing: what if all nine colors are the same?"),
            Slip(
                Id - (1 + K(PIXELS * Sigma + epsilon / PIXELS * one)) / PIXELS,
                "Your Sigma is a sum over the nine pixels. A covariance is a mean.",
            ),
            Slip(
                Id - (1 + K(PIXELS / (PIXELS - 1) * Sigma + epsilon / PIXELS * one)) / PIXELS,
                "Your Sigma is divided by 8, as `torch.cov` does by default. Here it is divided by 9.",
            ),
            Slip(Id - (1 + K(Sigma + epsilon / PIXELS * one, I)) / PIXELS, "Subtract the mean from the colors first."),
            Slip(
                Id - (1 + d @ (Sigma + epsilon / PIXELS * one) @ d.T) / PIXELS,
                "The matrix in the middle must be inverted.",
            ),
        ],
        "Nine colors in, 81 numbers out: the Matting Laplacian is the sum of such blocks.",
    )


def recoloring(mine: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 1: an affine function of the colors, the same at every pixel.

        x_i = A I_i + b

    >>> recoloring(lambda image, A, b: image + b[None, :, None, None])
    Not yet. The matrix is not used: every new channel is a mixture of the three old ones.
    """
    generator = torch.Generator().manual_seed(1)
    image, A = torch.rand(1, 3, 4, 5, generator=generator), torch.rand(3, 3, generator=generator)
    b = torch.tensor([0.1, 0.2, -0.3])
    offset = b[None, :, None, None]
    mixed, transposed = torch.einsum("cd,ndhw->nchw", A, image), torch.einsum("dc,ndhw->nchw", A, image)
    return compare(
        lambda: mine(image.clone(), A, b),
        mixed + offset,
        [
            Slip(image + offset, "The matrix is not used: every new channel is a mixture of the three old ones."),
            Slip(mixed, "The offset b is missing."),
            Slip(transposed + offset, "The matrix is transposed: its rows belong to the new channels."),
            Slip(transposed, "The matrix is transposed, and the offset b is missing."),
            Slip(mixed - offset, "The sign of the offset is wrong."),
            Slip(
                A.diagonal()[None, :, None, None] * image + offset,
                "Each channel is only scaled. The matrix mixes the channels, too.",
            ),
        ],
        "Such a change has no cost, whatever A and b are.",
    )


def regression_energy(mine: Callable[[Tensor, Tensor, float], Tensor]) -> Verdict:
    """Exercise 3: equation 5 without a matrix, from a small regression in every window.

        L_m = sum_windows min_{a, b}  sum_i (x_i - a^T I_i - b)^2 + epsilon |a|^2

    >>> regression_energy(lambda image, x, epsilon: x.mean())
    Not yet. The shape is right, the values are not: compare with the equation, term by term.
    """
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.float64)
    x = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    epsilon = 0.02

    def fit(epsilon: float, intercept: bool = True) -> tuple[Tensor, Tensor]:
        """The sums over all windows of the squared residuals and of |a|^2."""
        I, y = windows(image), windows(x)
        if intercept:
            I, y = I - I.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
        a = torch.linalg.solve(I.mT @ I + epsilon * torch.eye(3, dtype=torch.float64), I.mT @ y)
        return (y - I @ a).square().sum(), a.square().sum()

    residuals, length = fit(epsilon)
    through_zero = fit(epsilon, intercept=False)
    count = len(windows(x))
    return compare(
        lambda: mine(image.clone(), x.clone(), epsilon),
        residuals + epsilon * length,
        [
            Slip(residuals, "The residuals are right. What does a large a cost?"),
            Slip(residuals + epsilon / PIXELS * length, "In this form epsilon is not divided by 9."),
            Slip(fit(epsilon * PIXELS)[0] + epsilon * length, "Your a is that of another epsilon."),
            Slip(fit(0.0)[0], "This is plain least squares: epsilon is not in it at all."),
            Slip(fit(0.0)[0] + epsilon * fit(0.0)[1], "Your a is that of plain least squares: epsilon changes a, too."),
            Slip(through_zero[0] + epsilon * through_zero[1], "The fit goes through zero: b is missing."),
            Slip(
                (residuals + epsilon * length) / count, "This is the mean over the windows. The equation has their sum."
            ),
            Slip((residuals + epsilon * length) / PIXELS, "The pixels of a window are summed, not averaged."),
        ],
        "Equation 5 measures how far x is, in every window, from an affine function of the colors.",
    )
