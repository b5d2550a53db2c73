"""What the pastiche is asked to be, all of it, as named and weighted terms of one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nstlab.images import without_color
from nstlab.tiles import Tile, halo, tiles, whole
from nstlab.vgg import VGG


@dataclass(frozen=True)
class Term:
    """One loss: a function of the image and of its responses at some layers, which gives a scalar."""

    loss: Callable[[Tensor, dict[str, Tensor]], Tensor]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class SumTerm:
    """One loss that wants of each layer nothing but a sum over places, so that it can be had part by part.

        L = loss({l: sum_t part(l, F_lt, t)})

    part: from a layer, its responses in a tile and the tile to a tensor; loss: from the sums of these over all tiles,
    by layer, to a scalar.
    """

    part: Callable[[str, Tensor, Tile], Tensor]
    loss: Callable[[dict[str, Tensor]], Tensor]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """An image and everything an optimizer knows of it: raw losses by name, the weighted total, its gradient."""

    image: Tensor
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    gradient: Tensor


class Objective:
    """The weighted sum of named terms, which has the form of equation 4 of [1] and of equation 6 of [2].

        L = sum_name weight_name L_name

    terms: by name. weights: by name, a plain dict that may be changed between two calls. vgg: the network that answers
    for the terms which name layers. images: what "content", "style" stand for where a run starts from one of them.
    size: (H, W) of the image that is optimized. tile: longest side in pixels of the parts that `at` takes one by one;
    None: the whole image at once. details: an image of that size; what comes from a coarser stage gets its details.
    gray: only gray images are looked for, so that `at` answers with the same gradient for each color, their mean.

    >>> distance = Term(lambda image, responses: (image - 0.5).square().sum())
    >>> objective = Objective({"distance": distance}, {"distance": 2.0}, size=(1, 1))
    >>> objective(torch.ones(1, 3, 1, 1))
    ({'distance': tensor(0.7500)}, tensor(1.5000))
    """

    def __init__(
        self,
        terms: Mapping[str, Term | SumTerm],
        weights: Mapping[str, float],
        size: tuple[int, int],
        vgg: VGG | None = None,
        images: Mapping[str, Tensor] | None = None,
        tile: int | None = None,
        details: Tensor | None = None,
        gray: bool = False,
    ):
        if not terms or set(terms) != set(weights):
            raise ValueError(f"Objective needs one weight for each term: terms={list(terms)}, weights={list(weights)}.")
        self.terms, self.weights, self.size = dict(terms), dict(weights), size
        self.vgg, self.images, self.tile = vgg, dict(images or {}), tile
        self.details, self.gray = details, gray
        self.layers = {layer for term in terms.values() for layer in term.layers}
        if self.layers and vgg is None:
            raise ValueError(f"Objective: the terms name the layers {', '.join(sorted(self.layers))}; give vgg=VGG().")
        self.device = next((x.device for x in self.images.values()), torch.device("cpu"))
        self.tiles = tiles(size, tile, halo(vgg, self.layers)) if vgg and self.layers else [whole(size)]
        undivided = [name for name, term in terms.items() if isinstance(term, Term) and term.layers]
        if len(self.tiles) > 1 and undivided:
            raise ValueError(f"tile={tile}: {', '.join(undivided)} is no SumTerm, and needs the whole image at once.")

    def __call__(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The raw losses by name and their weighted total, for an image (1, 3, H, W), all of it at once."""
        return self.weighed(image, self.read(image, whole((image.shape[2], image.shape[3]))))

    @torch.enable_grad()
    def at(self, image: Tensor) -> Point:
        """Losses and gradient at an image."""
        if torch.is_inference_mode_enabled():
            raise ValueError("Objective.at: there are no derivatives in torch.inference_mode; leave it for the run.")
        x = image.detach().requires_grad_()
        if len(self.tiles) == 1:
            losses, total = self(x)
            (gradient,) = torch.autograd.grad(total, x)
        else:
            losses, total, gradient = self.tile_by_tile(x)
        if self.gray:
            gradient = without_color(gradient)
        numbers = torch.stack([total, *losses.values()]).detach().tolist()  # one wait for the device, not one a loss
        return Point(x.detach(), dict(zip(losses, numbers[1:], strict=True)), dict(self.weights), numbers[0], gradient)

    def tile_by_tile(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Losses, total and gradient in the memory of one tile: the sums first, then the way back through each tile.

        L = f(sum_t s_t(x)),    dL/dx = sum_t (ds_t/dx)^T f'(sum_t s_t)
        """

        def look(tile: Tile) -> tuple[Tensor, dict[tuple[str, str], Tensor]]:
            seen = tile.look(x).detach().requires_grad_()
            return seen, self.read(seen, tile)

        def go_back(tile: Tile, seen: Tensor, parts: dict[tuple[str, str], Tensor]) -> None:
            tile.look(gradient).add_(torch.autograd.grad(list(parts.values()), seen, slopes)[0])

        *others, last = self.tiles
        with torch.no_grad():
            before = [self.read(tile.look(x), tile) for tile in others]
        seen, parts = look(last)  # with its way back, so that one tile is looked at only once
        sums = {key: sum((b[key] for b in before), s.detach()).requires_grad_() for key, s in parts.items()}
        losses, total = self.weighed(x, sums)
        directly, *slopes = torch.autograd.grad(total, [x, *sums.values()], materialize_grads=True)
        gradient = directly.detach()  # zeros that autograd made up may want a gradient themselves
        go_back(last, seen, parts)
        del seen, parts
        for tile in others:
            go_back(tile, *look(tile))
        return losses, total, gradient

    def read(self, seen: Tensor, tile: Tile) -> dict[tuple[str, str], Tensor]:
        """What each term wants of each of its layers, by term and layer: its part of the sum, or all responses."""

        def reader(name: str, layer: str) -> Callable[[Tensor], Tensor]:
            term = self.terms[name]
            return (lambda F: term.part(layer, F, tile)) if isinstance(term, SumTerm) else unchanged

        keys = [(name, layer) for name, term in self.terms.items() for layer in term.layers]
        if self.vgg is None or not keys:
            return {}
        readers = [(layer, reader(name, layer)) for name, layer in keys]
        return dict(zip(keys, self.vgg.read(seen, readers, tile.inside), strict=True))

    def weighed(self, image: Tensor, read: dict[tuple[str, str], Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The raw losses by name and their weighted total."""
        losses = {}
        for name, term in self.terms.items():
            of_term = {layer: tensor for (owner, layer), tensor in read.items() if owner == name}
            losses[name] = term.loss(of_term) if isinstance(term, SumTerm) else term.loss(image, of_term)
        return losses, torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()


def unchanged(F: Tensor) -> Tensor:
    """The reader of a term that wants all responses."""
    return F
