"""The image that a run begins with: noise, one of the objective's images, or a picture."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from nstlab.base.files.pixels import described, in_range, to_tensor
from nstlab.base.numerics.arguments import SEEDS, whole
from nstlab.images import ImageSource, resize, without_color
from nstlab.objective import Objective
from nstlab.preparation.colors import match_colors

Start = Literal["noise", "content", "style"] | ImageSource
NAMED_STARTS = ("noise", "content", "style")


def starting_image(objective: Objective, start: str | Tensor, seed: int) -> Tensor:
    """The image that a run begins with, (1, 3, H, W), at the objective's size and on its device.

    "noise" is uniform in [0, 1]; if there is a style image, its colors get that image's mean and covariance. The losses
    hardly determine the color of flat areas, so that the tints of the start would stay there as grain.

    start: as `loaded_start` gives it. Raises ValueError for a seed or a start that does not exist.
    """
    if isinstance(start, str) and start == "noise":
        generator = torch.Generator().manual_seed(whole("seed", seed, *SEEDS))
        noise = torch.rand(1, 3, *objective.size, generator=generator, dtype=torch.float32, device="cpu")
        noise = noise.to(objective.device)
        if "style" in objective.images:
            noise = match_colors(noise, objective.images["style"])
        return without_color(noise) if objective.gray else noise
    image = objective.images.get(start) if isinstance(start, str) else start
    if image is None:
        raise ValueError(f"start={start!r}: this objective has no such image; its starts are noise and a picture.")
    image = resize(image.to(objective.device), objective.size)
    return without_color(image) if objective.gray else image


def loaded_start(start: Start) -> str | Tensor:
    """One of NAMED_STARTS as it is, and everything else that `load_image` takes as an image (1, 3, H, W).

    Raises ImageError for anything else.

    >>> loaded_start("noise"), loaded_start("horses").shape
    ('noise', torch.Size([1, 3, 498, 768]))
    """
    if isinstance(start, str) and start in NAMED_STARTS:
        return start
    call = f"start={described(start)} (noise, content, style or a picture)"
    floats = isinstance(start, Tensor) and start.is_floating_point() and start.numel() > 0
    if isinstance(start, Tensor) and floats and start.ndim == 4 and start.shape[:2] == (1, 3):
        return in_range(start.detach().to(torch.promote_types(start.dtype, torch.float32)), call)  # float64 stays
    return to_tensor(start, call)
