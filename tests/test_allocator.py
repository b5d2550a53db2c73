"""Freed memory is kept for the next tensor, unless somebody has decided otherwise."""

import os
import subprocess
import sys

import pytest

from nstlab.allocator import keep_pages

FAULTS_OF_TENSORS = """
import resource, nstlab, torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**23).add(1)  # 32 MiB each
before = faults()
for _ in range(10):
    torch.ones(2**23).add(1)
print(faults() - before)
"""


def faults(**environment: str) -> int:
    """Page faults of tensors that were there before."""
    env = {**os.environ, "THP_MEM_ALLOC_ENABLE": "0", **environment}
    return int(subprocess.check_output([sys.executable, "-c", FAULTS_OF_TENSORS], env=env, text=True))


@pytest.mark.skipif(not keep_pages(), reason="another C library than glibc, or tuned by hand")
def test_pages_are_asked_for_once():
    assert faults() < 100 < faults(GLIBC_TUNABLES="glibc.malloc.mmap_threshold=1000000")


def test_large_pages_are_asked_for_unless_somebody_has_decided():
    for environment, expected in (({}, "1"), ({"THP_MEM_ALLOC_ENABLE": "0"}, "0")):
        keep_pages(environment)
        assert environment["THP_MEM_ALLOC_ENABLE"] == expected
