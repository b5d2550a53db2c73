"""Ctrl-C, or the interrupt button of a notebook, held back wherever it would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class HeldInterrupts:
    """Inside `with HeldInterrupts() as held:` an interrupt raises KeyboardInterrupt only in `with held.released():`.

    One that comes elsewhere is raised by the next `released`, or dropped at the end. Only the main thread gets
    interrupts; in another one, nothing is held.

    >>> with HeldInterrupts() as held:
    ...     signal.raise_signal(signal.SIGINT)
    ...     print("held")
    ...     try:
    ...         with held.released():
    ...             print("never printed")
    ...     except KeyboardInterrupt:
    ...         print("raised")
    held
    raised
    """

    def __init__(self) -> None:
        self.came = self.is_released = False
        self.handler: Any = None  # what was called before at an interrupt

    def __enter__(self) -> HeldInterrupts:
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGINT, self.receive)
        return self

    def __exit__(self, *error: object) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Called at an interrupt."""
        self.came = True
        if self.is_released:
            self.is_released = False
            raise KeyboardInterrupt

    @contextmanager
    def released(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for an interrupt that came before, or comes inside."""
        try:
            self.is_released = True
            if self.came:
                raise KeyboardInterrupt
            yield
        finally:
            self.came = self.is_released = False
