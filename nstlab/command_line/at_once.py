"""The commands without a run: the list of samples, the course on a user's own disk, JupyterLab."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from nstlab.base.files.sample_images import samples
from nstlab.command_line.interruptions import say

INSTALLED = Path(__file__).parents[1] / "course" / "notebooks"
CHECKOUT = Path(__file__).parents[2] / "notebooks"
UPLOADS = 256_000_000  # bytes that a message to Jupyter may have: a picture that is uploaded is one


def copy_course(folder: Path) -> list[Path]:
    """Copy the notebooks, their figures and their licence into a folder, made if it is missing; gives what was copied.

    Raises FileExistsError, before anything is copied, if a file of the same name is there: it may hold a user's work.
    """
    source = INSTALLED if INSTALLED.exists() else CHECKOUT
    kinds = ("*.ipynb", "figures/*.jpg", "LICENSE.md")
    files = sorted(path.relative_to(source) for kind in kinds for path in source.glob(kind))
    there = [folder / path for path in files if (folder / path).exists()]
    if there:
        raise FileExistsError(f"course: {there[0]} is there already, and may hold your work. Name another folder.")
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    return [folder / path for path in files]


def open_lab(folder: Path) -> int:
    """Open JupyterLab at a folder and wait until it is closed; gives its exit code. Ctrl-C is left to JupyterLab.

    Raises ValueError if JupyterLab is not installed or there is no such folder.
    """
    if find_spec("jupyterlab") is None:
        raise ValueError("lab: JupyterLab is not installed. Install it with: pip install 'nstlab[lab]'")
    if not folder.is_dir():
        raise ValueError(f"lab: there is no folder {folder}. Make it with: nstlab course {folder}")
    size = f"--ServerApp.tornado_settings={{'websocket_max_message_size': {UPLOADS}}}"
    signal.signal(signal.SIGINT, lambda *_: None)  # it asks before it ends; SIG_IGN would be passed on to it
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(folder), size])


def list_samples(options: argparse.Namespace) -> int:
    """`nstlab samples`."""
    say("\n".join(map(str, samples())))
    return 0


def course(options: argparse.Namespace) -> int:
    """`nstlab course DIR`."""
    say(f"wrote {len(copy_course(options.folder))} files. Next: nstlab lab {options.folder}")
    return 0


def lab(options: argparse.Namespace) -> int:
    """`nstlab lab DIR`."""
    return open_lab(options.folder)


AT_ONCE: dict[str, Callable[[argparse.Namespace], int]] = {"samples": list_samples, "course": course, "lab": lab}
