"""Winograd's convolution, with fewer multiplications: Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", arXiv 1509.09308, 2015, section 4.

    Y_k = A^T [sum_c (G g_kc G^T) (B^T d_c B)] A        with the elementwise product inside the brackets

g_kc is a 3x3 filter, d_c a tile of (m + 2) x (m + 2) places of channel c, and Y_k the m x m outputs of feature map k in
the middle of the tile, for which the plain convolution needs 9 m^2 multiplications per channel. With many channels the
brackets take nearly all of the time. They are (m + 2)^2 matrix products, (tiles, channels) x (channels, maps).

The algorithm is the transpose of a multiplication of polynomials by their values at m + 1 points and at infinity: G
evaluates the filter g0 + g1 x + g2 x^2, A the other factor, and B interpolates the product. The backward pass needs the
filters reversed, and the reversed polynomial g2 + g1 x + g0 x^2 equals x^2 g(1/x). The points here form pairs x, 1/x: 0
and infinity, 2 and 1/2, and 1 and -1 each with itself; the rows of G are scaled to match. So the values of the reversed
filters are those of the filters in another order, and the filters are transformed once for both passes.

    m = 2, points 0, 1, -1, infinity: 16 multiplications instead of 36, used for bfloat16. Its rounding error is three
        times that of the plain convolution, tolerable in half precision.
    m = 4, points 0, 1, -1, 2, 1/2, infinity: 36 multiplications instead of 144, used for float32. Its rounding error is
        thirty times that of the plain convolution, 3e-6 relative to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nstlab.engine.buffers import empty
from nstlab.engine.convolution import BORDER, fold_border, padded

CHUNK = 1 << 22  # numbers of transformed tiles at a time, so that they stay in the CPU's cache


class Algorithm(NamedTuple):
    """The algorithm F(m x m, 3 x 3) of the paper.

    G: one row for each point, infinity last. reciprocal: the index of the point 1/x for each point x. min_channels: the
    smallest product of input channels and feature maps for which it is faster. transform_input: from d, the m + 2 rows,
    or columns, of all tiles, B^T d, written to a list of m + 2 tensors. transform_output: from m + 2 products M, A^T M,
    written to a list of m tensors.
    """

    m: int
    G: Sequence[Sequence[float]]
    reciprocal: Sequence[int]
    min_channels: int
    transform_input: Callable[[Sequence[Tensor], Sequence[Tensor]], None]
    transform_output: Callable[[Sequence[Tensor], Sequence[Tensor]], None]


def input_2x2(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """B^T d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)."""
    torch.sub(d[0], d[2], out=out[0])
    torch.add(d[1], d[2], out=out[1])
    torch.sub(d[2], d[1], out=out[2])
    torch.sub(d[1], d[3], out=out[3])


def output_2x2(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """A^T m = (m0 + m1 + m2, m1 - m2 - m3)."""
    torch.add(m[1] + m[2], m[0], out=out[0])
    torch.sub(m[1] - m[2], m[3], out=out[1])


def input_4x4(d: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """With u = d1 - d3 and v = d4 - d2:

    B^T d = (d0 - d4 - 5/2 u, d1 + d4 - 3/2 (d2 + d3), d4 - d1 + 7/2 (d2 - d3), u + 2 v, v + 2 u, d5 - d1 - 5/2 v).
    """
    u, v = d[1] - d[3], d[4] - d[2]
    torch.sub(d[0] - d[4], u, alpha=2.5, out=out[0])
    torch.sub(d[1] + d[4], d[2] + d[3], alpha=1.5, out=out[1])
    torch.add(d[4] - d[1], d[2] - d[3], alpha=3.5, out=out[2])
    torch.add(u, v, alpha=2, out=out[3])
    torch.add(v, u, alpha=2, out=out[4])
    torch.sub(d[5] - d[1], v, alpha=2.5, out=out[5])


def output_4x4(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """With s = m1 + m2 and t = m1 - m2:

    A^T m = (m0 + s + m3 + 8 m4, t + 2 m3 + 4 m4, s + 4 m3 + 2 m4, t + 8 m3 + m4 + m5).
    """
    s, t = m[1] + m[2], m[1] - m[2]
    torch.add((m[0] + s).add_(m[3]), m[4], alpha=8, out=out[0])
    torch.add(torch.add(t, m[3], alpha=2), m[4], alpha=4, out=out[1])
    torch.add(s.add_(m[3], alpha=4), m[4], alpha=2, out=out[2])
    torch.add(t.add_(m[4]).add_(m[5]), m[3], alpha=8, out=out[3])


F2X2 = Algorithm(
    m=2,
    G=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    reciprocal=(3, 1, 2, 0),
    min_channels=256 * 256,
    transform_input=input_2x2,
    transform_output=output_2x2,
)
F4X4 = Algorithm(
    m=4,
    G=((1, 0, 0), (-1, -1, -1), (1 / 9, -1 / 9, 1 / 9), (1 / 18, 2 / 18, 4 / 18), (4 / 18, 2 / 18, 1 / 18), (0, 0, 1)),
    reciprocal=(5, 1, 2, 4, 3, 0),
    min_channels=64 * 128,
    transform_input=input_4x4,
    transform_output=output_4x4,
)
ALGORITHMS = {torch.bfloat16: F2X2, torch.float32: F4X4, torch.float64: F4X4}
BY_LENGTH = {(algorithm.m + 2) ** 2: algorithm for algorithm in (F2X2, F4X4)}  # by the length of U


def is_faster(weight: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether this convolution is faster than PyTorch's for filters (N, C, 3, 3): on a CPU, if there are many.

    dtype: the type that they will be converted to, by default their own.

    >>> is_faster(torch.zeros(512, 512, 3, 3)), is_faster(torch.zeros(64, 64, 3, 3))
    (True, False)
    """
    algorithm = ALGORITHMS.get(dtype or weight.dtype)
    channels = weight.shape[0] * weight.shape[1]
    return bool(algorithm and weight.device.type == "cpu" and channels >= algorithm.min_channels)


def transformed_bytes(weight: Tensor, dtype: torch.dtype) -> int:
    """The bytes of the transformed filters in this type; 0 if they are not used, because that is not faster.

    >>> transformed_bytes(torch.zeros(512, 512, 3, 3), torch.float32) == 512 * 512 * 36 * 4
    True
    """
    if not is_faster(weight, dtype):
        return 0
    return weight.shape[0] * weight.shape[1] * (ALGORITHMS[dtype].m + 2) ** 2 * dtype.itemsize


def transform_filters(weight: Tensor, algorithm: Algorithm | None = None) -> Tensor:
    """U = G g G^T of every filter.

    weight: g, (N, C, 3, 3). algorithm: by default that for its type. Gives ((m + 2)^2, C, N), a matrix for each pair of
    points.

    >>> transform_filters(torch.ones(1, 1, 3, 3, dtype=torch.bfloat16)).view(4, 4)[0]
    tensor([1.0000, 1.5000, 0.5000, 1.0000], dtype=torch.bfloat16)
    """
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
    G = wide.new_tensor((algorithm or ALGORITHMS[weight.dtype]).G)
    U = torch.kron(G, G) @ wide.permute(3, 2, 1, 0).flatten(0, 1).flatten(1)  # G g G^T of flattened filters
    return U.to(weight.dtype).view(-1, weight.shape[1], weight.shape[0])


def convolve_relu(x: Tensor, U: Tensor, bias: Tensor, padding: str, chunk: int = CHUNK) -> Tensor:
    """max(0, W * x + b), with x padded by one place on every side.

    x: (B, C, h, w). U: the filters W, transformed. bias: (N,). padding: as for `convolution.convolve_relu`. chunk: how
    many numbers of transformed tiles are computed at a time. Gives (B, N, h, w).

    >>> U = transform_filters(torch.ones(1, 1, 3, 3))
    >>> convolve_relu(torch.ones(1, 1, 3, 4), U, torch.full((1,), -5.0), "zeros").round(decimals=4)
    tensor([[[[0., 1., 1., 0.],
              [1., 4., 4., 1.],
              [0., 1., 1., 0.]]]])
    """
    return in_tiles(x, U, bias, 1, padding, False, chunk)


def convolve_transposed(d: Tensor, U: Tensor, padding: str, chunk: int = CHUNK) -> Tensor:
    """W^T * d, the backward pass of the convolution: dL/dx from d = dL/d(W * x).

    d: (B, N, h, w). U, padding, chunk: as for `convolve_relu`. Gives (B, C, h, w).

    >>> d = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> convolve_transposed(d, transform_filters(torch.arange(9.0).view(1, 1, 3, 3)), "zeros").round(decimals=4).abs()
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    return fold_border(in_tiles(d, U.transpose(1, 2), None, 1 + BORDER[padding], "zeros", True, chunk), padding)


def in_tiles(x: Tensor, U: Tensor, bias: Tensor | None, pad: int, padding: str, reverse: bool, chunk: int) -> Tensor:
    """The convolution, with ReLU if there is a bias, computed image by image and some rows of tiles at a time.

    x: (B, C, h, w). pad: width of the padding on every side. reverse: rotate the filters by 180 degrees. Gives
    (B, N, h - 2 + 2 pad, w - 2 + 2 pad).
    """
    (B, C, h, w), N, m = x.shape, U.shape[2], BY_LENGTH[len(U)].m
    H, W = h - 2 + 2 * pad, w - 2 + 2 * pad
    rows, columns = -(-H // m), -(-W // m)
    y = empty((B, N, m * rows, m * columns), like=x)
    by_tile = y.permute(0, 2, 3, 1).unflatten(2, (columns, m)).unflatten(1, (rows, m))
    step = max(1, chunk // (U.shape[0] * columns * max(C, N)))
    for image, output in zip(x.split(1), by_tile, strict=True):
        for start in range(0, rows, step):
            out = output[start : start + step]
            seen = (m * start - pad, m * (start + len(out)) + 2 - pad), (-pad, m * columns + 2 - pad)
            convolve_tiles(padded(image, *seen, padding)[0].permute(1, 2, 0).contiguous(), U, bias, reverse, out)
    return y[:, :, :H, :W]


def convolve_tiles(x: Tensor, U: Tensor, bias: Tensor | None, reverse: bool, out: Tensor) -> None:
    """The convolution of n rows of tiles, with ReLU if there is a bias.

    x: the padded input, (m n + 2, m columns + 2, C). out: (n, m, columns, m, N), rows of tiles, rows in a tile, columns
    of tiles, columns in a tile, feature maps; written.
    """
    (n, m, columns, _, N), C = out.shape, x.shape[2]
    algorithm, lines = BY_LENGTH[len(U)], range(m + 2)
    points = algorithm.reciprocal if reverse else lines
    by_rows, V = x.new_empty(m + 2, n, m * columns + 2, C), x.new_empty(m + 2, m + 2, n, columns, C)
    algorithm.transform_input([x[i : i + m * n : m] for i in lines], [by_rows[p] for p in points])
    algorithm.transform_input([by_rows[:, :, j : j + m * columns : m] for j in lines], [V[p] for p in points])
    M = torch.bmm(V.view(-1, n * columns, C), U).view(m + 2, m + 2, n, columns, N)
    if bias is not None:
        M[1, 1] += bias  # A^T has coefficient 1 for the value at the point 1, in every output
    by_columns = x.new_empty(m, m + 2, n, columns, N)
    algorithm.transform_output([M[p] for p in points], list(by_columns))
    algorithm.transform_output([by_columns[:, p] for p in points], list(out.permute(1, 3, 0, 2, 4)))
    if bias is not None:
        out.relu_()
