"""Notebook 05: its self-checks, on equation 4, its weights, and a term of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare
from nstlab.losses import content_loss, gram_matrix, layer_style_loss, mean_gram_matrix
from nstlab.textbook import CONTENT_LAYER, STYLE_LAYERS
from nstlab.transfer import stylize
from nstlab.vgg import VGG

TotalLoss = Callable[[Tensor, VGG, Tensor, Mapping[str, Tensor], float, float], Tensor]
ALPHA, BETA = 0.01, 30.0  # with these every slip below changes the total by more than the tolerance
BALANCE = (0.4, 0.6)  # the relative content loss that exercise 3 asks for


@lru_cache(maxsize=1)
def example() -> tuple[Tensor, VGG, Tensor, dict[str, Tensor]]:
    """A small image, the network, P of a second image, and A: 1.2 times the Gram matrices per place of a third.

    The filters are random, so that all layers are equally loud and no mistake in one hides behind the others.

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
    Not yet. It gives nothing back: end the function with `return`.
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
        Slip(C + S, "Both terms are there, but they are not weighed yet."),
        Slip(BETA * C + ALPHA * S, "The weights have changed places: which of the two weighs the content?"),
        Slip(ALPHA * C + BETA * 5 * S, "Each of the five style layers counts in full: what are the w_l of [1]?"),
        Slip(ALPHA * C / P.numel() + BETA * S, "The content term is a mean here. Equation 1 as printed is a sum."),
        Slip(
            ALPHA * 2 * C + BETA * S,
            "The content term is twice too large: see what stands in front of the sum in equation 1.",
        ),
        Slip(
            ALPHA * C + BETA * undivided.mean(),
            "A holds Gram matrices per place: bring those of the image to that form.",
        ),
        Slip(
            ALPHA * C + BETA * E[STYLE_LAYERS[-1]] / 5,
            "One style layer arrives in the sum: the loop overwrites the others.",
        ),
    ]
    verdict = compare(lambda: mine(image, vgg, P, A, ALPHA, BETA), ALPHA * C + BETA * S, slips)
    if not verdict.passed:
        return verdict
    by_content, by_style = (torch.autograd.grad(term, pixels, retain_graph=True)[0] for term in (ALPHA * C, BETA * S))
    uphill = (by_content + by_style).sign()

    def slope() -> Tensor | bool:
        """Of the total, along the direction in which every pixel raises it."""
        total = mine(pixels, vgg, P, A, ALPHA, BETA)
        if not getattr(total, "requires_grad", False):
            return False
        return (torch.autograd.grad(total, pixels)[0] * uphill).sum()

    return compare(
        slope,
        ((by_content + by_style) * uphill).sum(),
        [
            Slip(False, "The number is right, but no gradient flows back to the pixels: keep it a tensor all the way."),
            Slip(
                (by_content * uphill).sum(),
                "The number is right, but the style term has no gradient: keep it a tensor.",
            ),
            Slip(
                (by_style * uphill).sum(),
                "The number is right, but the content term has no gradient: keep it a tensor.",
            ),
        ],
        "Equation 4, and its gradient reaches every pixel.",
    )


def alpha_of(mine: Callable[[float, Tensor], float]) -> Verdict:
    """Exercise 2: the alpha of equation 4 as printed that a relative content weight stands for.

        alpha = content_weight / L_content(0, P) = 2 content_weight / sum_ij P_ij^2

    >>> alpha_of(lambda content_weight, P: content_weight / content_loss(torch.zeros_like(P), P))
    Right. With this alpha the content loss as printed counts content_weight when nothing of P is left.
    """
    P, weight = 100 * torch.rand(1, 512, 4, 6, generator=torch.Generator().manual_seed(7)), 0.05
    squares = P.square().sum().item()
    slips = [
        Slip(weight * squares / 2, "The other way round: is a loss as printed larger than one in units, or smaller?"),
        Slip(weight / squares, "Equation 1 has a half in front of the sum: the unit has it, too."),
        Slip(weight / P.numel(), "That makes a mean of the sum. The unit is the loss of a picture without responses."),
        Slip(2 * weight * P.numel() / squares, "The unit is a sum over all responses, as equation 1 is, not a mean."),
        Slip(weight / (P.sum().item() / 2), "The unit has the *squares* of the responses in its sum."),
        Slip(weight / squares**0.5, "No root: the loss is the square of a distance."),
        Slip(2 / squares, "This is alpha for a content_weight of 1: multiply by the weight that came."),
    ]
    return compare(
        lambda: mine(weight, P),
        2 * weight / squares,
        slips,
        "With this alpha the content loss as printed counts content_weight when nothing of P is left.",
    )


def balance(content_weight: float | None) -> Verdict:
    """Exercise 3: a content_weight with which a run of its own ends with a relative content loss of 0.4 to 0.6.

    >>> balance(None)
    Not yet. It is still yours to choose.
    """
    if content_weight is None:
        return Verdict(False, "It is still yours to choose.")
    try:
        result = stylize("red_panda", "great_wave", size=64, steps=20, content_weight=content_weight, device="cpu")
    except Exception as error:  # whatever a learner may have put there
        return Verdict(False, f"The run stops with {type(error).__name__}: {error}")
    left = result.history[-1].losses["content"]
    low, high = BALANCE
    ends = f"The content loss ends at {left:.2f}"
    if low <= left <= high:
        return Verdict(True, f"{ends}: about half of the content is there.")
    if left > high:
        return Verdict(False, f"{ends}: most of the content is gone. It should have more of a say.")
    return Verdict(False, f"{ends}: most of the content is there. The style should have more of a say.")


def roughness(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 4: how much neighboring pixels differ.

        R(x) = sum (x_{i+1,j} - x_ij)^2 + sum (x_{i,j+1} - x_ij)^2

    >>> roughness(lambda x: x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum())
    Right. It is zero for a plain picture, and every speck costs something.
    """
    x = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(6))
    down, across = x.diff(dim=2), x.diff(dim=3)
    right = down.square().sum() + across.square().sum()
    around = (x - x.roll(1, 2)).square().sum() + (x - x.roll(1, 3)).square().sum()
    slips = [
        Slip(down.square().sum(), "Only neighbors above each other are compared: what about those side by side?"),
        Slip(across.square().sum(), "Only neighbors side by side are compared: what about those above each other?"),
        Slip(
            down.abs().sum() + across.abs().sum(),
            "These are absolute differences: what does the equation do to each one?",
        ),
        Slip(
            down.sum() + across.sum(), "Differences of both signs cancel: what does the equation do to each one first?"
        ),
        Slip(down.square().mean() + across.square().mean(), "These are means: the equation has sums."),
        Slip(around, "The last row is compared with the first one: the picture has no neighbors beyond its border."),
        Slip(right / 2, "Half of it: the equation has no factor in front."),
        Slip(2 * right, "Every pair is counted twice: once is enough."),
    ]
    return compare(lambda: mine(x), right, slips, "It is zero for a plain picture, and every speck costs something.")
