"""Regions: which part of the content image takes its style from which part of the style image. [2], section 3.

[2] is Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.base.files.architecture import stride
from nstlab.base.files.label_pictures import read_labels
from nstlab.base.files.pixels import described
from nstlab.base.numerics.arguments import check_type
from nstlab.images import ImageSource
from nstlab.vgg import STYLE_LAYERS

ROUNDING = 1e-3  # by so much a value may lie outside [0, 1]
SUM = 0.02  # by so much the masks of the content image may add up to less or more than 1
ASPECT = 0.05  # relative: by so much the shape of a mask may differ from that of its image


@dataclass(frozen=True, eq=False)
class Regions:
    """Pairs of a mask of the content image and a mask of the style image.

    content: (R, 1, H, W), at every pixel the share of each of the R regions, in [0, 1]; the shares add up to 1.
    style: (R, 1, H', W'), in [0, 1]; pixels that no mask covers are not learned from, and masks may overlap. None: each
        region takes the whole of a style image of its own.
    names: of the regions, by default "1", "2" and so on. The masks may be larger or smaller than the images, but have
    their shape: `on_grid` brings them to every layer.

    Raises ValueError for other shapes and values, for a region that is empty on one side, and for masks of the content
    image that overlap or leave gaps.

    >>> left = torch.zeros(1, 1, 32, 48)
    >>> left[..., :24] = 1
    >>> regions = Regions(torch.cat([left, 1 - left]), torch.ones(2, 1, 40, 40), ("left", "right"))
    >>> regions.shares.tolist()
    [0.5, 0.5]
    """

    content: Tensor = field(repr=False)
    style: Tensor | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for side, masks in self.sides():
            check_masks(masks, side)
            object.__setattr__(self, side, masks.clamp(0, 1))
        names = self.names or tuple(str(r + 1) for r in range(len(self.content)))
        object.__setattr__(self, "names", names)
        for side, masks in self.sides():
            if len(masks) != len(names):
                raise ValueError(f"Regions: {len(masks)} masks of the {side} image for {len(names)} regions.")
            empty = [name for name, mask in zip(names, masks, strict=True) if not bool(mask.any())]
            if empty:
                raise ValueError(f"Regions: {', '.join(empty)} is empty in the {side} image; leave it out.")
        total = self.content.sum(0)
        gaps, overlaps = (wrong.float().mean().item() for wrong in (total < 1 - SUM, total > 1 + SUM))
        for share, what in ((gaps, "leave gaps on"), (overlaps, "overlap on")):
            if share:
                raise ValueError(
                    f"Regions: the masks {what} {share:.1%} of the content image. Divide them by their sum, or add one "
                    f"for the rest."
                )

    def sides(self) -> list[tuple[str, Tensor]]:
        """The masks that there are, with the name of their image."""
        return [("content", self.content), *([] if self.style is None else [("style", self.style)])]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shares(self) -> Tensor:
        """The share of the content image that each region has, (R,)."""
        areas = self.content.mean((1, 2, 3))
        return areas / areas.sum()

    def check_images(self, content: Tensor, style: Tensor, stride: int) -> None:
        """Raise ValueError for masks that do not have the shape of their image, (1, 3, H, W), and for a region that is
        smaller than one place of the deepest layer, a square of `stride` pixels."""
        for (side, masks), image in zip(self.sides(), (content, style), strict=False):
            (h, w), (H, W) = masks.shape[2:], image.shape[2:]
            if abs(h * W / (w * H) - 1) > ASPECT:
                raise ValueError(
                    f"regions: the masks of the {side} image have {w} x {h} pixels, the image {W} x {H}. Cut the masks "
                    f"as the image was cut: they need its aspect ratio."
                )
            pixels = masks.mean((1, 2, 3)) * H * W
            small = [f"{name} ({n:.0f})" for name, n in zip(self.names, pixels, strict=True) if n < stride**2]
            if small:
                raise ValueError(
                    f"regions: {', '.join(small)} has fewer than {stride**2} pixels of the {side} image, one place of "
                    f"the deepest layer. Join it with another region, or take a larger size."
                )


def check_regions(regions: Regions | None, content: Tensor | None = None, styles: Sequence[Tensor] = ()) -> None:
    """Raise TypeError unless these are `Regions` or None, and ValueError if they do not fit the images."""
    check_type("regions", regions, (Regions, type(None)), "`load_regions` and `propose_regions` give `Regions`.")
    if regions is not None and content is not None:
        for S in styles:
            regions.check_images(content, S, stride(STYLE_LAYERS[-1]))


def check_masks(masks: object, side: str) -> None:
    """Raise ValueError unless these are masks, floats (R, 1, H, W) in [0, 1]."""
    if not isinstance(masks, Tensor) or masks.ndim != 4 or masks.shape[1] != 1 or not masks.is_floating_point():
        came = f"{tuple(masks.shape)}, {masks.dtype}" if isinstance(masks, Tensor) else type(masks).__name__
        raise ValueError(f"Regions: the masks of the {side} image are {came}; give floats (R, 1, H, W) in [0, 1].")
    if not masks.numel() or not bool(((masks >= -ROUNDING) & (masks <= 1 + ROUNDING)).all()):
        raise ValueError(f"Regions: the masks of the {side} image have no pixels, or values outside [0, 1].")


def on_grid(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (R, 1, H, W) on a layer's grid of (h, w) places: the share of every place's area, (R, 1, h, w).

    >>> on_grid(torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]]), (1, 2))
    tensor([[[[0.5000, 0.0000]]]])
    """
    return nnf.interpolate(masks, size, mode="area")


def load_regions(content_labels: ImageSource, style_labels: ImageSource) -> Regions:
    """The regions of two label pictures: one color stands for one region, the same in both.

    content_labels, style_labels: whatever `load_image` takes: pictures in a few pure colors, as those of [2], or in
    grays; or arrays (H, W) of whole numbers. Colors may be a little off, as after resizing; pixels between two colors,
    and a label on one side only that covers at most 2 % of it, get the labels around them.

    Raises ImageError for a photograph, for more than 255 labels, and for a label on one side only.

    >>> labels = torch.zeros(40, 60, dtype=torch.int64)
    >>> labels[:, 30:] = 7
    >>> load_regions(labels, labels.T)
    Regions(names=('0', '7'))
    """
    call = f"load_regions({described(content_labels)}, {described(style_labels)})"
    content, style, names = read_labels(content_labels, style_labels, call)

    def masks(labels: Tensor) -> Tensor:
        return torch.stack([labels == k for k in range(len(names))])[:, None].float()

    return Regions(masks(content), masks(style), names)
