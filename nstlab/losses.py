"""Equations 1 to 3: what the pastiche is asked to be.

Symbols are the papers': layer l answers with N_l maps of M_l = h x w places; F are the pastiche's responses after
the ReLU, P the content image's, S the style image's; G and A are Gram matrices of pastiche and style image.
[1] is Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style", arXiv 1508.06576, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nstlab.half import SelfProduct, SquaredDistance


def content_loss(F: Tensor, P: Tensor) -> Tensor:
    """How far the responses are from the content image's, place by place: equation 1, section 2 of [1].

        L_content = 1/2 sum_ij (F_ij - P_ij)^2

    F, P: responses of one layer, both (B, N, h, w) or (N, M). Gives a scalar: a sum over places, so it grows with
    the picture. Raises ValueError where the shapes differ.

    >>> import torch
    >>> content_loss(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3))
    tensor(9.)
    """
    if F.shape != P.shape:
        raise ValueError(
            f"content_loss compares place by place: F is {tuple(F.shape)} and P is {tuple(P.shape)}, but they must "
            f"have one shape. Bring both images to one size before they go through the network."
        )
    return SquaredDistance.apply(F, P) / 2


def gram_matrix(F: Tensor) -> Tensor:
    """Which filters respond together, wherever they do: equation 2, section 2 of [1].

        G_ik = sum_j F_ij F_kj

    F: responses of one layer, (B, N, h, w); j runs over the M = h w places. Gives (B, N, N), not divided by anything.
    Raises ValueError for another shape.

    >>> import torch
    >>> gram_matrix(torch.ones(1, 2, 3, 3))
    tensor([[[9., 9.],
             [9., 9.]]])
    """
    if F.ndim != 4:
        raise ValueError(f"gram_matrix takes responses of shape (B, N, h, w), it was given {tuple(F.shape)}.")
    return SelfProduct.apply(F)


def mean_gram_matrix(F: Tensor) -> Tensor:
    """The Gram matrix per place, G / M: what can be compared between images of different size.

    F: (B, N, h, w). Gives (B, N, N).

    >>> import torch
    >>> torch.equal(mean_gram_matrix(torch.ones(1, 2, 3, 3)), mean_gram_matrix(torch.ones(1, 2, 8, 5)))
    True
    """
    return gram_matrix(F) / (F.shape[2] * F.shape[3])


def layer_style_loss(G: Tensor, A: Tensor) -> Tensor:
    """The style term of one layer, the first half of equation 3, section 2 of [1].

        E_l = 1/(4 N_l^2 M_l^2) sum_ij (G_ij - A_ij)^2

    G, A: Gram matrices per place, (B, N, N), from `mean_gram_matrix`: each has been divided by the M of its own
    image, which is the equation as printed where both images have one size. Gives a scalar. Raises ValueError where the
    shapes differ.

    >>> import torch
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

    F, S: responses of the pastiche and of the style image by layer, each (B, N_l, h, w); the two images may differ in
    size. weights: w_l by layer; left out, every layer of F counts alike, w_l = 1 / (number of layers), as in [1].
    Gives a scalar. Raises ValueError where a layer is missing.

    >>> import torch
    >>> F = {"conv1_1": torch.ones(1, 2, 3, 3)}
    >>> style_loss(F, {"conv1_1": torch.zeros(1, 2, 8, 8)})
    tensor(0.2500)
    """
    if weights is None:
        weights = equal_weights(F)
    missing = [layer for layer in weights if layer not in F or layer not in S]
    if missing or not weights:
        raise ValueError(
            f"style_loss needs responses of every weighted layer on both sides: "
            f"weights={list(weights)}, F={list(F)}, S={list(S)}. Ask the network for the missing ones."
        )
    E = {layer: layer_style_loss(mean_gram_matrix(F[layer]), mean_gram_matrix(S[layer])) for layer in weights}
    return sum((w * E[layer] for layer, w in weights.items()), start=next(iter(E.values())).new_zeros(()))


def equal_weights(layers: Mapping[str, object] | tuple[str, ...]) -> dict[str, float]:
    """w_l = 1 / (number of layers): the weights of the layers in [1].

    >>> equal_weights(("conv1_1", "conv2_1"))
    {'conv1_1': 0.5, 'conv2_1': 0.5}
    """
    return {layer: 1 / len(layers) for layer in layers}
