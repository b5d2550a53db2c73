"""Finite differences, with which the course checks gradients without calculus, and their self-check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, called, compare

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


def finite_difference(mine: Callable[[Loss, Tensor, Place, float], Any]) -> Verdict:
    """Exercise 2: the derivative of a loss by one pixel value, as `central_difference` computes it."""
    image = torch.linspace(0, 1, 60, dtype=torch.float64).reshape(1, 3, 4, 5)
    place, h = (0, 1, 2, 3), 0.1  # large, so that one-sided and two-sided differences are not equal
    image[0, 0, 0, 0] = image[place]  # another pixel of the same value, which must not move with it

    def loss(x: Tensor) -> Tensor:  # in which all pixels have a part at once
        return torch.sin(3 * x).sum().square()

    def loss_with(value: float) -> float:
        moved = image.clone()
        moved[place] = value
        return loss(moved).item()

    x = image[place].item()
    up, here, down = loss_with(x + h), loss(image).item(), loss_with(x - h)
    one_sided = "You step to one side only. If you step to both, the error is of order h squared instead of h."
    not_moved = "One of the two is still the image itself, but you divide by 2 h: a step of h down from +h leads to 0."
    alike = image == image[place]
    all_alike = (loss(image + h * alike) - loss(image - h * alike)) / (2 * h)
    slips = [
        Slip(all_alike, "Every pixel with that value was moved: choose it by its place, `x[place]`."),
        Slip((up - down) / h, "Too large by a factor of 2: how far apart are the two points at which you evaluate?"),
        Slip(up - down, "That is the rise. A slope is the rise divided by something."),
        Slip((up - down) / 2, "You divide by 2. By which distance should the rise be divided?"),
        Slip((up - down) / 2 * h, "`/ 2 * h` divides by 2 and then multiplies by h: it needs parentheses."),
        Slip((down - up) / (2 * h), "The sign is wrong: which of the two values is subtracted from which?"),
        Slip((up - here) / h, one_sided),
        Slip((here - down) / h, one_sided),
        Slip((up - here) / (2 * h), not_moved),
        Slip((here - down) / (2 * h), not_moved),
        Slip(0.0, "Both losses are equal: two names for one tensor? Each of the two points needs its own `clone()`."),
        Slip((up - down) / h**2, "It is divided by h squared: how far apart are the two points?"),
        Slip((up - 2 * here + down) / h**2, "This is the second derivative. The first one needs no middle."),
        Slip(
            (loss(image + h) - loss(image)).item() / h, "All pixels were moved, to one side. Move the one at `place`."
        ),
        Slip(up / down, "This is a quotient of losses. A slope is a difference, divided by a distance."),
        Slip(up - down / (2 * h), "Only the second value is divided: the difference needs parentheses."),
        Slip(
            (loss_with(h) - loss_with(-h)) / (2 * h),
            "The value at `place` becomes h. It should change by h: `+=`, `-=`.",
        ),
        Slip(
            (loss_with(x * (1 + h)) - loss_with(x * (1 - h))) / (2 * h),
            "The value is multiplied. It should move by h, however large it is.",
        ),
        Slip((up + down) / (2 * h), "You add the two values. A slope is made of their difference."),
        Slip(
            (loss(image + h) - loss(image - h)).item() / (2 * h),
            "All pixels were moved. Move only the value at `place`.",
        ),
        Slip(
            (loss(image[place] + h) - loss(image[place] - h)) / (2 * h),
            "You give the loss one pixel alone. It takes a whole image, in which that one pixel has moved.",
        ),
        Slip(
            6 * torch.sin(3 * image).sum() * torch.cos(3 * image[place]),
            "This is the exact derivative. The judge does not ask autograd, and uses the h it is given.",
        ),
    ]
    right = central_difference(loss, image, place, h)
    return compare(lambda: called(mine, loss, image, place, h), right, slips, "With this you can check any gradient.")
