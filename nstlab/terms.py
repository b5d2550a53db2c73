"""The terms of equations 4 and 6: small objects whose call is their equation.

`term(image, F)` gives a scalar from the image, (1, 3, H, W), and from the responses F of the layers that the term
names, {layer: (1, N_l, h, w)}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, layer_style_loss, mean_gram_matrix

Loss = Callable[[Tensor, dict[str, Tensor]], Tensor]


@dataclass(frozen=True, eq=False)
class Term:
    """A loss of your own: any function of the image and of its responses at some layers that gives a scalar.

    >>> brightness = Term(lambda image, F: (image.mean() - 0.5).square())
    >>> brightness(torch.ones(1, 3, 4, 4), {})
    tensor(0.2500)
    """

    loss: Loss
    layers: tuple[str, ...] = ()

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return self.loss(image, F)


@dataclass(frozen=True, eq=False)
class ContentTerm:
    """Equation 1 with its weight alpha: the distance from the content image's responses P, (1, N, h, w), at one layer.

        alpha L_content(F, P)

    >>> term = ContentTerm("conv4_2", torch.zeros(1, 2, 3, 3), alpha=0.5)
    >>> term(torch.ones(1, 3, 24, 24), {"conv4_2": torch.ones(1, 2, 3, 3)})
    tensor(4.5000)
    """

    layer: str
    P: Tensor = field(repr=False)
    alpha: float | Tensor = 1.0

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return self.alpha * content_loss(F[self.layer], self.P)


@dataclass(frozen=True, eq=False)
class StyleTerm:
    """Equation 3: the distance from the style image's Gram matrices per place A, {layer: (1, N_l, N_l)}.

        sum_l w_l E_l(G_l, A_l)

    >>> term = StyleTerm({"conv1_1": torch.zeros(1, 2, 2)}, {"conv1_1": 0.5})
    >>> term(torch.ones(1, 3, 3, 3), {"conv1_1": torch.ones(1, 2, 3, 3)})
    tensor(0.1250)
    """

    A: Mapping[str, Tensor] = field(repr=False)
    w: Mapping[str, float | Tensor]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.w)

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return self.of_gram_matrices({layer: mean_gram_matrix(F[layer]) for layer in self.w})

    def of_gram_matrices(self, G: Mapping[str, Tensor]) -> Tensor:
        """The same from the pastiche's Gram matrices per place, {layer: (1, N_l, N_l)}."""
        return torch.stack([w * layer_style_loss(G[layer], self.A[layer]) for layer, w in self.w.items()]).sum()


@dataclass(frozen=True, eq=False)
class PhotorealismTerm:
    """Equation 5, with M the Matting Laplacian of the content image; `pixels` divides it, 1 or H W for a mean.

        L_m(image) / pixels

    >>> image = torch.rand(1, 3, 6, 8)
    >>> bool(PhotorealismTerm(MattingLaplacian(image), pixels=48)(1 - image / 2, {}) < 1e-4)  # a recoloring
    True
    """

    M: MattingLaplacian
    pixels: int = 1

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return self.M.energy(image) / self.pixels


@dataclass(frozen=True, eq=False)
class TotalVariationTerm:
    """How much neighboring pixels differ: the total variation of Mahendran and Vedaldi, "Understanding Deep Image
    Representations by Inverting Them", CVPR 2015, equation 3 with beta = 2, per pixel.

        1/(H W) sum_ij (x_(i+1)j - x_ij)^2 + (x_i(j+1) - x_ij)^2

    >>> TotalVariationTerm()(torch.tensor([[[[0.0, 1.0]]]]), {})
    tensor(0.5000)
    """

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        squares = [image.diff(dim=dim).square().sum() for dim in (2, 3)]
        return torch.stack(squares).sum() / (image.shape[2] * image.shape[3])
