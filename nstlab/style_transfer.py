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
CONTENT_WEIGHT = 0.04  # relative; found by looking at pastiches of several pairs, networks and sizes
BOUND = 1e-3  # relative: no style layer's unit is less than this share of its loss without any response


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
    per_layer: bool = False,
    photorealism_weight: float = 0.0,
    emphasis: float = 1.0,
    tile: int | None = None,
) -> Objective:
    """Approach 1, equation 4, and with a photorealism_weight approach 2, equation 6.

        L = alpha L_content + beta L_style + lambda L_m

    content, style: (1, 3, H, W), on the network's device; they may differ in size. style_layers: w_l by layer, by
    default 1/5 for the five of [1]. The targets are computed here, once.

    The weights are relative: `relative_weights` brings both losses to units of their own, so that one setting means the
    same for every network and at every size; photorealism_weight weighs the mean over pixels of equation 5. exact=True
    takes the equations as printed, so that the three weights are alpha, beta and lambda. per_layer=True makes each
    layer's w_l E_l a term of its own. emphasis: how many times the content term counts; its loss includes it.

    tile: longest side in pixels, a multiple of 16, of the parts that the network looks at one after the other. Losses
    and gradient are the same, at half as much time again and in the memory of one part. None: all at once.

    Where content and style are both gray, so is every image that is looked for: the losses hardly hold color in place.

    Raises ValueError for layers that the network does not have, and for images that it cannot answer to.

    >>> from nstlab.images import load_image
    >>> content, style = (load_image(name, size=64) for name in ("red_panda", "great_wave"))
    >>> objective = style_transfer_objective(VGG(), content, style)
    >>> {name: round(loss.item(), 2) for name, loss in objective(content)[0].items()}
    {'content': 0.0, 'style': 1.0}
    """
    style_layers = equal_weights(STYLE_LAYERS) if style_layers is None else style_layers
    if not isinstance(style_layers, Mapping):
        raise ValueError(f"style_layers={style_layers!r} must be w_l by layer; `equal_weights(layers)` makes such.")
    P, G_p, A = targets(vgg, content, style, content_layer, style_layers, tile)
    alpha: float | Tensor = 1.0
    w: Mapping[str, float | Tensor] = dict(style_layers)  # whatever becomes of the caller's
    if not exact:
        alpha, w = relative_weights(P, G_p, A, style_layers)
    size = (content.shape[2], content.shape[3])
    pixels = 1 if exact else size[0] * size[1]

    def content_part(layer: str, F: Tensor, tile: Tile) -> Tensor:
        return emphasis * alpha * content_loss(F, tile.part(P, layer))

    def style_part(layer: str, F: Tensor, tile: Tile) -> Tensor:
        return gram_matrix(F) / places_of(layer, size)

    def style_term(layers: Iterable[str]) -> SumTerm:
        def loss(G: dict[str, Tensor]) -> Tensor:
            return torch.stack([w[layer] * layer_style_loss(G[layer], A[layer]) for layer in layers]).sum()

        return SumTerm(style_part, loss, tuple(layers))

    terms: dict[str, Term | SumTerm] = {
        "content": SumTerm(content_part, lambda parts: parts[content_layer], (content_layer,))
    }
    weights = {"content": content_weight}
    for name, layers in ({f"style {layer}": [layer] for layer in w} if per_layer else {"style": list(w)}).items():
        terms[name], weights[name] = style_term(layers), style_weight
    if photorealism_weight:
        M = MattingLaplacian(content)
        terms["photorealism"] = Term(lambda image, F: M.energy(image) / pixels)
        weights["photorealism"] = photorealism_weight
    images, gray = {"content": content, "style": style}, is_gray(content) and is_gray(style)
    details = without_color(content) if gray else content
    return Objective(terms, weights, size, vgg, images, tile, details, gray)


def relative_weights(
    P: Tensor, G_p: Mapping[str, Tensor], A: Mapping[str, Tensor], w: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The alpha and the w_l of equations 3 and 4 that bring both losses to units of their own.

        alpha = 1 / L_content(0, P)        content loss 1: nothing of the content is left, every response is 0
        w_l -> w_l / E_l(G_p, A_l)         style loss 1: no nearer to the style than the content image p itself

    As printed, E_l differs a thousandfold from layer to layer and from network to network, so that w_l = 1/5 listens
    to one layer alone. In these units every layer counts as w_l says, and the two weights are numbers to reason about.

    These units are no paper's. P: responses of the content layer to p, (1, N, h, w); G_p, A: Gram matrices per place of
    p and of the style image by layer, (1, N_l, N_l); w: w_l by layer. Gives scalars, on the device of P. Where p has
    the style already, BOUND E_l(0, A_l) is the unit; where that is 0 as well, 1 is.

    >>> G, A = {"conv1_1": torch.ones(1, 2, 2)}, {"conv1_1": torch.zeros(1, 2, 2)}
    >>> relative_weights(torch.ones(1, 2, 3, 3), G, A, {"conv1_1": 1.0})
    (tensor(0.1111), {'conv1_1': tensor(4.)})
    """

    def inverse(unit: Tensor) -> Tensor:
        return 1 / torch.where(unit > 0, unit, torch.ones_like(unit))

    alpha, weights = inverse(content_loss(torch.zeros_like(P), P)), {}
    for layer in w:
        E_p = layer_style_loss(G_p[layer], A[layer])
        E_0 = layer_style_loss(torch.zeros_like(A[layer]), A[layer])
        weights[layer] = w[layer] * inverse(torch.maximum(E_p, BOUND * E_0))
    return alpha, weights


def targets(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_layer: str = CONTENT_LAYER,
    style_layers: Iterable[str] = STYLE_LAYERS,
    tile: int | None = None,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """P of equation 1, and the Gram matrices per place by layer: of the content image, and A of the style image.

    content, style: (1, 3, H, W); tile: as in `style_transfer_objective`. Gives P, (1, N, h, w), and two dicts of
    (1, N_l, N_l). Raises ValueError for layers that the network does not have, and for images that it cannot answer to.

    >>> P, G_p, A = targets(VGG(), torch.rand(1, 3, 32, 48), torch.rand(1, 3, 16, 16))
    >>> P.shape, A["conv1_1"].shape
    (torch.Size([1, 512, 4, 6]), torch.Size([1, 64, 64]))
    """
    vgg.check_image(content, vgg.down_to([content_layer, *style_layers])[-1])  # the pastiche has its size
    vgg.check_image(style, vgg.down_to(style_layers)[-1])
    P = responses_to(vgg, content, content_layer, tile)
    G_p, A = (mean_gram_matrices(vgg, image, style_layers, tile) for image in (content, style))
    return P, G_p, A


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
