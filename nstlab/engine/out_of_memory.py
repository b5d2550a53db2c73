"""Too little memory: one error that says what was tried and what would fit."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from nstlab.engine import buffers
from nstlab.engine.memory import SHARE, fitting_size, fitting_tile, free_memory, run_memory
from nstlab.vgg import VGG

SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")  # in errors of PyTorch's devices


class OutOfMemory(MemoryError):
    """A run needs more memory than there is; the message says what would fit."""


def check_fits(vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None, precision: str) -> None:
    """Raise OutOfMemory if a run needs more than the free memory. The arguments are those of `run_memory`.

    >>> check_fits(VGG(), ["conv1_1"], (64, 64), None, "float32")
    """
    free = free_memory(vgg.mean.device)
    if run_memory(vgg, layers, size, tile, precision) > free:
        reason = f"{free / 1e6:,.0f} MB are free"
        raise OutOfMemory(message(vgg, layers, size, tile, precision, reason, int(SHARE * free)))


@contextmanager
def explained(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None, precision: str
) -> Iterator[None]:
    """Give the memory of an evaluation that runs out of memory back, and raise OutOfMemory.

    The arguments are those of `run_memory`. Other errors pass unchanged.

    >>> with explained(VGG(), ["conv1_1"], (4096, 4096), None, "float32"):
    ...     raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    Traceback (most recent call last):
        ...
    nstlab.engine.out_of_memory.OutOfMemory: out of memory: a run of vgg19 in float32 ...
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or any(sign in str(error) for sign in SIGNS)):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the evaluation
        buffers.release()
        half = run_memory(vgg, layers, size, tile, precision) // 2  # surely less than what has just failed
        memory = min(half, int(SHARE * free_memory(vgg.mean.device)))
        raise OutOfMemory(message(vgg, layers, size, tile, precision, "that failed", memory)) from None


def message(
    vgg: VGG,
    layers: Collection[str],
    size: tuple[int, int],
    tile: int | None,
    precision: str,
    reason: str,
    memory: int,
) -> str:
    """What a run needs, why it does not get that, and what would fit into so many bytes."""
    how = f"in tiles of {tile} px" if tile else "at once"
    needs = f"about {run_memory(vgg, layers, size, tile, precision) / 1e6:,.0f} MB"
    return (
        f"out of memory: a run of {vgg.network} in {precision} at {size[1]} x {size[0]} px {how} needs {needs}, and "
        f"{reason}. {what_fits(vgg, layers, size, memory, precision)}"
    )


def what_fits(vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int, precision: str) -> str:
    """The way out: a tile for this size, or else a smaller size."""
    tile = fitting_tile(vgg, layers, size, memory, precision)
    if run_memory(vgg, layers, size, tile, precision) <= memory:
        return f"tile={tile} should fit."
    side = fitting_size(vgg, layers, size, memory, precision)
    if side is None:
        return "Free some memory, or take another machine."
    return f"size={side} with tile='auto' should fit."
