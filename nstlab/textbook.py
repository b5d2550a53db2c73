"""Approach 1 on one page, in plain PyTorch: the equations as printed, autograd, PyTorch's own L-BFGS.

Everything else in the package is proved equal to this page: the tests compare losses and gradients. It is slow, and its
weights mean something else on every network and at every size; the other pages cure that.

[1] is Gatys, Ecker, Bethge, "A Neural Algorithm of Artistic Style", arXiv 1508.06576, 2015.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG


def content_loss(F: Tensor, P: Tensor) -> Tensor:
    """Equation 1:  L_content = 1/2 sum_ij (F_ij - P_ij)^2"""
    return 0.5 * (F - P).square().sum()


def gram_matrix(F: Tensor) -> Tensor:
    """Equation 2:  G_ik = sum_j F_ij F_kj,  from responses (1, N, h, w) to (N, N)"""
    F = F[0].flatten(1)
    return F @ F.T


def layer_style_loss(F: Tensor, S: Tensor) -> Tensor:
    """One layer of equation 3:  E = 1/(4 N^2 M^2) sum_ij (G_ij - A_ij)^2,  each Gram matrix divided by its own M"""
    N, M_F, M_S = F.shape[1], F[0, 0].numel(), S[0, 0].numel()
    return (gram_matrix(F) / M_F - gram_matrix(S) / M_S).square().sum() / (4 * N**2)


def loss_function(
    vgg: VGG, content: Tensor, style: Tensor, alpha: float = 1.0, beta: float = 1e4
) -> Callable[[Tensor], Tensor]:
    """Equation 4 as a function of the image:  L = alpha L_content + beta sum_l L_style,l / 5

    content, style: (1, 3, H, W) in [0, 1]; they may differ in size.

    >>> content, style = torch.rand(2, 1, 3, 32, 32)
    >>> loss = loss_function(VGG(), content, style, alpha=1.0, beta=0.0)
    >>> loss(content)
    tensor(0.)
    """
    with torch.no_grad():
        P = vgg(content, [CONTENT_LAYER])[CONTENT_LAYER]
        S = vgg(style, STYLE_LAYERS)

    def loss(image: Tensor) -> Tensor:
        F = vgg(image, {CONTENT_LAYER, *STYLE_LAYERS})
        L_style = sum(layer_style_loss(F[layer], S[layer]) / len(STYLE_LAYERS) for layer in STYLE_LAYERS)
        return alpha * content_loss(F[CONTENT_LAYER], P) + beta * L_style

    return loss


def transfer(
    vgg: VGG, content: Tensor, style: Tensor, alpha: float = 1.0, beta: float = 1e4, steps: int = 10, seed: int = 0
) -> Tensor:
    """A pastiche, (1, 3, H, W): white noise whose pixels L-BFGS changes until the loss is small.

    steps: calls of PyTorch's L-BFGS, which evaluates the loss about 20 times in each.

    >>> transfer(VGG(), torch.rand(1, 3, 32, 40), torch.rand(1, 3, 32, 32), steps=1).shape
    torch.Size([1, 3, 32, 40])
    """
    loss = loss_function(vgg, content, style, alpha, beta)
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    optimizer = torch.optim.LBFGS([image])

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(image)
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
        with torch.no_grad():
            image.clamp_(0, 1)
    return image.detach()
