"""Equations 4 and 6: what the pastiche is asked to be, all of it, as named and weighted terms of one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, equal_weights, layer_style_loss, mean_gram_matrix
from nstlab.vgg import VGG

CONTENT_LAYER = "conv4_2"
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclass(frozen=True)
class Term:
    """One loss: a function of the image and of its responses at some layers, which gives a scalar."""

    loss: Callable[[Tensor, dict[str, Tensor]], Tensor]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """An image and everything an optimizer knows of it: raw losses by name, the weighted total, its gradient."""

    image: Tensor
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    gradient: Tensor


class Objective:
    """The weighted sum of named terms: equation 4 of [1], equation 6 of [2].

        L = sum_name weight_name L_name

    terms: by name. weights: by name, a plain dict that may be changed between two calls. vgg: the network that answers
    for the terms which name layers. images: what "content", "style" stand for where a run starts from one of them.
    size: (H, W) of the image that is optimized.

    >>> distance = Term(lambda image, responses: (image - 0.5).square().sum())
    >>> objective = Objective({"distance": distance}, {"distance": 2.0}, size=(1, 1))
    >>> objective(torch.ones(1, 3, 1, 1))
    ({'distance': tensor(0.7500)}, tensor(1.5000))
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        weights: Mapping[str, float],
        size: tuple[int, int],
        vgg: VGG | None = None,
        images: Mapping[str, Tensor] | None = None,
    ):
        if not terms or set(terms) != set(weights):
            raise ValueError(f"Objective needs one weight for each term: terms={list(terms)}, weights={list(weights)}.")
        self.terms, self.weights, self.size = dict(terms), dict(weights), size
        self.vgg, self.images = vgg, dict(images or {})
        self.layers = {layer for term in terms.values() for layer in term.layers}
        self.device = next((x.device for x in self.images.values()), torch.device("cpu"))

    def __call__(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The raw losses by name and their weighted total, for an image (1, 3, H, W)."""
        responses = self.vgg(image, self.layers) if self.vgg is not None and self.layers else {}
        losses = {name: term.loss(image, responses) for name, term in self.terms.items()}
        weighted = [self.weights[name] * loss for name, loss in losses.items()]
        return losses, torch.stack(weighted).sum()

    def at(self, image: Tensor) -> Point:
        """Losses and gradient at an image."""
        x = image.detach().requires_grad_()
        losses, total = self(x)
        (gradient,) = torch.autograd.grad(total, x)
        numbers = torch.stack([total, *losses.values()]).detach().tolist()  # one wait for the device, not one a loss
        return Point(x.detach(), dict(zip(losses, numbers[1:], strict=True)), dict(self.weights), numbers[0], gradient)


def style_transfer_objective(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_weight: float = 1e3,
    style_weight: float = 1.0,
    *,
    content_layer: str = CONTENT_LAYER,
    style_layers: Mapping[str, float] | None = None,
    exact: bool = False,
    per_layer: bool = False,
    photorealism_weight: float = 0.0,
) -> Objective:
    """Approach 1, equation 4, and with a photorealism_weight approach 2, equation 6.

        L = alpha L_content + beta L_style + lambda L_m

    content, style: (1, 3, H, W), on the network's device; they may differ in size. style_layers: w_l by layer, by
    default 1/5 for the five of [1]. The targets are computed here, once.

    content_weight weighs the *mean* over maps and places of equation 1, and photorealism_weight the mean over pixels of
    equation 5, so that one setting looks alike at every size; exact=True takes the equations as printed, sums, so that
    the three weights are alpha, beta and lambda. per_layer=True makes each layer's w_l E_l a term of its own.

    >>> image = torch.rand(1, 3, 32, 32)
    >>> objective = style_transfer_objective(VGG(), image, image)
    >>> objective(image)[1].item() < 1e-6
    True
    """
    style_layers = equal_weights(STYLE_LAYERS) if style_layers is None else dict(style_layers)
    with torch.no_grad():
        P = vgg(content, {content_layer})[content_layer]
        S = vgg(style, style_layers)
        A = {layer: mean_gram_matrix(S[layer]) for layer in style_layers}
    places = 1 if exact else P.numel()
    pixels = 1 if exact else content.shape[2] * content.shape[3]

    def style_term(layers: Mapping[str, float]) -> Term:
        def loss(image: Tensor, F: dict[str, Tensor]) -> Tensor:
            E = [w * layer_style_loss(mean_gram_matrix(F[layer]), A[layer]) for layer, w in layers.items()]
            return torch.stack(E).sum()

        return Term(loss, tuple(layers))

    terms = {"content": Term(lambda image, F: content_loss(F[content_layer], P) / places, (content_layer,))}
    weights = {"content": content_weight}
    for name, layers in (
        {f"style {layer}": {layer: w} for layer, w in style_layers.items()} if per_layer else {"style": style_layers}
    ).items():
        terms[name], weights[name] = style_term(layers), style_weight
    if photorealism_weight:
        M = MattingLaplacian(content)
        terms["photorealism"] = Term(lambda image, F: M.energy(image) / pixels)
        weights["photorealism"] = photorealism_weight
    size = (content.shape[2], content.shape[3])
    return Objective(terms, weights, size, vgg, {"content": content, "style": style})


def exact_factor(vgg: VGG, size: tuple[int, int], content_layer: str = CONTENT_LAYER) -> int:
    """N_l M_l: how many times the content loss as printed, a sum, is its mean over maps and places.

    size: (H, W) of the content image. An alpha of equation 4 is a content_weight of alpha N_l M_l.

    >>> exact_factor(VGG(), (64, 48))
    24576
    """
    block = int(content_layer[4]) - 1
    maps = vgg.convolution(content_layer).out_channels
    return maps * (size[0] >> block) * (size[1] >> block)
