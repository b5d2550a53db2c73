"""Memory of large tensors is reused, and never shared by two tensors."""

import gc
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.engine.buffers import BUFFERS, LARGE, SPARE, Buffers, empty
from nstlab.images import load_image
from nstlab.transfer import style_transfer_objective
from nstlab.vgg import VGG


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), max_size=30))
def test_no_tensor_overwrites_another_and_every_block_is_freed(steps):
    buffers, held = Buffers(), []
    for n, (length, drop) in enumerate(steps):
        tensor = buffers.empty((length,), torch.uint8).fill_(n)
        held.append((n, tensor))
        del tensor
        if drop < len(held):
            del held[drop]
        assert all(bool((t == number).all()) for number, t in held)
    held.clear()
    assert len(buffers.free) <= len(steps) and buffers.free_bytes() == sum(map(len, buffers.free.values()))


def test_a_block_is_reused_when_the_last_view_is_deleted():
    buffers = Buffers()
    first = buffers.empty((64,), torch.float32)
    address, view = first.data_ptr(), first[8:9]
    del first
    assert buffers.empty((64,), torch.float32).data_ptr() != address
    del view
    addresses = {tensor.data_ptr() for tensor in [buffers.empty((64,), torch.float32) for _ in range(2)]}
    assert address in addresses


def test_another_owner_and_the_deletion_of_the_owner_release_the_blocks():
    class Owner:
        pass

    buffers, one, other = Buffers(), Owner(), Owner()
    for owner in (one, other):
        buffers.set_owner(owner)
        assert buffers.free_bytes() == 0
        buffers.empty((64,), torch.float32)
        buffers.set_owner(owner)
        assert buffers.free_bytes() == int(256 * SPARE)
    del owner, other
    assert buffers.free_bytes() == 0


def test_a_tensor_that_outlives_its_owner_keeps_its_numbers():
    buffers = Buffers()
    tensor = buffers.empty((64,), torch.float32).fill_(7)
    buffers.set_owner(buffers)
    assert bool((tensor == 7).all()) and bool((buffers.empty((64,), torch.float32).fill_(1) == 1).all())
    assert bool((tensor == 7).all())


def test_a_smaller_tensor_takes_a_block_unless_too_much_of_it_would_be_wasted():
    buffers = Buffers()
    address = buffers.empty((64,), torch.float32).data_ptr()
    assert buffers.empty((60,), torch.float32).data_ptr() == address
    assert buffers.empty((48,), torch.float32).data_ptr() != address


def test_threads_never_share_a_block():
    buffers, wrong = Buffers(), []

    def work(number: int) -> None:
        for _ in range(300):
            tensor = buffers.empty((16,), torch.int64).fill_(number)
            if not bool((tensor == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_only_large_cpu_tensors_use_buffers():
    BUFFERS.set_owner(BUFFERS)
    before = BUFFERS.free_bytes()
    empty((1, 2, 3, 4), like=torch.ones(1))
    assert BUFFERS.free_bytes() == before
    large = empty((1, 64, 64, 64), like=torch.ones(1))
    assert large.is_contiguous(memory_format=torch.channels_last) and large.nbytes >= LARGE
    del large
    assert BUFFERS.free_bytes() == before + int(64**3 * 4 * SPARE)
    assert empty((1, 64, 64, 64), like=torch.ones(1, device="meta")).device.type == "meta"


def test_evaluations_reuse_blocks():
    image = load_image("horses", size=128)
    objective = style_transfer_objective(VGG(), image, image)
    at = objective.at(objective.at(image).image)
    gc.collect()
    free = BUFFERS.free_bytes()
    for _ in range(3):
        at = objective.at(at.image)
    gc.collect()
    assert BUFFERS.free_bytes() == free


@pytest.mark.parametrize("line", range(1, 14))
def test_an_interrupt_at_any_line_loses_no_block(line):
    buffers, seen = Buffers(), []

    def trace(frame, event, argument):
        if frame.f_code is Buffers.empty.__code__:
            seen.append(event)
            if len(seen) == line + 1 and event == "line":
                raise KeyboardInterrupt
            return trace

    sys.settrace(trace)
    try:
        buffers.empty((64,), torch.float32)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    gc.collect()
    assert not buffers.used and len(buffers.free) <= 1
