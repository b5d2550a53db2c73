"""The network's way forward and its way back, written out.

    forward     x_l = W_l * pool(F_l-1) + b_l,        F_l = max(0, x_l)
    backward    d_l = [F_l > 0] (D_l + pool^T (W_l+1^T * d_l+1)),        D_l = dL/dF_l, what the losses ask of layer l

autograd would do the same, but with a new tensor for every sum and every mask, and with every D_l from the start. Here
one tensor goes down the layers. `VGG.forward` leaves it to autograd, `VGG.read` goes this way.

A network in float16 keeps its responses in it and convolves in it, there and back; readers and all that lies between
the convolutions on the way back have float32.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nstlab.engine import convolution, winograd
from nstlab.engine.buffers import empty
from nstlab.engine.once import differentiable_once
from nstlab.engine.pooling import POOLINGS, Pooling, masked
from nstlab.engine.precision import PRECISIONS, with_range, within_range
from nstlab.files.architecture import starts_a_block
from nstlab.vgg import VGG

Reader = tuple[int, Callable[[Tensor], Tensor]]  # the number of a layer, and what is made of its responses
Places = tuple[slice, slice]  # rows and columns of a layer
EVERYWHERE: Places = (slice(None), slice(None))


def at(F: Tensor, places: Places) -> Tensor:
    """Responses (B, N, h, w) at some of their places, a view.

    >>> at(torch.ones(1, 2, 4, 4), (slice(0, 2), slice(1, 4))).shape
    torch.Size([1, 2, 2, 3])
    """
    rows, columns = places
    return F[..., rows, columns]


class Layer(NamedTuple):
    """A convolution and the ReLU after it: its frozen filters, and what becomes of its input first, if anything.

    U: the filters transformed, where `winograd` is the faster way to convolve with them. places: where its responses
    are read; the others only carry what deeper layers ask.
    """

    weight: Tensor
    bias: Tensor
    padding: str
    pooling: Pooling | None
    U: Tensor | None = None
    places: Places = EVERYWHERE

    def forward(self, F: Tensor) -> Tensor:
        """F_l from F_l-1."""
        pooled = self.pooling.forward(F) if self.pooling else F
        if self.U is not None:
            return winograd.rectified(pooled, self.U, self.bias, self.padding)
        return convolution.rectified(pooled, self.weight, self.bias, self.padding)

    def back(self, d: Tensor) -> Tensor:
        """dL/dF_l-1, or where that is pooled first the derivative by the pooled, a new tensor, from d_l = dL/dx_l."""
        if self.U is not None:
            return winograd.transposed(d, self.U, self.padding)
        if self.weight.dtype == torch.float16:
            return within_range(lambda d: convolution.transposed(d, self.weight, self.padding), d)
        return convolution.transposed(d, self.weight, self.padding)


class Kept(NamedTuple):
    """A layer that was prepared, and what shows whether the filters are still the same: an alias, and their version."""

    weight: Tensor
    version: int
    layer: Layer


KEPT: weakref.WeakKeyDictionary[VGG, dict[tuple[str, str], Kept]] = weakref.WeakKeyDictionary()


def layer_of(vgg: VGG, name: str, precision: str) -> Layer:
    """A layer in this precision, prepared once, and again if the filters were changed.

    "float32" takes the filters as they are, float64 included. Changes through `weight.data` leave no trace and are not
    noticed.
    """
    convolved, kept = vgg.convolution(name), KEPT.setdefault(vgg, {})
    weight = convolved.weight
    version = 0 if weight.is_inference() else weight._version  # a network built in inference mode has no versions
    known = kept.get((name, precision))
    # `double()` gives the same parameter other numbers; the alias keeps their address from being reused
    if known is None or known.weight.data_ptr() != weight.data_ptr() or known.version != version:
        dtype = weight.dtype if precision == "float32" else PRECISIONS[precision]
        W, b = weight.detach().to(dtype), convolved.get_parameter("bias").detach().to(dtype)
        pooling = POOLINGS[vgg.pooling] if starts_a_block(name) else None
        U = winograd.transformed(W) if winograd.pays(W) else None
        known = kept[name, precision] = Kept(weight.detach(), version, Layer(W, b, vgg.padding, pooling, U))
    return known.layer


def read(
    vgg: VGG,
    image: Tensor,
    readers: Sequence[tuple[str, Callable[[Tensor], Tensor]]],
    places: Callable[[str], Places] = lambda layer: EVERYWHERE,
    precision: str = "float32",
) -> list[Tensor]:
    """What each reader makes of the responses of its layer, (layer, reader): Gram matrices, for example.

    image: (1, 3, H, W). places: from a layer to the rows and columns of its responses that its readers see. The same
    values and gradients as from `VGG.forward`, in less time and memory. Raises ValueError as `VGG.forward` does.

    >>> [total] = read(VGG(), torch.rand(1, 3, 64, 48), [("conv4_2", lambda F: F.sum())])
    >>> total.shape
    torch.Size([])
    """
    wanted = {layer for layer, _ in readers}
    x = vgg.prepared(image, wanted)
    layers = [layer_of(vgg, name, precision)._replace(places=places(name)) for name in vgg.down_to(wanted)]
    return list(Reading.apply(x, layers, [(vgg.layers.index(layer), reader) for layer, reader in readers]))


class Reading(torch.autograd.Function):
    """What readers make of the responses, as a differentiable function of the image alone: filters get no gradient.

    apply(x, layers, readers): x, the prepared image; layers, from the first to the deepest; readers, each with the
    number of the layer that it reads. Gives one tensor a reader. A D_l is made when the way back has reached its layer,
    and not before, so that there is only one at a time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer], readers: Sequence[Reader]) -> tuple[Tensor, ...]:
        F, seen, read = walk(x, layers, readers, keep=ctx.needs_input_grad[0])
        ctx.layers, ctx.readers, ctx.kept = layers, readers, (F, seen, read)
        handed_out = tuple(r.detach() for r in read)
        ctx.save_for_backward(x, *handed_out)  # autograd watches that nobody changes these, which may be F_l themselves
        ctx.set_materialize_grads(False)
        return handed_out

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *asked: Tensor | None) -> tuple[Tensor | None, None, None]:
        x, *_ = ctx.saved_tensors
        F, seen, read = ctx.kept or walk(x, ctx.layers, ctx.readers, keep=True)
        ctx.kept = None  # given up on the way; a second way back computes them again
        of_layer: dict[int, list[tuple[Tensor, Tensor | None]]] = {l: [] for l in F}
        for (l, _), D in zip(reversed(ctx.readers), reversed(asked), strict=True):
            of_layer[l].append((read.pop(), D))  # what is read holds on to F_l, and so must go with it
        d, pooling = None, None
        for l in reversed(range(len(ctx.layers))):
            layer, own = ctx.layers[l], l not in seen
            D = asked_of(seen.pop(l, None), of_layer.pop(l))
            d = joined(with_range(F.pop(l)), D, layer.places, d, pooling, own)
            if d is not None:
                d, pooling = layer.back(d), layer.pooling
        return d, None, None


def walk(
    x: Tensor, layers: Sequence[Layer], readers: Sequence[Reader], keep: bool
) -> tuple[dict[int, Tensor], dict[int, Tensor], list[Tensor]]:
    """F_l of every layer if they are kept for the way back, what readers see of theirs, and what each makes of it."""
    x = x.to(layers[0].weight.dtype)
    F: dict[int, Tensor] = {}
    seen: dict[int, Tensor] = {}
    read: dict[int, Tensor] = {}
    for l, layer in enumerate(layers):
        x = layer.forward(x)
        of_this = {n: reader for n, (number, reader) in enumerate(readers) if number == l}
        part = with_range(at(x, layer.places))
        with torch.set_grad_enabled(keep):
            part.requires_grad_(keep and bool(of_this))
            read |= {n: reader(part) for n, reader in of_this.items()}
        if keep:
            F[l] = x
            seen |= {l: part} if of_this else {}
    return F, seen, [read[n] for n in range(len(readers))]


def asked_of(seen: Tensor | None, pairs: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor | None:
    """D_l = dL/dF_l where F_l is read, from what was read and the derivatives by it; None where nothing is asked."""
    pairs = [(r, D) for r, D in pairs if D is not None and r.requires_grad]
    if seen is None or not pairs:
        return None
    return torch.autograd.grad([r for r, _ in pairs], seen, [D for _, D in pairs], allow_unused=True)[0]


def joined(
    F: Tensor, D: Tensor | None, places: Places, d: Tensor | None, pooling: Pooling | None, own: bool
) -> Tensor | None:
    """d_l = [F > 0] (D + pool^T d), from d of the layer above and D, which is 0 but at some places; None counts as 0.

    D belongs to somebody else, d is ours and is overwritten, and so is F if it is our `own`, read by nobody.
    """
    if d is None:
        if D is not None:
            d = empty(tuple(F.shape), like=F).zero_()
            masked(D, at(F, places), at(d, places))
        return d
    if pooling is not None:
        d = pooling.back(F, d, F if own else empty(tuple(F.shape), like=F))
        if D is not None:
            at(d, places).add_(masked(D, at(F, places), empty(tuple(D.shape), like=D)))
        return d
    if D is not None:
        at(d, places).add_(D)
    return masked(d, F, d)
