"""Equation 4 for two images: their targets, and the objective that compares a pastiche with them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from nstlab.images import is_gray, resize, without_color
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import equal_weights, mean_gram_matrix, region_gram_matrices
from nstlab.objective import Objective, engine
from nstlab.regions import Regions, on_grid, region_style_term
from nstlab.terms import (
    ContentTerm,
    Loss,
    PhotorealismTerm,
    StyleTerm,
    TotalVariationTerm,
    relative_weights,
)
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

CONTENT_WEIGHT = 0.04  # relative; found by looking at pastiches of several pairs, networks and sizes


@torch.no_grad()
def targets(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_layer: str,
    style_layers: Iterable[str],
    tile: int | str | None = None,
    precision: str = "float32",
    *,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """What the pastiche is compared with: P of equation 1, and by layer the Gram matrices per place of the content
    image and of the style image, A of equation 3.

    content, style: (1, 3, H, W). tile, precision: as in `Objective`. content_masks, style_masks: of R regions, as in
    `Regions`. Gives P, (1, N, h, w), and two dicts of (1, N_l, N_l), with masks of (R, N_l, N_l). Raises ValueError for
    layers that the network does not have, and for images that are too small.

    >>> P, G_p, A = targets(VGG(), torch.rand(1, 3, 32, 48), torch.rand(1, 3, 16, 16), "conv4_2", ["conv1_1"])
    >>> P.shape, A["conv1_1"].shape
    (torch.Size([1, 512, 4, 6]), torch.Size([1, 64, 64]))
    """
    vgg.check_image(content, vgg.down_to([content_layer, *style_layers])[-1])  # the pastiche has its size
    vgg.check_image(style, vgg.down_to(style_layers)[-1])
    fast = engine()
    if fast:
        found: tuple[Tensor, dict[str, Tensor], dict[str, Tensor]] = fast.targets(
            vgg, content, style, content_layer, style_layers, tile, precision, content_masks, style_masks
        )
        return found

    def gram_matrices(F: Tensor, masks: Tensor | None) -> Tensor:
        size = (F.shape[2], F.shape[3])
        return mean_gram_matrix(F) if masks is None else region_gram_matrices(F, on_grid(masks, size).to(F))

    of_content, of_style = vgg(content, {content_layer, *style_layers}), vgg(style, style_layers)
    G_p, A = (
        {layer: gram_matrices(F[layer], masks) for layer in style_layers}
        for F, masks in ((of_content, content_masks), (of_style, style_masks))
    )
    return of_content[content_layer], G_p, A


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

    Raises ValueError for layers that the network does not have, for images that are too small, and for numbers of style
    images, regions and shares that do not fit together.

    >>> content, style = (torch.rand(1, 3, 48, 64) for _ in range(2))
    >>> objective = style_transfer_objective(VGG(), content, style)
    >>> {name: round(loss.item(), 2) for name, loss in objective(content)[0].items()}
    {'content': 0.0, 'style': 1.0}
    """
    w_l = equal_weights(STYLE_LAYERS) if style_layers is None else style_layers
    if not isinstance(w_l, Mapping):
        raise ValueError(f"style_layers={w_l!r} must be w_l by layer; `equal_weights(layers)` makes such a dict.")
    styles = [style] if isinstance(style, Tensor) else list(style)
    mix = checked_mix(len(styles), style_mix, regions)
    content_masks, style_masks = (regions.content, regions.style) if regions else (None, None)
    masks = {"content_masks": content_masks, "style_masks": style_masks}
    found = [targets(vgg, content, S, content_layer, w_l, tile, precision, **masks) for S in styles]
    (P, G_p, _), size = found[0], (content.shape[2], content.shape[3])
    A = {layer: combined([A_k[layer] for _, _, A_k in found], mix) for layer in w_l}
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
    shares = [1.0] * styles if style_mix is None else list(style_mix)
    if len(shares) != styles or not all(0 <= share < math.inf for share in shares) or not sum(shares):
        raise ValueError(
            f"style_mix={style_mix!r} must be one share from 0 up for each of the {styles} style images, and not all 0."
        )
    return [share / sum(shares) for share in shares]


def combined(A: Sequence[Tensor], mix: Sequence[float] | None) -> Tensor:
    """The Gram matrices of several style images: their mean with the shares `mix`, or one after another for None.

        sum_k mix_k |G - A_k|^2 = |G - sum_k mix_k A_k|^2 + a constant,    if the shares add up to 1

    So a pastiche between several styles is compared with the mean of their Gram matrices.

    A: (R, N, N) each, (1, N, N) for None. Gives (R, N, N).

    >>> combined([torch.zeros(1, 1, 1), torch.ones(1, 1, 1)], [0.25, 0.75]).flatten()
    tensor([0.7500])
    """
    if mix is None:
        return torch.cat(list(A))
    return torch.stack([share * A_k for share, A_k in zip(mix, A, strict=True)]).sum(0)


def scaled(style: Tensor, style_scale: float) -> Tensor:
    """The style image at `style_scale` times its size. Raises ValueError for a scale that is not from 0.1 to 10."""
    if not 0.1 <= style_scale <= 10:
        raise ValueError(f"style_scale={style_scale!r} must be a number from 0.1 to 10.")
    return style if style_scale == 1 else resize(style, max(1, round(style_scale * max(style.shape[2:]))))


def network_on(device: torch.device, vgg: VGG | None) -> VGG:
    """VGG-19 if no network is given; else the network given, or a copy of it if it is on another device."""
    if vgg is None:
        return VGG().to(device)
    return vgg if vgg.mean.device == torch.empty(0, device=device).device else copy.deepcopy(vgg).to(device)
