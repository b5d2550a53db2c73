"""Equation 4 for a content image and style images: the objective that compares a pastiche with their targets."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from nstlab.files.architecture import stride
from nstlab.images import is_gray, resize, without_color
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import equal_weights
from nstlab.numerics.arguments import check_type, naming, number, short
from nstlab.numerics.modes import entrance
from nstlab.objective import Objective
from nstlab.regions import Regions, region_style_term
from nstlab.terms import (
    ContentTerm,
    Loss,
    PhotorealismTerm,
    StyleTerm,
    TotalVariationTerm,
    check_weights,
    relative_weights,
)
from nstlab.transfer_targets import combined, targets_of_several
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

CONTENT_WEIGHT = 0.04  # relative; found by looking at pastiches of several pairs, networks and sizes


@entrance("style_transfer_objective")
def style_transfer_objective(
    vgg: VGG,
    content: Tensor,
    style: Tensor | Sequence[Tensor],
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    *,
    content_layer: str = CONTENT_LAYER,
    style_layers: Mapping[str, float] | None = None,
    exact: bool = False,
    photorealism_weight: float = 0.0,
    total_variation_weight: float = 0.0,
    content_factor: float = 1.0,
    regions: Regions | None = None,
    style_mix: Sequence[float] | None = None,
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
    style: several images are mixed as `style_mix` says, see `combined`. regions: equation 3 region by region, each with
    its share of the content image; without masks of the style image there is one style image for each region.
    total_variation_weight, tile, precision: as in `stylize`.

    If content and style are all gray, only gray images are searched: the losses hardly determine color.

    Raises ValueError and TypeError for layers that the network does not have, for images that are too small or hold
    other values, and for numbers of style images, regions and shares that do not fit together.

    >>> content, style = (torch.rand(1, 3, 48, 64) for _ in range(2))
    >>> objective = style_transfer_objective(VGG(), content, style)
    >>> {name: round(loss.item(), 2) for name, loss in objective(content)[0].items()}
    {'content': 0.0, 'style': 1.0}
    """
    check_weights(
        content_weight=content_weight,
        style_weight=style_weight,
        photorealism_weight=photorealism_weight,
        total_variation_weight=total_variation_weight,
        content_factor=content_factor,
    )
    w_l = equal_weights(STYLE_LAYERS) if style_layers is None else style_layers
    check_type("style_layers", w_l, Mapping, "Give w_l by layer; `equal_weights(layers)` makes such a dict.")
    with naming("style_layers"):
        check_weights(**w_l)
    styles: list[Tensor] = list(style) if isinstance(style, (list, tuple)) else [cast(Tensor, style)]
    check_regions(regions)
    mix = checked_mix(len(styles), style_mix, regions)
    content_masks, style_masks = (regions.content, regions.style) if regions else (None, None)
    P, G_p, of_styles = targets_of_several(
        vgg, content, styles, content_layer, w_l, tile, precision, content_masks, style_masks
    )
    A, size = (
        {layer: combined([A_k[layer] for A_k in of_styles], mix) for layer in w_l},
        (content.shape[2], content.shape[3]),
    )
    alpha, w = (1.0, dict(w_l)) if exact else relative_weights(P, G_p, A, w_l)
    style_term = region_style_term(regions, P, G_p, A, w_l, exact, size) if regions else StyleTerm(A, w)
    terms: dict[str, Loss] = {"content": ContentTerm(content_layer, P, content_factor * alpha), "style": style_term}
    weights = {"content": content_weight, "style": style_weight}
    if photorealism_weight:
        terms["photorealism"] = PhotorealismTerm(MattingLaplacian(content), 1 if exact else size[0] * size[1])
        weights["photorealism"] = photorealism_weight
    if total_variation_weight:
        terms["total_variation"] = TotalVariationTerm()
        weights["total_variation"] = total_variation_weight
    gray = is_gray(content) and all(map(is_gray, styles))
    images = {"content": content, "style": styles[0]}
    details = without_color(content) if gray else content
    return Objective(terms, weights, size, vgg, images, details, gray, tile, precision)


def checked_mix(styles: int, style_mix: Sequence[float] | None, regions: Regions | None) -> list[float] | None:
    """The share of every style image, adding up to 1; None if there is one style image for each region.

    Raises ValueError for numbers of style images, regions and shares that do not fit together.

    >>> checked_mix(2, [1, 3], None)
    [0.25, 0.75]
    """
    if not styles:
        raise ValueError("style: the list of style images is empty; give at least one.")
    if regions and regions.style is None:
        if styles != len(regions) or style_mix is not None:
            raise ValueError(
                f"style: {styles} style images for {len(regions)} regions without masks of the style image; give one "
                f"image for each region, without style_mix, or masks."
            )
        return None
    given = [1.0] * styles if style_mix is None else style_mix
    shares = [number("style_mix", share) for share in given] if isinstance(given, Iterable) else []
    if len(shares) != styles or not sum(shares):
        raise ValueError(
            f"style_mix={short(style_mix)} must be one share from 0 up for each of the {styles} style images, and not "
            f"all 0."
        )
    return [share / sum(shares) for share in shares]


def check_regions(regions: Regions | None, content: Tensor | None = None, styles: Sequence[Tensor] = ()) -> None:
    """Raise TypeError unless these are `Regions` or None, and ValueError if they do not fit the images."""
    check_type("regions", regions, (Regions, type(None)), "`load_regions` and `propose_regions` give `Regions`.")
    if regions is not None and content is not None:
        for S in styles:
            regions.check_images(content, S, stride(STYLE_LAYERS[-1]))


def scaled(style: Tensor, style_scale: float) -> Tensor:
    """The style image at `style_scale` times its size. Raises ValueError for a scale that is not from 0.1 to 10."""
    scale = number("style_scale", style_scale, 0.1, 10)
    return style if scale == 1 else resize(style, max(1, round(scale * max(style.shape[2:]))))


def network_on(device: torch.device, vgg: VGG | None) -> VGG:
    """VGG-19 if no network is given; else the network given, or a copy of it if it is on another device."""
    check_type("vgg", vgg, (VGG, type(None)), "Give a VGG, for example VGG('vgg16'), or leave it out.")
    if vgg is None:
        return VGG().to(device)
    return vgg if vgg.mean.device == torch.empty(0, device=device).device else copy.deepcopy(vgg).to(device)
