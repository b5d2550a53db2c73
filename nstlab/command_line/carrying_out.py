"""A command from its options to its files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from nstlab import Film, Photograph, Record, Result, Step, load_alpha, resize, save_image
from nstlab.base.progress import move, progress_bar
from nstlab.command_line.commands import RUNS, descriptions, photograph_from
from nstlab.command_line.interruptions import Interruptions, say
from nstlab.command_line.outputs import reserved, stage_paths, write_all
from nstlab.control.photographs import STEPS as PHOTOGRAPH_STEPS
from nstlab.notebook.figures import plot_losses, save_figure, save_losses

Watch = Callable[[Any, Step], object]  # takes a bar of tqdm and a step


def carry_out(options: argparse.Namespace, interruptions: Interruptions, watch: Watch | None = None) -> int:
    """Run, save the results, say what was written. Gives the exit code.

    watch: is called with the progress bar and every step; by default it moves the bar. Raises what has ended the run
    early or has prevented a file, once everything else is saved.
    """
    with reserved(options), Film(options.film) if getattr(options, "film", None) else nullcontext() as film:
        alpha = load_alpha(options.content) if getattr(options, "keep_alpha", False) else None
        finish: Callable[[Watcher], Result]
        if options.command == "photograph":
            finish, steps, history = photograph_from(options), sum(PHOTOGRAPH_STEPS), []
        else:
            run = RUNS[options.command](options)
            finish, steps, history = run.finish, run.steps, run.history
            for line in descriptions(options, run.objectives[-1]):
                say(line)
        watcher = Watcher(history)
        try:
            with progress_bar(steps, max(0, len(history) - 1)) as bar:
                watcher.shows = [interruptions.follow, partial(watch or move, bar), *([film] if film else [])]
                result = finish(watcher)
            interruptions.ignore()
        except (Exception, KeyboardInterrupt) as error:
            interruptions.ignore()
            result = watcher.rescued(error)
        written, errors = write_all(writers(options, result, film, alpha))
    if result.interrupted:
        say(f"interrupted after {len(result.history) - 1} of {steps} epochs")
    if written:
        say("wrote " + ", ".join(map(str, written)))
    errors = [watcher.failure, *errors] if watcher.failure else errors
    for further in errors[1:]:
        say(f"nstlab: {further}", sys.stderr)
    if errors:
        raise errors[0]
    return interruptions.exit_code if result.interrupted else 0


class Watcher:
    """Shows every step of a run and remembers the last one; if that fails, the run ends as after Ctrl-C.

    history: of the steps so far. shows: what is called with every step. failure: the exception that has ended the run.
    """

    def __init__(self, history: Sequence[Record]):
        self.history = list(history)
        self.shows: list[Callable[[Step], object]] = []
        self.last: Step | None = None
        self.failure: Exception | None = None

    def __call__(self, step: Step) -> None:
        self.last = step
        self.history.append(step.record())
        try:
            for show in self.shows:
                show(step)
        except Exception as error:
            self.failure = error
            raise KeyboardInterrupt from error

    def rescued(self, error: BaseException) -> Result:
        """The last image and the history of a run that this error has ended. Raises the error if there is no image."""
        if self.last is None:
            raise error
        if isinstance(error, Exception):
            self.failure = self.failure or error
        stopped = isinstance(error, KeyboardInterrupt)
        return Result(self.last.image.clamp(0, 1).cpu(), self.history, stopped, self.last.index)


def writers(
    options: argparse.Namespace, result: Result, film: Film | None, alpha: Tensor | None
) -> dict[Path, Callable[[Path], object]]:
    """What writes each file that was asked for, in order. alpha: of the content image, for the pastiche."""
    if alpha is not None:
        alpha = resize(alpha, (result.image.shape[2], result.image.shape[3]))
    found: dict[Path, Callable[[Path], object]] = {options.output: partial(save_image, result.image, alpha=alpha)}
    if options.losses:
        found[options.losses] = partial(save_losses, result.history)
    if options.plot:
        found[options.plot] = lambda path: save_figure(plot_losses(result.history), path)
    if film and film.last:
        found[film.path] = lambda _: film.close()
    if isinstance(result, Photograph):
        found |= {
            path: partial(save_image, image)
            for path, image in zip(stage_paths(options), result.stages.values(), strict=False)
        }
    return found
