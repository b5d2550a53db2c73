"""The forward and the backward pass of the network, written out.

    forward     x_l = W_l * pool(F_(l-1)) + b_l,    F_l = max(0, x_l)
    backward    d_l = [F_l > 0] (D_l + pool^T(W_(l+1)^T * d_(l+1)))

d_l = dL/dx_l is the gradient before the ReLU. D_l is the part of dL/dF_l that comes directly from the losses that read
layer l. pool is the identity except before the first layer of blocks 2 to 5.

This module exists to save memory: the backward pass holds one gradient tensor at a time, which it overwrites, and frees
every F_l as soon as it has used it. autograd computes the same numbers through `VGG.forward`, but allocates a tensor
for every sum and every ReLU, and holds all D_l from the start.

In float16, responses are stored and convolutions computed in float16 in both passes; readers, and everything between
two convolutions of the backward pass, use float32.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.fx.experimental.symbolic_shapes  # noqa: F401, or the first backward imports it, where Ctrl-C breaks it
from torch import Tensor

from nstlab.base.files.architecture import starts_a_block
from nstlab.engine import convolution, winograd
from nstlab.engine.buffers import empty
from nstlab.engine.first_derivative import no_second_derivative
from nstlab.engine.pooling import POOLINGS, Pooling, relu_backward
from nstlab.engine.precision import PRECISIONS, apply_in_float16, float16_to_float32
from nstlab.vgg import VGG

Reader = tuple[int, Callable[[Tensor], Tensor]]  # the index of a layer, and a function of its responses
Places = tuple[slice, slice]  # rows and columns of a layer
ALL_PLACES: Places = (slice(None), slice(None))


def crop(F: Tensor, places: Places) -> Tensor:
    """Responses (B, N, h, w) at some places, a view.

    >>> crop(torch.ones(1, 2, 4, 4), (slice(0, 2), slice(1, 4))).shape
    torch.Size([1, 2, 2, 3])
    """
    rows, columns = places
    return F[..., rows, columns]


class Layer(NamedTuple):
    """A convolution with frozen filters, the ReLU after it, and the pooling before it, if it is the first of its block.

    weight: (N, C, 3, 3). bias: (N,). U: the filters transformed for `winograd`, if that is faster. places: the rows and
    columns whose responses are read.
    """

    weight: Tensor
    bias: Tensor
    padding: str
    pooling: Pooling | None
    U: Tensor | None = None
    places: Places = ALL_PLACES

    def forward(self, F: Tensor) -> Tensor:
        """F_l from F_(l-1)."""
        pooled = self.pooling.forward(F) if self.pooling else F
        if self.U is not None:
            return winograd.convolve_relu(pooled, self.U, self.bias, self.padding)
        return convolution.convolve_relu(pooled, self.weight, self.bias, self.padding)

    def backward(self, d: Tensor) -> Tensor:
        """W_l^T * d_l, a new tensor: the derivative by the input of the convolution, F_(l-1) or its pooling."""
        if self.U is not None:
            return winograd.convolve_transposed(d, self.U, self.padding)
        if self.weight.dtype == torch.float16:
            return apply_in_float16(lambda d: convolution.convolve_transposed(d, self.weight, self.padding), d)
        return convolution.convolve_transposed(d, self.weight, self.padding)


class Kept(NamedTuple):
    """A prepared layer, with an alias and the version of the network's filters, by which changes are detected."""

    weight: Tensor
    version: int
    layer: Layer


KEPT: weakref.WeakKeyDictionary[VGG, dict[tuple[str, str], Kept]] = weakref.WeakKeyDictionary()


def prepared_layer(vgg: VGG, name: str, precision: str) -> Layer:
    """A layer with its filters converted and transformed; cached in `KEPT` until the filters change.

    "float32" leaves the filters in their own type, float64 included. Changes through `weight.data` are not detected.
    """
    module, kept = vgg.convolution(name), KEPT.setdefault(vgg, {})
    weight = module.weight
    version = 0 if weight.is_inference() else weight._version  # inference tensors have no version
    found = kept.get((name, precision))
    # `double()` replaces the data of the same parameter; the alias keeps the old address from being reused
    if found is None or found.weight.data_ptr() != weight.data_ptr() or found.version != version:
        dtype = weight.dtype if precision == "float32" else PRECISIONS[precision]
        W, b = weight.detach().to(dtype), module.get_parameter("bias").detach().to(dtype)
        pooling = POOLINGS[vgg.pooling] if starts_a_block(name) else None
        U = winograd.transform_filters(W) if winograd.is_faster(W) else None
        found = kept[name, precision] = Kept(weight.detach(), version, Layer(W, b, vgg.padding, pooling, U))
    return found.layer


def read(
    vgg: VGG,
    image: Tensor,
    readers: Sequence[tuple[str, Callable[[Tensor], Tensor]]],
    places: Callable[[str], Places] = lambda layer: ALL_PLACES,
    precision: str = "float32",
) -> list[Tensor]:
    """The values of functions of the responses, such as Gram matrices; values and gradients are those of `VGG.forward`.

    image: (1, 3, H, W). readers: pairs of a layer and a function of its responses. places: gives the rows and columns
    of a layer that its readers get. Gives one tensor per reader. Raises ValueError as `VGG.forward` does.

    >>> [total] = read(VGG(), torch.rand(1, 3, 64, 48), [("conv4_2", lambda F: F.sum())])
    >>> total.shape
    torch.Size([])
    """
    wanted = {layer for layer, _ in readers}
    x = vgg.prepared(image, wanted)
    layers = [prepared_layer(vgg, name, precision)._replace(places=places(name)) for name in vgg.down_to(wanted)]
    return list(ReadResponses.apply(x, layers, [(vgg.layers.index(layer), reader) for layer, reader in readers]))


class ReadResponses(torch.autograd.Function):
    """The values of the readers as a differentiable function of the image; filters get no gradient.

    apply(x, layers, readers): x is the prepared image, layers are those from the first to the deepest that is read.
    Gives one tensor per reader. The backward pass computes D_l only when it has reached layer l, so that there is only
    one at a time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer], readers: Sequence[Reader]) -> tuple[Tensor, ...]:
        F, leaves, values = forward_pass(x, layers, readers, keep=ctx.needs_input_grad[0])
        ctx.layers, ctx.readers, ctx.kept = layers, readers, (F, leaves, values)
        outputs = tuple(value.detach() for value in values)
        ctx.save_for_backward(x, *outputs)  # lets autograd detect in-place changes of the outputs, which may be F_l
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @no_second_derivative
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        x, *_ = ctx.saved_tensors
        F, leaves, values = ctx.kept or forward_pass(x, ctx.layers, ctx.readers, keep=True)
        ctx.kept = None  # freed layer by layer; a second backward pass computes the responses again
        by_layer: dict[int, list[tuple[Tensor, Tensor | None]]] = {l: [] for l in F}
        for (l, _), gradient in zip(reversed(ctx.readers), reversed(gradients), strict=True):
            by_layer[l].append((values.pop(), gradient))  # a value refers to F_l, so it is freed with F_l
        d, pooling = None, None
        for l in reversed(range(len(ctx.layers))):
            layer, is_read = ctx.layers[l], l in leaves
            D = direct_gradient(leaves.pop(l, None), by_layer.pop(l))
            d = gradient_before_relu(float16_to_float32(F.pop(l)), D, layer.places, d, pooling, overwrite_F=not is_read)
            if d is not None:
                d, pooling = layer.backward(d), layer.pooling
        return d, None, None


def forward_pass(
    x: Tensor, layers: Sequence[Layer], readers: Sequence[Reader], keep: bool
) -> tuple[dict[int, Tensor], dict[int, Tensor], list[Tensor]]:
    """F_l of every layer, the leaf tensors that the readers get, by layer, and the value of every reader.

    Without `keep` both dicts are empty. The leaves are F_l at the layer's places, where autograd's graphs of the
    readers begin.
    """
    x = x.to(layers[0].weight.dtype)
    F: dict[int, Tensor] = {}
    leaves: dict[int, Tensor] = {}
    values: dict[int, Tensor] = {}
    for l, layer in enumerate(layers):
        x = layer.forward(x)
        layer_readers = {n: reader for n, (index, reader) in enumerate(readers) if index == l}
        leaf = float16_to_float32(crop(x, layer.places))
        with torch.set_grad_enabled(keep):
            leaf.requires_grad_(keep and bool(layer_readers))
            values |= {n: reader(leaf) for n, reader in layer_readers.items()}
        if keep:
            F[l] = x
            leaves |= {l: leaf} if layer_readers else {}
    return F, leaves, [values[n] for n in range(len(readers))]


def direct_gradient(leaf: Tensor | None, pairs: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor | None:
    """D_l at the places that are read, from pairs of a reader's value and the gradient by it; None if it is 0."""
    pairs = [(value, gradient) for value, gradient in pairs if gradient is not None and value.requires_grad]
    if leaf is None or not pairs:
        return None
    values, gradients = [value for value, _ in pairs], [gradient for _, gradient in pairs]
    return torch.autograd.grad(values, leaf, gradients, allow_unused=True)[0]


def gradient_before_relu(
    F: Tensor, D: Tensor | None, places: Places, d: Tensor | None, pooling: Pooling | None, overwrite_F: bool
) -> Tensor | None:
    """d_l = [F_l > 0] (D_l + pool^T(d)), with d = W_(l+1)^T * d_(l+1); None means 0.

    D: D_l at `places`; it is 0 elsewhere. D is not changed, since it may be a tensor of the caller; d is overwritten,
    and so is F if overwrite_F.
    """
    if d is None:
        if D is not None:
            d = empty(tuple(F.shape), like=F).zero_()
            relu_backward(D, crop(F, places), crop(d, places))
        return d
    if pooling is not None:
        d = pooling.backward(F, d, F if overwrite_F else empty(tuple(F.shape), like=F))
        if D is not None:
            crop(d, places).add_(relu_backward(D, crop(F, places), empty(tuple(D.shape), like=D)))
        return d
    if D is not None:
        crop(d, places).add_(D)
    return relu_backward(d, F, d)
