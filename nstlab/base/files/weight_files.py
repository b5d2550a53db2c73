"""Reading of files of weights, which may be damaged, huge, hostile or no weights at all."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from nstlab.base.files.atomic import replacing

MAX_BYTES = 4 * 1024**3  # of a file, also unpacked; torchvision's VGG-19 with its classifier has 0.6 GB
WEB_PAGE = re.compile(rb"\s*(<!doctype html|<html|<\?xml)", re.IGNORECASE)
FORMS = "Give a .safetensors file, or a .pth file that holds a dict of tensors and nothing else."
OTHER_PLACES = "Leave weights out for the papers' filters, or give 'torchvision', 'random' or the path of a file."


class WeightsError(ValueError):
    """Filters are missing, damaged or of another network; the message says which, and a remedy."""


def read_tensors(path: str | os.PathLike[str], call: str) -> Mapping[str, Tensor]:
    """What a `.safetensors` file or a file of torch.save holds, on the CPU; of the latter it may not be a mapping.

    call: the prefix of errors. No code in the file is run. Raises WeightsError if it cannot be read, by its name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     torch.save({"conv1_1.bias": torch.ones(2)}, f"{folder}/own.pth")
    ...     read_tensors(f"{folder}/own.pth", "VGG()")
    {'conv1_1.bias': tensor([1., 1.])}
    """
    try:
        path = Path(path).expanduser()
        start = _start(path)
    except (OSError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a ~user who is nobody
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{call} cannot be read ({reason}). {OTHER_PLACES}") from error
    if WEB_PAGE.match(start):
        raise WeightsError(f"{call} cannot be read: it is a web page. Download the file that the page links to.")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{call} cannot be read: it is a pointer of Git LFS. Fetch the file with git lfs pull.")
    try:
        if path.suffix.lower() == ".safetensors":
            return safetensors.torch.load_file(path)
        _check_unpacked(path)
        contents: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return contents
    except Exception as error:  # damaged files raise exceptions of many kinds
        code = re.search(r"GLOBAL (\S+)", str(error))
        problem = f"it holds {code[1]}, which is not a tensor" if code else _short(error)
        raise WeightsError(f"{call} cannot be read as a file of weights: {problem}. {FORMS}") from error


def kept_tensors(path: Path, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of a file of a cache, computed if it is missing or damaged, and then kept there if that is possible.

    >>> kept_tensors(Path(__file__) / "none", lambda: {"mean": torch.ones(1)})
    {'mean': tensor([1.])}
    """
    with contextlib.suppress(OSError, safetensors.SafetensorError):
        return safetensors.torch.load_file(path)
    tensors = compute()
    with contextlib.suppress(OSError, safetensors.SafetensorError), replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary)
    return tensors


def _start(path: Path) -> bytes:
    """The first bytes of a file. Raises OSError if it is no regular file, empty, or larger than MAX_BYTES."""
    if not path.exists():
        raise OSError(f"there is no such file in {str(path.parent.absolute())!r}")
    if not path.is_file():  # a pipe would wait for its writer
        raise OSError("it is a folder, a pipe or a device, not a file")
    length = path.stat().st_size
    if length == 0:
        raise OSError("it is empty: its copy or download was cut off")
    _check_length(length)
    with path.open("rb") as file:
        return file.read(512)


def _check_unpacked(path: Path) -> None:
    """Raise OSError if a file of torch.save, which is a zip archive, becomes larger than MAX_BYTES when it is read."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_length(sum(entry.file_size for entry in archive.infolist()))


def _check_length(length: int) -> None:
    """Raise OSError for more than MAX_BYTES."""
    if length > MAX_BYTES:
        raise OSError(f"it has {length / 1e9:.1f} GB, and filters have less than {MAX_BYTES / 1e9:.1f}")


def _short(error: Exception) -> str:
    """The reason of an exception on one short line; what torch writes for its own users is left out.

    >>> _short(EOFError("Ran out of input"))
    'it is damaged or of another kind (EOFError: Ran out of input)'
    """
    if isinstance(error, OSError) and error.errno is None:
        return str(error)
    first = str(error).split(". ")[0].split("\n")[0]
    detail = type(error).__name__ if "weights_only" in str(error) else f"{type(error).__name__}: {first}"
    return f"it is damaged or of another kind ({detail})"
