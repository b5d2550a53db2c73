"""Clips: the film of a finished run, in a notebook and as a file."""

from __future__ import annotations

import base64
import html
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nstlab.base.records import Result, frame
from nstlab.control.films import check_fps, film


@dataclass(frozen=True, repr=False)
class Clip:
    """Small frames of a run, which a notebook shows as a film.

    frames: (1, 3, H, W), 8 bits a color; all get the size of the last one. fps: frames a second. alt: the alternative
    text.

    >>> import torch
    >>> Clip([torch.zeros(1, 3, 32, 48, dtype=torch.uint8)], fps=12, alt="a black picture")
    <film of 1 frames, 48 x 32 pixels>
    """

    frames: Sequence[Tensor]
    fps: float
    alt: str

    def __repr__(self) -> str:
        H, W = self.frames[-1].shape[2:]
        return f"<film of {len(self.frames)} frames, {W} x {H} pixels>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the film to a .gif, a .webp or, with the program ffmpeg, an .mp4. Raises ValueError and OSError as
        `film` does.

        >>> from nstlab import stylize
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stylize("horses", "great_wave", size=64, steps=2).film().save(f"{folder}/growing.gif")
        ...     os.listdir(folder)
        ['growing.gif']
        """
        film((pixels / 255 for pixels in self.frames), path, self.fps)

    def _repr_html_(self) -> str:  # what a notebook shows
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "film.webp")
            self.save(path)
            data = base64.b64encode(path.read_bytes()).decode()
        return f'<img alt="{html.escape(self.alt)}" src="data:image/webp;base64,{data}">'


def clip(result: Result, fps: float) -> Clip:
    """The film of a result: the frames of its run, then its image. Raises ValueError for a result without frames."""
    check_fps(fps)
    if not result.frames:
        raise ValueError("film: this result has no frames: no run made it. stylize, photograph and optimize keep some.")
    return Clip([*result.frames, frame(result.image)], fps, f"How it grew: the {repr(result)[1:-1]}")
