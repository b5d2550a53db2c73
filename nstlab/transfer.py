"""Approach 1 of the report, from image files to a pastiche in one call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nstlab.filters import stride
from nstlab.history import Step
from nstlab.images import ImageSource, load_image, resize
from nstlab.losses import equal_weights
from nstlab.machine import checked_device, checked_precision, default_device
from nstlab.memory import chosen_tile
from nstlab.objective import Objective
from nstlab.optimize import Result, Run, Start, finish, optimize
from nstlab.style_transfer import (
    CONTENT_LAYER,
    CONTENT_WEIGHT,
    STYLE_LAYERS,
    relative_weights,
    style_transfer_objective,
    targets,
)
from nstlab.vgg import VGG

COARSEST = 48  # pixels: no level of a pyramid has a shorter longer side
ON_THE_WAY = "conv3_1"  # where coarse sizes compare content: nearer to the pixels, so each step mends more of it
LEAN = 4.0  # times the content counts there: style that is lost comes back within a few steps at full size
LEVELS = 4  # sizes that a run from coarse to fine goes through, each half of the next
NARROWEST = stride(STYLE_LAYERS[-1])  # pixels: the least to which the deepest style layer answers


def pyramid(size: int, steps: int, coarse_to_fine: bool = True) -> list[tuple[int, int]]:
    """(longer side, steps) from the coarsest level to the finest, each twice as large as the one before.

    The smallest levels settle where things go and cost little, so they get more steps: twice as many at a quarter of
    the full size, three times at an eighth. At half the size they get as many as in full, where a step buys more.

    >>> pyramid(512, 30)
    [(64, 90), (128, 60), (256, 30), (512, 30)]
    >>> pyramid(128, 30), pyramid(512, 30, coarse_to_fine=False)
    ([(64, 30), (128, 30)], [(512, 30)])
    """
    levels = [(size >> k, max(1, k) * steps) for k in range(LEVELS if coarse_to_fine else 1)]
    return [level for level in reversed(levels) if level[0] >= COARSEST or level[0] == size]


def stylize_run(
    content: ImageSource,
    style: ImageSource,
    *,
    size: int = 512,
    steps: int = 20,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    photorealism_weight: float = 0.0,
    exact: bool = False,
    vgg: VGG | None = None,
    start: Start = "noise",
    optimizer: str = "lbfgs",
    coarse_to_fine: bool = True,
    seed: int = 0,
    device: str | None = None,
    tile: int | Literal["auto"] | None = "auto",
) -> Run:
    """Approach 1 as a stream of steps, to watch, pause and go on with; the arguments are `stylize`'s."""
    check_weights(content_weight=content_weight, style_weight=style_weight, photorealism_weight=photorealism_weight)
    place = checked_device(device) if device else default_device()
    network = network_on(place, vgg)
    P, S = load_image(content, size).to(place), load_image(style, size).to(place)
    if tile == "auto":
        tile = chosen_tile(network, (CONTENT_LAYER, *STYLE_LAYERS), (P.shape[2], P.shape[3]), place)

    levels = pyramid(max(P.shape[2:]), steps, coarse_to_fine)
    full = levels[-1][0]

    def objective(longer_side: int) -> Objective:
        content_layer, emphasis = (CONTENT_LAYER, 1.0) if longer_side == full or exact else (ON_THE_WAY, LEAN)
        return style_transfer_objective(
            network,
            shrunk(P, longer_side),
            shrunk(S, longer_side),
            content_weight,
            style_weight,
            content_layer=content_layer,
            photorealism_weight=photorealism_weight,
            exact=exact,
            emphasis=emphasis,
            tile=tile,
        )

    if exact:
        alpha, w = relative_weights(*targets(network, P, S, tile=tile), equal_weights(STYLE_LAYERS))
        of_style = ", ".join(f"{layer} {style_weight / (5 * w[layer]):.3g}" for layer in w)
        print(
            f"equation 4 as printed: alpha = {content_weight:g} is a content_weight of {content_weight / alpha:.3g}; "
            f"beta = {style_weight:g} is a style_weight of {of_style}"
        )
    return optimize([(objective(side), n) for side, n in levels], start, optimizer=optimizer, seed=seed)


def stylize(
    content: ImageSource,
    style: ImageSource,
    watch: Callable[[Step], object] | None = None,
    **settings: object,
) -> Result:
    """Approach 1: the content image's things, painted as the style image is. Equation 4, section 2 of [1].

        L = alpha L_content + beta L_style

    content, style: whatever `load_image` takes. watch: is called with every `Step`. The settings, by name:

    size: bound of the longer side in pixels, of both images; they may differ in shape.
    steps: optimizer steps at full size; the coarsest sizes get more, see `pyramid`. coarse_to_fine=False: one size.
    content_weight, style_weight: weights of both losses in units of their own, see `relative_weights`: content 1 means
        that nothing of it is left, style 1 that the pastiche is no nearer to the style than the content image is.
        Coarse sizes compare the content at conv3_1, and it counts 4 times there; with exact=True at conv4_2, and once.
    photorealism_weight: weight of the mean over pixels of equation 5: equation 6 from the start. 0 leaves it out.
    exact: take the weights as alpha, beta and lambda of the equations as printed, and print the factors.
    vgg: a `VGG`, by default VGG-19 with average pooling and precision="auto". optimizer: "lbfgs" or "adam".
    start: "noise", "content", "style" or an image; seed: of the noise.
    device: by default NSTLAB_DEVICE, else cuda, mps, cpu.
    tile: longest side in pixels of the parts that the network looks at one by one, a multiple of 16: the same losses
        and gradient in less memory and more time; None: all at once; "auto": the largest that fits into free memory.

    The pastiche of a gray photograph and a gray style is gray.

    Raises ImageError and ValueError before the run begins, DivergenceError in it.

    >>> result = stylize("chenonceau_river", "starry_night", size=64, steps=1)
    >>> result.image.shape, len(result.history)
    (torch.Size([1, 3, 48, 64]), 2)
    """
    return finish(stylize_run(content, style, **settings), watch)  # type: ignore[arg-type]


def network_on(device: torch.device, vgg: VGG | None) -> VGG:
    """The network that a run uses where none is given, or the one given, on the device."""
    return (vgg or VGG(precision=checked_precision("auto", device))).to(device)


def check_weights(**weights: float) -> None:
    """Raise ValueError, by name, for a weight that is no finite number from 0 up.

    >>> check_weights(style_weight=1.0)
    """
    for argument, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"{argument}={weight!r} must be a finite number from 0 up.")


def shrunk(image: Tensor, longer_side: int) -> Tensor:
    """The image with its longer side brought down to this many pixels, if it is longer, and if the network still
    answers to the shorter one: a panorama stays larger.

    >>> shrunk(torch.rand(1, 3, 64, 48), 32).shape, shrunk(torch.rand(1, 3, 32, 512), 64).shape
    (torch.Size([1, 3, 32, 24]), torch.Size([1, 3, 16, 256]))
    """
    longer, shorter = max(image.shape[2:]), min(image.shape[2:])
    longer_side = max(longer_side, math.ceil(NARROWEST * longer / shorter))
    return resize(image, longer_side) if longer > longer_side else image
