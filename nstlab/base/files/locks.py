"""Locks: a file that one run writes is not written by another one at the same time."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nstlab.base.files.atomic import replaceable


@contextmanager
def locked(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keep other runs of this user on this machine from writing to `path` during the block.

    what: the name of the argument, for the error. Nothing is left beside `path`: the lock is a file in the temporary
    folder, and ends with its process, however that ends. Raises ValueError if another run has it, and OSError if `path`
    names what no file can replace, see `replaceable`.

    >>> with locked("pastiche.png", "output"):
    ...     with locked("pastiche.png", "output"):
    ...         pass
    Traceback (most recent call last):
    ValueError: output pastiche.png: another run is writing to it; wait for it, or name another file.
    """
    user = os.path.expanduser("~")  # every user has lock files of their own: nobody may open those of others
    name = hashlib.sha256(os.fsencode(f"{user}\n{replaceable(path)}")).hexdigest()[:32]
    try:
        lock = FileLock(Path(tempfile.gettempdir()) / f"nstlab-{name}.lock", timeout=0).acquire()
    except Timeout:
        raise ValueError(f"{what} {path}: another run is writing to it; wait for it, or name another file.") from None
    with lock:
        yield
