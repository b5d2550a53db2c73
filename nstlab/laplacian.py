"""Interim version of equation 5, until the tuned one lands beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

OFFSETS = [(dy, dx) for dy in range(3) for dx in range(-2, 3) if (dy, dx) > (0, 0)]


class Iterate(NamedTuple):
    iteration: int
    image: Tensor
    residual: float


class _Energy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, M):
        Mx = M.apply(x)
        ctx.save_for_backward(Mx)
        return (x.double() * Mx.double()).sum().to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad * ctx.saved_tensors[0], None


class MattingLaplacian:
    """The Matting Laplacian of an image."""

    def __init__(self, image: Tensor, epsilon: float = 1e-7, dtype: torch.dtype = torch.float32):
        self.shape = image.shape[2:]
        I = image[0].detach().double().cpu()
        _, H, W = I.shape
        win = I.unfold(1, 3, 1).unfold(2, 3, 1).permute(1, 2, 3, 4, 0).reshape(H - 2, W - 2, 9, 3)
        d = win - win.mean(2, keepdim=True)
        S = d.transpose(2, 3) @ d / 9 + epsilon / 9 * torch.eye(3, dtype=torch.float64)
        K = d @ torch.linalg.solve(S, d.transpose(2, 3))
        planes = torch.zeros(12, H, W, dtype=torch.float64)
        for k, (dy, dx) in enumerate(OFFSETS):
            for y in range(3 - dy):
                for x in range(max(0, -dx), 3 - max(0, dx)):
                    e = -(1 + K[:, :, 3 * y + x, 3 * (y + dy) + x + dx]) / 9
                    planes[k, y : y + H - 2, x : x + W - 2] += e
        self.planes = planes.to(dtype).to(image.device)

    def apply(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        H, W = self.shape
        for (dy, dx), w in zip(OFFSETS, self.planes, strict=True):
            a = (slice(None), slice(None), slice(0, H - dy), slice(max(0, -dx), W - max(0, dx)))
            b = (slice(None), slice(None), slice(dy, H), slice(max(0, dx), W + min(0, dx)))
            d = w[a[2:]] * (x[b] - x[a])
            out[a] += d
            out[b] -= d
        return out

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.apply(x)

    def energy(self, x: Tensor) -> Tensor:
        return _Energy.apply(x, self)

    def largest_eigenvalue(self) -> float:
        g = torch.Generator().manual_seed(0)
        v = torch.randn(1, 1, *self.shape, generator=g).to(self.planes.device)
        for _ in range(150):
            v = self.apply(v)
            n = v.norm().item()
            v = v / n
        return n

    def to_sparse(self) -> Tensor:
        raise NotImplementedError

    def solve_steps(
        self, x: Tensor, weight: float, residual: float = 1e-3, max_iterations: int = 500
    ) -> Iterator[Iterate]:
        y = x.clone()
        r = -weight * self.apply(y)
        d, rr, bb = r, (r * r).sum(), (x * x).sum()
        for k in range(1, max_iterations + 1):
            if (rr / bb).sqrt() < residual:
                return
            Ad = d + weight * self.apply(d)
            a = rr / (d * Ad).sum()
            y, r = y + a * d, r - a * Ad
            new = (r * r).sum()
            d, rr = r + new / rr * d, new
            yield Iterate(k, y, (rr / bb).sqrt().item())

    def solve(
        self, x: Tensor, weight: float, residual: float = 1e-3, max_iterations: int = 500,
        callback: Callable[[Iterate], object] | None = None,
    ) -> Tensor:
        y = x
        for step in self.solve_steps(x, weight, residual, max_iterations):
            y = step.image
        return y
