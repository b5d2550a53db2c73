"""Atomic writing: a file is replaced completely or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil

NODE = re.sub(r"\W", "_", platform.node())  # the machine or container, whose process numbers are its own
UNFINISHED = re.compile(rf"\.nstlab-{NODE}-(\d+)-[0-9a-f]{{8}}(\..*)?")  # temporary files by the process that writes


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to, which replaces `path` at the end of the block and is deleted after an exception.

    Missing folders are created. A link is followed: its target is replaced. An existing file keeps its permissions.
    After a loss of power, too, `path` is the old file or the new one. What a killed process has left in this folder is
    deleted. Raises OSError if `path` cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/new/note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     print((Path(folder) / "new" / "note.txt").read_text())
    whole
    """
    path = replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    delete_unfinished(path.parent)
    # renaming is atomic only within a folder
    temporary = path.with_name(f".nstlab-{NODE}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def replaceable(path: str | os.PathLike[str]) -> Path:
    """The absolute path of the file that `path` names, links followed; the file need not exist.

    Raises OSError if there is something else of that name, such as a folder, a pipe or a device, or a link to itself.

    >>> replaceable(".")
    Traceback (most recent call last):
    IsADirectoryError: [Errno 21] there is a folder of that name: '.'
    """
    try:
        whole = Path(os.path.realpath(Path(path).expanduser()))
        mode = whole.stat().st_mode
    except RuntimeError as error:  # a ~user who is nobody
        raise OSError(errno.ENOENT, str(error), str(path)) from error
    except FileNotFoundError:
        return whole
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "there is a folder of that name", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return whole


def delete_unfinished(folder: Path) -> None:
    """Delete the temporary files of this user's processes that have ended on this machine."""
    user = getattr(os, "geteuid", int)()  # on Windows, as `st_uid` there, 0
    for entry in folder.glob(f".nstlab-{NODE}-*"):
        name = UNFINISHED.fullmatch(entry.name)
        with contextlib.suppress(OSError):
            if name and not psutil.pid_exists(int(name[1])) and entry.lstat().st_uid == user:
                entry.unlink()


def sync_folder(folder: Path) -> None:
    """Write to the disk which files a folder has, where the system can do that."""
    if os.name == "posix":
        with contextlib.suppress(OSError):  # some file systems refuse; the file itself is written
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
