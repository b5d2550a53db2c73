"""The entries of the Matting Laplacian: from windows of colors to a stencil, and the stencil times an image.

Two pixels meet in a 3x3 window only if they are at most two rows and two columns apart, so a row of the matrix has 25
entries, and as the matrix is symmetric, 13 of them say everything. They are kept as 13 planes of the image's size:

    planes[0][p]      the entry of pixel p with itself
    planes[1 + n][p]  the entry of pixel p with the pixel OFFSETS[n] further on; 0 where that is outside of the image

With pixels numbered row by row, p = row * W + column, (dy, dx) further on is simply p + dy * W + dx. So one plane is
one diagonal of the matrix, and shifting an image is slicing its flat row of pixels. Where a slice runs over the end of
a line of pixels into the next line, the plane is 0.

"Levin" is Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30 (2), 2008; w_k is
the 3x3 window k, mu_k and Sigma_k are the mean and the covariance of its nine colors I_i.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

OFFSETS = [(dy, dx) for dy in range(3) for dx in range(-2, 3) if (dy, dx) > (0, 0)]
BUILD_CHUNK = 1 << 14  # windows at a time, so that their 27 float64 numbers each stay in a processor's cache
APPLY_CHUNK = 3 << 16  # numbers at a time, for the same reason


def whitened_windows(colors: Tensor, epsilon: float) -> Tensor:
    """The colors of every window, centered and decorrelated: t_ki with

        t_ki . t_kj = (I_i - mu_k)^T (Sigma_k + epsilon/9 Id)^-1 (I_j - mu_k)

    which is all that Levin's equation 12 wants of the colors. With the Cholesky factor C_k C_k^T = Sigma_k +
    epsilon/9 Id, t_ki = C_k^-1 (I_i - mu_k): one channel after the other, what the channels before it explain is taken
    off, and the rest scaled to one. No matrix is inverted, so a window of one color, or of grays only, where Sigma_k
    is singular, loses no digits.

    colors: (3, H, W) float64. Gives (3, 3, 3, H - 2, W - 2): channel, row and column in the window, window.

    >>> t = whitened_windows(torch.rand(3, 3, 3, dtype=torch.float64), epsilon=1e-7).flatten(1)
    >>> bool(((t @ t.T / 9 - torch.eye(3)).abs() < 1e-3).all())  # covariance 1, but for epsilon
    True
    """
    t = colors.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 3, 4, 1, 2).clone(memory_format=torch.contiguous_format)
    t -= t.mean((1, 2), keepdim=True)
    C = {(a, b): (t[a] * t[b]).mean((0, 1)) for a in range(3) for b in range(a + 1)}
    for a in range(3):
        pivot = C[a, a] + epsilon / 9
        for b in range(a):
            for e in range(b):
                C[a, b] -= C[a, e] * C[b, e]
            C[a, b] *= C[b, b]
            t[a] -= C[a, b] * t[b]
            pivot -= C[a, b] ** 2
        C[a, a] = pivot.clamp_(min=epsilon / 9).rsqrt_()  # 1 / the factor's; less than epsilon/9 is a rounding error
        t[a] *= C[a, a]
    return t


def levin_stencil(image: Tensor, epsilon: float) -> Tensor:
    """The Matting Laplacian of an image, equation 12 of Levin:

        M_ij = sum_{k: i, j in w_k} (delta_ij - 1/9 (1 + (I_i - mu_k)^T (Sigma_k + epsilon/9 Id)^-1 (I_j - mu_k)))

    image: (1, 3, H, W), any float type. Gives the 13 planes, (13, H, W) float64.

    >>> levin_stencil(torch.zeros(1, 3, 3, 3), epsilon=1e-7)[:2, 0, 0].float() * 9  # one window: 1 - 1/9, -1/9
    tensor([ 8., -1.])
    """
    I = image[0].double()
    H, W = I.shape[1:]
    planes = I.new_zeros(13, H, W)
    rows = max(1, chunk_length(I, BUILD_CHUNK, H * W) // W)
    for top in range(0, H - 2, rows):
        t = whitened_windows(I[:, top : top + rows + 2], epsilon)
        bottom = top + t.shape[3]
        for plane, (dy, dx) in zip(planes[1:], OFFSETS, strict=True):
            for y in range(3 - dy):
                for x in range(max(0, -dx), 3 - max(0, dx)):
                    entries = plane[top + y : bottom + y, x : x + W - 2].sub_(1 / 9)
                    for i, j in zip(t[:, y, x], t[:, y + dy, x + dx], strict=True):
                        entries.addcmul_(i, j, value=-1 / 9)
    planes[0] = -row_sums(planes)
    return planes


def row_sums(planes: Tensor) -> Tensor:
    """What each row of the matrix sums to without its entry on the diagonal, (H, W)."""
    lines = planes.flatten(1)
    sums = torch.zeros_like(lines[0])
    for line, shift in zip(lines[1:], shifts(planes), strict=True):
        sums[:-shift] += line[:-shift]
        sums[shift:] += line[:-shift]
    return sums.view_as(planes[0])


def apply_stencil(planes: Tensor, x: Tensor) -> Tensor:
    """M x, for a matrix M whose rows sum to 0:

        (M x)_i = sum_j M_ij (x_j - x_i)

    Differences first: where x is constant the product is exactly 0, which float32 entries alone, rounded, cannot
    promise. M_ij (x_j - x_i) is what j loses and i gains, so each difference is taken once.

    x: (C, H, W), of the planes' type and device. Gives (C, H, W).

    >>> planes = levin_stencil(torch.rand(1, 3, 5, 6), epsilon=1e-7).float()
    >>> apply_stencil(planes, torch.full((1, 5, 6), 0.3)).abs().max()
    tensor(0.)
    """
    lines, x_lines = planes.flatten(1), x.flatten(1)
    out = torch.zeros_like(x_lines)
    C, N = x_lines.shape
    chunk = chunk_length(x, APPLY_CHUNK // C, N)
    for start in range(0, N, chunk):
        for line, shift in zip(lines[1:], shifts(planes), strict=True):
            stop = max(start, min(start + chunk, N - shift))
            here, there = slice(start, stop), slice(start + shift, stop + shift)
            difference = x_lines[:, there] - x_lines[:, here]
            out[:, here].addcmul_(difference, line[here])
            out[:, there].addcmul_(difference, line[here], value=-1)
    return out.view_as(x)


def shifts(planes: Tensor) -> list[int]:
    """OFFSETS in steps along the flat row of pixels."""
    return [dy * planes.shape[2] + dx for dy, dx in OFFSETS]


def chunk_length(x: Tensor, on_cpu: int, everything: int) -> int:
    """How many pixels to take at a time: what a processor's cache holds; everything on other devices."""
    return max(1, on_cpu) if x.device.type == "cpu" else everything


def sparse_matrix(planes: Tensor) -> Tensor:
    """The whole matrix of 13 planes on the CPU, as a sparse CSR tensor, (H W, H W), pixels numbered row by row.

    >>> sparse_matrix(levin_stencil(torch.zeros(1, 3, 3, 3), epsilon=1e-7).float()).to_dense()[0, :2] * 9
    tensor([ 8., -1.])
    """
    H, W = planes.shape[1:]
    pixels = torch.arange(H * W).view(H, W)
    rows, columns, entries = [pixels.flatten()], [pixels.flatten()], [planes[0].flatten()]
    for plane, (dy, dx) in zip(planes[1:], OFFSETS, strict=True):
        inside = (slice(0, H - dy), slice(max(0, -dx), W - max(0, dx)))
        here = pixels[inside].flatten()
        there = here + dy * W + dx
        rows += [here, there]
        columns += [there, here]
        entries += [plane[inside].flatten()] * 2
    indices = torch.stack([torch.cat(rows), torch.cat(columns)])
    matrix = torch.sparse_coo_tensor(indices, torch.cat(entries), (H * W, H * W), check_invariants=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()
