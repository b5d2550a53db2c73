"""Where large tensors lie. An evaluation makes and drops the same ones every time, and should pay for their pages once.

The C library hands large blocks back to the system, which takes their pages away and gives others, cleared, for the
next: up to a third of the time of an evaluation. If it keeps them, small blocks settle in the holes that large ones
left, and the next large one does not fit. Here large ones have a place of their own.
"""

from __future__ import annotations

import math
import mmap
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress

import numpy as np
import psutil
import torch
from torch import Tensor

LARGE = 1 << 20  # bytes, from which on a tensor goes into the arena
GRAIN = mmap.PAGESIZE  # bytes
ROUNDS = 32  # what was not touched in so many evaluations, or parts of one, goes back to the system


class Arena:
    """Addresses for size bytes, of which those in use and those used lately have memory behind them.

    A tensor goes to the lowest place where it fits. What was made last is dropped first, there and back through a
    network, so that few holes remain.

    >>> arena = Arena(1 << 24)
    >>> first = arena.empty((1 << 20,), torch.float32)
    >>> at = first.data_ptr()
    >>> del first
    >>> arena.empty((1 << 19,), torch.bfloat16).data_ptr() == at
    True
    """

    def __init__(self, size: int):
        self.memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel without large pages
            self.memory.madvise(mmap.MADV_HUGEPAGE)
        self.size = size
        self.free = [(0, size)]  # from, to: in order, and none touches the next
        self.returned: deque[tuple[int, int]] = deque()  # from whatever thread drops a tensor, at whatever time
        self.lock = threading.Lock()
        self.touched = 0  # bytes from the start that have memory behind them
        self.reached = deque([0], maxlen=ROUNDS)  # of which were needed, each time until all was returned

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor with whatever numbers were there; an ordinary one where no place is large enough."""
        length = -(-math.prod(shape) * dtype.itemsize // GRAIN) * GRAIN
        with self.lock:
            self.take_back()
            i = next((i for i, (start, end) in enumerate(self.free) if end - start >= length), None)
            if i is None:
                return torch.empty(shape, dtype=dtype)
            start, end = self.free[i]
            self.free[i : i + 1] = [(start + length, end)] if end > start + length else []
            self.reached[-1] = max(self.reached[-1], start + length)
            self.touched = max(self.touched, start + length)
        lent = np.frombuffer(self.memory, np.uint8, length, start)  # lives as long as the tensor's last view
        weakref.finalize(lent, self.returned.append, (start, start + length)).atexit = False
        return torch.frombuffer(lent, dtype=dtype, count=math.prod(shape)).view(shape)

    def idle(self) -> int:
        """Bytes of memory that wait for the next tensor."""
        with self.lock:
            self.take_back()
            return sum(max(0, min(end, self.touched) - start) for start, end in self.free)

    def take_back(self) -> None:
        """Join what was returned to what is free, and after a round give back what no round needed for long."""
        if not self.returned:
            return
        spans = sorted([*self.free, *(self.returned.popleft() for _ in range(len(self.returned)))])
        self.free = []
        for start, end in spans:
            touching = self.free and self.free[-1][1] == start
            self.free.append((self.free.pop()[0] if touching else start, end))
        if self.free == [(0, self.size)]:
            needed = max(self.reached)
            if needed < self.touched:
                self.memory.madvise(mmap.MADV_DONTNEED, needed, self.touched - needed)
                self.touched = needed
            self.reached.append(0)


def arena() -> Arena | None:
    """An arena as large as the machine's memory; None on other systems than Linux, or where addresses are rationed."""
    try:
        return Arena(psutil.virtual_memory().total) if sys.platform == "linux" else None
    except OSError:
        return None


ARENA = arena()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A tensor (B, N, h, w), channels last, with whatever numbers were there, of another's type and on its device.

    >>> empty((1, 2, 3, 4), like=torch.ones(1)).shape
    torch.Size([1, 2, 3, 4])
    """
    B, N, h, w = shape
    large = math.prod(shape) * like.element_size() >= LARGE
    if ARENA and large and like.device.type == "cpu":
        places_first = ARENA.empty((B, h, w, N), like.dtype)
    else:
        places_first = like.new_empty(B, h, w, N)
    return places_first.permute(0, 3, 1, 2)


def idle_memory() -> int:
    """Bytes that are kept for the next large tensor.

    >>> idle_memory() >= 0
    True
    """
    return ARENA.idle() if ARENA else 0
