"""A cheap stand-in for the inverse of A = Id + weight M, so that conjugate gradients need few steps.

What M barely sees is what makes A hard: images that are, over some distance, an affine function of the content's
colors, u(p) = n(p) . (1, R, G, B)(p) with four numbers n that change slowly over the image. Such images are corrected
on grids of nodes 4, 16, 64, ... pixels apart: every node has its four numbers, and between nodes they are interpolated
("hat functions" h_n). With P_s the map from the nodes of a grid to the image, and K_s an approximate inverse of
P_s^T A P_s node by node,

    A^-1  ~  2 / diag(A)  +  sum_s P_s K_s P_s^T

This is the additive multilevel preconditioner of Bramble, Pasciak, Xu, "Parallel Multilevel Preconditioners", 1990,
with the colors in its basis. Without them it hardly helps: content has edges, which plain interpolation smears.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.stencil import OFFSETS, apply_stencil, chunk_length, row_sums

RATIO = 4  # between the spacings of one grid and the next
STRIP = 1 << 16  # pixels at a time, so that their products with the four colors stay in a processor's cache
HAT = [[7 / 8, 5 / 8, 3 / 8, 1 / 8], [1 / 8, 3 / 8, 5 / 8, 7 / 8]]  # of RATIO pixels, to the node before and after


class ColorPyramid:
    """The map r -> approximately A^-1 r, with A = Id + weight M; symmetric and positive definite.

    image: the content image, (1, 3, H, W). planes: the 13 planes of its Matting Laplacian. weight: at least 0; the
    larger it is, the further A^-1 reaches, and the coarser the coarsest grid.
    """

    def __init__(self, image: Tensor, planes: Tensor, weight: float):
        H, W = planes.shape[1:]
        self.scale = 2 / (1 + weight * planes[0])
        colors = torch.cat([torch.ones_like(planes[:1]), image[0].to(planes) - 0.5])
        basis = padded(colors)
        self.bases: list[Tensor] = []
        self.inverses: list[Tensor] = []
        mass, stiffness = restrict(colors, basis), restrict(diffusion(planes, colors), basis)
        spacing = RATIO
        while spacing**2 < 4 * weight and min(basis.shape[1:]) > RATIO:
            self.bases.append(basis)
            self.inverses.append(node_inverses(mass, stiffness, weight / spacing**2))
            basis = padded(torch.ones_like(mass[:1, 0]))
            mass, stiffness = (restrict(f.flatten(0, 1), basis).unflatten(0, (4, 4))[:, :, 0] for f in (mass, stiffness))
            spacing *= RATIO

    def __call__(self, r: Tensor) -> Tensor:
        """r: (C, H, W). Gives (C, H, W)."""
        return self.scale * r + self.correction(r, 0) if self.bases else self.scale * r

    def correction(self, r: Tensor, level: int) -> Tensor:
        """sum_s P_s K_s P_s^T r, over the grids from this level on. r: (C, h, w)."""
        sums = restrict(r, self.bases[level]).reshape(len(r), -1, 4) 
        raise NotImplementedError


def diffusion(planes: Tensor, colors: Tensor) -> Tensor:
    raise NotImplementedError
