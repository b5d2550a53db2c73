"""A progress bar of epochs: in a terminal, and on a page of a notebook for a person who waits there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import current_thread, main_thread
from typing import Any


@contextmanager
def progress_bar(steps: int, done: int, stays: bool = True) -> Iterator[Any]:
    """A bar of tqdm, of so many epochs, of which some are done already. stays: whether it is still there at the end."""
    from tqdm.auto import tqdm  # a widget on a page, text elsewhere; slow to import

    bar = tqdm(total=steps, initial=done, unit="epoch", leave=stays)
    try:
        yield bar
    finally:
        with suppress(OSError):  # the terminal may be closed
            bar.close()


def move(bar: Any, step: Any) -> None:
    """Move the progress bar to a step of a run. The start, epoch 0, is not a step."""
    bar.set_postfix_str(", ".join(f"{name} {loss:.3g}" for name, loss in step.losses.items()), refresh=False)
    bar.set_description_str(f"{max(step.size)} px", refresh=False)
    if step.index:
        bar.update()


@contextmanager
def watching(watch: Callable[[Any], object] | None, steps: int, done: int) -> Iterator[Callable[[Any], object]]:
    """What to call with every step: `watch`, or if there is none and someone waits, the moves of a progress bar."""
    if watch is None and someone_waits():
        with progress_bar(steps, max(0, done), stays=False) as bar:
            yield partial(move, bar)
    else:
        yield watch or (lambda step: None)


def someone_waits() -> bool:
    """Whether a person waits at the page of a notebook for this call: programs that run notebooks answer no questions.

    >>> someone_waits()
    False
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    kernel = getattr(shell, "kernel", None)
    asked = kernel.get_parent().get("content", {}) if kernel and current_thread() is main_thread() else {}
    return bool(asked.get("allow_stdin"))
