"""Freed memory is kept for the next tensor, unless somebody has decided otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nstlab.allocator import keep_pages

FAULTS = """
import resource, sys, nstlab, torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(int(sys.argv[1])):
    torch.ones(2**22).add(1)  # 16 MiB each
before = faults()
for _ in range(10):
    torch.ones(2**22).add(1)
print(faults() - before)
"""
SMALL_PAGES = 20 * 2**24 // 4096  # of 20 tensors
LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def faults(before: int, **environment: str) -> int:
    """Page faults of 20 tensors in a fresh process, after twice as many as `before`."""
    inherited = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}  # set by now
    command = [sys.executable, "-c", FAULTS, str(before)]
    return int(subprocess.check_output(command, env=inherited | environment, text=True))


@pytest.mark.skipif(not keep_pages(), reason="another C library than glibc, or tuned by hand")
def test_pages_are_asked_for_once():
    tuned_by_hand = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1000000"}
    kept, given_back = (faults(10, THP_MEM_ALLOC_ENABLE="0", **how) for how in ({}, tuned_by_hand))
    assert kept < 100 < given_back


@pytest.mark.skipif(not LARGE_PAGES.exists() or "[never]" in LARGE_PAGES.read_text(), reason="no large pages here")
def test_pages_are_large_as_no_module_makes_a_tensor_before():
    by_hand = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1000000"}  # so that no page is kept
    if faults(0, THP_MEM_ALLOC_ENABLE="1", **by_hand) > SMALL_PAGES / 2:
        pytest.skip("large pages are asked for and not given")
    assert faults(0, **by_hand) < SMALL_PAGES / 2


def test_large_pages_are_asked_for_unless_somebody_has_decided():
    for environment, expected in (({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")):
        keep_pages(environment)
        assert environment["THP_MEM_ALLOC_ENABLE"] == expected
