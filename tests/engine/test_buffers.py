"""Memory of large tensors is reused, and never shared by two tensors."""

import gc
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.engine import buffers, evaluate
from nstlab.engine.buffers import ALIGNED, CURRENT, LARGE, Buffer, empty
from nstlab.images import load_image
from nstlab.objective import Objective
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.terms import Term
from nstlab.vgg import VGG


class Owner:
    """Whatever a buffer belongs to."""


@pytest.fixture
def owner():
    return Owner()


def inside(tensor, buffer):
    """Whether the tensor lies in the buffer."""
    return 0 <= tensor.data_ptr() - buffer.memory.ctypes.data < max(1, len(buffer.memory))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3 * ALIGNED), st.integers(0, 5)), max_size=30))
def test_no_tensor_overwrites_another_and_every_place_becomes_free(steps):
    owner = Owner()
    buffer, held = Buffer(owner, 16 * ALIGNED), []
    for n, (length, drop) in enumerate(steps):
        tensor = buffer.empty((length,), torch.uint8).fill_(n)
        held.append((n, tensor))
        del tensor
        if drop < len(held):
            del held[drop]
        assert all(bool((t == number).all()) for number, t in held)
    held.clear()
    assert not buffer.used and buffer.free_bytes() == buffer.touched <= 16 * ALIGNED
    assert inside(buffer.empty((16 * ALIGNED,), torch.uint8), buffer)


def test_a_place_is_free_when_the_last_view_is_deleted(owner):
    buffer = Buffer(owner, 4 * ALIGNED)
    first = buffer.empty((64,), torch.float32)
    address, view = first.data_ptr(), first[8:9]
    del first
    assert buffer.empty((64,), torch.float32).data_ptr() == address + ALIGNED
    del view
    assert buffer.empty((64,), torch.float32).data_ptr() == address


def test_neighbors_that_are_free_make_one_place(owner):
    buffer = Buffer(owner, 3 * ALIGNED)
    tensors = [buffer.empty((ALIGNED,), torch.uint8) for _ in range(3)]
    del tensors[:2]
    assert inside(buffer.empty((2 * ALIGNED,), torch.uint8), buffer)
    assert buffer.touched == 3 * ALIGNED


def test_a_tensor_for_which_no_place_is_large_enough_is_an_ordinary_one(owner):
    buffer = Buffer(owner, 2 * ALIGNED)
    held = buffer.empty((ALIGNED + 1,), torch.uint8)
    other = buffer.empty((ALIGNED,), torch.uint8).fill_(1)
    assert inside(held, buffer) and not inside(other, buffer) and bool((other == 1).all())


def test_another_owner_and_the_deletion_of_the_owner_release_the_memory():
    one, other = Owner(), Owner()
    for owner in (one, other):
        assert not buffers.owned_by(owner)
        buffers.give_to(owner, 4 * LARGE)
        assert buffers.owned_by(owner) and buffers.free_bytes() == 0
        empty((1, 1, 1024, 256), like=torch.ones(1))
        assert buffers.free_bytes() == LARGE
    del owner, one
    assert buffers.free_bytes() == LARGE
    del other
    assert buffers.free_bytes() == 0 == len(CURRENT.buffer.memory)


def test_a_tensor_that_outlives_its_owner_keeps_its_numbers():
    owner = Owner()
    buffer = Buffer(owner, 4 * ALIGNED)
    tensor = buffer.empty((64,), torch.float32).fill_(7)
    del owner
    assert bool((tensor == 7).all()) and bool((buffer.empty((64,), torch.float32).fill_(1) == 1).all())
    assert bool((tensor == 7).all())
    del tensor
    assert buffer.free_bytes() == 0


def test_every_thread_has_a_buffer_of_its_own_and_may_delete_a_tensor_of_another(owner):
    buffers.give_to(owner, 4 * LARGE)
    mine, seen = [empty((1, 1, 1024, 256), like=torch.ones(1)).fill_(5)], []

    def work() -> None:
        seen.append(buffers.owned_by(owner))
        mine.clear()
        buffers.give_to(owner, 4 * LARGE)
        seen.append(empty((1, 1, 1024, 256), like=torch.ones(1)).data_ptr())

    address = mine[0].data_ptr()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] is False and seen[1] != address
    assert empty((1, 1, 1024, 256), like=torch.ones(1)).data_ptr() == address


def test_only_large_cpu_tensors_use_the_buffer(owner):
    buffers.give_to(owner, 8 * LARGE)
    empty((1, 2, 3, 4), like=torch.ones(1))
    assert buffers.free_bytes() == 0
    large = empty((1, 64, 64, 64), like=torch.ones(1))
    assert large.is_contiguous(memory_format=torch.channels_last) and large.nbytes >= LARGE
    assert inside(large, CURRENT.buffer)
    del large
    assert buffers.free_bytes() == 64**3 * 4
    assert empty((1, 64, 64, 64), like=torch.ones(1, device="meta")).device.type == "meta"


@pytest.fixture(scope="module", params=["avg", "max"])
def network(request) -> VGG:
    return VGG(pooling=request.param)


@pytest.mark.parametrize("tile", [None, 128])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_evaluations_reuse_the_memory_and_fit_into_it(monkeypatch, with_engine, tile, precision, network):
    image = load_image("horses", size=160)
    objective = style_transfer_objective(network, image, image, tile=tile, precision=precision)
    elsewhere, original = [], Buffer.empty

    def watched(buffer, shape, dtype):
        tensor = original(buffer, shape, dtype)
        if not inside(tensor, buffer):
            elsewhere.append(shape)
        return tensor

    monkeypatch.setattr(Buffer, "empty", watched)
    at = objective.at(objective.at(image).image)
    touched, memory = CURRENT.buffer.touched, CURRENT.buffer.memory
    for _ in range(2):
        at = objective.at(at.image)
    gc.collect()
    assert CURRENT.buffer.memory is memory and CURRENT.buffer.touched == touched > LARGE
    assert not elsewhere and not CURRENT.buffer.used


@pytest.mark.parametrize("line", range(1, 12))
def test_an_interrupt_at_any_line_loses_no_place(line, owner):
    buffer, seen = Buffer(owner, 4 * ALIGNED), []

    def trace(frame, event, argument):
        if frame.f_code is Buffer.empty.__code__:
            seen.append(event)
            if len(seen) == line + 1 and event == "line":
                raise KeyboardInterrupt
            return trace

    sys.settrace(trace)
    try:
        buffer.empty((64,), torch.float32)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    gc.collect()
    assert not buffer.used


def test_an_evaluation_on_another_device_takes_no_memory_of_the_host():
    vgg, term = VGG().to("meta"), Term(lambda image, F: F["conv2_1"].sum(), ("conv2_1",))
    objective = Objective({"mine": term}, {"mine": 1.0}, (64, 64), vgg)
    evaluate(objective, torch.empty(1, 3, 64, 64, device="meta"))
    assert not buffers.owned_by(objective)
