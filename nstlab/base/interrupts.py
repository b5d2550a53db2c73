"""Ctrl-C at a moment at which it would leave Python itself half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupt_afterwards() -> Iterator[None]:
    """An interrupt that comes inside is delivered at the end: a package of which one half is imported stays broken.

    Only the main thread gets interrupts; in another one, nothing is held.

    >>> try:
    ...     with interrupt_afterwards():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("still here")
    ... except KeyboardInterrupt:
    ...     print("and now interrupted")
    still here
    and now interrupted
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is None or threading.current_thread() is not threading.main_thread():  # None: not a handler of Python's
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
