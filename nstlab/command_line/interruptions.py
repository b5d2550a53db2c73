"""What ends a command early: Ctrl-C, the request to terminate, and the end of the terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruptions:
    """For the time of a `with` block, the first signal raises KeyboardInterrupt; those that follow are ignored.

    So a run ends with its last image, and nothing disturbs the saving of it. A signal that is ignored outside, as
    `nohup` does it, stays ignored; outside the main thread Python allows no handlers, and nothing is changed.

    exit_code: 128 + the number of the signal, of Ctrl-C if there was none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self.interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def interrupt(self, number: int, _: FrameType | None) -> None:
        """The handler during a run."""
        if self.number is None:
            self.number = number
            raise KeyboardInterrupt

    def follow(self, _: object) -> None:
        """Raise KeyboardInterrupt again: an extension module or a destructor may have swallowed the first one."""
        if self.number is not None:
            raise KeyboardInterrupt

    def leave(self, number: int, _: FrameType | None) -> None:
        """The handler before a run: end the process at once, without results."""
        say_nothing_was_written()
        os._exit(128 + number)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """For a block of imports: a signal ends the process. Extension modules swallow exceptions."""
        self.use(self.leave)
        try:
            yield
        finally:
            self.use(self.interrupt)

    def ignore(self) -> None:
        """Ignore all signals from now on: results are saved."""
        self.use(signal.SIG_IGN)

    def use(self, handler: Any) -> None:
        """Change the handler of the signals."""
        for number in self.before:
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        return 128 + (self.number or signal.SIGINT)


def say(text: str, file: TextIO | None = None) -> None:
    """Print to standard output or to `file`; it does not matter if nobody listens any more: the files are written.

    Characters that it cannot show, as of a name in another script, are escaped.
    """
    file = file or sys.stdout
    encoding = file.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=file, flush=True)
    except OSError:  # a closed terminal or pipe: what Python still holds goes nowhere, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def say_nothing_was_written() -> None:
    say("nstlab: interrupted before the first epoch; no result was written", sys.stderr)
