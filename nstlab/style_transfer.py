"""Equations 4 and 6: style transfer, as an objective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from nstlab.filters import stride
from nstlab.images import is_gray, without_color
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, equal_weights, gram_matrix, layer_style_loss
from nstlab.objective import Objective, SumTerm, Term, unchanged
from nstlab.tiles import Tile, halo, places_of, tiles
from nstlab.vgg import VGG

CONTENT_LAYER = "conv4_2"
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def style_transfer_objective(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_weight: float = 1e3,
    style_weight: float = 1.0,
    *,
    content_layer: str = CONTENT_LAYER,
    style_layers: Mapping[str, float] | None = None,
    exact: bool = False,
    per_layer: bool = False,
    photorealism_weight: float = 0.0,
    emphasis: float = 1.0,
    tile: int | None = None,
) -> Objective:
    """Approach 1, equation 4, and with a photorealism_weight approach 2, equation 6.

        L = alpha L_content + beta L_style + lambda L_m

    content, style: (1, 3, H, W), on the network's device; they may differ in size. style_layers: w_l by layer, by
    default 1/5 for the five of [1]. The targets are computed here, once.

    content_weight weighs the *mean* over maps and places of equation 1, and photorealism_weight the mean over pixels of
    equation 5, so that one setting looks alike at every size; exact=True takes the equations as printed, sums, so that
    the three weights are alpha, beta and lambda. per_layer=True makes each layer's w_l E_l a term of its own.

    emphasis: how many times the content term counts; its loss includes it. For the coarse sizes of a longer run, see
    `nstlab.transfer.emphasis`.

    tile: longest side in pixels, a multiple of 16, of the parts that the network looks at one after the other. Losses
    and gradient are the same, at half as much time again and in the memory of one part. None: all at once.

    Where content and style are both gray, so is every image that is looked for: the losses hardly hold color in place.

    Raises ValueError for layers that the network does not have, and for images that it cannot answer to.

    >>> image = torch.rand(1, 3, 32, 32)
    >>> objective = style_transfer_objective(VGG(), image, image)
    >>> objective(image)[1].item() < 1e-6
    True
    """
    style_layers = equal_weights(STYLE_LAYERS) if style_layers is None else style_layers
    if not isinstance(style_layers, Mapping):
        raise ValueError(f"style_layers={style_layers!r} must be w_l by layer; `equal_weights(layers)` makes such.")
    style_layers = dict(style_layers)  # whatever becomes of the caller's
    vgg.check_image(content, vgg.down_to([content_layer, *style_layers])[-1])  # the pastiche has its size
    vgg.check_image(style, vgg.down_to(style_layers)[-1])
    size = (content.shape[2], content.shape[3])
    P = responses_to(vgg, content, content_layer, tile)
    A = mean_gram_matrices(vgg, style, style_layers, tile)
    places = 1 if exact else P.numel()
    pixels = 1 if exact else size[0] * size[1]

    def content_part(layer: str, F: Tensor, tile: Tile) -> Tensor:
        return emphasis * content_loss(F, tile.part(P, layer)) / places

    def style_part(layer: str, F: Tensor, tile: Tile) -> Tensor:
        return gram_matrix(F) / places_of(layer, size)

    def style_term(layers: Mapping[str, float]) -> SumTerm:
        def loss(G: dict[str, Tensor]) -> Tensor:
            return torch.stack([w * layer_style_loss(G[layer], A[layer]) for layer, w in layers.items()]).sum()

        return SumTerm(style_part, loss, tuple(layers))

    terms: dict[str, Term | SumTerm] = {
        "content": SumTerm(content_part, lambda parts: parts[content_layer], (content_layer,))
    }
    weights = {"content": content_weight}
    for name, layers in (
        {f"style {layer}": {layer: w} for layer, w in style_layers.items()} if per_layer else {"style": style_layers}
    ).items():
        terms[name], weights[name] = style_term(layers), style_weight
    if photorealism_weight:
        M = MattingLaplacian(content)
        terms["photorealism"] = Term(lambda image, F: M.energy(image) / pixels)
        weights["photorealism"] = photorealism_weight
    images, gray = {"content": content, "style": style}, is_gray(content) and is_gray(style)
    details = without_color(content) if gray else content
    return Objective(terms, weights, size, vgg, images, tile, details, gray)


@torch.no_grad()
def responses_to(vgg: VGG, image: Tensor, layer: str, tile: int | None) -> Tensor:
    """The responses of one layer to the whole image, tile by tile."""
    size = (image.shape[2], image.shape[3])
    P: Tensor | None = None
    for t in tiles(size, tile, halo(vgg, [layer])):
        (F,) = vgg.read(t.look(image), [(layer, unchanged)], t.inside)
        if P is None:
            P = F.new_empty(1, F.shape[1], size[0] // stride(layer), size[1] // stride(layer))
            P = P.contiguous(memory_format=torch.channels_last)  # as F is
        t.part(P, layer).copy_(F)
    assert P is not None
    return P


@torch.no_grad()
def mean_gram_matrices(vgg: VGG, image: Tensor, layers: Iterable[str], tile: int | None) -> dict[str, Tensor]:
    """The Gram matrix per place of every layer, added up tile by tile."""
    size, names = (image.shape[2], image.shape[3]), list(layers)
    A = {layer: torch.zeros((), device=image.device) for layer in names}

    def part(layer: str, F: Tensor) -> Tensor:
        return gram_matrix(F) / places_of(layer, size)

    for t in tiles(size, tile, halo(vgg, names)):
        parts = vgg.read(t.look(image), [(layer, partial(part, layer)) for layer in names], t.inside)
        A = {layer: A[layer] + G for layer, G in zip(names, parts, strict=True)}
    return A


def exact_factor(vgg: VGG, size: tuple[int, int]) -> int:
    """N_l M_l: how many times the content loss as printed, a sum, is its mean over maps and places.

    size: (H, W) of the content image. An alpha of equation 4 is a content_weight of alpha N_l M_l.

    >>> exact_factor(VGG(), (64, 48))
    24576
    """
    return vgg.convolution(CONTENT_LAYER).out_channels * places_of(CONTENT_LAYER, size)
