"""Where the network's filters come from: the package, torchvision, a file, or chance.

Two conventions are about, and a file's key names tell which one it keeps:

    `conv1_1.weight` ...   the Visual Geometry Group's own: pixels 0..255 minus the mean color
    `features.0.weight` ...   torchvision's: pixels in [0, 1] minus the mean color, divided by the standard deviation
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from nstlab.files.architecture import CONVOLUTIONS, layer_names, shapes, starts_a_block

DATA = Path(__file__).parents[1] / "data"
BUNDLED = {"vgg16": "vgg16_conv_fp16.safetensors", "vgg19": "vgg19.safetensors"}
BUNDLED_SHA256 = {
    "vgg16": "377d9605f2e4d30901a28e63910ba880d597707906400b7e2ff8ce55b9664b54",
    "vgg19": "6525c1f13373dbed19f57c8d98b44cd9bf5fc43c747519f8500a450a6d457a2c",
}


class WeightsError(RuntimeError):
    """The filters asked for cannot be had."""


class Filters(NamedTuple):
    """Every convolution's weight (out, in, 3, 3) and bias (out,), and how pixels are prepared: (x - mean) / std."""

    tensors: dict[str, Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


ORIGINAL = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def torchvision_keys(network: str) -> dict[str, str]:
    """torchvision's key for each of ours: it counts convolutions, ReLUs and poolings in one row.

    >>> torchvision_keys("vgg19")["conv2_1.weight"]
    'features.5.weight'
    """
    keys: dict[str, str] = {}
    place = 0
    for name in layer_names(network):
        place += starts_a_block(name)  # the pooling
        keys |= {f"{name}.{part}": f"features.{place}.{part}" for part in ("weight", "bias")}
        place += 2
    return keys


def load_filters(network: str, weights: str | os.PathLike[str] | None = None, seed: int = 0) -> Filters:
    """The filters of a network, in float32.

    weights: None for the Visual Geometry Group's own, which are in the package; "torchvision" for those that
    torchvision has trained anew, a checkpoint of some 550 MB that is downloaded once into torch's cache and checked by
    its hash; the path of a `.pth` or `.safetensors` file in either convention; or "random" for untrained filters drawn
    with `seed`. Raises WeightsError with the way out; never falls back silently.

    >>> load_filters("vgg16").tensors["conv1_1.weight"].shape
    torch.Size([64, 3, 3, 3])
    """
    layer_names(network)  # an unknown network is told before anything is read
    if weights == "random":
        return random_filters(network, seed)
    if weights is None:
        return _sorted_out(network, decoded(bundled_filters(network)), BUNDLED[network])
    if weights == "torchvision":
        return _sorted_out(network, _downloaded(network), "torchvision's checkpoint")
    return _sorted_out(network, _read(Path(weights)), str(weights))


def random_filters(network: str, seed: int) -> Filters:
    """Untrained filters, He et al. 2015, equation 10: normal with variance 2 / (9 inputs), which keeps responses alive.

    >>> random_filters("vgg16", seed=0).tensors["conv1_1.bias"].abs().max()
    tensor(0.)
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        key: torch.zeros(shape)
        if len(shape) == 1
        else torch.randn(shape, generator=generator) * math.sqrt(2 / (9 * shape[1]))
        for key, shape in shapes(network).items()
    }
    return Filters(tensors, *TORCHVISION)


def decoded(coded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file whose weights may be coded, a table of 256 numbers for a layer and one byte for a weight.

        weight = table[code]

    >>> coded = {"conv1_1.table": torch.tensor([0.5, -1.0]), "conv1_1.codes": torch.tensor([1, 1, 0]).byte()}
    >>> decoded(coded)
    {'conv1_1.weight': tensor([-1.0000, -1.0000,  0.5000])}
    """
    tensors = {}
    for key, tensor in coded.items():
        layer, _, part = key.partition(".")
        if part == "codes":
            tensors[f"{layer}.weight"] = coded[f"{layer}.table"][tensor.long()]
        elif part != "table":
            tensors[key] = tensor
    return tensors


def bundled_filters(network: str, folder: Path = DATA) -> dict[str, Tensor]:
    """The tensors of the package's file, as they are coded. Raises WeightsError if it is missing or damaged.

    >>> bundled_filters("vgg19")["conv1_1.table"].shape
    torch.Size([256])
    """
    file = folder / BUNDLED[network]
    data = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(data).hexdigest() != BUNDLED_SHA256[network]:
        raise WeightsError(
            f"VGG({network!r}): the bundled filters {file.name} are missing, or their SHA-256 differs from the "
            f"recorded one. Install nstlab again, or run tools/rebuild_{network}.py, which makes the file anew."
        )
    return safetensors.torch.load(data)


def _downloaded(network: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights  # slow to import, and needed here alone

    try:
        weights = get_model_weights(network).DEFAULT
        found: dict[str, Tensor] = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
        return found
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"VGG({network!r}, weights='torchvision'): the checkpoint could not be downloaded ({error}). "
            f"Give weights=PATH to a local copy, or leave weights out: the papers' filters are in the package."
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"weights={str(path)!r}: there is no such file. Leave weights out to use the published filters."
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return found
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        raise WeightsError(
            f"weights={str(path)!r} cannot be read as a file of weights ({type(error).__name__}). "
            f"It should be a .safetensors file, or a .pth file that holds a dict of tensors and nothing else."
        ) from error


def _sorted_out(network: str, found: Mapping[str, Tensor], source: str) -> Filters:
    """The tensors of the convolutions, under our names, once every one is there in its shape."""
    wanted, theirs = shapes(network), torchvision_keys(network)
    original = isinstance(found, Mapping) and "conv1_1.weight" in found
    names = {key: key if original else theirs[key] for key in wanted}
    for key, name in names.items():
        tensor = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != wanted[key]:
            came = f"of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else "missing"
            raise WeightsError(
                f"VGG({network!r}): in {source}, {name!r} is {came}; {network} needs shape {wanted[key]}. "
                f"Name the network that the file was made for, out of {', '.join(CONVOLUTIONS)}."
            )
    tensors = {key: found[name].float() for key, name in names.items()}
    return Filters(tensors, *(ORIGINAL if original else TORCHVISION))
