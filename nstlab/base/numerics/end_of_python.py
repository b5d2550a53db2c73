"""The end of Python: PyTorch aborts the process if a daemon thread is in the middle of its computations then."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from functools import wraps
from threading import Event, Thread, current_thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
COMPUTING: set[Thread] = set()
ENDING = Event()


def finished_before_exit(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which Python waits for before it ends; a daemon thread that calls it then stops there.

    >>> finished_before_exit(abs)(-1)
    1
    """

    @wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        thread = current_thread()
        if not thread.daemon:
            return function(*arguments, **options)
        COMPUTING.add(thread)
        try:
            if not ENDING.is_set():
                return function(*arguments, **options)
        finally:
            COMPUTING.discard(thread)
        while True:  # until the process has ended
            time.sleep(60)

    return call


@atexit.register
def wait_for_daemons() -> None:
    """Let no daemon thread begin a computation, and wait for the end of those that go on."""
    ENDING.set()
    while any(thread.is_alive() for thread in list(COMPUTING)):
        time.sleep(0.01)
