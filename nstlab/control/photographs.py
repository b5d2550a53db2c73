"""A photograph that takes the light and the colors of another one: [2] from end to end.

[2] is Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017. Its optimization of equation 6 takes
thousands of steps; here a few are enough: the exact solver of the Matting Laplacian comes before and after them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nstlab import (
    VGG,
    ImageSource,
    MattingLaplacian,
    Regions,
    Result,
    Step,
    load_image,
    match_colors,
    on_grid,
    optimize,
    style_transfer_objective,
)
from nstlab.base.numerics.arguments import check_callback, naming, short, whole
from nstlab.base.numerics.devices import chosen_device
from nstlab.base.numerics.modes import entrance
from nstlab.coarse_to_fine import enlarged, shrunk
from nstlab.control.proposals import propose_regions
from nstlab.images import MIN_SIDE
from nstlab.preparation.inputs import network_on
from nstlab.preparation.regions import check_regions
from nstlab.preparation.weights import check_weights

WEIGHT = 2e3  # lambda of the solves
CONTENT_WEIGHT = 0.4  # relative; a photograph stays nearer to its content than a painting does
STEPS = (20, 15)  # of approach 1, at half and at full size
STAGES = ("color match", "preview", "approach 1", "solve", "contrast", "photograph")


@dataclass(frozen=True, repr=False)
class Photograph(Result):
    """What `photograph` leaves behind: a `Result` with the image of every stage.

    stages: by name, in order, (1, 3, H, W) in [0, 1] on the CPU; the last is the image. seconds: from the start until
    each stage was there. regions: those that were used.

    >>> result = photograph("waterfront_day", "waterfront_night", size=96, steps=(1, 1))
    >>> torch.equal(result.stages["photograph"], result.image), result.seconds.keys() == result.stages.keys()
    (True, True)
    """

    stages: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    regions: Regions | None = None


@entrance("photograph")
def photograph(
    content: ImageSource,
    style: ImageSource,
    regions: Regions | None = None,
    watch: Callable[[Step], object] | None = None,
    *,
    size: int = 512,
    steps: tuple[int, int] = STEPS,
    content_weight: float = CONTENT_WEIGHT,
    weight: float = WEIGHT,
    preview: Callable[[Tensor], object] | None = None,
    vgg: VGG | None = None,
    device: str | None = None,
    tile: int | str | None = "auto",
    precision: str = "auto",
) -> Photograph:
    """The content photograph in the light and the colors of the style photograph, region by region. [2].

        color match    `color_match`: the colors of every region of the content, moved to those of the style
        preview        `solve`: joined into a photograph
        approach 1     equation 4 with the style loss of every region, from the preview
        solve          a photograph again
        contrast       `contrast_match`: what the solve has taken from every region's contrast, given back
        photograph     `solve`

    content, style: whatever `load_image` takes. regions: which part takes its style from where; by default those of
    `propose_regions`. watch: is called with every `Step` of approach 1; preview: with the image of that stage.

    size: limit of the longer side in pixels. steps: of approach 1 at half and at full size. content_weight: relative,
    as in `stylize`. weight: lambda of the solves. vgg, device, tile, precision: as in `stylize`.

    After Ctrl-C in approach 1 the other stages follow at once. Raises ImageError and ValueError before it begins.

    >>> result = photograph("waterfront_day", "waterfront_night", size=96, steps=(1, 1))
    >>> list(result.stages)
    ['color match', 'preview', 'approach 1', 'solve', 'contrast', 'photograph']
    """
    check_weights(content_weight=content_weight, weight=weight)
    check_callback("watch", watch)
    check_callback("preview", preview)
    check_regions(regions)
    steps = checked_pair(steps)
    place, began, size = chosen_device(device), time.perf_counter(), whole("size", size, MIN_SIDE)
    network = network_on(place, vgg)
    with naming("content"):
        P = load_image(content, size).to(place)
    with naming("style"):
        S = load_image(style, size).to(place)
    regions = propose_regions(P, S, vgg=network) if regions is None else regions
    if regions.style is None:
        raise ValueError("the regions have no masks of the style image; it needs both.")
    check_regions(regions, P, [S])
    M, stages, seconds = MattingLaplacian(P), {}, {}

    def keep(stage: str, image: Tensor) -> Tensor:
        stages[stage], seconds[stage] = image.cpu(), time.perf_counter() - began
        return image

    matched = keep("color match", color_match(P, S, regions))
    start = keep("preview", solve(M, matched, weight))
    if preview is not None:
        preview(stages["preview"])
    sizes = (max(P.shape[2:]) // 2, max(P.shape[2:]))
    objectives = [
        style_transfer_objective(
            network, shrunk(P, side), shrunk(S, side), content_weight, regions=regions, tile=tile, precision=precision
        )
        for side in sizes
    ]
    found = optimize(list(zip(objectives, steps, strict=True)), start).finish(watch)
    at_half_size = found.image.shape != P.shape  # interrupted there, or without steps at full size
    stage_1 = found.image.to(place)
    stage_1 = keep("approach 1", enlarged(stage_1, objectives[-1]) if at_half_size else stage_1)
    y = keep("solve", solve(M, stage_1, weight))
    y = keep("contrast", contrast_match(y, stage_1, regions))
    image = keep("photograph", solve(M, y, weight))
    run = (found.history, found.interrupted, found.epoch)
    return Photograph(image.cpu(), *run, stages, seconds, regions, frames=found.frames)


def checked_pair(steps: tuple[int, int]) -> tuple[int, int]:
    """The steps at half and at full size as ints. Raises ValueError unless these are two whole numbers from 0 up."""
    if not (isinstance(steps, (tuple, list)) and len(steps) == 2):
        raise ValueError(f"steps={short(steps)} must be two numbers of steps, at half and at full size.")
    return whole("steps", steps[0]), whole("steps", steps[1])


def color_match(content: Tensor, style: Tensor, regions: Regions) -> Tensor:
    """Every region of the content with the mean and the covariance of its style's colors, joined by the masks.

        x = sum_r m_r T_r(content),    T_r: `match_colors` of region r

    content: (1, 3, H, W); style: (1, 3, H', W'). Gives (1, 3, H, W) in [0, 1].

    >>> content, style = torch.rand(1, 3, 32, 48), torch.rand(1, 3, 40, 40) / 2
    >>> whole = Regions(torch.ones(1, 1, 32, 48), torch.ones(1, 1, 40, 40))
    >>> bool((color_match(content, style, whole).mean((2, 3)) - style.mean((2, 3))).abs().max() < 0.02)
    True
    """
    assert regions.style is not None
    masks, style_masks = masks_of(regions.content, content), masks_of(regions.style, style)
    parts = [m * match_colors(content, style, m, s) for m, s in zip(masks.split(1), style_masks.split(1), strict=True)]
    return torch.stack(parts).sum(0).clamp(0, 1)


def contrast_match(image: Tensor, target: Tensor, regions: Regions) -> Tensor:
    """The image with the mean and the standard deviation that every region and color has in the target.

        x' = sum_r m_r (s_r(target) / s_r(x) (x - mean_r(x)) + mean_r(target))

    image, target: (1, 3, H, W). Gives (1, 3, H, W) in [0, 1].

    >>> target = 0.25 + torch.rand(1, 3, 32, 48) / 2
    >>> faded = 0.5 + (target - 0.5) / 10
    >>> torch.allclose(contrast_match(faded, target, Regions(torch.ones(1, 1, 32, 48))), target, atol=1e-4)
    True
    """
    parts = []
    for m in masks_of(regions.content, image).split(1):
        (mean, std), (target_mean, target_std) = (moments(x, m) for x in (image, target))
        parts.append(m * (target_std / std.clamp(min=1e-4) * (image - mean) + target_mean))
    return torch.stack(parts).sum(0).clamp(0, 1)


def moments(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every color under a mask, (1, 3, 1, 1)."""
    share = mask / mask.sum()
    mean = (share * image).sum((2, 3), keepdim=True)
    return mean, (share * (image - mean).square()).sum((2, 3), keepdim=True).sqrt()


def solve(M: MattingLaplacian, image: Tensor, weight: float) -> Tensor:
    """The photorealistic image next to this one, see `MattingLaplacian.solve`, clamped to [0, 1]."""
    return M.solve(image, weight).clamp(0, 1)


def masks_of(masks: Tensor, image: Tensor) -> Tensor:
    """Masks (R, 1, h, w) for every pixel of an image, (R, 1, H, W), that add up to 1 where there is one."""
    m = on_grid(masks, (image.shape[2], image.shape[3])).to(image)
    return m / m.sum(0, keepdim=True).clamp(min=1)
