"""The network: the convolutions and poolings of a VGG, frozen, with every layer's responses by name.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556, 2014.
No fully connected layer: what is left takes pictures of any size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from nstlab import winograd
from nstlab.files import replacing
from nstlab.filters import BUNDLED, DATA, Filters, layer_names, load_filters, starts_a_block, stride
from nstlab.half import widened
from nstlab.images import load_image, samples
from nstlab.machine import PRECISIONS, check_compiler, checked_precision, default_device
from nstlab.pooling import POOLINGS
from nstlab.propagation import EVERYWHERE, Layer, Places, Reading, at

PADDINGS = ("replicate", "zeros")
MEAN_RESPONSES = {network: DATA / f"{network}_mean_responses.safetensors" for network in BUNDLED}
MEAN_RESPONSE_SIZE = 256  # longer side in pixels of the photographs that the mean responses are taken over


class VGG(nn.Module):
    """A VGG that answers with the responses of the layers one asks for.

    network: "vgg19" (16 convolutions, the papers' network) or "vgg16" (13); the filters of both are in the package.
    pooling: "avg" as [1] advises, or "max" as trained.
    padding: "replicate" goes on beyond the border of every layer as the border is, so that no colored frame shows in a
        pastiche; "zeros" is as trained.
    normalized: scale every filter so that its mean response over photographs and places is 1, section 2 of [1].
    weights: see `load_filters`; seed: of weights="random".
    precision: "float32", or "bfloat16", in which the network then computes and answers: half the memory, and up to
        three times as fast where the device multiplies it natively. "float16" is for GPUs that know only that: the
        network computes in it, readers and derivatives have float32. "auto" takes what is fastest on the device. Losses
        add up in float32.
    compiled: have `torch.compile` make the way through the network and back, in some 20 seconds for every new size of
        image, once a machine. For GPUs: on a processor it is no faster. Not with float16.

    >>> vgg = VGG()
    >>> {layer: tuple(F.shape) for layer, F in vgg(torch.rand(1, 3, 64, 48), ["conv1_1", "conv4_2"]).items()}
    {'conv1_1': (1, 64, 64, 48), 'conv4_2': (1, 512, 8, 6)}
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: str = "vgg19",
        pooling: str = "avg",
        padding: str = "replicate",
        normalized: bool = False,
        weights: str | os.PathLike[str] | None = None,
        seed: int = 0,
        precision: str = "float32",
        compiled: bool = False,
    ):
        super().__init__()
        for argument, value, known in (("pooling", pooling, POOLINGS), ("padding", padding, PADDINGS)):
            if value not in known:
                raise ValueError(f"{argument}={value!r} is not known; choose one of {', '.join(known)}.")
        self.layers = layer_names(network)
        self.network, self.pooling, self.padding = network, pooling, padding
        self.precision = precision if precision in PRECISIONS else checked_precision(precision, default_device())
        if compiled and self.precision == "float16":
            raise ValueError(
                "compiled=True does not go with float16, whose range derivatives leave: name another precision."
            )
        if compiled:
            check_compiler(default_device())
        self.compiled = compiled
        filters = load_filters(network, weights, seed)
        self.register_buffer("mean", torch.tensor(filters.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(filters.std).view(1, 3, 1, 1))
        for name in self.layers:
            weight, bias = filters.tensors[f"{name}.weight"], filters.tensors[f"{name}.bias"]
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
            self.add_module(name, convolution)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # 10 to 15 % faster than the default layout
        if normalized:
            self.scale(known_mean_responses(self, filters, bundled=weights is None))
        for name in self.layers:
            self.convolution(name).to(PRECISIONS[self.precision])
        self.transforms: dict[str, tuple[Tensor, int, Tensor]] = {}  # of a layer: filters, their version, transformed

    def extra_repr(self) -> str:
        how = f"{self.precision}, compiled" if self.compiled else self.precision
        return f"{self.network}, pooling={self.pooling}, padding={self.padding}, {how}"

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The responses F after the ReLU of the layers asked for, {layer: (B, N, h, w)}, running no deeper than needed.

        image: (B, 3, H, W) RGB in [0, 1]. Raises ValueError for an unknown layer, another shape, or a picture that the
        poolings would shrink to nothing.
        """
        wanted = {layers} if isinstance(layers, str) else set(layers)
        responses, x = {}, self.prepared(image, wanted).to(self.convolution(self.layers[0]).weight.dtype)
        for name in self.down_to(wanted):
            layer = self.layer(name)
            pooled = layer.pooling.forward(x) if layer.pooling else x
            x = nnf.conv2d(with_border(pooled, self.padding), layer.weight, layer.bias).relu_()
            if name in wanted:
                responses[name] = x
        return responses

    def read(
        self,
        image: Tensor,
        readers: Sequence[tuple[str, Callable[[Tensor], Tensor]]],
        places: Callable[[str], Places] = lambda layer: EVERYWHERE,
    ) -> list[Tensor]:
        """What each reader makes of the responses of its layer, (layer, reader): Gram matrices, say.

        places: from a layer to the rows and columns of its responses that its readers see. The same as reading from
        `forward`, and the same derivatives, in less time and memory; a compiled network does read from `forward` where
        derivatives are wanted. Raises as `forward` does.

        >>> [total] = VGG().read(torch.rand(1, 3, 64, 48), [("conv4_2", lambda F: F.sum())])
        >>> total.shape
        torch.Size([])
        """
        wanted = {layer for layer, _ in readers}
        if self.compiled and image.requires_grad and torch.is_grad_enabled():
            F = compiled_forward()(self, image, sorted(wanted))  # older compilers cannot copy a set
            return [reader(at(F[layer], places(layer))) for layer, reader in readers]
        x = self.prepared(image, wanted)
        layers = [
            self.layer(name)._replace(places=places(name), U=self.transformed(name)) for name in self.down_to(wanted)
        ]
        return list(Reading.apply(x, layers, [(self.layers.index(layer), reader) for layer, reader in readers]))

    def down_to(self, wanted: Iterable[str]) -> list[str]:
        """The layers that have to be computed for those that are wanted. Raises ValueError for an unknown one."""
        wanted = set(wanted)
        unknown = wanted - set(self.layers)
        if unknown or not wanted:
            raise ValueError(
                f"{self.network} has no layer {', '.join(sorted(unknown)) or '(none was named)'}; "
                f"it has {', '.join(self.layers)}."
            )
        return self.layers[: 1 + max(map(self.layers.index, wanted))]

    def prepared(self, image: Tensor, wanted: AbstractSet[str]) -> Tensor:
        """The image as the first convolution takes it, once it is sure that the wanted layers will answer."""
        self.check_image(image, self.down_to(wanted)[-1])
        return ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def convolution(self, name: str) -> nn.Conv2d:
        """The frozen convolution of that name, a submodule of this one."""
        module = self.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        return module

    def layer(self, name: str) -> Layer:
        """One layer, ready to be run."""
        convolution = self.convolution(name)
        pooling = POOLINGS[self.pooling] if starts_a_block(name) else None
        return Layer(convolution.weight, convolution.get_parameter("bias"), self.padding, pooling)

    def transformed(self, name: str) -> Tensor | None:
        """The filters of that name for `winograd`, if it pays: computed once, and again if somebody changes them.

        Changes through `weight.data` leave no trace, and are not noticed.
        """
        weight = self.convolution(name).weight
        if not winograd.pays(weight):
            return None
        version = 0 if weight.is_inference() else weight._version  # a network built in inference mode has no versions
        of, at, U = self.transforms.get(name, (None, 0, weight))
        if of is None or of.data_ptr() != weight.data_ptr() or at != version:
            U = winograd.transformed(weight)
            # `double()` gives the same parameter other numbers; an alias of these keeps their place from being reused
            self.transforms[name] = weight.detach(), version, U
        return U

    @torch.no_grad()
    def scale(self, responses: dict[str, Tensor]) -> None:
        """Divide every filter's response by the number given for it, {layer: (N,)}, and let the next layer undo it.

            W_l <- W_l s_{l-1} / s_l        b_l <- b_l / s_l

        The ReLU and both poolings are positively homogeneous, so that F_l becomes F_l / s_l and nothing else changes.
        """
        before = torch.ones(3)
        for name in self.layers:
            convolution, s = self.convolution(name), responses[name]
            convolution.weight.mul_(before.view(1, -1, 1, 1) / s.view(-1, 1, 1, 1))
            convolution.get_parameter("bias").div_(s)
            before = s

    def check_image(self, image: Tensor, deepest: str) -> None:
        """Images are (B, 3, H, W) of floats, and at least one place is left at the deepest layer."""
        smallest = max(2, stride(deepest))
        shaped = image.ndim == 4 and image.shape[1] == 3 and min(image.shape[2:]) >= smallest
        if not (shaped and image.is_floating_point()):
            raise ValueError(
                f"{self.network} takes images (B, 3, H, W) of at least {smallest}x{smallest} pixels, floats in [0, 1], "
                f"to answer at {deepest}; it was given {tuple(image.shape)}, {image.dtype}. `load_image` gives such."
            )


def with_border(x: Tensor, padding: str) -> Tensor:
    """A picture (B, C, h, w) with one place more on every side, of zeros or of copies of the outermost.

    >>> with_border(torch.tensor([[[[1.0, 2.0]]]]), "replicate")
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    if padding == "zeros":
        return nnf.pad(x, (1, 1, 1, 1))
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)  # torch.compile has no replicated padding channels last
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)


@cache
def compiled_forward() -> Callable[[VGG, Tensor, Iterable[str]], dict[str, Tensor]]:
    """`VGG.forward`, which PyTorch compiles anew for every network, choice of layers and size that it meets."""
    compiled: Callable[[VGG, Tensor, Iterable[str]], dict[str, Tensor]] = torch.compile(VGG.forward)
    return compiled


@torch.no_grad()
def mean_responses(vgg: VGG, images: Sequence[Tensor]) -> dict[str, Tensor]:
    """Every filter's mean response over images and places, {layer: (N,)}.

    images: (1, 3, H, W) each, of any size; every place of every image counts alike.

    >>> mean_responses(VGG(), [torch.rand(1, 3, 32, 32)])["conv1_1"].shape
    torch.Size([64])
    """
    total = {name: torch.zeros(1) for name in vgg.layers}
    places = dict.fromkeys(vgg.layers, 0)
    for image in images:
        for name, F in vgg(image, vgg.layers).items():
            total[name] = total[name] + widened(F).sum(dim=(0, 2, 3))
            places[name] += F.shape[0] * F.shape[2] * F.shape[3]
    return {name: total[name] / places[name] for name in vgg.layers}


def photographs() -> list[Tensor]:
    """The bundled photographs that mean responses are taken over: all samples but the styles.

    >>> len(photographs())
    12
    """
    return [load_image(s.name, size=MEAN_RESPONSE_SIZE) for s in samples() if s.kind != "style"]


def known_mean_responses(vgg: VGG, filters: Filters, bundled: bool) -> dict[str, Tensor]:
    """The mean responses to the bundled photographs, for this network's filters, pooling and padding.

    Those of the bundled filters are in the package; others are computed once and kept in torch's cache, under a name
    made of the filters' hash. A filter that never responds keeps its scale.
    """
    variant = f"{vgg.pooling}_{vgg.padding}"
    if bundled:
        stored = safetensors.torch.load_file(MEAN_RESPONSES[vgg.network])
        found = {name: stored[f"{variant}.{name}"] for name in vgg.layers}
    else:
        digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in filters.tensors.values())).hexdigest()[:16]
        kept = Path(torch.hub.get_dir()) / "nstlab" / f"mean_responses_{digest}_{variant}.safetensors"
        if not kept.exists():
            with replacing(kept) as temporary:
                safetensors.torch.save_file(mean_responses(vgg, photographs()), temporary)
        found = safetensors.torch.load_file(kept)
    return {name: torch.where(s > 0, s, torch.ones(())) for name, s in found.items()}
