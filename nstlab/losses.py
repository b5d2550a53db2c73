"""Equations 1 to 3: the distance in content, and the distance in style.

The symbols are the papers'. Layer l has N_l feature maps of M_l = h x w places; F are its responses to the pastiche,
after the ReLU; P are those to the content image, S those to the style image; G and A are the Gram matrices of the
pastiche and of the style image. [1] is Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style", 2015.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def content_loss(F: Tensor, P: Tensor) -> Tensor:
    """How far the responses are from the content image's, place by place: equation 1, section 2 of [1].

        L_content = 1/2 sum_ij (F_ij - P_ij)^2

    F, P: responses of one layer, both (B, N, h, w) or (N, M). Gives a scalar: a sum over places, so it grows with the
    image. Raises ValueError if the shapes differ.

    >>> content_loss(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3))
    tensor(9.)
    """
    check_same_shape(F, P)
    return 0.5 * (F - P).square().sum()


def check_same_shape(F: Tensor, P: Tensor) -> None:
    """Raise ValueError unless the responses to two images can be compared place by place."""
    if F.shape != P.shape:
        raise ValueError(
            f"content_loss compares place by place: F is {tuple(F.shape)} and P is {tuple(P.shape)}, but they must "
            f"have the same shape. Resize both images to one size before they go through the network."
        )


def gram_matrix(F: Tensor) -> Tensor:
    """Which feature maps respond together, no matter where: equation 2, section 2 of [1].

        G_ik = sum_j F_ij F_kj

    F: responses of one layer, (B, N, h, w); j runs over the M = h w places. Gives (B, N, N), not divided by anything.
    Raises ValueError for another shape.

    >>> gram_matrix(torch.ones(1, 2, 3, 3))
    tensor([[[9., 9.],
             [9., 9.]]])
    """
    if F.ndim != 4:
        raise ValueError(f"gram_matrix takes responses of shape (B, N, h, w), it was given {tuple(F.shape)}.")
    F = F.flatten(2)
    return F @ F.transpose(1, 2)


def mean_gram_matrix(F: Tensor) -> Tensor:
    """The Gram matrix divided by the number of places, G / M: comparable between images of different size.

    F: (B, N, h, w). Gives (B, N, N).

    >>> torch.equal(mean_gram_matrix(torch.ones(1, 2, 3, 3)), mean_gram_matrix(torch.ones(1, 2, 8, 5)))
    True
    """
    return gram_matrix(F) / (F.shape[2] * F.shape[3])


def layer_style_loss(G: Tensor, A: Tensor) -> Tensor:
    """The style loss of one layer, the first half of equation 3, section 2 of [1].

        E_l = 1/(4 N_l^2 M_l^2) sum_ij (G_ij - A_ij)^2

    G, A: Gram matrices divided by M, (B, N, N), from `mean_gram_matrix`. Each is divided by the M of its own image,
    which is the printed equation if both images have the same size. Gives a scalar. Raises ValueError if the shapes
    differ.

    >>> layer_style_loss(torch.ones(1, 2, 2), torch.zeros(1, 2, 2))
    tensor(0.2500)
    """
    if G.shape != A.shape:
        raise ValueError(
            f"layer_style_loss compares Gram matrices of one layer: G is {tuple(G.shape)} and A is {tuple(A.shape)}. "
            f"Take both from the same layer of the same network."
        )
    N = G.shape[-1]
    return (G - A).square().sum() / (4 * N**2)


def style_loss(F: Mapping[str, Tensor], S: Mapping[str, Tensor], weights: Mapping[str, float] | None = None) -> Tensor:
    """How far the pastiche's Gram matrices are from the style image's: equation 3, section 2 of [1].

        L_style = sum_l w_l E_l

    F, S: responses to the pastiche and to the style image by layer, each (B, N_l, h, w); the two images may differ in
    size. weights: w_l by layer; by default every layer of F counts the same, w_l = 1 / (number of layers), as in [1].
    Gives a scalar. Raises ValueError if a layer is missing.

    >>> F = {"conv1_1": torch.ones(1, 2, 3, 3)}
    >>> style_loss(F, {"conv1_1": torch.zeros(1, 2, 8, 8)})
    tensor(0.2500)
    """
    weights = equal_weights(F) if weights is None else weights
    missing = [layer for layer in weights if layer not in F or layer not in S]
    if missing or not weights:
        raise ValueError(
            f"style_loss needs the responses of every weighted layer in both: weights={list(weights)}, F={list(F)}, "
            f"S={list(S)}. Ask the network for the missing ones."
        )
    E = {layer: layer_style_loss(mean_gram_matrix(F[layer]), mean_gram_matrix(S[layer])) for layer in weights}
    return torch.stack([w * E[layer] for layer, w in weights.items()]).sum()


def equal_weights(layers: Iterable[str]) -> dict[str, float]:
    """w_l = 1 / (number of layers): the weights of the layers in [1].

    >>> equal_weights(("conv1_1", "conv2_1"))
    {'conv1_1': 0.5, 'conv2_1': 0.5}
    """
    names = list(layers)
    return {layer: 1 / len(names) for layer in names}
