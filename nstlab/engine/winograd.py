"""A convolution with fewer multiplications: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
arXiv 1509.09308, 2015, section 4.

    Y = A^T [sum_c (G g_kc G^T) (B^T d_c B)] A        the product in brackets number by number

g is a filter, d a tile of (m + 2) x (m + 2) places, Y the answer at the m x m places in its middle, for which a plain
convolution takes 9 m^2 multiplications. With many channels nearly all of the time goes into the brackets: (m + 2)^2
products of matrices, places by channels.

So polynomials are multiplied: take the values of both at m + 1 points and at infinity, by G and B^T, multiply them, and
find the polynomial that has these values, by A^T. A filter turned round, g2 + g1 x + g0 x^2, has at x the value that
the filter has at 1/x, times x^2. So the points here come in pairs, 0 with infinity, 2 with 1/2, 1 and -1 each with
itself, and one transform of the filters serves for both ways through the network.

    m = 2, points 0, 1, -1, infinity: 16 multiplications for 36, in bfloat16. About three times as inexact as a plain
        convolution, which half precision can still bear.
    m = 4, points 0, 1, -1, 2, 1/2, infinity: 36 for 144, in float32. Thirty times as inexact, which is 3e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.engine.buffers import empty
from nstlab.engine.convolution import BORDER, folded

MODES = {"zeros": "constant", "replicate": "replicate"}  # PyTorch's names
CHUNK = 1 << 22  # numbers of transformed tiles at a time, so that they stay in a processor's cache


class Algorithm(NamedTuple):
    """F(m x m, 3 x 3), a row of G for each of its points, with infinity the last.

    turned: where each point's counterpart is. wide: channels in times channels out, from which on it pays. The input
    transform takes the m + 2 rows, or columns, of every tile at once, the output transform as many values; each writes
    what it makes of them to a list of tensors.
    """

    m: int
    G: Sequence[Sequence[float]]
    turned: Sequence[int]
    wide: int
    transform_input: Callable[[Sequence[Tensor], Sequence[Tensor]], None]
    transform_output: Callable[[Sequence[Tensor], Sequence[Tensor]], None]


def input_of_2(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """B^T d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)."""
    torch.sub(d[0], d[2], out=out[0])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[1], d[3], out=out[3])


def output_of_2(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """A^T m = (m0 + m1 + m2, m1 - m2 - m3)."""
    torch.add(m[1] + m[2], m[0], out=out[0])
    torch.sub(m[1] - m[2], m[3], out=out[1])


def input_of_4(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """With u = d1 - d3 and v = d4 - d2

    B^T d = (d0 - d4 - 5/2 u, d1 + d4 - 3/2 (d2 + d3), d4 - d1 + 7/2 (d2 - d3), u + 2 v, v + 2 u, d5 - d1 - 5/2 v).
    """
    u, v = d[1] - d[3], d[4] - d[2]
    torch.sub(d[0] - d[4], u, alpha=2.5, out=out[0])
    torch.sub(d[1] + d[4], d[2] + d[3], alpha=1.5, out=out[1])
    torch.add(d[4] - d[1], d[2] - d[3], alpha=3.5, out=out[2])
    torch.add(u, v, alpha=2, out=out[3])
    torch.add(v, u, alpha=2, out=out[4])
    torch.sub(d[5] - d[1], v, alpha=2.5, out=out[5])


def output_of_4(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """With s = m1 + m2 and t = m1 - m2

    A^T m = (m0 + s + m3 + 8 m4, t + 2 m3 + 4 m4, s + 4 m3 + 2 m4, t + 8 m3 + m4 + m5).
    """
    s, t = m[1] + m[2], m[1] - m[2]
    torch.add((m[0] + s).add_(m[3]), m[4], alpha=8, out=out[0])
    torch.add(torch.add(t, m[3], alpha=2), m[4], alpha=4, out=out[1])
    torch.add(s.add_(m[3], alpha=4), m[4], alpha=2, out=out[2])
    torch.add(t.add_(m[4]).add_(m[5]), m[3], alpha=8, out=out[3])


TWO = Algorithm(
    m=2,
    G=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    turned=(3, 1, 2, 0),
    wide=256 * 256,
    transform_input=input_of_2,
    transform_output=output_of_2,
)
FOUR = Algorithm(
    m=4,
    G=((1, 0, 0), (-1, -1, -1), (1 / 9, -1 / 9, 1 / 9), (1 / 18, 2 / 18, 4 / 18), (4 / 18, 2 / 18, 1 / 18), (0, 0, 1)),
    turned=(5, 1, 2, 4, 3, 0),
    wide=64 * 128,
    transform_input=input_of_4,
    transform_output=output_of_4,
)
ALGORITHMS = {torch.bfloat16: TWO, torch.float32: FOUR, torch.float64: FOUR}
BY_POINTS = {(algorithm.m + 2) ** 2: algorithm for algorithm in (TWO, FOUR)}


def pays(weight: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether filters (N, C, 3, 3) are convolved faster this way: many of them, on a processor that multiplies them.

    dtype: what they will be converted to, by default what they are.

    >>> pays(torch.zeros(512, 512, 3, 3)), pays(torch.zeros(64, 64, 3, 3))
    (True, False)
    """
    algorithm = ALGORITHMS.get(dtype or weight.dtype)
    return bool(algorithm and weight.device.type == "cpu" and weight.shape[0] * weight.shape[1] >= algorithm.wide)


def transformed_bytes(weight: Tensor, dtype: torch.dtype) -> int:
    """The bytes of the filters transformed in this type, 0 if that does not pay.

    >>> transformed_bytes(torch.zeros(512, 512, 3, 3), torch.float32) == 512 * 512 * 36 * 4
    True
    """
    if not pays(weight, dtype):
        return 0
    return weight.shape[0] * weight.shape[1] * (ALGORITHMS[dtype].m + 2) ** 2 * dtype.itemsize


def transformed(weight: Tensor, algorithm: Algorithm | None = None) -> Tensor:
    """U = G g G^T of every filter: from (N, C, 3, 3) to ((m + 2)^2, C, N), a matrix for each place of a tile.

    >>> transformed(torch.ones(1, 1, 3, 3, dtype=torch.bfloat16)).view(4, 4)[0]
    tensor([1.0000, 1.5000, 0.5000, 1.0000], dtype=torch.bfloat16)
    """
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
    G = torch.tensor((algorithm or ALGORITHMS[weight.dtype]).G, dtype=wide.dtype)
    by_place = torch.kron(G, G) @ wide.permute(3, 2, 1, 0).flatten(0, 1).flatten(1)  # both products of G g G^T in one
    return by_place.to(weight.dtype).view(-1, weight.shape[1], weight.shape[0])


def rectified(x: Tensor, U: Tensor, bias: Tensor, padding: str, chunk: int = CHUNK) -> Tensor:
    """max(0, W * x + b), x with a border of one place, of "zeros" or of copies, "replicate", channels last.

    x: (B, C, h, w); U: the filters transformed; bias: (N,). Gives (B, N, h, w).

    >>> U = transformed(torch.ones(1, 1, 3, 3))
    >>> rectified(torch.ones(1, 1, 3, 4), U, torch.full((1,), -5.0), "zeros").round(decimals=4)
    tensor([[[[0., 1., 1., 0.],
              [1., 4., 4., 1.],
              [0., 1., 1., 0.]]]])
    """
    return in_tiles(x, U, bias, 1, padding, False, chunk)


def transposed(d: Tensor, U: Tensor, padding: str, chunk: int = CHUNK) -> Tensor:
    """W^T * d, from dL/d(W * x) to dL/dx: the same with every filter turned round, and no ReLU.

    d: (B, N, h, w); U: as for `rectified`. Gives (B, C, h, w).

    >>> d = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> transposed(d, transformed(torch.arange(9.0).view(1, 1, 3, 3)), "zeros").round(decimals=4).abs()
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    border = BORDER[padding]
    return folded(in_tiles(d, U.transpose(1, 2), None, 1 + border, "zeros", True, chunk), border)


def in_tiles(x: Tensor, U: Tensor, bias: Tensor | None, around: int, padding: str, turned: bool, chunk: int) -> Tensor:
    """From (B, C, h, w), padded by `around` places, to (B, N, H, W), image by image, some rows of tiles at a time."""
    (B, C, h, w), N, m = x.shape, U.shape[2], BY_POINTS[len(U)].m
    H, W = h - 2 + 2 * around, w - 2 + 2 * around
    rows, columns = -(-H // m), -(-W // m)
    y = empty((B, N, m * rows, m * columns), like=x)
    by_tile = y.permute(0, 2, 3, 1).unflatten(2, (columns, m)).unflatten(1, (rows, m))
    step = max(1, chunk // (U.shape[0] * columns * max(C, N)))
    for image, answer in zip(x.split(1), by_tile, strict=True):
        for start in range(0, rows, step):
            out = answer[start : start + step]
            top, bottom = m * start - around, m * (start + len(out)) + 2 - around
            beyond = (around, m * columns + 2 - around - w, max(0, -top), max(0, bottom - h))
            seen = nnf.pad(image[:, :, max(0, top) : bottom], beyond, MODES[padding])
            write_tiles(seen[0].permute(1, 2, 0).contiguous(), U, bias, turned, out)
    return y[:, :, :H, :W]


def write_tiles(seen: Tensor, U: Tensor, bias: Tensor | None, turned: bool, out: Tensor) -> None:
    """The answer of n rows of tiles to what they see, (m n + 2, m columns + 2, C), rectified if it has a bias.

    out: (n, m, columns, m, N), by tile and place in the tile.
    """
    (n, m, columns, _, N), C = out.shape, seen.shape[2]
    algorithm, sides = BY_POINTS[len(U)], range(m + 2)
    places = algorithm.turned if turned else sides
    by_rows, V = seen.new_empty(m + 2, n, m * columns + 2, C), seen.new_empty(m + 2, m + 2, n, columns, C)
    algorithm.transform_input([seen[i : i + m * n : m] for i in sides], [by_rows[p] for p in places])
    algorithm.transform_input([by_rows[:, :, j : j + m * columns : m] for j in sides], [V[p] for p in places])
    M = torch.bmm(V.view(-1, n * columns, C), U).view(m + 2, m + 2, n, columns, N)
    if bias is not None:
        M[1, 1] += bias  # the value at 1 counts once in every answer
    by_columns = seen.new_empty(m, m + 2, n, columns, N)
    algorithm.transform_output([M[p] for p in places], list(by_columns))
    algorithm.transform_output([by_columns[:, p] for p in places], list(out.permute(1, 3, 0, 2, 4)))
    if bias is not None:
        out.relu_()
