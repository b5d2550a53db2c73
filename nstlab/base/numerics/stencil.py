"""The entries of the Matting Laplacian as a stencil, and the product of the stencil with an image.

Two pixels share a 3x3 window only if they are at most two rows and two columns apart, so a row of the matrix has at
most 25 nonzero entries. The matrix is symmetric, so 13 of them suffice, stored as 13 planes of the image's size:

    planes[0][p]      the diagonal entry of pixel p
    planes[1 + n][p]  the entry of pixel p and the pixel at OFFSETS[n] from it; 0 if that pixel is outside the image

Pixels are numbered row by row, p = row * W + column, so the pixel at offset (dy, dx) is p + dy * W + dx: a plane is one
diagonal of the matrix, and a shift of the image is a slice of its flat array of pixels. Where such a slice continues
from the end of one image row into the next, the plane is 0.

"Levin" is Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30 (2), 2008; w_k is
the 3x3 window k; mu_k and Sigma_k are the mean and the covariance of its nine colors I_i.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

OFFSETS = [(dy, dx) for dy in range(3) for dx in range(-2, 3) if (dy, dx) > (0, 0)]
BUILD_CHUNK = 1 << 14  # windows at a time, so that their 27 float64 numbers each stay in the CPU's cache
APPLY_CHUNK = 3 << 16  # numbers at a time, for the same reason


def whitened_windows(colors: Tensor, epsilon: float) -> Tensor:
    """The colors of every window, centered and whitened: the vectors t_ki for which

        t_ki . t_kj = (I_i - mu_k)^T (Sigma_k + epsilon/9 Id)^-1 (I_j - mu_k)

    is the color term of Levin's equation 12. With the Cholesky factorization C_k C_k^T = Sigma_k + epsilon/9 Id,
    t_ki = C_k^-1 (I_i - mu_k): each channel minus its regression on the channels before it, scaled to variance 1. No
    matrix is inverted, so no digits are lost where Sigma_k is singular: in windows of a single color or of grays.

    colors: (3, H, W) float64. Gives (3, 3, 3, H - 2, W - 2): channel, row and column in the window, window.

    >>> t = whitened_windows(torch.rand(3, 3, 3, dtype=torch.float64), epsilon=1e-7).flatten(1)
    >>> bool(((t @ t.T / 9 - torch.eye(3)).abs() < 1e-3).all())  # covariance Id, up to epsilon
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
        # a pivot below epsilon/9 is a rounding error; C[a, a] holds 1 / the diagonal entry of the factor
        C[a, a] = pivot.clamp_(min=epsilon / 9).rsqrt_()
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
    """The sum of each row of the matrix without its diagonal entry. planes: (13, H, W). Gives (H, W)."""
    lines = planes.flatten(1)
    sums = torch.zeros_like(lines[0])
    for line, shift in zip(lines[1:], shifts(planes), strict=True):
        sums[:-shift] += line[:-shift]
        sums[shift:] += line[:-shift]
    return sums.view_as(planes[0])


def apply_stencil(planes: Tensor, x: Tensor) -> Tensor:
    """M x, for a matrix M whose rows sum to 0:

        (M x)_i = sum_j M_ij (x_j - x_i)

    Written with differences, the product is exactly 0 where x is constant; with entries rounded to float32 the plain
    sum would not be. M_ij (x_j - x_i) is added to i and subtracted from j, so each difference is computed once.

    planes: (13, H, W). x: (C, H, W), with the planes' type and device. Gives (C, H, W).

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
            i, j = slice(start, stop), slice(start + shift, stop + shift)
            difference = x_lines[:, j] - x_lines[:, i]
            out[:, i].addcmul_(difference, line[i])
            out[:, j].addcmul_(difference, line[i], value=-1)
    return out.view_as(x)


def shifts(planes: Tensor) -> list[int]:
    """OFFSETS as differences of pixel numbers, dy * W + dx."""
    return [dy * planes.shape[2] + dx for dy, dx in OFFSETS]


def chunk_length(x: Tensor, on_cpu: int, total: int) -> int:
    """How many pixels to process at a time: `on_cpu`, chosen for the cache, on a CPU; all of them on other devices."""
    return max(1, on_cpu) if x.device.type == "cpu" else total


def sparse_matrix(planes: Tensor) -> Tensor:
    """The matrix as a sparse CSR tensor, (H W, H W), with pixels numbered row by row.

    planes: (13, H, W), on the CPU.

    >>> sparse_matrix(levin_stencil(torch.zeros(1, 3, 3, 3), epsilon=1e-7).float()).to_dense()[0, :2] * 9
    tensor([ 8., -1.])
    """
    H, W = planes.shape[1:]
    pixels = torch.arange(H * W, device=planes.device).view(H, W)
    rows, columns, entries = [pixels.flatten()], [pixels.flatten()], [planes[0].flatten()]
    for plane, (dy, dx) in zip(planes[1:], OFFSETS, strict=True):
        inside = (slice(0, H - dy), slice(max(0, -dx), W - max(0, dx)))
        i = pixels[inside].flatten()
        j = i + dy * W + dx
        rows += [i, j]
        columns += [j, i]
        entries += [plane[inside].flatten()] * 2
    indices = torch.stack([torch.cat(rows), torch.cat(columns)])
    matrix = torch.sparse_coo_tensor(indices, torch.cat(entries), (H * W, H * W), check_invariants=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()
