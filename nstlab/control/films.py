"""Films: how an image grows, as a GIF, a WebP or an MP4.

Only a few frames are in memory at a time. Pillow's `save_all` would keep all of them, so the files are put together
here from frames that Pillow has encoded.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from PIL import Image
from torch import Tensor

from nstlab import Step, resize, to_pil
from nstlab.base.files.atomic import replacing

MIN_FPS, MAX_FPS = 0.1, 50.0  # a GIF counts hundredths of a second; players slow down frames of one hundredth
WEBP_QUALITY = 90
FFMPEG = "ffmpeg -y -loglevel error -f rawvideo -pix_fmt rgb24 -s {size} -r {fps} -i - -pix_fmt yuv420p -vf {crop} {to}"
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # yuv420p has one color for 2 x 2 pixels


class Film:
    """A film that is recorded while a run goes on: call it with every step, and it is written when it is closed.

    path: where to, with the suffix .gif, .webp or .mp4; .mp4 needs the program ffmpeg, and an odd last row or column of
    pixels is cut off. every: keep the start, every so many frames, and the last. fps: frames a second, from MIN_FPS to
    MAX_FPS. size: the longer side in pixels, or (height, width), to which all frames are resized; by default the size
    of the last frame.

    Frames wait in a temporary file, 8 bits a color. As a context manager it closes itself: also after an exception or
    Ctrl-C, the film so far is written. The file appears whole or not at all.

    Raises ValueError for another suffix, every or fps, and without ffmpeg; on closing, ValueError if there was no frame
    and OSError if the film cannot be written.

    >>> from nstlab.transfer import stylize
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Film(f"{folder}/growing.gif", every=2) as film:
    ...         result = stylize("horses", "great_wave", watch=film, size=64, steps=4, coarse_to_fine=False)
    ...     with Image.open(f"{folder}/growing.gif") as picture:
    ...         picture.n_frames
    3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int = 1,
        fps: float = 12,
        size: int | tuple[int, int] | None = None,
    ):
        self.path, self.every, self.fps, self.size = Path(path), every, fps, size
        check_format(self.path)
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"film: every={every!r} must be a whole number from 1 up.")
        check_fps(fps)
        self.spool = tempfile.TemporaryFile()  # noqa: SIM115, `close` closes it
        self.lengths: list[int] = []  # bytes of every frame in it
        self.seen = 0
        self.last: Image.Image | None = None  # the newest frame, and whether it waits in the file
        self.spooled = False

    def __call__(self, frame: Step | Tensor) -> None:
        """Record a frame: a step, or an image (1, 3, H, W), which is clamped to [0, 1]."""
        image = (frame.image if isinstance(frame, Step) else frame).clamp(0, 1)
        self.last = to_pil(image if self.size is None else resize(image, self.size))
        self.spooled = False
        self.seen += 1
        if (self.seen - 1) % self.every == 0:
            self.append(self.last)

    def append(self, picture: Image.Image) -> None:
        """Write a frame behind those that wait."""
        encoded = BytesIO()
        picture.save(encoded, "PNG", compress_level=1)  # without loss, and fast
        self.spool.seek(sum(self.lengths))  # Ctrl-C may have left a part of a frame there
        self.lengths.append(self.spool.write(encoded.getbuffer()))
        self.spooled = True

    def close(self) -> None:
        """Write the film, if that has not been done. Raises ValueError if there is no frame, OSError if it fails."""
        if self.spool.closed:
            return
        with self.spool:
            if self.last is None:
                raise ValueError(f"film({str(self.path)!r}): there is no frame; a film needs at least one.")
            if not self.spooled:
                self.append(self.last)
            with replacing(self.path) as temporary:
                WRITERS[self.path.suffix.lower()](self.pictures(self.last.size), self.last.size, self.fps, temporary)

    def pictures(self, size: tuple[int, int]) -> Iterator[Image.Image]:
        """The frames one after another, resized to (width, height)."""
        self.spool.seek(0)
        for length in self.lengths:
            with Image.open(BytesIO(self.spool.read(length))) as picture:
                yield picture.resize(size, Image.Resampling.BICUBIC)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or self.last is not None:
            self.close()
        self.spool.close()  # an error before the first frame is reported as it is


def film(
    frames: Iterable[Step | Tensor],
    path: str | os.PathLike[str],
    fps: float = 12,
    size: int | tuple[int, int] | None = None,
) -> None:
    """Write a film of frames that arrive one at a time: steps, or images (1, 3, H, W).

    frames: for example a `Run`. path, fps, size, errors: as in `Film`. If `frames` raises, the film so far is written.

    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film((torch.full((1, 3, 32, 48), k / 9) for k in range(10)), f"{folder}/dawn.webp", fps=10)
    ...     with Image.open(f"{folder}/dawn.webp") as picture:
    ...         picture.n_frames
    10
    """
    with Film(path, fps=fps, size=size) as recorder:
        for frame in frames:
            recorder(frame)


def check_format(path: Path) -> None:
    """Raise ValueError unless a film can be written to this path."""
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"film({str(path)!r}): unknown format {path.suffix!r}; take one of {', '.join(WRITERS)}.")
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ValueError(
            f"film({str(path)!r}): .mp4 needs the program ffmpeg, and there is none on the PATH. Install it, or take "
            f".gif or .webp."
        )


def check_fps(fps: float) -> None:
    """Raise ValueError unless a film can have so many frames a second."""
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(f"film: fps={fps!r} must be from {MIN_FPS:g} to {MAX_FPS:g} frames a second.")


def durations(fps: float, unit: float) -> Iterator[int]:
    """How many units each frame lasts: whole numbers whose sum keeps step with the time.

    unit: in seconds.

    >>> from itertools import islice
    >>> list(islice(durations(12, 0.01), 4))
    [8, 9, 8, 8]
    """
    time, k = 0, 0
    while True:
        k += 1
        ends = math.floor(k / (fps * unit) + 0.5)
        yield ends - time
        time = ends


def write_gif(pictures: Iterator[Image.Image], size: tuple[int, int], fps: float, path: Path) -> None:
    """A GIF, each frame with 256 colors of its own, as the specification GIF89a of CompuServe, 1990, describes it."""
    with open(path, "wb") as file:
        file.write(struct.pack("<6sHH3x", b"GIF89a", *size))
        file.write(b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0")  # repeated forever
        for picture, hundredths in zip(pictures, durations(fps, 0.01), strict=False):
            still = BytesIO()
            # the octree is nearly as exact as the median cut, and 100 times as fast
            picture.quantize(256, Image.Quantize.FASTOCTREE).save(still, "GIF")
            data = still.getvalue()
            power = data[10] & 7  # the color table of a file has 2^(power + 1) colors; it becomes that of the frame
            table_end = 13 + 3 * 2 ** (power + 1)
            place, flags, pixels = data[table_end : table_end + 9], data[table_end + 9], data[table_end + 10 : -1]
            file.write(struct.pack("<4sHH", b"!\xf9\4\0", hundredths, 0))
            file.write(place + bytes([flags | 128 | power]) + data[13:table_end] + pixels)
        file.write(b";")


def write_webp(pictures: Iterator[Image.Image], size: tuple[int, int], fps: float, path: Path) -> None:
    """A WebP, frame by frame as section 2.7 of RFC 9649 describes it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data  # every length here is even

    def three_bytes(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(3, "little") for number in numbers)

    canvas = three_bytes(size[0] - 1, size[1] - 1)
    with open(path, "wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        file.write(chunk(b"VP8X", struct.pack("<I", 2) + canvas))  # 2: it is an animation
        file.write(chunk(b"ANIM", bytes(6)))  # on black, repeated forever
        for picture, milliseconds in zip(pictures, durations(fps, 0.001), strict=False):
            still = BytesIO()
            picture.save(still, "WEBP", quality=WEBP_QUALITY)
            place = three_bytes(0, 0) + canvas + three_bytes(milliseconds) + b"\0"
            file.write(chunk(b"ANMF", place + still.getvalue()[12:]))  # without the header of a file
        length = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", length))


def write_mp4(pictures: Iterator[Image.Image], size: tuple[int, int], fps: float, path: Path) -> None:
    """An MP4, by ffmpeg, which reads raw pixels from a pipe. Raises OSError with ffmpeg's message if it fails."""
    texts = {"size": f"{size[0]}x{size[1]}", "fps": f"{fps:g}", "crop": EVEN, "to": str(path)}
    command = [word.format(**texts) for word in FFMPEG.split()]
    with tempfile.TemporaryFile() as messages:
        # a broken pipe says only that ffmpeg has ended; its message says why
        with suppress(BrokenPipeError), subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages) as process:
            for picture in pictures:
                cast(IO[bytes], process.stdin).write(picture.tobytes())
        if process.returncode:
            messages.seek(0)
            raise OSError(f"film: ffmpeg failed: {messages.read().decode(errors='replace').strip()}")


WRITERS: dict[str, Callable[[Iterator[Image.Image], tuple[int, int], float, Path], None]] = {
    ".gif": write_gif,
    ".webp": write_webp,
    ".mp4": write_mp4,
}
