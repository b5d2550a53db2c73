"""Memory for large tensors, reused from one evaluation to the next.

Every evaluation needs tensors of the same sizes. Without this module the C library returns the memory of a large tensor
to the operating system when the tensor is deleted, and every evaluation pays again for new pages.
"""

from __future__ import annotations

import math
import threading
import weakref

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 20  # bytes: PyTorch allocates smaller tensors
ALIGNED = 4096  # bytes: every tensor starts at a multiple of this many


class Buffer:
    """One piece of memory in which tensors lie side by side, each at the lowest place where it fits.

    A place becomes free when the last view of its tensor is deleted, in any thread. The memory takes pages from the
    operating system only when they are first written, and returns them when its owner is deleted. Only one thread may
    call `empty`.

    >>> class Owner: pass
    >>> owner = Owner()
    >>> buffer = Buffer(owner, 1 << 24)
    >>> first = buffer.empty((1 << 20,), torch.float32)
    >>> address = first.data_ptr()
    >>> del first
    >>> buffer.empty((1 << 19,), torch.bfloat16).data_ptr() == address
    True
    """

    def __init__(self, owner: object, size: int) -> None:
        memory = np.empty(size + ALIGNED, np.uint8)
        self.memory = memory[-memory.ctypes.data % ALIGNED :][:size]
        self.used: dict[int, tuple[int, int]] = {}  # by the identity of the view: the first byte, and the one behind
        self.touched = 0  # bytes from the start that have been used
        self.owner = weakref.ref(owner, self.release)

    def release(self, _: object = None) -> None:
        """Keep no memory; tensors that still exist keep theirs."""
        self.memory, self.used, self.touched = self.memory[:0].copy(), {}, 0

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialized contiguous tensor; PyTorch allocates it where no place is large enough."""
        size = math.prod(shape) * dtype.itemsize
        start = self.lowest(size)
        if start + size > len(self.memory):
            return torch.empty(shape, dtype=dtype, device="cpu")
        view = self.memory[start : start + size]  # lives as long as the last view of the tensor
        weakref.finalize(view, self.used.pop, id(view), None).atexit = False  # first: an interrupt here loses nothing
        self.used[id(view)] = start, start + size
        self.touched = max(self.touched, start + size)
        return torch.frombuffer(view, dtype=dtype).view(shape)

    def lowest(self, size: int) -> int:
        """The lowest aligned place with so many free bytes."""
        place = 0
        for start, end in sorted(self.used.values()):
            if start - place >= size:
                break
            place = -(-end // ALIGNED) * ALIGNED
        return place

    def free_bytes(self) -> int:
        """The bytes that have pages and wait for the next tensor."""
        return self.touched - sum(end - start for start, end in list(self.used.values()))


class Current(threading.local):
    """The buffer of this thread's last evaluation."""

    buffer: Buffer | None = None


CURRENT = Current()


def owned_by(owner: object) -> bool:
    """Whether this thread's buffer belongs to the owner."""
    return CURRENT.buffer is not None and CURRENT.buffer.owner() is owner


def give_to(owner: object, size: int) -> None:
    """Release this thread's buffer, and make one of so many bytes for another owner."""
    release()
    CURRENT.buffer = Buffer(owner, size)


def release() -> None:
    """Release this thread's buffer, and have none."""
    if CURRENT.buffer is not None:
        CURRENT.buffer.release()
        CURRENT.buffer = None


def free_bytes() -> int:
    """The bytes of this thread's buffer that wait for the next tensor.

    >>> free_bytes() >= 0
    True
    """
    return CURRENT.buffer.free_bytes() if CURRENT.buffer else 0


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialized tensor (B, N, h, w) in channels-last layout, with the type and device of `like`.

    >>> empty((1, 2, 3, 4), like=torch.ones(1)).shape
    torch.Size([1, 2, 3, 4])
    """
    B, N, h, w = shape
    large = math.prod(shape) * like.element_size() >= LARGE
    if large and like.device.type == "cpu" and CURRENT.buffer:
        channels_last = CURRENT.buffer.empty((B, h, w, N), like.dtype)
    else:
        channels_last = like.new_empty(B, h, w, N)
    return channels_last.permute(0, 3, 1, 2)
