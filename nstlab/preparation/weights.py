"""Weights: the units that make them numbers to reason about, and what a weight may be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nstlab.base.numerics.arguments import number
from nstlab.losses import content_loss, layer_style_loss

BOUND = 1e-3  # no style layer's unit is smaller than this share of its loss without any response


def relative_weights(
    P: Tensor, G_p: Mapping[str, Tensor], A: Mapping[str, Tensor], w: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The alpha and the w_l of equations 3 and 4 that give each loss a unit.

        alpha = 1 / L_content(0, P)        content loss 1: nothing of the content is left, every response is 0
        w_l -> w_l / E_l(G_p, A_l)         style loss 1: no nearer to the style than the content image p itself

    As printed, E_l differs a thousandfold from layer to layer and from network to network, so that with w_l = 1/5 a
    single layer decides. In these units every layer counts as much as its w_l says, and both weights are numbers that
    can be reasoned about. The units are from neither paper.

    P: responses of the content layer to p, (1, N, h, w); G_p, A: Gram matrices per place of p and of the style image by
    layer, (1, N_l, N_l); w: w_l by layer. Gives scalars, on the device of P. If p already has the style, the unit is
    BOUND E_l(0, A_l); if that is 0 too, the unit is 1.

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


def check_weights(**weights: float) -> None:
    """Raise ValueError, by name, for a weight that is not a number from 0 to LARGEST.

    >>> check_weights(style_weight=1.0)
    """
    for argument, weight in weights.items():
        number(argument, weight)
