"""Approach 1 of the report, from two image files to a pastiche in one call."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nstlab.coarse_to_fine import Start, pyramid, shrunk
from nstlab.images import ImageSource, is_gray, load_image, without_color
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import equal_weights
from nstlab.numerics.devices import checked_device, default_device
from nstlab.objective import Objective, targets
from nstlab.runs import Result, Run, Step, optimize
from nstlab.terms import ContentTerm, Loss, PhotorealismTerm, StyleTerm, check_weights, relative_weights
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

CONTENT_WEIGHT = 0.04  # relative; found by looking at pastiches of several pairs, networks and sizes
SMALL_CONTENT_LAYER = "conv3_1"  # where small sizes compare content: nearer to the pixels, so a step changes more
SMALL_CONTENT_FACTOR = 4.0  # how much more content counts at small sizes: the style is restored quickly at full size


def style_transfer_objective(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    *,
    content_layer: str = CONTENT_LAYER,
    style_layers: Mapping[str, float] | None = None,
    exact: bool = False,
    photorealism_weight: float = 0.0,
    content_factor: float = 1.0,
    tile: int | str | None = None,
    precision: str = "float32",
) -> Objective:
    """Approach 1, equation 4, and with a photorealism_weight approach 2, equation 6.

        L = alpha L_content + beta L_style + lambda L_m

    content, style: (1, 3, H, W), on the network's device; they may differ in size. style_layers: w_l by layer, by
    default 1/5 for the five layers of [1]. The targets are computed here, once.
    The weights are relative: `relative_weights` gives both losses a unit, so that the same weights work for every
    network and size; photorealism_weight multiplies the mean over pixels of equation 5. exact=True takes the equations
    as printed: the three weights are alpha, beta and lambda. content_factor multiplies the content loss.
    tile, precision: as in `stylize`.

    If content and style are both gray, only gray images are searched: the losses hardly determine color.

    Raises ValueError for layers that the network does not have, and for images that are too small.

    >>> content, style = (load_image(name, size=64) for name in ("red_panda", "great_wave"))
    >>> objective = style_transfer_objective(VGG(), content, style)
    >>> {name: round(loss.item(), 2) for name, loss in objective(content)[0].items()}
    {'content': 0.0, 'style': 1.0}
    """
    w_l = equal_weights(STYLE_LAYERS) if style_layers is None else style_layers
    if not isinstance(w_l, Mapping):
        raise ValueError(f"style_layers={w_l!r} must be w_l by layer; `equal_weights(layers)` makes such a dict.")
    P, G_p, A = targets(vgg, content, style, content_layer, w_l, tile, precision)
    alpha, w = (1.0, dict(w_l)) if exact else relative_weights(P, G_p, A, w_l)
    size = (content.shape[2], content.shape[3])
    terms: dict[str, Loss] = {
        "content": ContentTerm(content_layer, P, content_factor * alpha),
        "style": StyleTerm(A, w),
    }
    weights = {"content": content_weight, "style": style_weight}
    if photorealism_weight:
        terms["photorealism"] = PhotorealismTerm(MattingLaplacian(content), 1 if exact else size[0] * size[1])
        weights["photorealism"] = photorealism_weight
    gray = is_gray(content) and is_gray(style)
    details = without_color(content) if gray else content
    return Objective(terms, weights, size, vgg, {"content": content, "style": style}, details, gray, tile, precision)


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
    tile: int | str | None = "auto",
    precision: str = "auto",
) -> Run:
    """`stylize` as a stream of steps, to watch, pause and continue; it takes the same arguments."""
    check_weights(content_weight=content_weight, style_weight=style_weight, photorealism_weight=photorealism_weight)
    place = checked_device(device) if device else default_device()
    network = network_on(place, vgg)
    P, S = load_image(content, size).to(place), load_image(style, size).to(place)
    levels = pyramid(max(P.shape[2:]), steps, coarse_to_fine)

    def objective(longer_side: int) -> Objective:
        small = longer_side < levels[-1][0] and not exact
        return style_transfer_objective(
            network,
            shrunk(P, longer_side),
            shrunk(S, longer_side),
            content_weight,
            style_weight,
            content_layer=SMALL_CONTENT_LAYER if small else CONTENT_LAYER,
            photorealism_weight=photorealism_weight,
            exact=exact,
            content_factor=SMALL_CONTENT_FACTOR if small else 1.0,
            tile=tile,
            precision=precision,
        )

    return optimize([(objective(side), n) for side, n in levels], start, optimizer=optimizer, seed=seed)


def stylize(
    content: ImageSource,
    style: ImageSource,
    watch: Callable[[Step], object] | None = None,
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
    tile: int | str | None = "auto",
    precision: str = "auto",
) -> Result:
    """Approach 1: the things in the content image, painted like the style image. Equation 4, section 2 of [1].

        L = alpha L_content + beta L_style

    content, style: whatever `load_image` takes. watch: is called with every `Step`.

    size: limit of the longer side in pixels, for both images; they may differ in shape.
    steps: optimizer steps at full size; small sizes get more, see `pyramid`. coarse_to_fine=False: one size only.
    content_weight, style_weight: weights of both losses in units of their own, see `relative_weights`: a content loss
        of 1 means that nothing of the content is left, a style loss of 1 that the pastiche is no nearer to the style
        than the content image is. Small sizes compare the content at conv3_1, and it counts 4 times there.
    photorealism_weight: weight of the mean over pixels of equation 5: equation 6 from the start. 0 leaves it out.
    exact: take the weights as alpha, beta and lambda of the equations as printed, at every size.
    vgg: a `VGG`, by default VGG-19 with average pooling. optimizer: "lbfgs" or "adam".
    start: "noise", "content", "style" or an image; seed: of the noise.
    device: by default NSTLAB_DEVICE, else cuda, mps, cpu.
    tile: longest side in pixels, a multiple of 16, of the parts that are evaluated one by one: the same losses and
        gradient in less memory and more time; None: all at once; "auto": the largest that fits into free memory.
    precision: of the network, "float32", "bfloat16", "float16", or "auto", the fastest on the device; losses are always
        summed in float32.

    If content and style are both gray, so is the pastiche.

    Raises ImageError and ValueError before the run begins, DivergenceError during it.

    >>> result = stylize("chenonceau_river", "starry_night", size=64, steps=1)
    >>> result.image.shape, len(result.history)
    (torch.Size([1, 3, 48, 64]), 2)
    """
    run = stylize_run(
        content,
        style,
        size=size,
        steps=steps,
        content_weight=content_weight,
        style_weight=style_weight,
        photorealism_weight=photorealism_weight,
        exact=exact,
        vgg=vgg,
        start=start,
        optimizer=optimizer,
        coarse_to_fine=coarse_to_fine,
        seed=seed,
        device=device,
        tile=tile,
        precision=precision,
    )
    return run.finish(watch)


def network_on(device: torch.device, vgg: VGG | None) -> VGG:
    """VGG-19 if no network is given; else the network given, or a copy of it if it is on another device."""
    if vgg is None:
        return VGG().to(device)
    return vgg if vgg.mean.device == torch.empty(0, device=device).device else copy.deepcopy(vgg).to(device)
