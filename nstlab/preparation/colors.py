"""Colors: the luminance of an image, and images recolored like another one.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer", arXiv 1606.05897, 2016.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from nstlab.base.numerics.arguments import check_choices
from nstlab.base.numerics.color_curvature import color_scale, recolored
from nstlab.base.numerics.modes import without_modes
from nstlab.images import resize

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: the Y of YIQ, ITU-R BT.601
Color = Literal["style", "content", "match"]
COLORS = get_args(Color)
UNSEEN = 1e-4  # standard deviation of colors that nobody sees: a fortieth of one of 255 levels
GAIN = 3.0  # by so much a color match stretches colors at most, in any direction


def luminance(image: Tensor) -> Tensor:
    """Y = 0.299 R + 0.587 G + 0.114 B, section 3.2 of Gatys et al.

    image: (1, 3, H, W). Gives (1, 1, H, W).

    >>> luminance(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten()
    tensor([0.2990])
    """
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def with_luminance(image: Tensor, Y: Tensor) -> Tensor:
    """The colors of the image with another luminance: adding one number to R, G and B changes Y alone, not I and Q.

        x' = x + Y - Y(x)

    image: (1, 3, H, W), resized to the size of Y, (1, 1, h, w). Gives (1, 3, h, w), clamped to [0, 1].

    >>> with_luminance(torch.full((1, 3, 1, 1), 0.2), torch.full((1, 1, 1, 1), 0.5)).flatten()
    tensor([0.5000, 0.5000, 0.5000])
    """
    x = resize(image, (Y.shape[2], Y.shape[3]))
    return (x + Y - luminance(x)).clamp(0, 1)


def match_luminance(image: Tensor, target: Tensor) -> Tensor:
    """The luminance of the image with the mean and standard deviation of the target's: equation 10 of Gatys et al.

        Y' = s_target / s (Y - m) + m_target

    image, target: (1, 3, H, W), of any sizes. Gives a gray image of the first one's size, clamped to [0, 1].

    >>> Y = match_luminance(torch.rand(1, 3, 40, 40), 0.4 + torch.rand(1, 3, 50, 50) / 5)
    >>> 0.48 < Y.mean() < 0.52
    tensor(True)
    """
    Y, target_Y = luminance(image), luminance(target)
    scale = target_Y.std() / Y.std() if Y.std() > 0 else 0.0
    return (scale * (Y - Y.mean()) + target_Y.mean()).clamp(0, 1).repeat(1, 3, 1, 1)


def color_statistics(image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean color, (3,), and the covariance of the colors, (3, 3), of the pixels of an image, (1, 3, H, W).

    mask: how much every pixel counts, (1, 1, H, W); by default all count the same. Float64 on the CPU.

    >>> mean, K = color_statistics(torch.ones(1, 3, 4, 4))
    >>> mean.tolist(), K.abs().max().item()
    ([1.0, 1.0, 1.0], 0.0)
    """
    x = image[0].flatten(1).cpu().double()
    share = x.new_ones(x.shape[1]) if mask is None else mask.flatten().cpu().double()
    share = share / share.sum()
    mean = x @ share
    centered = x - mean[:, None]
    return mean, centered * share @ centered.T


@without_modes()
def match_colors(
    image: Tensor, target: Tensor, mask: Tensor | None = None, target_mask: Tensor | None = None
) -> Tensor:
    """The image with the mean color and the covariance of the target's colors, changed as little as possible.

        x' = C (x - m) + m_target,     C = K^-1/2 (K^1/2 L K^1/2)^1/2 K^-1/2,  so that  C K C = L

    K, L: covariances of the image and of the target. C is the Monge-Kantorovich map between two normal distributions:
    Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping", 2007. Its gain in any direction is bounded
    by GAIN: where the image's colors lie nearly on a line, noise would turn into colors.

    image, target: (1, 3, H, W), of any sizes; mask, target_mask: as in `color_statistics`; the map, measured there, is
    applied to all pixels. Gives an image of the first one's size, clamped to [0, 1].

    >>> target = torch.rand(1, 3, 40, 40) / 2
    >>> mean, _ = color_statistics(match_colors(torch.rand(1, 3, 32, 32), target))
    >>> bool((mean - color_statistics(target)[0]).abs().max() < 0.02)
    True
    """
    (mean, K), (target_mean, L) = color_statistics(image, mask), color_statistics(target, target_mask)
    tiny = UNSEEN**2 * torch.eye(3, dtype=K.dtype, device=K.device)  # one color has no covariance
    C = bounded(color_scale(L + tiny, K + tiny)).to(image)
    m, target_m = (vector.to(image).view(1, 3, 1, 1) for vector in (mean, target_mean))
    return (recolored(C, image - m) + target_m).clamp(0, 1)


def bounded(C: Tensor) -> Tensor:
    """The symmetric matrix C with its eigenvalues limited to GAIN.

    >>> bounded(torch.diag(torch.tensor([1.0, 9.0]))).diagonal()
    tensor([1., 3.])
    """
    values, vectors = torch.linalg.eigh(C)
    limited: Tensor = (vectors * values.clamp(max=GAIN)) @ vectors.T
    return limited


def colored(content: Tensor, styles: list[Tensor], color: Color) -> tuple[Tensor, list[Tensor]]:
    """The content image and the style images as the network sees them. Raises ValueError for an unknown `color`."""
    check_choices(color=(color, COLORS))
    if color == "match":
        return content, [match_colors(S, content) for S in styles]
    if color == "content":
        return match_luminance(content, content), [match_luminance(S, content) for S in styles]
    return content, styles
