"""Large tensors have a place of their own, and keep out of each other's way."""

import gc
import mmap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nstlab import allocator
from nstlab.allocator import GRAIN, LARGE, ROUNDS, Arena, arena, empty
from nstlab.images import load_image
from nstlab.machine import free_memory
from nstlab.style_transfer import style_transfer_objective
from nstlab.vgg import VGG

linux = pytest.mark.skipif(arena() is None, reason="large tensors lie where the system puts them")
ROOM = 64 * GRAIN


def pages(arena: Arena, n: int) -> torch.Tensor:
    return arena.empty((n * GRAIN,), torch.uint8)


def mine(arena: Arena, tensor: torch.Tensor) -> bool:
    start = np.frombuffer(arena.memory, np.uint8).ctypes.data
    return start <= tensor.data_ptr() < start + arena.size


@linux
@given(st.lists(st.tuples(st.integers(1, 20 * GRAIN), st.integers(0, 5)), max_size=30))
def test_no_tensor_overwrites_another_and_all_room_comes_back(steps):
    place, held = Arena(ROOM), []
    for n, (length, drop) in enumerate(steps):
        tensor = place.empty((length,), torch.uint8).fill_(n)
        held.append((n, tensor))
        del tensor
        if drop < len(held):
            del held[drop]
        assert all(bool((t == number).all()) for number, t in held)
    held.clear()
    place.idle()
    assert place.free == [(0, ROOM)]


@linux
def test_a_view_keeps_its_place_and_what_was_dropped_goes_to_the_next():
    place = Arena(ROOM)
    first, second = pages(place, 4), pages(place, 4)
    at, view = first.data_ptr(), first[8:9]
    del first
    assert pages(place, 4).data_ptr() != at
    del view
    assert pages(place, 4).data_ptr() == at and second.data_ptr() == at + 4 * GRAIN


@linux
def test_what_does_not_fit_is_an_ordinary_tensor():
    place = Arena(ROOM)
    held = pages(place, 60)
    assert mine(place, held) and not mine(place, pages(place, 5)) and mine(place, pages(place, 4))


@linux
def test_memory_that_is_not_needed_for_long_goes_back():
    place = Arena(ROOM)
    pages(place, 50).fill_(1)
    for n in range(ROUNDS + 2):
        assert place.touched == 50 * GRAIN or n > ROUNDS - 2
        pages(place, 10).fill_(1)
    assert place.touched == place.idle() == 10 * GRAIN
    assert bool((pages(place, 50)[10 * GRAIN :] == 0).all())  # the system gave others, cleared


def test_other_systems_and_rationed_addresses_do_without(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refused)
    assert arena() is None
    monkeypatch.setattr("sys.platform", "win32")
    assert arena() is None
    monkeypatch.setattr(allocator, "ARENA", None)
    tensor = empty((1, 2, LARGE, 4), like=torch.ones(1))
    assert tensor.shape == (1, 2, LARGE, 4) and tensor.is_contiguous(memory_format=torch.channels_last)


@linux
def test_only_large_tensors_of_the_processor_lie_there():
    shape = (1, 64, 64, 64)
    large, small = empty(shape, like=torch.ones(1)), empty((1, 2, 3, 4), like=torch.ones(1))
    assert mine(allocator.ARENA, large) and not mine(allocator.ARENA, small)
    assert large.is_contiguous(memory_format=torch.channels_last)
    assert empty(shape, like=torch.ones(1, device="meta")).device.type == "meta"


@linux
def test_evaluations_share_one_place_which_counts_as_free(monkeypatch):
    monkeypatch.setattr(allocator, "ARENA", Arena(1 << 28))
    monkeypatch.setattr("nstlab.convolution.BAND", 1 << 16)
    image = load_image("horses", size=128)
    objective = style_transfer_objective(VGG(), image, image)
    at = objective.at(image)
    touched = allocator.ARENA.touched
    assert touched > 5 * LARGE
    for _ in range(3):
        at = objective.at(at.image)
    gc.collect()
    assert allocator.ARENA.touched == touched == allocator.ARENA.idle()
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": 5}))
    assert free_memory(torch.device("cpu")) == 5 + touched
