"""What several tests need: the default network, and an image that is interrupted when it is used."""

import os
import signal

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from nstlab.vgg import VGG

# pymatting would compile itself for 40 seconds when it is first imported; on small pictures that gains nothing
os.environ["NUMBA_DISABLE_JIT"] = "1"

# how many cases the fuzzed tests try that do not say it themselves: `make fuzz` takes the second profile
settings.register_profile("normal", max_examples=250, deadline=None)
settings.register_profile("fuzz", max_examples=2_500, deadline=None)
settings.load_profile("normal")


def pytest_configure():
    """Interrupts arrive, also where a shell has started the tests in the background, which ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    for item in items:
        if os.name != "posix" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="needs POSIX"))


@pytest.fixture(scope="session")
def vgg() -> VGG:
    """The papers' network with default settings; no test may change it."""
    return VGG()


class Interrupting(Tensor):
    """A tensor whose every use is interrupted, as if somebody pressed Ctrl-C."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise KeyboardInterrupt


@pytest.fixture
def interrupting() -> Tensor:
    return torch.zeros(0).as_subclass(Interrupting)


@pytest.fixture
def with_engine(monkeypatch):
    """The engine is on, whatever NSTLAB_ENGINE says outside: for tests of what only the engine does."""
    monkeypatch.delenv("NSTLAB_ENGINE", raising=False)
