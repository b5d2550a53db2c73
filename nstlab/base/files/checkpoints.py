"""Checkpoints: the state of a run in a file, from which another process continues it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nstlab.base.files.atomic import replacing
from nstlab.base.files.locks import locked
from nstlab.base.version import __version__

EVERY = 30.0  # seconds between two writings, at least
FORM = "nstlab checkpoint 1"
AUTO = "auto"


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or that belongs to another run."""


class Checkpoint:
    """The file in which a run keeps its state, one process at a time.

    path: of the file. settings: all that the run depends on, in values that JSON knows, see `fingerprint`. types: the
    dataclasses and named tuples that a state may hold. resume: read the state that the file has, if there is a file;
    else a checkpoint that is there is replaced.

    state: what the file had, or None. settings: as given; a setting "auto" takes the value from the file. every: the
    seconds between two writings, at least.

    Raises CheckpointError for a file that is no checkpoint, is damaged, or belongs to a run with other settings; the
    file stays as it is.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(f"{folder}/run.checkpoint", {"steps": 3})
    ...     checkpoint.keep([1, torch.ones(2)], is_last=True)
    ...     Checkpoint(f"{folder}/run.checkpoint", {"steps": 3}, resume=True).state
    [1, tensor([1., 1.])]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any],
        types: Iterable[type] = (),
        resume: bool = False,
    ):
        self.path, self.types = Path(path).expanduser(), {kind.__name__: kind for kind in types}
        self.settings = {**settings, "nstlab": __version__, "torch": torch.__version__}
        self.state: Any = None
        self.newest: Any = None  # the newest state, until it is written
        self.every, self.written = EVERY, time.monotonic()
        self.lock: ExitStack | None = None  # while this run holds the file
        if self.path.is_dir():
            raise CheckpointError(f"checkpoint {self.path}: there is a folder of that name; name a file.")
        if self.path.exists():
            content, tensors = read(self.path)
            if resume:
                self.settings = compared(self.path, self.settings, content["settings"])
                self.state = decoded(content["state"], tensors, self.types)

    def hold(self) -> None:
        """Keep other runs from the file until `release`. Raises ValueError if another one holds it."""
        if self.lock is None:
            with ExitStack() as lock:
                lock.enter_context(locked(self.path, "checkpoint"))
                self.lock = lock.pop_all()

    def keep(self, state: Any, is_last: bool = False) -> None:
        """Remember the newest state, in values, tuples, lists, dicts, tensors and the `types`; write it if it is time
        to, and the last one. Raises OSError if the file cannot be written."""
        self.hold()
        self.newest = state
        if is_last:
            self.release()
        elif time.monotonic() - self.written >= self.every:
            self.write()

    def write(self) -> None:
        """Write the newest state, if that has not been done."""
        if self.newest is None:
            return
        tensors: dict[str, Tensor] = {}
        content = {"settings": self.settings, "state": encoded(self.newest, tensors, {})}
        text = json.dumps(content)
        with replacing(self.path) as temporary:
            save_file(tensors, temporary, {"form": FORM, "content": text, "digest": digest(text, tensors)})
        self.newest, self.written = None, time.monotonic()

    def release(self) -> None:
        """Write the newest state, and let other runs use the file."""
        try:
            self.write()
        finally:
            if self.lock is not None:
                self.lock.close()
                self.lock = None


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The settings and the state of a checkpoint, and its tensors. Raises CheckpointError for any other file."""
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if header.get("form") != FORM:
                raise CheckpointError(f"checkpoint {path}: this is another file, not a checkpoint; name another path.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        if header.get("digest") != digest(header.get("content", ""), tensors):
            raise CheckpointError(f"checkpoint {path}: it is damaged; delete it, and begin again.")
        content: dict[str, Any] = json.loads(header["content"])
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"checkpoint {path}: this is no checkpoint, or a torn one ({error}); name another path, or delete it."
        ) from None
    return content, tensors


def compared(path: Path, now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """The settings now, an "auto" replaced by the value then. Raises CheckpointError if they differ."""
    now = json.loads(json.dumps({name: then.get(name) if value == AUTO else value for name, value in now.items()}))
    names = [name for name in {**now, **then} if now.get(name) != then.get(name)]
    if names:
        differences = "; ".join(f"{name} is {short(now.get(name))}, was {short(then.get(name))}" for name in names)
        raise CheckpointError(
            f"checkpoint {path}: it belongs to another run: {differences}. Give it the same inputs and settings, or "
            f"begin again without resume."
        )
    return dict(now)


def short(value: object) -> str:
    """A value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def encoded(value: Any, tensors: dict[str, Tensor], names: dict[int, str]) -> Any:
    """A value as JSON knows it, with its tensors put into `tensors`; a tensor that occurs twice is put there once."""
    if isinstance(value, Tensor):
        if id(value) not in names:
            names[id(value)] = str(len(names))
            plain = value.detach().cpu().contiguous()
            of_its_own = plain.untyped_storage().nbytes() == plain.nbytes
            tensors[names[id(value)]] = plain if of_its_own else plain.clone()
        return {"tensor": names[id(value)], "device": str(value.device), "strides": value.stride()}
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"type": type(value).__name__, "parts": encoded(parts, tensors, names)}
    if hasattr(value, "_asdict"):
        return {"type": type(value).__name__, "parts": encoded(value._asdict(), tensors, names)}
    if isinstance(value, dict):
        return {"dict": {key: encoded(part, tensors, names) for key, part in value.items()}}
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [encoded(part, tensors, names) for part in value]}
    return value


def decoded(value: Any, tensors: Mapping[str, Tensor], types: Mapping[str, type]) -> Any:
    """The value that `encoded` has made this of."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        saved = tensors[value["tensor"]]
        # sums and products are rounded by how their memory is ordered and aligned
        same = torch.empty_strided(saved.shape, value["strides"], dtype=saved.dtype, device=value["device"])
        return same.copy_(saved)
    if "type" in value:
        return types[value["type"]](**decoded(value["parts"], tensors, types))
    if "dict" in value:
        return {key: decoded(part, tensors, types) for key, part in value["dict"].items()}
    ((kind, parts),) = value.items()
    return {"tuple": tuple, "list": list}[kind](decoded(part, tensors, types) for part in parts)


def fingerprint(value: Any) -> Any:
    """A value as a setting: tensors and networks by a digest of what they hold, everything else as it is.

    >>> fingerprint(torch.zeros(1, 3, 2, 2))
    '(1, 3, 2, 2) d81ebf5168f39f50'
    >>> fingerprint({"size": 64, "styles": [None]})
    {'size': 64, 'styles': [None]}
    """
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {digest('', {'': value.detach().cpu().contiguous()})[:16]}"
    if isinstance(value, nn.Module):
        state = {name: part.cpu().contiguous() for name, part in value.state_dict().items()}
        return f"{value!r} {digest('', state)[:16]}"
    if is_dataclass(value):
        return {field.name: fingerprint(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: fingerprint(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [fingerprint(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a text and of tensors, their names, types, shapes and bytes, in hexadecimal."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        sha.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
