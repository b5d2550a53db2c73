"""Too little memory is one clear error, after which the run can go on. Child processes really run out of memory."""

import re
import subprocess
import sys
import weakref

import pytest
import torch

from nstlab.engine import OutOfMemory, buffers, evaluate
from nstlab.engine.memory import SHARE, fitting_size, fitting_tile, run_memory
from nstlab.engine.out_of_memory import check_fits, explained
from nstlab.objective import Objective
from nstlab.terms import Term
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

LAYERS = (CONTENT_LAYER, *STYLE_LAYERS)
GB = 10**9
LIMIT = """
import resource
from pathlib import Path
from nstlab import stylize_run, VGG
from nstlab.engine import OutOfMemory, buffers

def limit(more):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else used + more, hard))

def run():
    return stylize_run("horses", "great_wave", size=256, steps=1, vgg=vgg, tile=None, precision="float32")

vgg = VGG()
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space of a process")


def child(script):
    """What a process prints that carries out this script after LIMIT."""
    return subprocess.run([sys.executable, "-c", LIMIT + script], check=True, capture_output=True, text=True).stdout


@on_linux
def test_a_run_that_runs_out_of_memory_keeps_its_image_and_goes_on_when_there_is_more(with_engine):
    printed = child("""
whole, cut = run().finish(), run()
next(cut)  # at 64 px
limit(20_000_000)
try:
    cut.finish()
except OutOfMemory as error:
    print(error)
print(len(cut.history), tuple(cut.image.shape), buffers.free_bytes())
limit(None)
print((cut.finish().image == whole.image).all().item(), len(cut.history) == len(whole.history))
""")
    error, kept, after = printed.splitlines()
    assert re.fullmatch(
        r"out of memory: a run of vgg19 in float32 at \d+ x \d+ px at once needs about \d+ MB, and that failed\. "
        r"(size=\d+ with tile='auto' should fit|Free some memory, or take another machine)\.",
        error,
    )
    assert re.fullmatch(r"[1-4] \(1, 3, \d+, \d+\) 0", kept), kept
    assert after == "True True"


@on_linux
def test_a_run_without_memory_from_the_start_is_the_same_error(with_engine):
    printed = child("""
limit(20_000_000)
try:
    run()
except OutOfMemory as error:
    print(error)
""")
    assert printed.startswith("out of memory: a run of vgg19 in float32 at")


def test_an_evaluation_that_failed_holds_no_memory_and_can_be_repeated(with_engine):
    seen, fails = [], [True]

    def loss(image, F):
        local = torch.ones(3)
        seen.append(weakref.ref(local))
        if fails:
            fails.clear()
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return F["conv1_1"].sum()

    objective = Objective({"mine": Term(loss, ("conv1_1",))}, {"mine": 1.0}, (64, 64), VGG())
    with pytest.raises(OutOfMemory, match=r"64 x 64 px at once .* that failed") as raised:
        evaluate(objective, torch.rand(1, 3, 64, 64))
    assert raised.value.__cause__ is None and seen[0]() is None and buffers.CURRENT.buffer is None
    assert evaluate(objective, torch.rand(1, 3, 64, 64))[1].isfinite()


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), KeyboardInterrupt()])
def test_another_error_passes_unchanged(error):
    with pytest.raises(type(error)) as raised, explained(VGG(), LAYERS, (64, 64), None, "float32"):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_every_device_s_error_is_the_same_one(error):
    with pytest.raises(OutOfMemory, match="tile="), explained(VGG(), LAYERS, (2048, 2048), None, "float32"):
        raise error


def test_the_tile_that_the_error_names_needs_half_as_much():
    vgg, size = VGG(), (2048, 2048)
    with pytest.raises(OutOfMemory) as raised, explained(vgg, LAYERS, size, None, "float32"):
        raise MemoryError
    tile = int(re.search(r"tile=(\d+) should fit", str(raised.value))[1])
    assert run_memory(vgg, LAYERS, size, tile) <= run_memory(vgg, LAYERS, size) / 2


def test_a_size_for_which_the_smallest_tile_is_too_much_is_refused_with_the_largest_that_fits(monkeypatch):
    vgg, size, free = VGG(), (3000, 4000), 3 * GB // 2
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": free}))
    tile = fitting_tile(vgg, LAYERS, size, free)
    with pytest.raises(OutOfMemory, match=r"4000 x 3000 px in tiles of 256 px .* 1,500 MB are free") as raised:
        check_fits(vgg, LAYERS, size, tile, "float32")
    side = int(re.search(r"size=(\d+) with tile='auto' should fit", str(raised.value))[1])

    def fits(side):
        return any(run_memory(vgg, LAYERS, (3 * side // 4, side), t) <= SHARE * free for t in (None, 256))

    assert fits(side) and not fits(side + 16)


def test_where_nothing_should_fit_no_size_is_named():
    assert fitting_size(VGG(), LAYERS, (512, 512), 10**6) is None
    with pytest.raises(OutOfMemory, match="Free some memory"), explained(VGG(), LAYERS, (16, 16), None, "float32"):
        raise MemoryError


def test_circular_padding_does_not_get_tiles(monkeypatch):
    vgg, size = VGG(padding="circular"), (2048, 2048)
    assert fitting_tile(vgg, LAYERS, size, 10**6) is None
    with pytest.raises(OutOfMemory, match=r"at once .* size=\d+"), explained(vgg, LAYERS, size, None, "float32"):
        raise MemoryError
