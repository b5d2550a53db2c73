"""One evaluation of an objective: the losses, the total and the gradient, tile by tile if memory is short."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from nstlab.engine.buffers import BUFFERS
from nstlab.engine.losses import SelfProduct, SquaredDistance
from nstlab.engine.memory import chosen_tile
from nstlab.engine.network import read
from nstlab.engine.precision import checked_precision
from nstlab.engine.tiles import Tile, halo, tiles, whole
from nstlab.files.architecture import places_of, stride
from nstlab.objective import Objective, layers_of
from nstlab.terms import ContentTerm, Loss, StyleTerm
from nstlab.vgg import VGG

Parts = dict[tuple[str, str], Tensor]  # by term and layer: what is summed over the tiles, or all responses
SUMMED = (ContentTerm, StyleTerm)  # terms that need of each layer nothing but a sum over its places


class Plan(NamedTuple):
    """How an objective is evaluated: the precision of its network, the tile, and the tiles that it makes."""

    precision: str
    tile: int | None
    tiles: list[Tile]


PLANS: weakref.WeakKeyDictionary[Objective, Plan] = weakref.WeakKeyDictionary()


def plan(objective: Objective) -> Plan:
    """How this objective is evaluated, decided once: "auto" becomes a precision and a tile.

    Raises ValueError for a tile or a precision that does not exist, and for a tile if a term needs the whole image.
    """
    if objective not in PLANS:
        if objective.vgg is None or not objective.layers:
            return Plan("float32", None, [whole(objective.size)])
        precision, tile = resolved(objective.vgg, objective.layers, objective.size, objective.tile, objective.precision)
        parts = tiles(objective.size, tile, halo(objective.vgg, objective.layers))
        undivided = [name for name, term in objective.terms.items() if type(term) not in SUMMED and layers_of(term)]
        if len(parts) > 1 and undivided:
            raise ValueError(
                f"tile={objective.tile!r}: the term {', '.join(undivided)} needs the responses to the whole image at "
                f"once, so the image cannot be divided into tiles. Use tile=None, or a smaller image."
            )
        PLANS[objective] = Plan(precision, tile, parts)
    return PLANS[objective]


def resolved(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | str | None, precision: str
) -> tuple[str, int | None]:
    """The precision and the tile, with "auto" decided for the network's device."""
    precision = checked_precision(precision, vgg.mean.device)
    if isinstance(tile, str) and tile != "auto":
        raise ValueError(f"tile={tile!r} must be a multiple of 16 pixels, None or 'auto'.")
    if tile == "auto":
        return precision, chosen_tile(vgg, layers, size, precision)
    return precision, tile  # type: ignore[return-value]


def evaluate(objective: Objective, image: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The losses by name, their weighted total and its gradient, at an image (1, 3, H, W)."""
    how, x = plan(objective), image.requires_grad_()
    BUFFERS.belong_to(objective)
    if len(how.tiles) > 1:
        return tile_by_tile(objective, how, x)
    losses = losses_of(objective, x, parts_in(objective, how, x, whole((x.shape[2], x.shape[3]))))
    total = objective.weighted_sum(losses)
    (gradient,) = torch.autograd.grad(total, x)
    return losses, total, gradient


def tile_by_tile(objective: Objective, how: Plan, x: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The same in the memory of one tile: the sums s over all tiles t first, then the gradient through each tile.

    L = f(sum_t s_t(x)),    dL/dx = sum_t (ds_t/dx)^T f'(sum_t s_t)
    """

    def seen_by(tile: Tile) -> tuple[Tensor, Parts]:
        seen = tile.look(x).detach().requires_grad_()
        return seen, parts_in(objective, how, seen, tile)

    def add_gradient(tile: Tile, seen: Tensor, parts: Parts) -> None:
        tile.look(gradient).add_(torch.autograd.grad(list(parts.values()), seen, slopes)[0])

    *others, last = how.tiles
    with torch.no_grad():
        before = [parts_in(objective, how, tile.look(x), tile) for tile in others]
    seen, parts = seen_by(last)  # keeps its responses, so that one tile is computed only once
    sums = {key: sum((b[key] for b in before), s.detach()).requires_grad_() for key, s in parts.items()}
    losses = losses_of(objective, x, sums)
    total = objective.weighted_sum(losses)
    directly, *slopes = torch.autograd.grad(total, [x, *sums.values()], materialize_grads=True)
    gradient = directly.detach()  # zeros that autograd made up may want a gradient themselves
    add_gradient(last, seen, parts)
    del seen, parts
    for tile in others:
        add_gradient(tile, *seen_by(tile))
    return losses, total, gradient


def parts_in(objective: Objective, how: Plan, seen: Tensor, tile: Tile) -> Parts:
    """What each term needs of each of its layers, in one tile, from the pixels that the tile sees."""
    keys = [(name, layer) for name, term in objective.terms.items() for layer in layers_of(term)]
    if objective.vgg is None or not keys:
        return {}
    readers = [(layer, part(objective.terms[name], layer, tile, objective.size)) for name, layer in keys]
    return dict(zip(keys, read(objective.vgg, seen, readers, tile.inside, how.precision), strict=True))


def part(term: Loss, layer: str, tile: Tile, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """From the responses F in a tile to what a term needs of them.

    sum_ij (F_ij - P_ij)^2 / 2 for a ContentTerm, F F^T / M for a StyleTerm, all of F for a term it does not know.
    """
    if type(term) is ContentTerm:
        return lambda F: SquaredDistance.apply(F, tile.part(term.P, layer)) / 2
    if type(term) is StyleTerm:
        return lambda F: SelfProduct.apply(F) / places_of(layer, size)
    return all_of


def losses_of(objective: Objective, image: Tensor, parts: Parts) -> dict[str, Tensor]:
    """The losses by name, from the sums over all tiles."""
    losses = {}
    for name, term in objective.terms.items():
        of_term = {layer: tensor for (owner, layer), tensor in parts.items() if owner == name}
        if type(term) is ContentTerm:
            losses[name] = term.alpha * of_term[term.layer]
        elif type(term) is StyleTerm:
            losses[name] = term.of_gram_matrices(of_term)
        else:
            losses[name] = term(image, of_term)
    return losses


def all_of(F: Tensor) -> Tensor:
    """The responses themselves."""
    return F


def targets(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_layer: str,
    style_layers: Iterable[str],
    tile: int | str | None,
    precision: str,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """What `nstlab.objective.targets` gives, tile by tile."""
    names = list(style_layers)
    precision, pixels = resolved(vgg, [content_layer, *names], (content.shape[2], content.shape[3]), tile, precision)
    P = responses_to(vgg, content, content_layer, pixels, precision)
    G_p, A = (mean_gram_matrices(vgg, image, names, pixels, precision) for image in (content, style))
    return P, G_p, A


def responses_to(vgg: VGG, image: Tensor, layer: str, tile: int | None, precision: str) -> Tensor:
    """The responses of one layer to the whole image, (1, N, h, w)."""
    size = (image.shape[2], image.shape[3])
    P: Tensor | None = None
    for t in tiles(size, tile, halo(vgg, [layer])):
        (F,) = read(vgg, t.look(image), [(layer, all_of)], t.inside, precision)
        if P is None:
            P = F.new_empty(1, F.shape[1], size[0] // stride(layer), size[1] // stride(layer))
            P = P.contiguous(memory_format=torch.channels_last)  # as F is
        t.part(P, layer).copy_(F)
    assert P is not None
    return P


def mean_gram_matrices(
    vgg: VGG, image: Tensor, layers: list[str], tile: int | None, precision: str
) -> dict[str, Tensor]:
    """The Gram matrix per place of every layer, {layer: (1, N_l, N_l)}."""
    size = (image.shape[2], image.shape[3])
    A = {layer: torch.zeros((), device=image.device) for layer in layers}

    def of(layer: str) -> Callable[[Tensor], Tensor]:
        return lambda F: SelfProduct.apply(F) / places_of(layer, size)

    for t in tiles(size, tile, halo(vgg, layers)):
        parts = read(vgg, t.look(image), [(layer, of(layer)) for layer in layers], t.inside, precision)
        A = {layer: A[layer] + G for layer, G in zip(layers, parts, strict=True)}
    return A
