"""The network: the convolutions and poolings of a VGG, frozen, with the responses of every layer by name.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556, 2014.
The fully connected layers are left out, so that the network takes images of any size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import cast

import safetensors.torch
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from nstlab.base.files.architecture import layer_names, starts_a_block, stride
from nstlab.base.files.filter_files import BUNDLED, DATA, Filters, load_filters
from nstlab.base.files.pixels import described
from nstlab.base.files.weight_files import kept_tensors
from nstlab.base.interrupts import interrupt_afterwards
from nstlab.base.numerics.arguments import SEEDS, check_choices, check_type, whole
from nstlab.base.numerics.modes import entrance, without_modes
from nstlab.images import load_image, samples

CONTENT_LAYER = "conv4_2"  # of [1]
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")  # of [1]
POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"avg": nnf.avg_pool2d, "max": nnf.max_pool2d}
PADDINGS = {"replicate": "replicate", "zeros": "constant", "circular": "circular"}  # modes of torch.nn.functional.pad
NETWORKS = tuple(BUNDLED)
MEAN_RESPONSES = {network: DATA / f"{network}_mean_responses.safetensors" for network in BUNDLED}
MEAN_RESPONSE_SIZE = 256  # longer side in pixels of the photographs that the mean responses are taken over


class VGG(nn.Module):
    """A VGG that gives the responses of the layers one asks for.

        F_l = max(0, W_l * F_(l-1) + b_l),    with a pooling before the first layer of blocks 2 to 5

    network: "vgg19" (16 convolutions, the papers' network) or "vgg16" (13); the filters of both are in the package.
    pooling: "avg", as [1] advises, or "max", as the network was trained.
    padding: "replicate" repeats the outermost pixels of every layer's input, so that a pastiche shows no colored frame;
        "zeros" is how the network was trained; "circular" continues the image on its opposite side, for textures.
    normalized: scale every filter so that its mean response over photographs and places is 1, section 2 of [1].
    weights: see `load_filters`; seed: of weights="random".

    >>> vgg = VGG()
    >>> {layer: tuple(F.shape) for layer, F in vgg(torch.rand(1, 3, 64, 48), ["conv1_1", "conv4_2"]).items()}
    {'conv1_1': (1, 64, 64, 48), 'conv4_2': (1, 512, 8, 6)}
    """

    mean: Tensor
    std: Tensor

    @entrance("VGG")
    def __init__(
        self,
        network: str = "vgg19",
        pooling: str = "avg",
        padding: str = "replicate",
        normalized: bool = False,
        weights: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        check_choices(network=(network, NETWORKS), pooling=(pooling, POOLINGS), padding=(padding, PADDINGS))
        check_type("weights", weights, (str, os.PathLike, type(None)), "Give a name or a path, see `load_filters`.")
        self.layers = layer_names(network)
        self.network, self.pooling, self.padding = network, pooling, padding
        filters = load_filters(network, weights, whole("seed", seed, *SEEDS))
        for buffer, values in (("mean", filters.mean), ("std", filters.std)):
            self.register_buffer(buffer, torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1))
        with interrupt_afterwards():  # the first convolution imports more of PyTorch 2.8
            for name in self.layers:
                weight, bias = filters.tensors[f"{name}.weight"], filters.tensors[f"{name}.bias"]
                convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, device="meta")  # draws no random numbers
                convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
                self.add_module(name, convolution)
        self.requires_grad_(False).to(memory_format=torch.channels_last)  # 10 to 15 % faster than the default layout
        if normalized:
            self.scale(known_mean_responses(self, filters, bundled=weights is None))

    def extra_repr(self) -> str:
        return f"{self.network}, pooling={self.pooling}, padding={self.padding}"

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The responses F after the ReLU of the layers asked for, {layer: (B, N, h, w)}, running no deeper than needed.

        image: (B, 3, H, W) RGB in [0, 1]. Raises ValueError for an unknown layer, another shape, or an image too small.
        """
        wanted = {layers} if isinstance(layers, str) else set(layers)
        responses, x = {}, self.prepared(image, wanted)
        for name in self.down_to(wanted):
            if starts_a_block(name):
                x = POOLINGS[self.pooling](x, 2)
            x = self.convolution(name)(with_border(x, self.padding)).relu_()
            if name in wanted:
                responses[name] = x
        return responses

    def down_to(self, wanted: Iterable[str]) -> list[str]:
        """The layers that must be computed to reach those wanted. Raises ValueError for an unknown one."""
        wanted = set(wanted)
        unknown = ", ".join(str(layer) for layer in wanted if layer not in self.layers)
        if unknown or not wanted:
            known = ", ".join(self.layers)
            raise ValueError(f"{self.network} has no layer {unknown or '(none was named)'}; it has {known}.")
        return self.layers[: 1 + max(map(self.layers.index, wanted))]

    def prepared(self, image: Tensor, wanted: Iterable[str]) -> Tensor:
        """The image as the first convolution takes it, (image - mean) / std, after a check that it is large enough."""
        self.check_image(image, self.down_to(wanted)[-1])
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return x.to(self.convolution(self.layers[0]).weight.dtype)

    def check_image(self, image: Tensor, deepest: str) -> None:
        """Raise ValueError unless the image is (B, 3, H, W) of floats, with a place left at the deepest layer."""
        smallest = max(2, stride(deepest))
        shaped = isinstance(image, Tensor) and image.ndim == 4 and image.shape[1] == 3
        if not (shaped and image.is_floating_point() and min(image.shape[2:]) >= smallest):
            raise ValueError(
                f"{self.network} takes images (B, 3, H, W) of at least {smallest}x{smallest} pixels, floats in [0, 1], "
                f"to respond at {deepest}; it was given {described(image)}. `load_image` makes one."
            )

    def convolution(self, name: str) -> nn.Conv2d:
        """The frozen convolution of this name, a submodule."""
        return cast(nn.Conv2d, self.get_submodule(name))

    @torch.no_grad()
    def scale(self, responses: dict[str, Tensor]) -> None:
        """Divide every filter's response by the number given for it, {layer: (N,)}; the next layer undoes it.

            W_l <- W_l s_{l-1} / s_l        b_l <- b_l / s_l

        The ReLU and both poolings are positively homogeneous, so F_l becomes F_l / s_l and nothing else changes.
        """
        before = torch.ones_like(self.mean).flatten()
        for name in self.layers:
            convolution, s = self.convolution(name), responses[name]
            convolution.weight.mul_(before.view(1, -1, 1, 1) / s.view(-1, 1, 1, 1))
            convolution.get_parameter("bias").div_(s)
            before = s


def with_border(x: Tensor, padding: str) -> Tensor:
    """Responses (B, C, h, w) with one more place on every side: zeros, or copies of the outermost places, of the same
    or of the opposite side.

    >>> with_border(torch.tensor([[[[1.0, 2.0]]]]), "replicate")
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    return nnf.pad(x, (1, 1, 1, 1), PADDINGS[padding])


@without_modes()
@torch.no_grad()
def mean_responses(vgg: VGG, images: Sequence[Tensor]) -> dict[str, Tensor]:
    """Every filter's mean response over images and places, {layer: (N,)}.

    images: (1, 3, H, W) each, of any size; every place of every image counts the same.

    >>> mean_responses(VGG(), [torch.rand(1, 3, 32, 32)])["conv1_1"].shape
    torch.Size([64])
    """
    total = {name: vgg.mean.new_zeros(1) for name in vgg.layers}
    places = dict.fromkeys(vgg.layers, 0)
    for image in images:
        for name, F in vgg(image, vgg.layers).items():
            total[name] = total[name] + F.sum(dim=(0, 2, 3))
            places[name] += F.shape[0] * F.shape[2] * F.shape[3]
    return {name: total[name] / places[name] for name in vgg.layers}


def photographs() -> list[Tensor]:
    """The twelve bundled photographs that mean responses are taken over: all samples except the styles."""
    return [load_image(s.name, size=MEAN_RESPONSE_SIZE) for s in samples() if s.kind != "style"]


def known_mean_responses(vgg: VGG, filters: Filters, bundled: bool) -> dict[str, Tensor]:
    """The mean responses to the bundled photographs, for this network's filters, pooling and padding.

    Those of the bundled filters are in the package, except for circular padding; others are computed once and kept in
    torch's cache by the hash of the filters. A filter that never responds keeps its scale.
    """
    variant = f"{vgg.pooling}_{vgg.padding}"
    if bundled and vgg.padding != "circular":
        stored = safetensors.torch.load_file(MEAN_RESPONSES[vgg.network])
        found = {name: stored[f"{variant}.{name}"] for name in vgg.layers}
    else:
        digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in filters.tensors.values())).hexdigest()[:16]
        kept = Path(torch.hub.get_dir()) / "nstlab" / f"mean_responses_{digest}_{variant}.safetensors"
        found = kept_tensors(kept, lambda: mean_responses(vgg, photographs()))
    return {name: torch.where(s > 0, s, 1) for name, s in found.items()}
