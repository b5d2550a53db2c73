"""One evaluation of an objective: its losses, total and gradient, by tiles if memory is short."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from nstlab.base.files.architecture import places_of, stride
from nstlab.engine import buffers
from nstlab.engine.losses import RegionProduct, SelfProduct, SquaredDistance
from nstlab.engine.memory import automatic_tile, evaluation_memory, run_memory
from nstlab.engine.network import read
from nstlab.engine.out_of_memory import check_fits, explained
from nstlab.engine.precision import fastest_precision
from nstlab.engine.tiles import Tile, halo, tiles, whole
from nstlab.objective import Objective, layers_of
from nstlab.preparation.region_style import RegionStyleTerm
from nstlab.preparation.regions import on_grid
from nstlab.terms import ContentTerm, Loss, StyleTerm
from nstlab.vgg import VGG

Statistics = dict[tuple[str, str], Tensor]  # by term and layer: the function of the responses that the term needs
ADDITIVE = (ContentTerm, StyleTerm, RegionStyleTerm)  # terms whose statistics are sums over places, and so over tiles


class Plan(NamedTuple):
    """How an objective is evaluated: the precision of the network, the side of the tiles in pixels, and the tiles."""

    precision: str
    tile: int | None
    tiles: list[Tile]


PLANS: weakref.WeakKeyDictionary[Objective, Plan] = weakref.WeakKeyDictionary()


def plan(objective: Objective) -> Plan:
    """The plan of an objective, with "auto" replaced by a precision and a tile; determined once and kept.

    Raises ValueError for an invalid tile or precision, and for several tiles if a term needs the whole image at once;
    OutOfMemory as `resolve_auto` does.
    """
    if objective not in PLANS:
        if objective.vgg is None or not objective.layers:
            return Plan("float32", None, [whole(objective.size)])
        precision, tile = resolve_auto(
            objective.vgg, objective.layers, objective.size, objective.tile, objective.precision
        )
        parts = tiles(objective.size, tile, halo(objective.vgg, objective.layers))
        indivisible = [name for name, term in objective.terms.items() if type(term) not in ADDITIVE and layers_of(term)]
        if len(parts) > 1 and indivisible:
            raise ValueError(
                f"tile={objective.tile!r}: the term {', '.join(indivisible)} needs the responses to the whole image at "
                f"once, so the image cannot be divided into tiles. Use tile=None, or a smaller image."
            )
        PLANS[objective] = Plan(precision, tile, parts)
    return PLANS[objective]


def computation(objective: Objective) -> str:
    """How an objective with a network is evaluated, and in how much memory. Raises as `plan` does."""
    vgg, size, (precision, tile, parts) = cast(VGG, objective.vgg), objective.size, plan(objective)
    memory = run_memory(vgg, objective.layers, size, tile, precision)
    return (
        f"{vgg.network} in {precision} on {objective.device}, {size[1]} x {size[0]} px "
        f"{f'in {len(parts)} tiles' if len(parts) > 1 else 'at once'}: about {memory / 1e6:,.0f} MB of memory"
    )


def resolve_auto(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | str | None, precision: str
) -> tuple[str, int | None]:
    """The precision and the tile, with "auto" replaced by a choice for the network's device.

    tile, precision: checked, see `nstlab.objective`. Raises OutOfMemory for tile="auto" if not even the smallest tile
    fits into the free memory.
    """
    precision = fastest_precision(vgg.mean.device) if precision == "auto" else precision
    if isinstance(tile, str):
        tile = automatic_tile(vgg, layers, size, precision)
        check_fits(vgg, layers, size, tile, precision)
    return precision, tile


def evaluate(objective: Objective, image: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The unweighted losses by name, their weighted total and its gradient.

    image: (1, 3, H, W). Gives scalars, and the gradient (1, 3, H, W). Raises ValueError and OutOfMemory as `plan` does,
    and OutOfMemory if the memory is too short after all; the objective can be evaluated again afterwards.
    """
    (precision, tile, parts), x = plan(objective), image.requires_grad_()
    if objective.vgg is None or not objective.layers:
        return evaluate_at_once(objective, precision, x)
    with explained(objective.vgg, objective.layers, objective.size, tile, precision):
        if x.device.type == "cpu" and not buffers.owned_by(objective):
            size = evaluation_memory(objective.vgg, objective.layers, objective.size, tile, precision)
            buffers.give_to(objective, size)
        if len(parts) > 1:
            return evaluate_by_tiles(objective, precision, parts, x)
        return evaluate_at_once(objective, precision, x)


def evaluate_at_once(objective: Objective, precision: str, x: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """`evaluate` with the whole image as one tile."""
    statistics = read_statistics(objective, precision, x, whole((x.shape[2], x.shape[3])))
    losses = losses_from(objective, x, statistics)
    total = objective.weighted_sum(losses)
    (gradient,) = torch.autograd.grad(total, x)
    return losses, total, gradient


def evaluate_by_tiles(
    objective: Objective, precision: str, parts: list[Tile], x: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """`evaluate` in the memory of one tile: first the sum of the statistics s_t of all tiles t, then the gradient.

    L = f(sum_t s_t(x)),    dL/dx = sum_t (ds_t/dx)^T f'(sum_t s_t)
    """

    def forward(tile: Tile) -> tuple[Tensor, Statistics]:
        visible = tile.visible(x).detach().requires_grad_()
        return visible, read_statistics(objective, precision, visible, tile)

    def add_gradient(tile: Tile, visible: Tensor, statistics: Statistics) -> None:
        tile.visible(gradient).add_(torch.autograd.grad(list(statistics.values()), visible, derivatives)[0])

    *others, last = parts
    with torch.no_grad():
        finished = [read_statistics(objective, precision, tile.visible(x), tile) for tile in others]
    visible, statistics = forward(last)  # its responses are kept for the gradient, so it is computed only once
    sums = {key: sum((s[key] for s in finished), s_t.detach()).requires_grad_() for key, s_t in statistics.items()}
    losses = losses_from(objective, x, sums)
    total = objective.weighted_sum(losses)
    direct, *derivatives = torch.autograd.grad(total, [x, *sums.values()], materialize_grads=True)
    gradient = direct.detach()  # the zeros that materialize_grads makes may require a gradient themselves
    add_gradient(last, visible, statistics)
    del visible, statistics
    for tile in others:
        add_gradient(tile, *forward(tile))
    return losses, total, gradient


def read_statistics(objective: Objective, precision: str, visible: Tensor, tile: Tile) -> Statistics:
    """The statistics of every term in one tile. visible: the tile's visible region of the image, (1, 3, h, w)."""
    keys = [(name, layer) for name, term in objective.terms.items() for layer in layers_of(term)]
    if objective.vgg is None or not keys:
        return {}
    readers = [(layer, statistic(objective.terms[name], layer, tile, objective.size)) for name, layer in keys]
    return dict(zip(keys, read(objective.vgg, visible, readers, tile.interior, precision), strict=True))


def statistic(term: Loss, layer: str, tile: Tile, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """The function of the responses F inside a tile that a term needs.

    sum_ij (F_ij - P_ij)^2 / 2 for a ContentTerm; F F^T / M for a StyleTerm, with M of the whole image of size (H, W),
    and the same by regions for a RegionStyleTerm; F itself for any other term.
    """
    if type(term) is ContentTerm:
        return lambda F: SquaredDistance.apply(F, tile.part(term.P, layer)) / 2
    if type(term) is StyleTerm:
        return lambda F: SelfProduct.apply(F) / places_of(layer, size)
    if type(term) is RegionStyleTerm:
        return region_gram_matrices(term.masks[layer], tile, layer)
    return identity


def region_gram_matrices(masks: Tensor, tile: Tile, layer: str) -> Callable[[Tensor], Tensor]:
    """The part of `region_gram_matrices` that one tile contributes; masks: of the whole image, (R, 1, h, w)."""
    areas = masks.sum((1, 2, 3)).view(-1, 1, 1)
    return lambda F: RegionProduct.apply(F, tile.part(masks, layer)) / torch.where(areas > 0, areas, 1)


def losses_from(objective: Objective, image: Tensor, statistics: Statistics) -> dict[str, Tensor]:
    """The unweighted losses by name, from the statistics of the whole image."""
    losses = {}
    for name, term in objective.terms.items():
        by_layer = {layer: tensor for (owner, layer), tensor in statistics.items() if owner == name}
        if type(term) is ContentTerm:
            losses[name] = term.alpha * by_layer[term.layer]
        elif isinstance(term, (StyleTerm, RegionStyleTerm)) and type(term) in ADDITIVE:
            losses[name] = term.of_gram_matrices(by_layer)
        else:
            losses[name] = term(image, by_layer)
    return losses


def identity(F: Tensor) -> Tensor:
    """F."""
    return F


def targets(
    vgg: VGG,
    content: Tensor,
    styles: Sequence[Tensor],
    content_layer: str,
    style_layers: list[str],
    tile: int | str | None,
    precision: str,
    content_masks: Tensor | None,
    style_masks: Tensor | None,
) -> tuple[Tensor, dict[str, Tensor], list[dict[str, Tensor]]]:
    """The same as `preparation.targets.targets_of_several`, by tiles."""
    size = (content.shape[2], content.shape[3])
    layers = [content_layer, *style_layers]
    precision, pixels = resolve_auto(vgg, layers, size, tile, precision)
    with explained(vgg, layers, size, pixels, precision):
        P = responses_to(vgg, content, content_layer, pixels, precision)
        G_p = mean_gram_matrices(vgg, content, content_masks, style_layers, pixels, precision)
        A = [mean_gram_matrices(vgg, S, style_masks, style_layers, pixels, precision) for S in styles]
    return P, G_p, A


def responses_to(vgg: VGG, image: Tensor, layer: str, tile: int | None, precision: str) -> Tensor:
    """The responses of one layer to the whole image, (1, N, h, w)."""
    size = (image.shape[2], image.shape[3])
    P: Tensor | None = None
    for t in tiles(size, tile, halo(vgg, [layer])):
        (F,) = read(vgg, t.visible(image), [(layer, identity)], t.interior, precision)
        if P is None:
            P = F.new_empty(1, F.shape[1], size[0] // stride(layer), size[1] // stride(layer))
            P = P.contiguous(memory_format=torch.channels_last)  # the layout of F
        t.part(P, layer).copy_(F)
    assert P is not None
    return P


def mean_gram_matrices(
    vgg: VGG, image: Tensor, masks: Tensor | None, layers: list[str], tile: int | None, precision: str
) -> dict[str, Tensor]:
    """The Gram matrix per place of every layer, {layer: (1, N_l, N_l)}; with masks by region, (R, N_l, N_l)."""
    size = (image.shape[2], image.shape[3])
    A = {layer: torch.zeros((), device=image.device) for layer in layers}

    grids = {layer: (size[0] // stride(layer), size[1] // stride(layer)) for layer in layers}
    on_layer = {} if masks is None else {layer: on_grid(masks, grids[layer]).to(image.device) for layer in layers}

    def mean_gram(layer: str, tile: Tile) -> Callable[[Tensor], Tensor]:
        if masks is None:
            return lambda F: SelfProduct.apply(F) / places_of(layer, size)
        return region_gram_matrices(on_layer[layer], tile, layer)

    for t in tiles(size, tile, halo(vgg, layers)):
        readers = [(layer, mean_gram(layer, t)) for layer in layers]
        parts = read(vgg, t.visible(image), readers, t.interior, precision)
        A = {layer: A[layer] + G for layer, G in zip(layers, parts, strict=True)}
    return A
