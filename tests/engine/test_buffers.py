"""Large tensors are used again, and keep out of each other's way."""

import gc
import threading

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.engine.buffers import BUFFERS, LARGE, Buffers, empty
from nstlab.images import load_image
from nstlab.transfer import style_transfer_objective
from nstlab.vgg import VGG


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), max_size=30))
def test_no_tensor_overwrites_another_and_every_block_comes_back(steps):
    buffers, held = Buffers(), []
    for n, (length, drop) in enumerate(steps):
        tensor = buffers.empty((length,), torch.uint8).fill_(n)
        held.append((n, tensor))
        del tensor
        if drop < len(held):
            del held[drop]
        assert all(bool((t == number).all()) for number, t in held)
    held.clear()
    blocks = sum(len(free) for free in buffers.free.values())
    assert buffers.idle() == sum(size * len(free) for size, free in buffers.free.items()) and blocks <= len(steps)


def test_a_view_keeps_its_block_and_a_dropped_one_goes_to_the_next():
    buffers = Buffers()
    first = buffers.empty((64,), torch.float32)
    address, view = first.data_ptr(), first[8:9]
    del first
    assert buffers.empty((64,), torch.float32).data_ptr() != address
    del view
    addresses = {tensor.data_ptr() for tensor in [buffers.empty((64,), torch.float32) for _ in range(2)]}
    assert address in addresses


def test_another_owner_and_the_end_of_the_owner_give_the_blocks_back():
    class Owner:
        pass

    buffers, one, other = Buffers(), Owner(), Owner()
    for owner in (one, other):
        buffers.belong_to(owner)
        assert buffers.idle() == 0
        buffers.empty((64,), torch.float32)
        buffers.belong_to(owner)
        assert buffers.idle() == 256
    del owner, other
    assert buffers.idle() == 0


def test_a_tensor_that_outlives_its_owner_keeps_its_numbers():
    buffers = Buffers()
    tensor = buffers.empty((64,), torch.float32).fill_(7)
    buffers.belong_to(buffers)
    assert bool((tensor == 7).all()) and bool((buffers.empty((64,), torch.float32).fill_(1) == 1).all())
    assert bool((tensor == 7).all())


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


def test_only_large_tensors_of_the_processor_are_lent():
    BUFFERS.belong_to(BUFFERS)
    before = BUFFERS.idle()
    empty((1, 2, 3, 4), like=torch.ones(1))
    assert BUFFERS.idle() == before
    large = empty((1, 64, 64, 64), like=torch.ones(1))
    assert large.is_contiguous(memory_format=torch.channels_last) and large.nbytes >= LARGE
    del large
    assert BUFFERS.idle() == before + 64**3 * 4
    assert empty((1, 64, 64, 64), like=torch.ones(1, device="meta")).device.type == "meta"


def test_evaluations_use_the_same_blocks_again():
    image = load_image("horses", size=128)
    objective = style_transfer_objective(VGG(), image, image)
    at = objective.at(image)
    gc.collect()
    idle = BUFFERS.idle()
    for _ in range(3):
        at = objective.at(at.image)
    gc.collect()
    assert BUFFERS.idle() == idle
