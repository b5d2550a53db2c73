"""The network's way forward and its way back, written out.

    forward     x_l = W_l * pool(F_l-1) + b_l,        F_l = max(0, x_l)
    backward    d_l = [F_l > 0] (D_l + pool^T (W_l+1^T * d_l+1)),        D_l = dL/dF_l, what the losses ask of layer l

autograd would do the same, but with a new tensor for every sum and every mask; here each layer has one, for all three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input


class Layer(NamedTuple):
    """A convolution and the ReLU after it: its frozen filters, and what becomes of its input first, if anything."""

    weight: Tensor
    bias: Tensor
    padding: int
    pool: Callable[[Tensor], Tensor] | None

    def forward(self, F: Tensor) -> Tensor:
        """F_l from F_l-1."""
        return nnf.conv2d(self.pool(F) if self.pool else F, self.weight, self.bias, padding=self.padding).relu_()

    def back(self, F: Tensor, d: Tensor) -> Tensor:
        """dL/dF_l-1, a new tensor, from F_l-1 and d_l = dL/dx_l."""
        if self.pool is None:
            return conv2d_input(F.shape, self.weight, d, padding=self.padding)
        with torch.enable_grad():
            F = F.detach().requires_grad_()
            pooled = self.pool(F)
        return torch.autograd.grad(pooled, F, conv2d_input(pooled.shape, self.weight, d, padding=self.padding))[0]


class Responses(torch.autograd.Function):
    """The responses of some layers, as a differentiable function of the image alone: the filters get no gradient.

    apply(x, layers, wanted): x, the prepared image; layers, from the first to the deepest; wanted, whose responses are
    given, by number, in rising order, the last layer's among them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer], wanted: Sequence[int]) -> tuple[Tensor, ...]:
        responses = run(x, layers)
        ctx.layers, ctx.wanted = layers, wanted
        ctx.save_for_backward(x, *(responses[l] for l in wanted))
        ctx.hidden = {l: F for l, F in enumerate(responses) if l not in wanted}
        ctx.set_materialize_grads(False)
        return tuple(responses[l] for l in wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *asked: Tensor | None) -> tuple[Tensor | None, None, None]:
        x, *given = ctx.saved_tensors
        D = dict(zip(ctx.wanted, asked, strict=True))
        F, ctx.hidden = dict(zip(ctx.wanted, given, strict=True)) | ctx.hidden, {}
        if len(F) < len(ctx.layers):  # given up on the first way back, so that their memory is free during it
            F = dict(enumerate(run(x, ctx.layers)))
        d: Tensor | None = None
        for l in reversed(range(len(ctx.layers))):
            d = masked(F.pop(l), D.get(l), d)
            if d is not None:
                d = ctx.layers[l].back(F[l - 1] if l else x, d)
        return d, None, None


def run(x: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
    """F_l of every layer."""
    responses = []
    for layer in layers:
        x = layer.forward(x)
        responses.append(x)
    return responses


def masked(F: Tensor, D: Tensor | None, d: Tensor | None) -> Tensor | None:
    """[F > 0] (D + d): D belongs to somebody else, d is ours and is overwritten. None counts as 0."""
    if d is None:
        return D if D is None else torch.ops.aten.threshold_backward(D, F, 0)
    if D is not None:
        d.add_(D)
    return torch.ops.aten.threshold_backward.grad_input(d, F, 0, grad_input=d)
