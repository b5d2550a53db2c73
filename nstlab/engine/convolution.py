"""The 3x3 convolution and its transpose, computed in bands of rows that fit into the CPU's cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.engine.buffers import empty
from nstlab.vgg import PADDINGS

BAND = 1 << 22  # numbers in a band
BORDER = {"zeros": 0, "replicate": 1, "circular": 1}  # width of the padding that depends on x, and so adds to dL/dx


def convolve_relu(x: Tensor, weight: Tensor, bias: Tensor, padding: str, band: int = BAND) -> Tensor:
    """max(0, W * x + b), with x padded by one place on every side.

    x: (B, C, h, w). weight: (N, C, 3, 3). bias: (N,). padding: "zeros", "replicate" for copies of the outermost places,
    "circular" for those of the opposite side. band: how many numbers are computed at a time. Gives (B, N, h, w).

    >>> convolve_relu(torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 3), torch.full((1,), -5.0), "zeros")
    tensor([[[[0., 1., 1., 0.],
              [1., 4., 4., 1.],
              [0., 1., 1., 0.]]]])
    >>> convolve_relu(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 3, 3), torch.full((1,), -5.0), "replicate")
    tensor([[[[4., 4.]]]])
    """
    return in_bands(x, weight, bias, 1, padding, lambda y, out: torch.clamp_min(y, 0, out=out), band)


def convolve_transposed(d: Tensor, weight: Tensor, padding: str, band: int = BAND) -> Tensor:
    """W^T * d, the backward pass of the convolution: dL/dx from d = dL/d(W * x).

    It is a convolution of d with every filter rotated by 180 degrees.

    d: (B, N, h, w). weight, padding, band: as for `convolve_relu`. Gives (B, C, h, w).

    >>> d = torch.tensor([[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> convolve_transposed(d, torch.arange(9.0).view(1, 1, 3, 3), "zeros")
    tensor([[[[0., 1., 2.],
              [3., 4., 5.],
              [6., 7., 8.]]]])
    """
    rotated = weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
    y = in_bands(d, rotated, None, 1 + BORDER[padding], "zeros", lambda y, out: out.copy_(y), band)
    return fold_border(y, padding)


def fold_border(y: Tensor, padding: str) -> Tensor:
    """dL/dx from y, the derivative by x with its border.

    The derivative by a copy is added to that by its original.

    y: (B, C, h + 2, w + 2), overwritten; with "zeros" (B, C, h, w), without a border. Gives a view of y, (B, C, h, w).

    >>> fold_border(torch.ones(1, 1, 4, 5), "replicate")
    tensor([[[[4., 2., 4.],
              [4., 2., 4.]]]])
    >>> fold_border(torch.arange(5.0).expand(1, 1, 3, 5).clone(), "circular")
    tensor([[[[15.,  6.,  9.]]]])
    """
    if not BORDER[padding]:
        return y
    first, last = (-2, 1) if padding == "circular" else (1, -2)  # the originals of the first and of the last copy
    for dim in (2, 3):
        y.select(dim, first).add_(y.select(dim, 0))
        y.select(dim, last).add_(y.select(dim, -1))
    return y[:, :, 1:-1, 1:-1]


def in_bands(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    pad: int,
    padding: str,
    finish: Callable[[Tensor, Tensor], object],
    band: int,
) -> Tensor:
    """W * x + b, computed and finished band by band.

    x: (B, C, h, w). pad: width of the padding on every side. finish(y, out): writes the result for rows y of W * x + b
    to the rows `out` of the output, which may be the same tensor. Gives (B, N, h - 2 + 2 pad, w - 2 + 2 pad).
    """
    (B, C, h, w), N = x.shape, weight.shape[0]
    rows = max(1, band // (B * w * max(C, N)))
    if rows >= h or x.device.type != "cpu":
        y = convolve(x, weight, bias, -pad, h + pad, pad, padding)
        finish(y, y)
        return y
    output = empty((B, N, h - 2 + 2 * pad, w - 2 + 2 * pad), like=x)
    for start in range(0, output.shape[2], rows):
        out = output[:, :, start : start + rows]
        finish(convolve(x, weight, bias, start - pad, start + out.shape[2] + 2 - pad, pad, padding), out)
    return output


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, top: int, bottom: int, pad: int, padding: str) -> Tensor:
    """W * x + b from the rows top .. bottom of x, which may lie outside it, and its columns padded by `pad`."""
    if padding != "zeros":
        return nnf.conv2d(padded(x, (top, bottom), (-pad, x.shape[3] + pad), padding), weight, bias)
    above, below = max(0, -top), max(0, bottom - x.shape[2])
    larger = max(above, below)  # conv2d pads above and below equally; the surplus rows are cut off
    y = nnf.conv2d(x[:, :, max(0, top) : bottom], weight, bias, padding=(larger, pad))
    return y.narrow(2, larger - above, y.shape[2] - 2 * larger + above + below)


def padded(x: Tensor, rows: tuple[int, int], columns: tuple[int, int], padding: str) -> Tensor:
    """x from the first to before the last of these rows and columns, which may lie outside it.

    x: (B, C, h, w). All columns of x, and some more. Gives (B, C, number of rows, number of columns).

    >>> padded(torch.tensor([[[[1.0, 2.0, 3.0]]]]), (0, 1), (-1, 5), "circular")
    tensor([[[[3., 1., 2., 3., 1., 2.]]]])
    """
    (top, bottom), (left, right), (h, w) = rows, columns, x.shape[2:]
    if padding == "circular":  # torch.nn.functional.pad takes three times as long, and no more than a whole image
        i, j = (torch.arange(*span, device=x.device) % n for span, n in ((rows, h), (columns, w)))
        return x.permute(0, 2, 3, 1)[:, i[:, None], j].permute(0, 3, 1, 2)
    widths = (-left, right - w, max(0, -top), max(0, bottom - h))
    return nnf.pad(x[:, :, max(0, top) : bottom], widths, PADDINGS[padding])
