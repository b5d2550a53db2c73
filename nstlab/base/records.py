"""What a run gives: the numbers of an epoch, its image, the result, and the error after a divergence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from nstlab.base.files.pixels import interpolated

if TYPE_CHECKING:
    from nstlab.control.clips import Clip

FRAME_SIDE = 256  # pixels: longer side of the frames of a film, at most


@dataclass(frozen=True)
class Record:
    """One epoch in numbers. The start is epoch 0.

    losses: unweighted, by name; weights: by name; total: their weighted sum; seconds: since the run began, without
    pauses; size: (H, W) of the image.

    >>> Record(0, losses={"style": 2.0}, weights={"style": 0.5}, total=1.0, seconds=0.0, size=(48, 64)).total
    1.0
    """

    index: int
    losses: dict[str, float]
    weights: dict[str, float]
    total: float
    seconds: float
    size: tuple[int, int]


@dataclass(frozen=True)
class Step(Record):
    """One epoch with its image, (1, 3, H, W).

    >>> import torch
    >>> step = Step(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.0, (48, 64), torch.zeros(1, 3, 48, 64))
    >>> step.image.shape, step.record().index
    (torch.Size([1, 3, 48, 64]), 0)
    """

    image: Tensor

    def record(self) -> Record:
        """The numbers without the image: what a history keeps."""
        return Record(self.index, self.losses, self.weights, self.total, self.seconds, self.size)


@dataclass(frozen=True, repr=False)
class Result:
    """What a run leaves behind.

    image: the one with the lowest total at the last size and with the last weights, (1, 3, H, W) in [0, 1] on the CPU;
    history: one record per epoch, the start first; interrupted: whether Ctrl-C stopped it before its end; epoch: the
    index of the image's record; frames: small pictures on the way, see `frame`.

    >>> import torch
    >>> Result(torch.zeros(1, 3, 48, 64), [Record(0, {"style": 2.0}, {"style": 0.5}, 1.0, 0.0, (48, 64))])
    <pastiche of 64 x 48 pixels, epoch 0 of 0, 0.0 s>
    """

    image: Tensor
    history: list[Record]
    interrupted: bool = False
    epoch: int = 0
    frames: Sequence[Tensor] = field(default=(), kw_only=True)

    def __repr__(self) -> str:
        last, (H, W) = self.history[-1], self.image.shape[2:]
        return f"<pastiche of {W} x {H} pixels, epoch {self.epoch} of {last.index}, {last.seconds:.1f} s>"

    def _repr_html_(self) -> str | None:  # what a notebook shows
        with suppress(ImportError):  # a notebook without the package's extra for notebooks
            return cast(str, import_module("nstlab.notebook.result_display").result_html(self))
        return None

    def film(self, fps: float = 12) -> Clip:
        """How the image grew, in at most 50 small frames: a notebook shows them, and `save` writes them to a file.

        fps: frames a second. The size is that of the image, but at most 256 pixels on the longer side; a `Film` that
        watches the run has every step in full size. Raises ValueError for another fps, and for a result without frames.

        >>> from nstlab import stylize
        >>> result = stylize("horses", "great_wave", size=64, steps=4)
        >>> result.film()
        <film of 6 frames, 64 x 42 pixels>
        """
        return cast("Clip", import_module("nstlab.control.clips").clip(self, fps))


def frame(image: Tensor) -> Tensor:
    """An image, (1, 3, H, W), as a frame of a film: no longer than FRAME_SIDE, 8 bits a color, on the CPU.

    >>> frame(torch.ones(1, 3, 384, 512)).shape, frame(torch.ones(1, 3, 1, 1)).flatten()
    (torch.Size([1, 3, 192, 256]), tensor([255, 255, 255], dtype=torch.uint8))
    """
    H, W = image.shape[2:]
    shrink = min(1.0, FRAME_SIDE / max(H, W))
    small = interpolated(image, (max(1, round(H * shrink)), max(1, round(W * shrink))))
    return (small.clamp(0, 1) * 255).round().to(torch.uint8)


class DivergenceError(ArithmeticError):
    """A run whose total grew without bound, or became NaN or Inf.

    image: the last good image, or None if even the start was bad; history: the records so far.

    >>> from nstlab import MattingLaplacian, descent_run, load_image
    >>> I = load_image("horses", size=64)
    >>> try:
    ...     run = descent_run(MattingLaplacian(I), I.flip(3), weight=1000.0, steps=50, step=1.0).finish()
    ... except DivergenceError as error:
    ...     print(error.image.shape, len(error.history) < 50)
    torch.Size([1, 3, 42, 64]) True
    """

    def __init__(self, message: str, image: Tensor | None, history: Sequence[Record]):
        super().__init__(message)
        self.image, self.history = image, list(history)
