"""Equation 4 of [1] and equation 6 of [2]: named terms of one image, weighted and summed, and their gradient."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from nstlab.base.files.architecture import stride
from nstlab.base.interrupts import interrupt_afterwards
from nstlab.base.numerics.arguments import LARGEST, check_callback, check_choices, check_type, number, short, whole
from nstlab.base.numerics.modes import entrance, without_modes
from nstlab.images import without_color
from nstlab.terms import Loss
from nstlab.vgg import STYLE_LAYERS, VGG

GRID = stride(STYLE_LAYERS[-1])  # pixels: tiles begin and end at multiples of it
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Point:
    """An image and what an optimizer knows about it: losses by name, unweighted; the weighted total; its gradient."""

    image: Tensor
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    gradient: Tensor


class Objective:
    """The weighted sum of named terms.

        L = sum_name weight_name L_name

    terms: by name, each as in `terms`; a term that needs no layer may be a plain function of (image, F).
    weights: by name, a dict that may be changed between two evaluations.
    size: (H, W) of the image that is optimized. vgg: the network, needed if a term names layers.
    images: what the starts "content" and "style" stand for. details: an image of this size, whose fine details are
        added to an image that comes from a smaller size.
    gray: only gray images are searched, so that the gradient is the same for every color, their mean.
    tile, precision: how `at` computes, see `nstlab.engine`; the result does not depend on them except for rounding.

    Raises ValueError and TypeError if terms and weights have different names, if the network is missing, and for any
    other argument that is not as described.

    >>> def distance(image, F):
    ...     return (image - 0.5).square().sum()
    >>> objective = Objective({"distance": distance}, {"distance": 2.0}, size=(1, 1))
    >>> objective(torch.ones(1, 3, 1, 1))
    ({'distance': tensor(0.7500)}, tensor(1.5000))
    """

    @entrance("Objective")
    def __init__(
        self,
        terms: Mapping[str, Loss],
        weights: Mapping[str, float],
        size: tuple[int, int],
        vgg: VGG | None = None,
        images: Mapping[str, Tensor] | None = None,
        details: Tensor | None = None,
        gray: bool = False,
        tile: int | str | None = None,
        precision: str = "float32",
    ):
        check_type("terms", terms, Mapping, "Give a dict of terms by name.")
        check_type("weights", weights, Mapping, "Give a dict of numbers by name.")
        check_type("vgg", vgg, (VGG, type(None)), "Give a VGG, for example VGG('vgg19').")
        if not terms or set(terms) != set(weights):
            raise ValueError(f"it needs one weight for each term: terms={list(terms)}, weights={list(weights)}.")
        for name, term in terms.items():
            check_callback(f"terms[{name!r}]", term)
        self.terms, self.weights, self.size = dict(terms), checked_weights(weights), checked_size(size)
        self.vgg, self.images, self.details, self.gray = vgg, dict(images or {}), details, gray
        self.tile, self.precision = checked_evaluation(tile, precision)
        self.layers = {layer for term in terms.values() for layer in layers_of(term)}
        if self.layers and vgg is None:
            raise ValueError(f"the terms name the layers {', '.join(sorted(self.layers))}; give vgg=VGG().")
        self.device = next((x.device for x in self.images.values()), torch.device("cpu"))

    @without_modes()
    def __call__(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The unweighted losses by name and their weighted total, for an image (1, 3, H, W)."""
        F = self.vgg(image, self.layers) if self.vgg and self.layers else {}
        losses = {name: term(image, F) for name, term in self.terms.items()}
        return losses, self.weighted_sum(losses)

    def weighted_sum(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The total of these losses."""
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()

    def textbook(self, image: Tensor) -> Point:
        """Losses and gradient at an image, by autograd through this page, `losses` and `vgg`."""
        return self.point(image, by_autograd)

    def at(self, image: Tensor) -> Point:
        """Losses and gradient at an image, by the engine if there is one: the same numbers sooner, in less memory."""
        fast = engine()
        return self.point(image, fast.evaluate if fast else by_autograd)

    def computation(self) -> str:
        """How `at` computes, in words, which is decided here if it was not before; "" if there is nothing to decide.

        Raises ValueError for an image that cannot be computed as asked, `engine.OutOfMemory` for one that does not fit.
        """
        fast = engine()
        return str(fast.computation(self)) if fast and self.layers else ""

    @without_modes()
    @torch.enable_grad()
    def point(self, image: Tensor, evaluate: Evaluate) -> Point:
        """What one of the two ways of evaluating gives, as numbers; one wait for the device."""
        image = image.clone() if image.is_inference() else image.detach()
        losses, total, gradient = evaluate(self, image)
        found, *each = torch.stack([total, *losses.values()]).detach().tolist()
        gradient = without_color(gradient) if self.gray else gradient
        return Point(image.detach(), dict(zip(losses, each, strict=True)), dict(self.weights), found, gradient)


Evaluate = Callable[[Objective, Tensor], tuple[dict[str, Tensor], Tensor, Tensor]]  # losses, total, gradient


def by_autograd(objective: Objective, image: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Losses, total and gradient, by autograd."""
    x = image.requires_grad_()
    losses, total = objective(x)
    (gradient,) = torch.autograd.grad(total, x)
    return losses, total, gradient


def checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights as floats. Raises ValueError, by name, for one that is not a number within -LARGEST and LARGEST."""
    return {name: number(f"weights[{name!r}]", weight, -LARGEST) for name, weight in weights.items()}


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) as ints. Raises ValueError unless these are two whole numbers from 1 up."""
    if not (isinstance(size, (tuple, list, torch.Size)) and len(size) == 2):
        raise ValueError(f"size={size!r} must be (height, width) in pixels.")
    return whole("size", size[0], least=1), whole("size", size[1], least=1)


def checked_evaluation(tile: int | str | None, precision: str) -> tuple[int | str | None, str]:
    """A tile and a precision that the engine knows. Raises ValueError for others.

    >>> checked_evaluation("auto", "float32")
    ('auto', 'float32')
    """
    check_choices(precision=(precision, PRECISIONS))
    if tile is None or (isinstance(tile, str) and tile == "auto"):
        return tile, precision
    with suppress(ValueError):
        side = whole("tile", tile, least=GRID)
        if side % GRID == 0:
            return side, precision
    raise ValueError(f"tile={short(tile)} must be a multiple of {GRID} pixels, None or 'auto'.")


def layers_of(term: Loss) -> tuple[str, ...]:
    """The layers that a term names; a plain function names none."""
    layers: tuple[str, ...] = getattr(term, "layers", ())
    return layers


def engine() -> ModuleType | None:
    """`nstlab.engine`, which is imported here because it knows this page; None if NSTLAB_ENGINE=plain asks for autograd
    alone, or if the folder was deleted. Raises ValueError for another NSTLAB_ENGINE."""
    wanted = os.environ.get("NSTLAB_ENGINE", "")
    if wanted not in ("", "plain"):
        raise ValueError(f"NSTLAB_ENGINE={wanted!r} is not known; set it to 'plain', or leave it out.")
    if wanted:
        return None
    try:
        with interrupt_afterwards():
            import nstlab.engine
    except ModuleNotFoundError as error:
        if error.name != "nstlab.engine":  # something that the engine needs is missing
            raise
        return None
    return nstlab.engine
