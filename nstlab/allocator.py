"""How memory is handed out: an evaluation allocates and frees the same large tensors every time, and should pay for
their pages once."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import MutableMapping

KEPT = 20 << 20  # bytes; twice as many leave holes, a quarter more memory at 1024 px
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
TUNED_BY_HAND = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_pages(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Ask for large pages, and keep the pages of what is freed for the next tensor, up to KEPT bytes a tensor.

    Without it an evaluation takes a tenth longer from 1024 px on: the system takes freed pages back and hands them out
    again cleared. Larger tensors still go back, so that they leave no holes. To be called before there is any tensor:
    PyTorch looks at its variable when it makes the first. Gives whether the C library keeps pages: only glibc can, and
    whoever has set one of its own variables is left alone.

    >>> keep_pages({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"})
    False
    """
    environment.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform != "linux" or any(variable in environment for variable in TUNED_BY_HAND):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    largest = 2 ** (8 * ctypes.sizeof(ctypes.c_int) - 1) - 1
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, KEPT) and mallopt(M_TRIM_THRESHOLD, largest))
