"""The files that a command leaves: checked and locked before its run begins, written at its end."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nstlab.base.files.atomic import replaceable
from nstlab.base.files.locks import locked
from nstlab.base.files.sample_images import samples
from nstlab.control.films import WRITERS as FILM_WRITERS
from nstlab.control.photographs import STAGES
from nstlab.images import WITH_ALPHA, WRITERS
from nstlab.notebook.figures import figure_formats

# options that may be a file's path
INPUTS = ("content", "style", "pastiche", "start", "weights", "content_regions", "style_regions")
ROOM = 1_000_000  # bytes that a disk must have: about a picture of 600 x 600 pixels


@contextmanager
def reserved(options: argparse.Namespace) -> Iterator[None]:
    """Keep the outputs of a command for it during the block.

    Raises ValueError before the block for an output that cannot be written, would replace an input or another output,
    or is in use by another run.
    """
    checkpoint = getattr(options, "checkpoint", None)  # its format is its own, and it has its own lock
    taken = {identity(path): name for name, path in inputs_of(options)}
    with ExitStack() as locks:
        for option, path, suffixes in outputs_of(options):
            check_output(option, path, suffixes, taken)
            locks.enter_context(locked(path, option))
        if checkpoint:
            check_output("--checkpoint", checkpoint, {checkpoint.suffix.lower()}, taken)
        yield


def inputs_of(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """The name and the path of every input. A sample's name is the path of its picture."""
    sample_paths = {sample.name: sample.path for sample in samples()}
    for name in INPUTS:
        given = getattr(options, name, None) or []
        for path in given if isinstance(given, list) else [given]:
            yield name.upper(), sample_paths.get(path, Path(path))


def outputs_of(options: argparse.Namespace) -> Iterator[tuple[str, Path, set[str]]]:
    """The option, the path and the suffixes that are possible of every output."""
    for option, suffixes in (
        ("output", set(WITH_ALPHA if getattr(options, "keep_alpha", False) else WRITERS)),
        ("losses", {".csv"}),
        ("plot", figure_formats()),
        ("film", set(FILM_WRITERS)),
        ("preview", set(WRITERS)),
    ):
        path = getattr(options, option, None)
        if path is not None:
            yield f"--{option}", path, suffixes
    for path in stage_paths(options):
        yield "--stages", path, set(WRITERS)


def stage_paths(options: argparse.Namespace) -> list[Path]:
    """Where the pictures of a photograph's stages go."""
    folder = getattr(options, "stages", None)
    return [folder / f"{n}_{stage.replace(' ', '_')}.png" for n, stage in enumerate(STAGES, 1)] if folder else []


def check_output(option: str, path: Path, suffixes: set[str], taken: dict[Hashable, str]) -> None:
    """Raise ValueError for an output that cannot be written, or is among `taken`; else put it there."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{option} {path}: the suffix must be one of {', '.join(sorted(suffixes))}.")
    try:
        whole = replaceable(path)
    except OSError as error:
        raise ValueError(f"{option} {path}: nothing can be written there ({error.strerror}); name a file.") from None
    if identity(path) in taken:
        raise ValueError(f"{option} {path}: that is {taken[identity(path)]}, too; name another file.")
    taken[identity(path)] = option
    folder = next(parent for parent in whole.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # only a try tells of rights, of mounts and of a full disk
            file.write(bytes(ROOM))
    except OSError as error:
        reason = f"nothing can be written into {folder} ({error.strerror})"
        raise ValueError(f"{option} {path}: {reason}; name another folder, or make room.") from None


def identity(path: Path) -> Hashable:
    """What is equal for two paths of one file, whatever links lead there."""
    whole = os.path.realpath(os.path.expanduser(path))
    try:
        found = os.stat(whole)
    except (OSError, ValueError):  # there is no such file yet
        return whole
    return found.st_dev, found.st_ino


def write_all(writers: Mapping[Path, Callable[[Path], object]]) -> tuple[list[Path], list[Exception]]:
    """Write every file, also if another one fails. Gives the paths of those written, and the errors."""
    written: list[Path] = []
    errors: list[Exception] = []
    for path, write in writers.items():
        try:
            write(path)
            written.append(path)
        except (ValueError, OSError) as error:
            errors.append(error)
    return written, errors
