"""The memory that a container leaves to this process: limits of Linux control groups, which psutil does not see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class Version(NamedTuple):
    """The files of a control group that hold its limits and its use of memory, and the line of its `memory.stat` with
    the cached parts of files that the kernel drops when memory is needed."""

    limits: tuple[str, ...]
    use: str
    cached: str


V1 = Version(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
V2 = Version(("memory.max", "memory.high"), "memory.current", "inactive_file")


def container_memory(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float:
    """The bytes that this process can allocate until its control group, or one above it, reaches a limit.

    root: where the control groups are mounted. membership: the file that names those of this process. Infinity where
    there is no limit, or no control group.

    >>> container_memory() > 0, container_memory(Path("nowhere"))
    (True, inf)
    """
    return max(0.0, min((free for group in groups(root, membership) for free in free_bytes(*group)), default=math.inf))


def groups(root: Path, membership: Path) -> Iterator[tuple[Path, Version]]:
    """The control groups that count this process's memory, up to the root; a container may show the root alone."""
    for line in text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        inner = Path(path.lstrip("/"))
        if not controllers:
            yield from ((root / folder, V2) for folder in (inner, *inner.parents))
        elif "memory" in controllers.split(","):
            yield from ((root / "memory" / folder, V1) for folder in (inner, *inner.parents))


def free_bytes(group: Path, version: Version) -> Iterator[float]:
    """What every limit of a control group leaves."""
    used = text(group / version.use).strip()
    cached = dict(line.split() for line in text(group / "memory.stat").splitlines()).get(version.cached, "0")
    for limit in (text(group / name).strip() for name in version.limits):
        if limit.isdecimal() and used.isdecimal():  # "max" is no limit
            yield int(limit) - int(used) + int(cached)


def text(path: Path) -> str:
    """The content of a file; empty if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""
