"""A convolution with 16 multiplications where 36 are usual: F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", arXiv 1509.09308, 2015, section 4.1.

    Y = A^T [sum_c (G g_kc G^T) (B^T d_c B)] A        the product in brackets number by number

d is a tile of 4 x 4 places, g a filter, Y the answer at the 2 x 2 places in the middle of d. A^T, B^T and G hold 0, 1,
-1 and 1/2. With many channels nearly all of the time goes into the brackets: 16 products of matrices, places by
channels. In bfloat16 what is rounded on the way makes the answer about three times as inexact as a plain convolution's;
in float32 it is none the worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.allocator import empty

G = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
WIDE = 256 * 256  # channels in times channels out, from which on it pays
CHUNK = 1 << 23  # bytes of transformed tiles at a time, so that they stay in a processor's cache


def pays(weight: Tensor) -> bool:
    """Whether filters (N, C, 3, 3) are convolved faster this way: many of them, on a processor that multiplies them.

    >>> pays(torch.zeros(512, 512, 3, 3)), pays(torch.zeros(64, 64, 3, 3))
    (True, False)
    """
    many = weight.shape[0] * weight.shape[1] >= WIDE
    return many and weight.dtype in (torch.float32, torch.bfloat16) and weight.device.type == "cpu"


def transformed(weight: Tensor) -> Tensor:
    """U = G g G^T of every filter: from (N, C, 3, 3) to (16, C, N), a matrix for each place of a tile.

    >>> transformed(torch.ones(1, 1, 3, 3)).view(4, 4)[0]
    tensor([1.0000, 1.5000, 0.5000, 1.0000])
    """
    Gs = torch.tensor(G)
    U = torch.einsum("ai,ncij,bj->bacn", Gs, weight.float(), Gs)
    return U.reshape(16, weight.shape[1], weight.shape[0]).to(weight.dtype)


def convolve(x: Tensor, U: Tensor, bias: Tensor) -> Tensor:
    """W * x + b with zeros at the border. U: the filters transformed; bias: (N,). Gives (B, N, h, w), channels last.

    >>> convolve(torch.ones(1, 1, 3, 4), transformed(torch.ones(1, 1, 3, 3)), torch.zeros(1))
    tensor([[[[4., 6., 6., 4.],
              [6., 9., 9., 6.],
              [4., 6., 6., 4.]]]])
    """
    return in_tiles(x, U, bias, (0, 3))


def convolve_back(d: Tensor, U: Tensor) -> Tensor:
    """W^T * d: the same with every filter turned round, which changes places 0 and 3 of its transform, nothing else."""
    return in_tiles(d, U.transpose(1, 2), None, (3, 0))


def in_tiles(x: Tensor, U: Tensor, bias: Tensor | None, ends: tuple[int, int]) -> Tensor:
    """From (B, C, h, w) to (B, N, h, w), image by image and some rows of tiles at a time.

    ends: at which places of the transform its first and its last are.
    """
    (B, C, h, w), N = x.shape, U.shape[2]
    rows, columns = -(-h // 2), -(-w // 2)
    y = empty((B, N, 2 * rows, 2 * columns), like=x)
    by_tile = y.permute(0, 2, 3, 1).unflatten(2, (columns, 2)).unflatten(1, (rows, 2))
    step = max(1, CHUNK // (16 * columns * max(C, N) * x.element_size()))
    for image, answer in zip(x.permute(0, 2, 3, 1), by_tile, strict=True):
        for start in range(0, rows, step):
            n = min(step, rows - start)
            top, bottom = 2 * start - 1, 2 * (start + n) + 1
            around = (0, 0, 1, 1 + 2 * columns - w, max(0, -top), max(0, bottom - h))
            seen = nnf.pad(image[max(0, top) : bottom], around)
            by_rows, V = x.new_empty(4, n, 2 * columns + 2, C), x.new_empty(4, 4, n, columns, C)
            transform_input([seen[i : i + 2 * n : 2] for i in range(4)], by_rows, ends)
            transform_input([by_rows[:, :, j : j + 2 * columns : 2] for j in range(4)], V, ends)
            M = torch.bmm(V.view(16, n * columns, C), U).view(4, 4, n, columns, N)
            if bias is not None:
                M[1, 1] += bias  # place (1, 1) counts once in each of the four answers
            by_columns = x.new_empty(2, 4, n, columns, N)
            transform_output(M, by_columns, ends)
            transform_output(by_columns.transpose(0, 1), answer[start : start + n].permute(1, 3, 0, 2, 4), ends)
    return y[:, :, :h, :w]


def transform_input(d: Sequence[Tensor], out: Tensor, ends: tuple[int, int]) -> None:
    """B^T d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3), for the four rows, or columns, of every tile at once."""
    torch.sub(d[0], d[2], out=out[ends[0]])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[1], d[3], out=out[ends[1]])


def transform_output(m: Tensor, out: Tensor, ends: tuple[int, int]) -> None:
    """A^T m = (m0 + m1 + m2, m1 - m2 - m3)."""
    torch.add(m[1] + m[2], m[ends[0]], out=out[0])
    torch.sub(m[1] - m[2], m[ends[1]], out=out[1])
