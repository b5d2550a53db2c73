"""Loading of the network's filters: from the package, from torchvision, from a file, or random ones.

There are two conventions, which differ in the names of a file's keys and in the preparation of pixels:

    `conv1_1.weight`     the Visual Geometry Group's: pixels in 0..255 minus the mean color
    `features.0.weight`  torchvision's: pixels in [0, 1] minus the mean color, divided by the standard deviation
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


class WeightsError(ValueError):
    """Filters are missing, damaged or of another network; the message says which, and a remedy."""


class Filters(NamedTuple):
    """The weights (N_l, N_(l-1), 3, 3) and biases (N_l,) by key, and the preparation of pixels, (x - mean) / std."""

    tensors: dict[str, Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


ORIGINAL = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def torchvision_keys(network: str) -> dict[str, str]:
    """torchvision's key for each of ours; it numbers convolutions, ReLUs and poolings consecutively.

    >>> torchvision_keys("vgg19")["conv2_1.weight"]
    'features.5.weight'
    """
    keys: dict[str, str] = {}
    index = 0
    for name in layer_names(network):
        index += starts_a_block(name)  # the pooling
        keys |= {f"{name}.{part}": f"features.{index}.{part}" for part in ("weight", "bias")}
        index += 2  # the convolution and its ReLU
    return keys


def load_filters(network: str, weights: str | os.PathLike[str] | None = None, seed: int = 0) -> Filters:
    """The filters of a network, in float32.

    weights: None for the Visual Geometry Group's, which are in the package; "torchvision" for those that torchvision
    trained, a checkpoint of about 550 MB that is downloaded once into torch's cache and verified by its hash; the path
    of a `.pth` or `.safetensors` file in either convention; or "random" for untrained filters. seed: of "random".
    Raises ValueError for an unknown network, and WeightsError if the filters cannot be loaded; it never substitutes
    others.

    >>> load_filters("vgg16").tensors["conv1_1.weight"].shape
    torch.Size([64, 3, 3, 3])
    """
    layer_names(network)  # raises ValueError for an unknown network before any file is read
    if weights == "random":
        return random_filters(network, seed)
    if weights is None:
        return _checked(network, decoded(bundled_filters(network)), BUNDLED[network])
    if weights == "torchvision":
        return _checked(network, _download(network), "torchvision's checkpoint")
    return _checked(network, _read(Path(weights)), str(weights))


def random_filters(network: str, seed: int) -> Filters:
    """Untrained filters: normal with variance 2 / (9 N_(l-1)), which keeps the variance of responses; biases 0.

    He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", arXiv 1502.01852, 2015, equation 10.

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
    """The tensors of a file with quantized weights restored: each layer has a table of 256 values, each weight a code.

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
    """The tensors of the package's file, not yet `decoded`. Raises WeightsError if the file is missing or damaged.

    >>> bundled_filters("vgg19")["conv1_1.table"].shape
    torch.Size([256])
    """
    file = folder / BUNDLED[network]
    data = file.read_bytes() if file.exists() else b""
    if hashlib.sha256(data).hexdigest() != BUNDLED_SHA256[network]:
        raise WeightsError(
            f"VGG({network!r}): the bundled filters {file.name} are missing, or their SHA-256 differs from the "
            f"recorded one. Reinstall nstlab, or rebuild the file with tools/rebuild_{network}.py."
        )
    return safetensors.torch.load(data)


def _download(network: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights  # slow to import, and needed only here

    try:
        weights = get_model_weights(network).DEFAULT
        tensors: dict[str, Tensor] = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
        return tensors
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
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return tensors
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
            f"It must be a .safetensors file, or a .pth file that holds a dict of tensors and nothing else."
        ) from error


def _checked(network: str, contents: Mapping[str, Tensor], source: str) -> Filters:
    """The filters in a file's contents, by our keys. Raises WeightsError if one is missing or has another shape."""
    expected, torchvision = shapes(network), torchvision_keys(network)
    original = isinstance(contents, Mapping) and "conv1_1.weight" in contents
    names = {key: key if original else torchvision[key] for key in expected}
    for key, name in names.items():
        tensor = contents.get(name) if isinstance(contents, Mapping) else None
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != expected[key]:
            problem = f"has shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else "is missing"
            raise WeightsError(
                f"VGG({network!r}): in {source}, {name!r} {problem}; {network} needs shape {expected[key]}. "
                f"Choose the network that the file was made for, one of {', '.join(CONVOLUTIONS)}."
            )
    tensors = {key: contents[name].float() for key, name in names.items()}
    return Filters(tensors, *(ORIGINAL if original else TORCHVISION))
