"""The self-checks of notebook 07: one window of the Matting Laplacian, its null space, and its energy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash

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
        lambda: called(mine, I, epsilon),
        window_block(I, epsilon),
        [
            Slip(
                crash("must match the size|batch2|mat1|size mismatch|expected m1 and m2|same reduction dim"),
                "Nine colors with three channels: d is (9, 3), Sigma (3, 3), B (9, 9). Which product has which shape?",
            ),
            Slip(crash("singular"), "Sigma alone may have no inverse: which multiple of Id is added to it?"),
            Slip(Id - (Id + right) / PIXELS, "The 1 in the bracket stands for every i and j, not only for i = j."),
            Slip(1 - (1 + right) / PIXELS, "delta is 1 for i = j only: it is the identity matrix."),
            Slip(
                Id - (1 + K(Sigma + epsilon / PIXELS)) / PIXELS,
                "Epsilon belongs on the diagonal of Sigma alone: it multiplies Id.",
            ),
            Slip(
                Id - (1 + K(I.T @ I / PIXELS + epsilon / PIXELS * one)) / PIXELS,
                "Sigma is made of colors minus their mean.",
            ),
            Slip(
                Id - (1 + K(Sigma + epsilon / PIXELS * one, I - I.mean())) / PIXELS,
                "You subtract one number. The mean color has three, one for each channel.",
            ),
            Slip(
                Id - (1 + d @ (1 / (Sigma + epsilon / PIXELS * one)) @ d.T) / PIXELS,
                "1 / is taken entry by entry. The inverse of a matrix is `torch.linalg.inv`.",
            ),
            Slip(Id, "This is delta alone. What is subtracted from it?"),
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
    b = torch.tensor([0.1, 0.2, -0.4])
    offset = b[None, :, None, None]
    mixed, transposed = torch.einsum("cd,ndhw->nchw", A, image), torch.einsum("dc,ndhw->nchw", A, image)
    return compare(
        lambda: called(mine, image, A, b),
        mixed + offset,
        [
            Slip(
                crash("must match the size"), "b has one number for each channel, axis 1: give it its axes with `None`."
            ),
            Slip(
                crash("batch2|mat1|size mismatch|same reduction dim"),
                "`A @ image` multiplies rows of pixels. A belongs to the channels, axis 1: see `torch.einsum`.",
            ),
            Slip(image, "Nothing has changed: return the new image."),
            Slip(
                mixed + torch.einsum("cd,d->c", A, b)[None, :, None, None],
                "A (I + b) also mixes b: it is added after A.",
            ),
            Slip((mixed + offset).clamp(0, 1), "A clamp is not affine: where it acts, the change is no longer free."),
            Slip(image + offset, "The matrix is not used: every new channel is a mixture of the three old ones."),
            Slip(image * A.sum(1)[None, :, None, None] + offset, "Each channel is only scaled: A mixes the channels."),
            Slip(mixed * offset, "b is added, not multiplied."),
            Slip(mixed + b.mean(), "b has a number of its own for each channel."),
            Slip(
                (image.view(-1, 3) @ A.T + b).view(image.shape),
                "`view` does not move the channels to the end: it mixes pixels and colors. `permute` moves axes.",
            ),
            Slip((mixed + offset).permute(0, 2, 3, 1), "The channels are the last axis now: move them back to axis 1."),
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

    >>> regression_energy(lambda image, x, epsilon: x)
    Not yet. It returns the shape (1, 1, 4, 5); the shape () is expected.
    """
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.float64)
    x = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    epsilon = 0.02

    def fit(in_a: float = epsilon, colors: bool = True, values: bool = True) -> tuple[Tensor, Tensor]:
        """The squared residuals and |a|^2 of every window; in_a: the epsilon of a; is the mean of each subtracted?"""
        I, y = windows(image), windows(x)
        I = I - I.mean(1, keepdim=True) if colors else I
        y = y - y.mean(1, keepdim=True) if values else y
        a = torch.linalg.solve(I.mT @ I + in_a * torch.eye(3, dtype=torch.float64), I.mT @ y)
        return (y - I @ a).square().sum((1, 2)), a.square().sum((1, 2))

    def cost(fitted: tuple[Tensor, Tensor], price: float = epsilon) -> Tensor:
        residuals, length = fitted
        return (residuals + price * length).sum()

    right, plain = cost(fit()), fit(in_a=0.0)
    shapes = "A window is a (9, 3) matrix I: I^T I is (3, 3), and I^T y, a and y are columns. `.mT` transposes a stack."
    mean = "The pixels of a window are summed, not averaged."
    slips = [
        Slip(crash("batch2|mat1|size mismatch|same reduction dim|must match|Incompatible"), shapes),
        Slip(crash("singular"), "I^T I alone may have no inverse: which multiple of Id is added to it?"),
        Slip(cost(fit(), 0), "The residuals are right. What does a large a cost?"),
        Slip(cost(fit(), epsilon / PIXELS), "In this form epsilon is not divided by 9."),
        Slip(cost(fit(), 1.0), "The price of a is epsilon |a|^2, not |a|^2."),
        Slip(cost(fit(), PIXELS * epsilon), "Epsilon counts nine times: it stands outside of the sum over the pixels."),
        Slip(
            (windows(x) - windows(x).mean(1, keepdim=True)).square().sum(),
            "This is how far x is from a constant. The colors are not in it.",
        ),
        Slip(cost(fit(), -epsilon), "The price of a is added to the residuals, not subtracted."),
        Slip(cost(fit(epsilon * PIXELS)), "Your a is that of another epsilon."),
        Slip(
            cost(fit(epsilon / PIXELS)),
            "Your a is that of another epsilon: for sums over nine pixels it is not divided.",
        ),
        Slip(cost(plain, 0), "This is plain least squares: epsilon is not in it at all."),
        Slip(cost(plain), "Your a is that of plain least squares: epsilon changes a, too."),
        Slip(cost(fit(colors=False, values=False)), "The fit goes through zero: b is missing."),
        Slip(cost(fit(values=False)), "Only the colors are centered: the best b takes the mean of x away, too."),
        Slip(cost(fit(colors=False)), "Only x is centered: the best b takes the mean of the colors away, too."),
        Slip(right / len(windows(x)), "This is the mean over the windows. The equation has their sum."),
        Slip(right / PIXELS, mean),
        Slip(cost(fit(), PIXELS * epsilon) / PIXELS, mean),
        Slip(fit()[0] + epsilon * fit()[1], "These are the costs of the windows. Equation 5 adds them up."),
        Slip((epsilon * fit()[1]).sum(), "This is the price of a alone. Where are the residuals?"),
    ]
    praise = "Equation 5 measures how far x is, in every window, from an affine function of the colors."
    return compare(lambda: called(mine, image, x, epsilon), right, slips, praise)
