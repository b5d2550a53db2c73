"""Equation 5, the photorealism regularizer: how far an image is from being a recoloring of the content.

[2] is Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", arXiv 1703.07511, 2017. The matrix M_I in it is the
Matting Laplacian of Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", IEEE TPAMI 30 (2),
2008. `numerics` holds the algorithms: its entries, its products, its largest eigenvalue, its linear systems.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from nstlab.base.files.pixels import described
from nstlab.base.numerics.arguments import naming, number, whole
from nstlab.base.numerics.conjugate_gradients import ConjugateGradients, Iterate
from nstlab.base.numerics.lanczos import largest_eigenvalue
from nstlab.base.numerics.modes import entrance
from nstlab.base.numerics.products import Energy, Product
from nstlab.base.numerics.stencil import levin_stencil, sparse_matrix


class MattingLaplacian:
    """The matrix M of equation 5: x^T M x is 0 if x is, in every window, an affine function of the content's colors.

        M_ij = sum_{k: i, j in w_k} (delta_ij - 1/9 (1 + (I_i - mu_k)^T (Sigma_k + epsilon/9 Id)^-1 (I_j - mu_k)))

    over the 3x3 windows w_k of the image I, with mean color mu_k and covariance Sigma_k: equation 12 of Levin. Pixels
    are numbered row by row. M is symmetric, its rows sum to 0, its eigenvalues lie between 0 and 9. The entries are
    computed in float64 and then rounded to `dtype`: computed in float32, the smallest eigenvalue would be about -1, and
    the energy would have no lower bound.

    image: I, the content image, (1, 3, H, W) RGB in [0, 1], at least 3 pixels a side; M lives on its device.
    epsilon: above 0; the larger it is, the larger a color difference must be to count. dtype: float32 or float64.
    Raises ValueError for any other image, epsilon or dtype.

    >>> image = torch.rand(1, 3, 6, 8)
    >>> M = MattingLaplacian(image)
    >>> M
    MattingLaplacian of 8 x 6 pixels, epsilon=1e-07, torch.float32, 2496 bytes
    >>> bool(M.energy(1 - image / 2) < 1e-4 * M.energy(image.flip(3)))  # a recoloring, and a mirrored image
    True
    """

    @entrance("MattingLaplacian")
    def __init__(self, image: Tensor, epsilon: float = 1e-7, dtype: torch.dtype = torch.float32):
        check_content(image)
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype={dtype!r} is not supported; choose torch.float32 or torch.float64.")
        self.image, self.epsilon = image.detach(), number("epsilon", epsilon, above=True)
        builder = "cpu" if image.device.type == "mps" else image.device  # MPS has no float64
        self.planes = levin_stencil(self.image.to(builder), self.epsilon).to(dtype).to(image.device)
        self.largest: float | None = None

    def __repr__(self) -> str:
        H, W = self.planes.shape[1:]
        of = f"of {W} x {H} pixels, epsilon={self.epsilon:g}, {self.planes.dtype}"
        return f"MattingLaplacian {of}, {self.nbytes} bytes"

    @property
    def nbytes(self) -> int:
        """Memory of the matrix, in bytes: 13 numbers a pixel."""
        return self.planes.nbytes

    def __matmul__(self, x: Tensor) -> Tensor:
        """M x, channel by channel; differentiable. x: (1, C, H, W), of M's dtype. Gives (1, C, H, W).

        >>> M = MattingLaplacian(torch.rand(1, 3, 6, 8))
        >>> (M @ torch.ones(1, 1, 6, 8)).abs().max()
        tensor(0.)
        """
        self.check(x, "M @ x")
        Mx: Tensor = Product.apply(x, self.planes)
        return Mx

    def energy(self, x: Tensor) -> Tensor:
        """Equation 5, section 3 of [2]; differentiable, with the gradient 2 M x_c.

            L_m = sum_c x_c^T M x_c

        x: (1, C, H, W), of M's dtype. Gives a scalar: a sum over pixels, so it grows with the picture.

        >>> x = torch.rand(1, 3, 6, 8, requires_grad=True)
        >>> M = MattingLaplacian(torch.rand(1, 3, 6, 8))
        >>> M.energy(x).backward()
        >>> torch.equal(x.grad, 2 * (M @ x))
        True
        """
        self.check(x, "M.energy(x)")
        energy: Tensor = Energy.apply(x, self.planes)[0]
        return energy

    def largest_eigenvalue(self) -> float:
        """The largest eigenvalue of M, approached from below to 1 %; at most 9.

        Gradient descent on weight * energy(x) is stable if step < 1 / (weight * largest eigenvalue), so with a step of
        0.99 / (weight * M.largest_eigenvalue()) the energy never rises. Computed once.

        >>> M = MattingLaplacian(torch.full((1, 3, 3, 3), 0.5))  # one window of one color: Id - 1/9
        >>> round(M.largest_eigenvalue(), 4)
        1.0
        """
        if self.largest is None:
            self.largest = largest_eigenvalue(self.planes)
        return self.largest

    def to_sparse(self) -> Tensor:
        """M as a sparse CSR tensor on the CPU, (H W, H W), to look at; pixels are numbered row by row.

        >>> MattingLaplacian(torch.zeros(1, 3, 3, 3)).to_sparse().to_dense()[0, :4] * 9
        tensor([ 8., -1., -1., -1.])
        """
        return sparse_matrix(self.planes.cpu())

    def solve(self, x: Tensor, weight: float, residual: float = 1e-3, max_iterations: int = 1000) -> Tensor:
        """The photorealistic image next to x: the exact minimizer y of

            |y - x|^2 + weight sum_c y_c^T M y_c,    which solves    (Id + weight M) y = x

        x: (1, C, H, W), of M's dtype. weight: at least 0. residual: stop if |x - (Id + weight M) y| is at most
        residual * |x|; then |y - minimizer| is, too. Gives y, (1, C, H, W), which may lie slightly outside [0, 1]. In
        float32, rounding y alone leaves a residual of about 1.5e-6 weight: for a smaller one, use float64. Raises
        ValueError for another x or weight; warns (RuntimeWarning) if max_iterations are not enough, and gives the
        current y.

        >>> image = torch.rand(1, 3, 6, 8)
        >>> noisy = 1 - image / 2 + 0.1 * torch.randn(1, 3, 6, 8)
        >>> M = MattingLaplacian(image)
        >>> bool(M.energy(M.solve(noisy, weight=100.0)) < 1e-2 * M.energy(noisy))
        True
        """
        y, reached = x, 0.0
        for iterate in self.solve_steps(x, weight, residual, max_iterations):
            y, reached = iterate.image, iterate.residual
        if not reached <= residual:
            warnings.warn(
                f"M.solve: the residual is {reached:.2g} after {max_iterations} iterations, not yet {residual:.2g}; "
                f"the current image is returned. Raise max_iterations, or accept a larger residual.",
                RuntimeWarning,
                stacklevel=2,
            )
        return y.detach()

    def solve_steps(
        self,
        x: Tensor,
        weight: float,
        residual: float = 1e-3,
        max_iterations: int = 1000,
        start: Tensor | None = None,
    ) -> Iterator[Iterate]:
        """`solve` as a stream: one `Iterate` per iteration, none if the start is the solution already.

        |y - x|^2 + weight * energy(y) falls from each to the next. start: the first y, by default x. The other
        arguments are `solve`'s; it ends without a warning after max_iterations. It may be interrupted and continued.
        """
        self.check(x, "M.solve(x, weight)")
        with naming("M.solve"):
            weight, residual = number("weight", weight), number("residual", residual, above=True)
            max_iterations = whole("max_iterations", max_iterations, least=1)
        if not torch.isfinite(x).all():
            raise ValueError("M.solve: x holds NaN or Inf; replace them first, for example with torch.nan_to_num.")
        x, start = x.detach(), x.detach() if start is None else start.detach()
        return ConjugateGradients(self.image, self.planes, x, start, weight, residual, max_iterations)

    def check(self, x: Tensor, operation: str) -> None:
        """Raise ValueError unless x is (1, C, H, W) for this M's H and W, and of M's type and on its device."""
        H, W = self.planes.shape[1:]
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[0] != 1 or x.shape[2:] != (H, W):
            raise ValueError(
                f"{operation}: x is {described(x)}, but M is of an image with {H} rows and {W} columns, "
                f"so x must be (1, C, {H}, {W}). Resize both images to one size: load_image(..., size=...)."
            )
        if x.dtype != self.planes.dtype or x.device != self.planes.device:
            raise ValueError(
                f"{operation}: x is {x.dtype} on {x.device}, M is {self.planes.dtype} on {self.planes.device}. "
                f"Use x.to(M.planes), or build M from an image on x's device, with dtype={x.dtype}."
            )


def check_content(image: Tensor) -> None:
    """Raise ValueError for an image that has no Matting Laplacian."""
    got = f"the image is {described(image)}"
    if not isinstance(image, Tensor) or image.shape[:2] != (1, 3) or image.ndim != 4 or not image.is_floating_point():
        raise ValueError(f"{got}; it must be (1, 3, H, W), RGB as float in [0, 1]. load_image makes one.")
    if min(image.shape[2:]) < 3:
        raise ValueError(f"{got}; it must be at least 3 x 3, the size of a window. Take a larger image.")
    if not torch.isfinite(image).all():
        raise ValueError(f"{got} and holds NaN or Inf. Replace them first, for example with torch.nan_to_num.")
    low, high = float(image.min()), float(image.max())
    if low < -0.01 or high > 1.01:
        raise ValueError(
            f"{got} with values from {low:g} to {high:g}; expected [0, 1]. Divide 0..255 by 255, or clamp."
        )
