"""The style loss region by region. [2] is Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nstlab.base.files.architecture import stride
from nstlab.losses import gram_matrix, layer_style_loss
from nstlab.preparation.regions import Regions, on_grid
from nstlab.preparation.weights import relative_weights


def region_gram_matrices(F: Tensor, masks: Tensor) -> Tensor:
    """The mean Gram matrix of every region: only the places of its mask count, each as much as its share.

        G_r = (F sqrt(m_r)) (F sqrt(m_r))^T / sum_j m_rj

    F: (1, N, h, w); masks: m_r in [0, 1] on the grid of F, (R, 1, h, w), see `on_grid`. Gives (R, N, N); 0 for
    an empty mask. A mask of ones gives `mean_gram_matrix`. Source: [2], equation 5, where the masks are multiplied with
    the responses, and are 0 or 1.

    >>> masks = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    >>> region_gram_matrices(torch.tensor([[[[2.0, 3.0]]]]), masks).flatten()
    tensor([4., 9.])
    """
    G, areas = gram_matrix(F * masks.sqrt()), masks.sum((1, 2, 3))
    return G / torch.where(areas > 0, areas, 1).view(-1, 1, 1)


@dataclass(frozen=True, eq=False)
class RegionStyleTerm:
    """Equation 3 for every region r: the distance from the Gram matrices A of the style image's regions. [2], eq. 4.

        sum_r sum_l w_rl E_l(G_rl, A_rl)

    A: {layer: (R, N_l, N_l)}; w: {layer: (R,)}; masks: of the pastiche's regions on the grid of every layer,
    {layer: (R, 1, h, w)}.

    >>> halves = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    >>> term = RegionStyleTerm({"conv1_1": torch.zeros(2, 1, 1)}, {"conv1_1": torch.ones(2)}, {"conv1_1": halves})
    >>> term(torch.ones(1, 3, 1, 2), {"conv1_1": torch.tensor([[[[2.0, 0.0]]]])})
    tensor(4.)
    """

    A: Mapping[str, Tensor] = field(repr=False)
    w: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(repr=False)

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.w)

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return self.of_gram_matrices({layer: region_gram_matrices(F[layer], self.masks[layer]) for layer in self.w})

    def of_gram_matrices(self, G: Mapping[str, Tensor]) -> Tensor:
        """The same from the Gram matrices of the pastiche's regions, {layer: (R, N_l, N_l)}."""
        return torch.stack([w @ region_style_losses(G[layer], self.A[layer]) for layer, w in self.w.items()]).sum()


def region_style_losses(G: Tensor, A: Tensor) -> Tensor:
    """E_l of every region, (R,), from Gram matrices (R, N, N)."""
    return torch.stack([layer_style_loss(G_r, A_r) for G_r, A_r in zip(G.split(1), A.split(1), strict=True)])


def region_style_term(
    regions: Regions,
    P: Tensor,
    G_p: Mapping[str, Tensor],
    A: Mapping[str, Tensor],
    w_l: Mapping[str, float],
    exact: bool,
    size: tuple[int, int],
) -> RegionStyleTerm:
    """The style term of these regions for an image of size (H, W); every region counts as much as its area.

    P, G_p, A, w_l: as in `relative_weights`, the Gram matrices by region, (R, N_l, N_l). exact=True: no units.
    """
    by_region = []
    for r, share in enumerate(regions.shares.tolist()):
        shared = {layer: share * weight for layer, weight in w_l.items()}
        G_pr, A_r = ({layer: G[layer][r : r + 1] for layer in w_l} for G in (G_p, A))
        by_region.append(shared if exact else relative_weights(P, G_pr, A_r, shared)[1])
    w = {layer: torch.stack([A[layer].new_zeros(()) + w_r[layer] for w_r in by_region]) for layer in w_l}
    grids = {layer: (size[0] // stride(layer), size[1] // stride(layer)) for layer in w_l}
    masks = {layer: on_grid(regions.content, grid).to(P.device) for layer, grid in grids.items()}
    return RegionStyleTerm(A, w, masks)
