"""Finite differences, with which the course checks gradients without calculus."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
Place = tuple[int, ...]  # the index of a pixel value, (0, channel, row, column)


def central_difference(loss: Loss, image: Tensor, place: Place, h: float = 1e-5) -> float:
    """The derivative of a loss by one pixel value, from two evaluations and without autograd.

        dL/dx_i  ~  (L(x + h e_i) - L(x - h e_i)) / 2h

    image: (1, 3, H, W), in float64 unless h is large: in float32 the rounding error is larger than the difference.
    place: the index of the pixel value, (0, channel, row, column).

    >>> round(central_difference(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double(), (0, 0, 1, 2)), 6)
    2.0
    """
    up, down = image.detach().clone(), image.detach().clone()
    up[place] += h
    down[place] -= h
    return float((loss(up) - loss(down)).item() / (2 * h))


def gradient_gap(loss: Loss, image: Tensor, places: int = 8, h: float = 1e-5, seed: int = 0) -> float:
    """The largest difference between autograd and finite differences, relative to the largest entry of the gradient.

    image: (1, 3, H, W), float64. places: the number of random pixel values. For a right gradient the result is about
    1e-7 or less, or more if the loss has a kink, such as that of a ReLU, within h of the image. Raises ValueError for
    an image of another type.

    >>> gradient_gap(lambda x: x.square().sum(), torch.ones(1, 3, 4, 4).double()) < 1e-7
    True
    """
    if image.dtype != torch.float64:
        raise ValueError(
            f"gradient_gap needs an image of float64 for finite differences; it is {image.dtype}. "
            f"Pass image.double(), and if the loss contains a network, use network.double()."
        )
    x = image.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    chosen = torch.randint(image.numel(), (places,), generator=torch.Generator().manual_seed(seed))
    indices = [tuple(int(i) for i in place) for place in torch.stack(torch.unravel_index(chosen, image.shape), 1)]
    gaps = [abs(central_difference(loss, image, place, h) - gradient[place].item()) for place in indices]
    return max(gaps) / max(gradient.abs().max().item(), 1e-30)
