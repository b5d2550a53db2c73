"""Equation 4 for a content image and style images: the objective that compares a pastiche with their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor

from nstlab.base.numerics.arguments import check_type, naming
from nstlab.base.numerics.modes import entrance
from nstlab.images import is_gray, without_color
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import equal_weights
from nstlab.objective import Objective
from nstlab.preparation.region_style import region_style_term
from nstlab.preparation.regions import Regions, check_regions
from nstlab.preparation.targets import checked_mix, combined, targets_of_several
from nstlab.preparation.weights import check_weights, relative_weights
from nstlab.terms import ContentTerm, Loss, PhotorealismTerm, StyleTerm, TotalVariationTerm
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

    >>> import torch
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
    masks = (regions.content, regions.style) if regions else (None, None)
    P, G_p, of_styles = targets_of_several(vgg, content, styles, content_layer, w_l, tile, precision, *masks)
    A = {layer: combined([A_k[layer] for A_k in of_styles], mix) for layer in w_l}
    size = (content.shape[2], content.shape[3])
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
    images, details = {"content": content, "style": styles[0]}, without_color(content) if gray else content
    return Objective(terms, weights, size, vgg, images, details, gray, tile, precision)
