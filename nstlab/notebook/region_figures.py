"""Regions drawn over both images, one color for each pair, and what stands where a photograph is made, as a strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab import Photograph, Regions, on_grid, resize
from nstlab.notebook.pictures import Pictures, compare

PALETTE = ("#56b4e9", "#d55e00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#e69f00", "#999999")  # Okabe and Ito
STRENGTH = 0.55  # of the colors over the image
LINE = 4  # pixels: width of the line around a selected region


def show_regions(content: Tensor, style: Tensor, regions: Regions, height: float = 2.8) -> Pictures:
    """Both images with their regions: pairs have one color, and the key names them with their shares.

    content, style: (1, 3, H, W) in [0, 1]. height: of the images, in inches.

    >>> both = show_regions(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 40, 40), Regions(torch.ones(1, 1, 32, 48)))
    """
    images = {"content": content, "style": style}
    drawn = {side: tinted(images[side], masks) for side, masks in regions.sides()}
    shares = zip(regions.names, regions.shares.tolist(), strict=True)
    key = {f"{name} ({share:.0%})": color_of(r) for r, (name, share) in enumerate(shares)}
    return replace(compare(drawn, height), key=key)


def tinted(image: Tensor, masks: Tensor) -> Tensor:
    """The image in gray under the colors of its masks, (R, 1, h, w); gray alone where there is none."""
    m = on_grid(masks, (image.shape[2], image.shape[3]))
    colors = torch.tensor([rgb(color_of(r)) for r in range(len(m))]).view(-1, 3, 1, 1)
    gray = image.mean(1, keepdim=True)
    covered = m.sum(0, keepdim=True).clamp(max=1)
    share = m / m.sum(0, keepdim=True).clamp(min=1)
    return (gray * (1 - STRENGTH * covered) + STRENGTH * (share * colors).sum(0, keepdim=True)).clamp(0, 1)


def outlined(image: Tensor, masks: Tensor, chosen: Sequence[int]) -> Tensor:
    """The image with a line along the border of each chosen mask: black outside, white inside, to show on any color."""
    m = on_grid(masks, (image.shape[2], image.shape[3]))
    largest = torch.where(m.sum(0) > 0, m.argmax(0), -1)
    for r in chosen:
        inside = (largest == r)[None]
        for width, gray in ((LINE, 1.0), (LINE // 2, 0.0)):
            outside = nnf.pad((~inside).float(), [width] * 4, value=1.0)
            near_outside = nnf.max_pool2d(outside, 2 * width + 1, 1) > 0
            image = torch.where(inside & near_outside, gray, image)
    return image


def color_of(region: int) -> str:
    """The color of a region in figures; after the eighth they repeat."""
    return PALETTE[region % len(PALETTE)]


def rgb(color: str) -> tuple[float, ...]:
    """A hexadecimal color as numbers in [0, 1].

    >>> rgb("#ff0000")
    (1.0, 0.0, 0.0)
    """
    return tuple(int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))


def show_photograph(content: Tensor, style: Tensor, result: Photograph, height: float = 2.0) -> Pictures:
    """Content, style and every stage of a photograph, in rows of four, with the seconds after which each was there.

    content, style: (1, 3, H, W) in [0, 1]. height: of a row, in inches.

    >>> stages, pixels = {"preview": torch.rand(1, 3, 32, 48)}, torch.rand(1, 3, 32, 48)
    >>> made = Photograph(pixels, [], stages=stages, seconds={"preview": 2.0})
    >>> fig = show_photograph(pixels, torch.rand(1, 3, 40, 40), made)
    """
    shown = {"content": content, "style": resize(style, max(content.shape[2:]))}
    shown |= {f"{stage}, {result.seconds[stage]:.0f} s": image for stage, image in result.stages.items()}
    return compare(shown, height, columns=4)
