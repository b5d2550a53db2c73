"""Memory for large tensors, reused from one evaluation to the next.

Every evaluation needs tensors of the same sizes. Without this module the C library returns the memory of a large tensor
to the operating system when the tensor is deleted, and every evaluation pays again for new pages.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 20  # bytes: PyTorch allocates smaller tensors
SPARE = 1.1  # a block is longer than its first tensor by so much, for one with a border; unused pages take no memory
WASTE = 1.2  # a block is given to a tensor if it is longer by no more than this factor


class Buffers:
    """Free blocks of memory.

    A block belongs to one tensor at a time and becomes free when the last view of that tensor is deleted, in any
    thread. All free blocks are released when another owner is set or when the owner is deleted.

    >>> buffers = Buffers()
    >>> first = buffers.empty((1 << 20,), torch.float32)
    >>> address = first.data_ptr()
    >>> del first
    >>> buffers.empty((1 << 20,), torch.float32).data_ptr() == address
    True
    """

    def __init__(self) -> None:
        # by their identity; without a lock, so that a forked process never waits for one
        self.free: dict[int, np.ndarray] = {}
        self.used: dict[int, np.ndarray] = {}
        self.peak = 0  # bytes used at the same time, at most
        self.owner: weakref.ref[object] | None = None

    def set_owner(self, owner: object) -> None:
        """Release the free blocks of another owner."""
        if self.owner is None or self.owner() is not owner:
            self.free, self.used, self.peak = {}, {}, 0
            self.owner = weakref.ref(owner, lambda _: self.free.clear())

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialized contiguous tensor, in the smallest free block that fits and is not much longer."""
        size, free, used = math.prod(shape) * dtype.itemsize, self.free, self.used
        block = None
        for length, key in sorted((len(block), key) for key, block in list(free.items())):
            if size <= length <= WASTE * size:
                block = free.pop(key, None)
                if block is not None:  # else another thread was faster
                    break
        if block is None:
            block = self.new_block(int(SPARE * size))
        view = block[:size]  # lives as long as the last view of the tensor

        def give_back(block: np.ndarray) -> None:
            used.pop(id(block), None)
            free[id(block)] = block

        weakref.finalize(view, give_back, block).atexit = False  # first, so that an interrupt here loses no block
        used[id(block)] = block
        return torch.frombuffer(view, dtype=dtype).view(shape)

    def new_block(self, size: int) -> np.ndarray:
        """A new block; free ones are released first if all together would be larger than what was used at a time."""
        needed = size + total(self.used)
        self.peak = max(self.peak, needed)
        for key in list(self.free):
            if needed + self.free_bytes() <= self.peak:
                break
            self.free.pop(key, None)
        return np.empty(size, np.uint8)

    def free_bytes(self) -> int:
        """The size of all free blocks, in bytes."""
        return total(self.free)


def total(blocks: Mapping[int, np.ndarray]) -> int:
    """The size of some blocks, in bytes."""
    return sum(map(len, list(blocks.values())))


BUFFERS = Buffers()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialized tensor (B, N, h, w) in channels-last layout, with the type and device of `like`.

    >>> empty((1, 2, 3, 4), like=torch.ones(1)).shape
    torch.Size([1, 2, 3, 4])
    """
    B, N, h, w = shape
    if like.device.type == "cpu" and math.prod(shape) * like.element_size() >= LARGE:
        channels_last = BUFFERS.empty((B, h, w, N), like.dtype)
    else:
        channels_last = like.new_empty(B, h, w, N)
    return channels_last.permute(0, 3, 1, 2)
