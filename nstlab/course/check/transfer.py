"""The self-checks of notebook 05: equation 4 and its weights; `roughness` has the term of the learner's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from nstlab import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    VGG,
    content_loss,
    gram_matrix,
    layer_style_loss,
    mean_gram_matrix,
    stylize,
)
from nstlab.course.check.roughness import roughness as roughness  # for notebook 05
from nstlab.course.check.verdict import Slip, Verdict, called, compare, crash

TotalLoss = Callable[[Tensor, VGG, Tensor, Mapping[str, Tensor], float, float], Tensor]
ALPHA, BETA = 0.01, 30.0  # with these, every slip changes the total by more than the tolerance
LARGEST = 10.0  # content_weight that exercise 3 tries out
BALANCE = (0.4, 0.6)  # the relative content loss that exercise 3 asks for


@lru_cache(maxsize=1)
def example() -> tuple[Tensor, VGG, Tensor, dict[str, Tensor]]:
    """A small image, the network, P of a second image, and A: 1.2 times the Gram matrices per place of a third.

    The filters are random, so that all layers have losses of the same size and a mistake in any of them shows.

    >>> image, vgg, P, A = example()
    >>> image.shape, P.shape, list(A) == list(STYLE_LAYERS)
    (torch.Size([1, 3, 32, 48]), torch.Size([1, 512, 4, 6]), True)
    """
    generator = torch.Generator().manual_seed(5)
    image, content, style = torch.rand(3, 1, 3, 32, 48, generator=generator)
    vgg = VGG(weights="random")
    P, S = vgg(content, [CONTENT_LAYER])[CONTENT_LAYER], vgg(style, STYLE_LAYERS)
    return image, vgg, P, {layer: 1.2 * mean_gram_matrix(S[layer]) for layer in STYLE_LAYERS}


def total_loss(mine: TotalLoss) -> Verdict:
    """Exercise 1: equation 4.

        L = alpha 1/2 sum_ij (F_ij - P_ij)^2 + beta sum_l w_l E_l

    >>> total_loss(lambda image, vgg, P, A, alpha, beta: None)
    Not yet. It returns nothing: end the function with `return`.
    """
    image, vgg, P, A = example()
    pixels = image.clone().requires_grad_()
    F = vgg(pixels, {CONTENT_LAYER, *STYLE_LAYERS})
    E = {layer: layer_style_loss(mean_gram_matrix(F[layer]), A[layer]) for layer in STYLE_LAYERS}
    undivided = torch.stack([layer_style_loss(gram_matrix(F[layer]), A[layer]) for layer in STYLE_LAYERS])
    C, S = content_loss(F[CONTENT_LAYER], P), torch.stack(list(E.values())).mean()
    slips = [
        Slip(ALPHA * C, "This is the content term alone: equation 4 has a second one."),
        Slip(BETA * S, "This is the style term alone: equation 4 has a second one."),
        Slip(crash("KeyError"), "The network gives the layers you ask it for: CONTENT_LAYER and all STYLE_LAYERS."),
        Slip(
            (ALPHA * C + BETA * 5 * S) / 5, "Only the style losses have the weight 1/5: the content's is alpha alone."
        ),
        Slip(ALPHA * C + BETA * 5 * S / 4, "There are five style layers: each has the weight 1/5."),
        Slip(ALPHA * C + BETA * S / 5, "The style losses are divided by 5 twice."),
        Slip(C + BETA * S, "Alpha is missing."),
        Slip(ALPHA * C + S, "Beta is missing."),
        Slip(C + 5 * S, "Both terms are there, but they are not weighted, nor the style layers among themselves."),
        Slip(ALPHA * C * BETA * S, "The terms are added, not multiplied."),
        Slip(
            ALPHA * C / 2 + BETA * S,
            "The content term is too small by a factor of 2: `content_loss` has its half already.",
        ),
        Slip(
            ALPHA * C + BETA * E[STYLE_LAYERS[0]],
            "Only the first style layer is in it: is a `return` or a sum indented too far?",
        ),
        Slip(C + S, "Both terms are there, but they are not weighted."),
        Slip(BETA * C + ALPHA * S, "The weights are swapped: which of the two is the content's?"),
        Slip(ALPHA * C + BETA * 5 * S, "Each of the five style layers has weight 1: what are the w_l of [1]?"),
        Slip(ALPHA * C / P.numel() + BETA * S, "Your content term is a mean. Equation 1 as printed is a sum."),
        Slip(
            ALPHA * 2 * C + BETA * S,
            "The content term is too large by a factor of 2: see the factor in front of the sum in equation 1.",
        ),
        Slip(ALPHA * C - BETA * S, "Both terms are to become small: they are added."),
        Slip(
            ALPHA * C + BETA * undivided.mean(),
            "A holds Gram matrices per place: those of the image must be of the same kind.",
        ),
        Slip(
            ALPHA * C + BETA * E[STYLE_LAYERS[-1]] / 5,
            "Only one style layer is in the sum: the loop overwrites the others.",
        ),
    ]
    verdict = compare(lambda: called(mine, image, vgg, P, A, ALPHA, BETA), ALPHA * C + BETA * S, slips)
    if not verdict.passed:
        return verdict
    by_content, by_style = (torch.autograd.grad(term, pixels, retain_graph=True)[0] for term in (ALPHA * C, BETA * S))
    direction = (by_content + by_style).sign()

    def slope() -> Tensor | bool:
        """The derivative of the total along `direction`, in which every pixel raises it; False without a gradient."""
        total = mine(pixels, vgg, P, A, ALPHA, BETA)
        if not getattr(total, "requires_grad", False):
            return False
        return (torch.autograd.grad(total, pixels)[0] * direction).sum()

    return compare(
        slope,
        ((by_content + by_style) * direction).sum(),
        [
            Slip(False, "The number is right, but no gradient flows back to the pixels: use tensors all the way."),
            Slip(
                (by_content * direction).sum(),
                "The number is right, but the style term has no gradient: keep it a tensor.",
            ),
            Slip(
                (by_style * direction).sum(),
                "The number is right, but the content term has no gradient: keep it a tensor.",
            ),
            Slip(
                lambda found: not isinstance(found, Exception),
                "The number is right, but a part of it has no gradient: keep the loss of every layer a tensor.",
            ),
        ],
        "Equation 4, and its gradient reaches every pixel.",
    )


def alpha_of(mine: Callable[[float, Tensor], float]) -> Verdict:
    """Exercise 2: the alpha of equation 4 as printed that is equivalent to a relative content weight.

        alpha = content_weight / L_content(0, P) = 2 content_weight / sum_ij P_ij^2

    >>> alpha_of(lambda content_weight, P: content_weight / content_loss(torch.zeros_like(P), P))
    Right. With this alpha, alpha L_content is content_weight if every response is 0.
    """
    P, weight = 100 * torch.rand(1, 512, 4, 6, generator=torch.Generator().manual_seed(7)), 0.05
    squares = P.square().sum().item()
    slips = [
        Slip(
            weight * squares / 2,
            "The other way round: is the loss as printed larger or smaller than the relative one?",
        ),
        Slip(weight / squares, "Equation 1 has a half in front of the sum, and so has its unit."),
        Slip(weight / P.numel(), "That makes a mean of the sum. The unit is the loss if every response is 0."),
        Slip(2 * weight * P.numel() / squares, "The unit is a sum over all responses, as equation 1 is, not a mean."),
        Slip(weight / (P.sum().item() / 2), "The unit is a sum of the *squares* of the responses."),
        Slip(weight / squares**0.5, "No root: the loss is the square of a distance."),
        Slip(4 * weight / squares, "Equation 1 has one half in front of the sum."),
        Slip(2 * weight / P.sum().item() ** 2, "The sum is squared. The unit is a sum of squares."),
        Slip(weight * squares / P.numel(), "The other way round, and a mean: the unit is a sum, below the line."),
        Slip(-2 * weight / squares, "A weight is not negative: where does the minus come from?"),
        Slip(
            lambda alpha: alpha == 0 or alpha == math.inf,
            "L_content(P, P) is 0. The unit is the loss if every response is 0: L_content(0, P).",
        ),
        Slip(weight, "The relative loss has a unit, and equation 1 is not one as well: what is it measured in?"),
        Slip(squares / (2 * weight), "Upside down: a larger content_weight is a larger alpha."),
        Slip(weight * P.numel() / squares, "The unit is half of the sum of the squares, not their mean."),
        Slip(weight / (2 * squares), "The half belongs to the loss, below the line: there it makes alpha larger."),
        Slip(weight * P.numel(), "The unit depends on the size of the responses, not on their number alone."),
        Slip(2 / squares, "This is alpha for a content_weight of 1: multiply it by content_weight."),
    ]
    return compare(
        lambda: called(mine, weight, P),
        2 * weight / squares,
        slips,
        "With this alpha, alpha L_content is content_weight if every response is 0.",
    )


def balance(content_weight: float | None) -> Verdict:
    """Exercise 3: a content_weight with which a short run ends with a relative content loss of 0.4 to 0.6.

    >>> balance(None)
    Not yet. It is still yours to choose.
    """
    if content_weight is None:
        return Verdict(False, "It is still yours to choose.")
    if isinstance(content_weight, bool) or not isinstance(content_weight, (int, float)):
        return Verdict(False, f"A weight is a number, such as 0.04, not {content_weight!r}.")
    if content_weight < 0:
        return Verdict(False, "A negative weight rewards what is unlike the photograph. Choose a positive one.")
    if content_weight == 0:
        return Verdict(False, "With a weight of 0 the photograph has no say: all of its content is lost.")
    if math.isnan(content_weight):
        return Verdict(False, "nan is not a number: how was it computed?")
    if content_weight > LARGEST:
        return Verdict(False, f"Above {LARGEST} the style has next to no say: choose a smaller weight.")
    result = stylize("red_panda", "great_wave", size=64, steps=20, content_weight=content_weight, device="cpu")
    left = result.history[-1].losses["content"]
    low, high = BALANCE
    ends = f"The content loss ends at {left:.2f}"
    if low <= left <= high:
        return Verdict(True, f"{ends}: about half of the content is there.")
    if left > high:
        return Verdict(False, f"{ends}: most of the content is lost. It should have more weight.")
    return Verdict(False, f"{ends}: most of the content is there. The style should have more weight.")
