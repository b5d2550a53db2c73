"""Pictures to tensors and back. In this package an image is (1, 3, H, W), float32, RGB, in [0, 1]."""

from __future__ import annotations

import math
import os
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nstlab.base.files.alpha import alpha_channel, with_alpha
from nstlab.base.files.atomic import replacing
from nstlab.base.files.decoding import ImageError, refusal
from nstlab.base.files.pixels import described, eight_bit_picture, interpolated, to_tensor
from nstlab.base.files.sample_images import Sample, samples
from nstlab.base.numerics import forks  # noqa: F401, for every process that computes

__all__ = [
    "ImageError", "ImageSource", "Sample", "load_alpha", "load_image", "resize", "samples", "save_image", "to_pil",
]  # fmt: skip

MIN_SIDE = 32  # pixels: after four poolings, block 5 of a VGG still has two places a side
WRITERS: dict[str, tuple[str, dict[str, int]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"quality": 95}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
}
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray | Tensor


def load_image(source: ImageSource, size: int | None = None) -> Tensor:
    """A picture as (1, 3, H, W) float32 RGB in [0, 1] on the CPU.

    source: a sample's name such as "starry_night"; the path or the bytes of a JPEG, PNG, WebP, BMP, TIFF or
    GIF (its first frame); a PIL image; an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (1, 3, H, W) or
    (3, H, W), of uint8, uint16 or floats in [0, 1]. Transparency is laid over white.
    size: a bound for the longer side in pixels; a smaller picture stays as it is. It keeps large pictures cheap: they
    are reduced in strips, and a JPEG of more than 25 million pixels is decoded at a reduced size where that is enough.
    Raises ImageError for anything else, for a side under 32 pixels, for more than 80 million pixels, and for files
    whose decoding is not bounded in time and memory.

    >>> load_image("starry_night", size=128).shape
    torch.Size([1, 3, 102, 128])
    """
    where = f"load_image({described(source)})"
    if size is not None and not (isinstance(size, Integral) and size >= MIN_SIDE):
        raise refusal(where, f"got size={size!r}, expected a whole number of pixels", f"Take {MIN_SIDE} or more.")

    def fit(height: int, width: int) -> tuple[int, int] | None:
        """The wanted height and width, None for the picture's own."""
        if min(height, width) < MIN_SIDE:
            problem = f"got {width} x {height} pixels, expected at least {MIN_SIDE} on the shorter side"
            raise refusal(where, problem, "Take a larger picture.")
        if size is None or size >= max(height, width):
            return None
        target = _scaled(height, width, int(size))
        if min(target) < MIN_SIDE:
            problem = f"size={size} leaves less than {MIN_SIDE} pixels on the shorter side of {width} x {height}"
            enough = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
            raise refusal(where, problem, f"Take size={enough} or more.")
        return target

    return to_tensor(source, where, fit)


def load_alpha(source: str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image) -> Tensor:
    """The alpha channel of a picture as (1, 1, H, W) in [0, 1], all 1 for an opaque one; `save_image` takes it.

    source, limits and errors: as in `load_image`, without arrays and tensors.

    >>> load_alpha(Image.new("RGBA", (64, 48), (255, 0, 0, 51))).unique()
    tensor([0.2000])
    """
    channel = alpha_channel(source, f"load_alpha({described(source)})")
    return torch.from_numpy(np.asarray(channel, dtype=np.float32))[None, None] / 255


def save_image(image: Tensor, path: str | os.PathLike[str], alpha: Tensor | None = None) -> None:
    """Write an image, (1, 3, H, W) or (3, H, W) floats in [0, 1], in the format that the path's suffix names.

    .png, .bmp, .tif and .tiff keep every 8-bit value; .jpg, .jpeg and .webp are written with quality 95.
    alpha: how opaque each pixel is, (1, 1, H, W) in [0, 1], for .png, .webp, .tif and .tiff.
    Missing folders are made. The file appears whole or not at all, and an older one stays until then.
    Raises ImageError for what `to_pil` refuses, for other suffixes and where nothing can be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_image(torch.rand(1, 3, 48, 64), f"{folder}/noise.png")
    ...     load_image(f"{folder}/noise.png").shape
    torch.Size([1, 3, 48, 64])
    """
    path = Path(path)
    where = f"save_image({str(path)!r})"
    if path.suffix.lower() not in WRITERS:
        raise refusal(where, f"unknown format {path.suffix!r}", f"Take one of {', '.join(WRITERS)}.")
    file_format, options = WRITERS[path.suffix.lower()]
    picture = eight_bit_picture(image, where)
    if alpha is not None:
        if path.suffix.lower() not in WITH_ALPHA:
            raise refusal(where, f"{path.suffix} has no alpha channel", f"Take one of {', '.join(WITH_ALPHA)}.")
        picture = with_alpha(picture, alpha, where)
    try:
        with replacing(path) as temporary:
            picture.save(temporary, file_format, **options)
    except (OSError, ValueError, RuntimeError) as error:  # the disk, the encoder, a ~user who is nobody
        reason = getattr(error, "strerror", None) or error
        raise refusal(where, f"it cannot be written ({reason})", "Take another path or format.") from error


def to_pil(image: Tensor) -> Image.Image:
    """An image, (1, 3, H, W) or (3, H, W) floats in [0, 1], as an 8-bit PIL image for notebooks and plots.

    Raises ImageError for other shapes, NaN, infinity, and values further outside [0, 1] than rounding hides.

    >>> to_pil(torch.ones(1, 3, 2, 2)).getpixel((0, 0))
    (255, 255, 255)
    """
    return eight_bit_picture(image, f"to_pil({described(image)})")


def resize(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) of another size, up or down, antialiased and clamped to [0, 1].

    size: the longer side in pixels, which keeps the aspect ratio, or exactly (height, width).
    Raises ImageError for other shapes and for sizes that are not positive whole numbers.

    >>> resize(torch.rand(1, 3, 40, 60), 30).shape
    torch.Size([1, 3, 20, 30])
    >>> resize(torch.rand(1, 3, 40, 60), (50, 50)).shape
    torch.Size([1, 3, 50, 50])
    """
    where = f"resize({described(image)}, {size!r})"
    if not (isinstance(image, Tensor) and image.ndim == 4 and image.is_floating_point() and image.numel()):
        raise refusal(where, "expected a tensor (B, C, H, W) of floats", "load_image makes one.")
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) and side > 0 for side in sides):
        raise refusal(where, "expected whole pixels", "Give the longer side or (height, width).")
    height, width = image.shape[2:]
    target = size if isinstance(size, tuple) else _scaled(height, width, size)
    return torch.clamp(interpolated(image, target), 0, 1).to(image.device)


def _scaled(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) with `size` as the longer side and the same aspect ratio."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def is_gray(image: Tensor) -> bool:
    """Whether red, green and blue are equal at every pixel, up to one of 255 levels.

    image: (1, 3, H, W) in [0, 1].

    >>> is_gray(torch.full((1, 3, 2, 2), 0.5)), is_gray(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))
    (True, False)
    """
    return bool((image.amax(dim=1) - image.amin(dim=1)).max() <= 1.001 / 255)


def without_color(image: Tensor) -> Tensor:
    """The image with each pixel's three colors replaced by their mean.

    image: (1, 3, H, W). Gives a new image of that shape.

    >>> without_color(torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)).flatten()
    tensor([1., 1., 1.])
    """
    return image.mean(dim=1, keepdim=True).repeat(1, 3, 1, 1)
