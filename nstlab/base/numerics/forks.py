"""Forked processes: PyTorch in a child waits forever for the threads that it has in the parent.

So a child computes with one thread, as the workers of PyTorch's own DataLoader do.
"""

from __future__ import annotations

import os

import torch


def with_one_thread() -> None:
    """In a child: set the number of PyTorch's threads to 1, before any computation."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(after_in_child=with_one_thread)
