"""Memory for large tensors that is used again: an evaluation needs the same tensors every time.

Without it, the C library gives a large tensor back to the system when it is dropped, and every evaluation pays for new
pages.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict, deque

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 20  # bytes: smaller tensors are left to PyTorch


class Buffers:
    """Free blocks of memory by size in bytes. A block is lent to one tensor, and comes back when the last view of it is
    dropped, by whichever thread. All are given back to the system when another owner evaluates, or when the owner
    itself is dropped.

    >>> buffers = Buffers()
    >>> first = buffers.empty((1 << 20,), torch.float32)
    >>> address = first.data_ptr()
    >>> del first
    >>> buffers.empty((1 << 20,), torch.float32).data_ptr() == address
    True
    """

    def __init__(self) -> None:
        self.free: dict[int, deque[np.ndarray]] = defaultdict(deque)
        self.owner: weakref.ref[object] | None = None

    def belong_to(self, owner: object) -> None:
        """Drop the free blocks unless they are this owner's."""
        if self.owner is None or self.owner() is not owner:
            self.free = defaultdict(deque)
            self.owner = weakref.ref(owner, lambda _: self.free.clear())

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor with whatever numbers were there."""
        size = math.prod(shape) * dtype.itemsize
        free = self.free[size]
        try:
            block = free.pop()
        except IndexError:
            block = np.empty(size, np.uint8)
        lent = block[:]  # lives as long as the tensor's last view
        weakref.finalize(lent, free.append, block).atexit = False
        return torch.frombuffer(lent, dtype=dtype).view(shape)

    def idle(self) -> int:
        """Bytes that are free for the next tensor."""
        return sum(size * len(blocks) for size, blocks in list(self.free.items()))


BUFFERS = Buffers()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A tensor (B, N, h, w), channels last, with whatever numbers were there, of another's type and on its device.

    >>> empty((1, 2, 3, 4), like=torch.ones(1)).shape
    torch.Size([1, 2, 3, 4])
    """
    B, N, h, w = shape
    if like.device.type == "cpu" and math.prod(shape) * like.element_size() >= LARGE:
        places_first = BUFFERS.empty((B, h, w, N), like.dtype)
    else:
        places_first = like.new_empty(B, h, w, N)
    return places_first.permute(0, 3, 1, 2)
