"""Loading of the network's filters: from the package, from torchvision, from a file, or random ones.

There are two conventions, which differ in the names of a file's keys and in the preparation of pixels:

    `conv1_1.weight`     the Visual Geometry Group's: pixels in 0..255 minus the mean color
    `features.0.weight`  torchvision's: pixels in [0, 1] minus the mean color, divided by the standard deviation
"""

from __future__ import annotations

import hashlib
import http.client
import math
import os
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from nstlab.base.files.architecture import CONVOLUTIONS, layer_names, shapes, starts_a_block
from nstlab.base.files.atomic import replacing
from nstlab.base.files.weight_files import WeightsError, read_tensors

SILENCE = 30.0  # seconds after which a server that sends nothing is given up
DATA = Path(__file__).parents[2] / "data"
BUNDLED = {"vgg16": "vgg16_conv_fp16.safetensors", "vgg19": "vgg19.safetensors"}
BUNDLED_SHA256 = {
    "vgg16": "377d9605f2e4d30901a28e63910ba880d597707906400b7e2ff8ce55b9664b54",
    "vgg19": "6525c1f13373dbed19f57c8d98b44cd9bf5fc43c747519f8500a450a6d457a2c",
}


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
    trained, a checkpoint of about 550 MB that is downloaded once into torch's cache and verified by its hash at every
    use; the path of a `.pth` or `.safetensors` file in either convention; or "random" for untrained filters.
    seed: of "random".
    Raises ValueError for an unknown network, and WeightsError if the filters cannot be loaded; it never substitutes
    others.

    >>> load_filters("vgg16").tensors["conv1_1.weight"].shape
    torch.Size([64, 3, 3, 3])
    """
    layer_names(network)  # raises ValueError for an unknown network before any file is read
    call = f"VGG({network!r}, weights={weights if weights is None else str(weights)!r})"
    if isinstance(weights, str) and weights == "random":
        return random_filters(network, seed)
    if weights is None:
        return _checked(network, decoded(bundled_filters(network)), call)
    if isinstance(weights, str) and weights == "torchvision":
        return _checked(network, _downloaded(network, call), call)
    return _checked(network, read_tensors(weights, call), call)


def random_filters(network: str, seed: int) -> Filters:
    """Untrained filters: normal with variance 2 / (9 N_(l-1)), which keeps the variance of responses; biases 0.

    He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", arXiv 1502.01852, 2015, equation 10.

    >>> random_filters("vgg16", seed=0).tensors["conv1_1.bias"].abs().max()
    tensor(0.)
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    tensors = {
        key: torch.zeros(shape, dtype=torch.float32, device="cpu")
        if len(shape) == 1
        else torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu") * math.sqrt(2 / (9 * shape[1]))
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
    try:
        data = file.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != BUNDLED_SHA256[network]:
        raise WeightsError(
            f"VGG({network!r}): the bundled filters {file.name} are missing, or their SHA-256 differs from the "
            f"recorded one. Reinstall nstlab, or rebuild the file with tools/rebuild_{network}.py."
        )
    return safetensors.torch.load(data)


def _downloaded(network: str, call: str) -> Mapping[str, Tensor]:
    """The tensors of torchvision's checkpoint, from torch's cache, where it is kept under a name with its hash."""
    from torchvision.models import get_model_weights  # slow to import, and needed only here

    url = get_model_weights(network).DEFAULT.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(url).name
    digest = file.stem.rpartition("-")[2]
    try:
        if not file.exists():
            _download(url, file)
        if not sha256(file).startswith(digest):
            raise WeightsError(
                f"{call}: the SHA-256 of {file} does not begin with {digest}: it was cut off or changed. "
                f"Delete it, and it is downloaded again."
            )
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{call}: the checkpoint could not be downloaded to {file} ({error}). "
            f"Give weights=PATH to a local copy, or leave weights out: the papers' filters are in the package."
        ) from error
    return read_tensors(file, call)


def _download(url: str, file: Path) -> None:
    """Download a whole file, or keep nothing of it. Raises OSError and HTTPException; SILENCE is an error, too."""
    with replacing(file) as temporary, urllib.request.urlopen(url, timeout=SILENCE) as answer:
        size = int(answer.headers["Content-Length"] or 0)
        with (
            temporary.open("wb") as out,
            tqdm.wrapattr(out, "write", total=size, desc=file.name, disable=None) as shown,  # None: only on a terminal
        ):
            shutil.copyfileobj(answer, shown)
        if temporary.stat().st_size < size:
            raise OSError(f"the connection was cut after {temporary.stat().st_size:,} of {size:,} bytes")


def sha256(file: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits.

    >>> sha256(DATA / BUNDLED["vgg16"]) == BUNDLED_SHA256["vgg16"]
    True
    """
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while block := data.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _checked(network: str, contents: Mapping[str, Tensor], call: str) -> Filters:
    """The filters in a file's contents, by our keys, in float32.

    Raises WeightsError if one is missing, has another shape, or does not hold finite numbers.
    """
    contents = contents if isinstance(contents, Mapping) else {}
    original = "conv1_1.weight" in contents
    names = torchvision_keys(network) if not original else {key: key for key in shapes(network)}
    tensors = {}
    for key, shape in shapes(network).items():
        problem = _problem(contents.get(names[key]), shape)
        if problem:
            raise WeightsError(
                f"{call}: {names[key]!r} {problem}; {network} needs shape {shape} of finite floats. "
                f"Choose the network that the file was made for, one of {', '.join(CONVOLUTIONS)}, or another file."
            )
        tensors[key] = contents[names[key]].detach().float()
    return Filters(tensors, *(ORIGINAL if original else TORCHVISION))


def _problem(tensor: object, shape: tuple[int, ...]) -> str | None:
    """What keeps this from being filters of a shape, None if nothing does.

    >>> _problem(torch.ones(2), (3,)), _problem(torch.tensor([1.0, math.nan]), (2,)), _problem(torch.ones(2), (2,))
    ('has shape (2,)', 'holds NaN or infinity', None)
    """
    if not isinstance(tensor, Tensor):
        return "is missing"
    if tuple(tensor.shape) != shape:
        return f"has shape {tuple(tensor.shape)}"
    if tensor.layout != torch.strided or tensor.is_meta:
        return "is on the meta device, without values" if tensor.is_meta else f"is sparse ({tensor.layout})"
    if not tensor.is_floating_point():
        return f"has dtype {tensor.dtype}"
    return None if bool(tensor.float().isfinite().all()) else "holds NaN or infinity"
