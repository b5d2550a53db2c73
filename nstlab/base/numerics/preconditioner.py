"""A cheap approximate inverse of A = Id + weight M, the preconditioner of conjugate gradients.

The small eigenvalues of A make conjugate gradients slow. They belong to images u for which M u is nearly 0: affine
functions of the content's colors, u(p) = n(p) . (1, R, G, B)(p), with four coefficients n that change slowly over the
image. The preconditioner corrects these images on grids of nodes 4, 16, 64, ... pixels apart: every node has four
coefficients, which are interpolated linearly between nodes ("hat functions" h). With P_s the map from the nodes of grid
s to the image, and K_s an approximate inverse of P_s^T A P_s, node by node,

    A^-1  ~  4 / (1 + 9 weight) Id  +  sum_s 2^(1-s) P_s K_s P_s^T,        s = 1 for the finest grid

This is the additive multilevel preconditioner of Bramble, Pasciak, Xu, "Parallel Multilevel Preconditioners", 1990,
with the colors in its basis. Without the colors it hardly helps, because plain interpolation blurs the content's edges.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.base.numerics.stencil import OFFSETS, apply_stencil, chunk_length, row_sums

RATIO = 4  # ratio of the spacings of two successive grids
HAT = [[7 / 8, 5 / 8, 3 / 8, 1 / 8], [1 / 8, 3 / 8, 5 / 8, 7 / 8]]  # weights of 4 pixels for the two nodes around
CHUNK = 1 << 18  # numbers computed at a time, so that they stay in the CPU's cache


class ColorPyramid:
    """The map r -> approximately A^-1 r, with A = Id + weight M; symmetric and positive definite.

    image: the content image, (1, 3, H, W). planes: the stencil of its Matting Laplacian, (13, H, W). weight: at least
    0; the larger it is, the further A^-1 spreads a pixel's value, and the more grids are needed.
    """

    def __init__(self, image: Tensor, planes: Tensor, weight: float):
        self.scale = 4 / (1 + 9 * weight)  # 9 is the bound of the eigenvalues of M
        self.grids: list[tuple[Tensor, Tensor]] = []  # (basis, K_s) of each grid
        colors = torch.cat([torch.ones_like(planes[:1]), image[0].to(planes) - 0.5])
        basis, mass, stiffness, spacing = padded(colors), colors, diffusion(planes, colors), RATIO
        while spacing**2 < 4 * weight and min(basis.shape[1:]) > RATIO:
            mass, stiffness = restrict(mass, basis), restrict(stiffness, basis)
            self.grids.append((basis, node_inverses(mass, stiffness, weight / spacing**2)))
            basis = padded(torch.ones_like(mass[:1]))
            spacing *= RATIO

    def __call__(self, r: Tensor) -> Tensor:
        """r: (C, H, W). Gives (C, H, W)."""
        return self.correction(r, self.grids).add_(r, alpha=self.scale) if self.grids else r

    def correction(self, r: Tensor, grids: list[tuple[Tensor, Tensor]]) -> Tensor:
        """sum_s 2^(1-s) P_s K_s P_s^T r. r: (C, h, w); the nodes of one grid are the pixels of the next."""
        (basis, K), *coarser = grids
        sums = restrict(r, basis)
        nodes = (K * sums.unflatten(0, (-1, 1, 4))).sum(2).flatten(0, 1)
        if coarser:
            nodes.add_(self.correction(sums, coarser), alpha=0.5)  # 2^(1-s): the grids overlap
        return prolong(nodes, basis)[:, : r.shape[1], : r.shape[2]]


def diffusion(planes: Tensor, colors: Tensor) -> Tensor:
    """S c, from which the energy of u = n . c follows if the coefficients n change slowly:

        u^T M u = -1/2 sum_pq M_pq c_p c_q (n_p - n_q)^2                because M c = 0
                ~ 1/2 sum_p |gradient of n at p|^2 c_p (S c)_p,         S_pq = -1/2 |p - q|^2 M_pq

    planes: the stencil of M, (13, H, W). colors: c = (1, R, G, B), (4, H, W). Gives (4, H, W).
    """
    distances = planes.new_tensor([0.0, *(dy**2 + dx**2 for dy, dx in OFFSETS)])
    S = planes * (-distances / 2)[:, None, None]
    return apply_stencil(S, colors) + colors * row_sums(S)


def node_inverses(mass: Tensor, stiffness: Tensor, weight: float) -> Tensor:
    """K_s: for every node an approximate inverse of P^T (Id + weight M) P, with P = h c^T, hat function times colors.

        K_s = (4/9 mass + 4/3 weight stiffness)^-1

    4/9 is the integral of h^2 over that of h, 4/3 the integral of |gradient of h|^2 over that of 2 h, for nodes at
    distance 1. Relative to the mass, most eigenvalues of the stiffness lie between 2 and 5 in pictures. They are
    estimates, and some are negative; raising them to at least 2 keeps K_s positive definite.

    mass, stiffness: sums of h c c^T and of h c (S c)^T over the image, (16, h, w). weight: that of M divided by the
    squared spacing of the nodes. Gives (4, 4, h, w).
    """
    G, S = (f.unflatten(0, (4, 4)).permute(2, 3, 0, 1).cpu().double() for f in (mass, stiffness))
    ridge = (
        1e-5 * G[..., :1, :1] * torch.eye(4, dtype=G.dtype, device=G.device)
    )  # G is singular where all colors are equal
    L = torch.linalg.cholesky(G + ridge)
    half = torch.linalg.solve_triangular(L, (S + S.mT) / 2, upper=False)
    stiffnesses, V = torch.linalg.eigh(torch.linalg.solve_triangular(L, half.mT, upper=False))
    V = torch.linalg.solve_triangular(L.mT, V, upper=True)
    K: Tensor = (V / (4 / 9 + weight * 4 / 3 * stiffnesses.clamp(min=2))[..., None, :]) @ V.mT
    return K.permute(2, 3, 0, 1).contiguous().to(mass)


def restrict(r: Tensor, basis: Tensor) -> Tensor:
    """P_s^T r: r times the basis, summed with the weights of every hat function.

    r: (C, H, W). basis: (m, 4 h, 4 w), with 4 h >= H and 4 w >= W. Gives (C m, h + 1, w + 1).
    """
    r = nnf.pad(r, (0, basis.shape[2] - r.shape[2], 0, basis.shape[1] - r.shape[1]))
    hat = r.new_tensor(HAT)
    C, (m, H, W) = len(r), basis.shape
    columns = r.new_zeros(C * m, H // RATIO + 1, W)
    for cells, rows in strips(r, C * m, H, W):
        f = (r[:, None, rows] * basis[:, rows]).reshape(C * m, -1, RATIO, W)
        f = hat @ f
        columns[:, cells.start : cells.stop] += f[:, :, 0]
        columns[:, cells.start + 1 : cells.stop + 1] += f[:, :, 1]
    f = columns.unflatten(2, (-1, RATIO)) @ hat.T
    nodes = nnf.pad(f[..., 0], (0, 1))
    nodes[..., 1:] += f[..., 1]
    return nodes


def prolong(nodes: Tensor, basis: Tensor) -> Tensor:
    """P_s n: the coefficients interpolated, times the basis, summed; the transpose of `restrict`.

    nodes: (C m, h + 1, w + 1). basis: (m, 4 h, 4 w). Gives (C, 4 h, 4 w).
    """
    hat = nodes.new_tensor(HAT)
    m, H, W = basis.shape
    C = len(nodes) // m
    columns = (torch.stack([nodes[..., :-1], nodes[..., 1:]], -1) @ hat).flatten(2)
    out = nodes.new_empty(C, H, W)
    for cells, rows in strips(nodes, C * m, H, W):
        f = torch.stack([columns[:, cells], columns[:, cells.start + 1 : cells.stop + 1]], 2)
        f = (hat.T @ f).reshape(C, m, -1, W)
        torch.mul(f[:, 0], basis[0, rows], out=out[:, rows])
        for i in range(1, m):
            out[:, rows].addcmul_(f[:, i], basis[i, rows])
    return out


def strips(x: Tensor, planes: int, H: int, W: int) -> Iterator[tuple[slice, slice]]:
    """Slices that together cover all rows of cells between nodes, each with the slice of its rows of pixels."""
    step = chunk_length(x, CHUNK // planes, H * W) // (RATIO * W)
    for top in range(0, H // RATIO, max(1, step)):
        bottom = min(top + max(1, step), H // RATIO)
        yield slice(top, bottom), slice(RATIO * top, RATIO * bottom)


def padded(x: Tensor) -> Tensor:
    """x, (C, H, W), with zeros added below and on the right, so that H and W are multiples of RATIO."""
    H, W = x.shape[1:]
    return nnf.pad(x, (0, -W % RATIO, 0, -H % RATIO))
