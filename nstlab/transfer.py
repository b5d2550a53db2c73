"""Approach 1 of the report, from image files to a pastiche in one call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nstlab.filters import stride
from nstlab.half import widened
from nstlab.history import Step
from nstlab.images import ImageSource, load_image, resize
from nstlab.machine import checked_device, checked_precision, default_device
from nstlab.memory import chosen_tile
from nstlab.objective import Objective
from nstlab.optimize import Result, Run, Start, finish, optimize
from nstlab.style_transfer import CONTENT_LAYER, STYLE_LAYERS, exact_factor, style_transfer_objective
from nstlab.vgg import VGG

COARSEST = 48  # pixels: no level of a pyramid has a shorter longer side
ON_THE_WAY = "conv3_1"  # where coarse sizes compare content: nearer to the pixels, so each step mends more of it
LEAN = 4.0  # to content, at coarse sizes: what style is lost comes back within a few steps at full size, content slowly
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


def emphasis(vgg: VGG, content: Tensor) -> float:
    """How many times the content term counts at coarse sizes, where it is taken at the layer ON_THE_WAY.

        LEAN mean(P^2 at CONTENT_LAYER) / mean(P^2 at ON_THE_WAY)

    The layers of one network differ up to twentyfold in the size of their responses, squared; the quotient makes up for
    it. LEAN is no paper's: it was found by measuring how soon a run comes to the same loss at full size.

    content: (1, 3, H, W) in [0, 1], of any size. Raises ValueError where the network does, for a picture too small.

    >>> 0.1 < emphasis(VGG(), load_image("red_panda", size=64)) < 1
    True
    """
    P = vgg(content, (CONTENT_LAYER, ON_THE_WAY))
    there, here = (widened(P[layer]).square().mean().item() for layer in (CONTENT_LAYER, ON_THE_WAY))
    return LEAN * there / here


def stylize_run(
    content: ImageSource,
    style: ImageSource,
    *,
    size: int = 512,
    steps: int = 20,
    content_weight: float = 1e3,
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
    coarsest, full = levels[0][0], levels[-1][0]
    on_the_way = at_full_size = (CONTENT_LAYER, 1.0)
    if coarsest < full and not exact:
        on_the_way = (ON_THE_WAY, emphasis(network, shrunk(P, coarsest)))

    def objective(longer_side: int) -> Objective:
        content_layer, times = on_the_way if longer_side < full else at_full_size
        return style_transfer_objective(
            network,
            shrunk(P, longer_side),
            shrunk(S, longer_side),
            content_weight,
            style_weight,
            content_layer=content_layer,
            photorealism_weight=photorealism_weight,
            exact=exact,
            emphasis=times,
            tile=tile,
        )

    if exact:
        factor = exact_factor(network, (P.shape[2], P.shape[3]))
        print(
            f"equation 4 as printed: alpha = {content_weight:g} on the sum is {content_weight * factor:g} on the mean"
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
    content_weight, style_weight: weights of the mean of equation 1 and of equation 3, which look alike at every size.
        At coarse sizes the content is compared at conv3_1 and counts more, see `emphasis`; with exact=True at conv4_2
        everywhere, and once.
    photorealism_weight: weight of the mean over pixels of equation 5: equation 6 from the start. 0 leaves it out.
    exact: take the weights as alpha, beta and lambda of the equations as printed, sums, and print the factor.
    vgg: a `VGG`, by default VGG-16 with average pooling and precision="auto". optimizer: "lbfgs" or "adam".
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
