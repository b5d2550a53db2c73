"""Pictures to tensors and back: an image is (1, 3, H, W), float32, RGB, in [0, 1] all over this package."""

from __future__ import annotations

import math
import os
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from nstlab.decode import ImageError, decode_file, decode_picture, refusal
from nstlab.files import replacing
from nstlab.gallery import Sample, samples

__all__ = ["ImageError", "ImageSource", "Sample", "load_image", "resize", "samples", "save_image", "to_pil"]

MIN_SIDE = 32  # pixels: so that block 5 of a VGG, behind four poolings, still has two places a side
STRAY = 0.5 / 255  # values outside [0, 1] by no more than this still round to 0 or 255
WRITERS: dict[str, tuple[str, dict[str, int]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"quality": 95}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
}
ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray | Tensor


def load_image(source: ImageSource, size: int | None = None) -> Tensor:
    """A picture as (1, 3, H, W) float32 RGB in [0, 1] on the CPU.

    source: a sample's name such as "starry_night"; the path or the bytes of a JPEG, PNG, WebP, BMP, TIFF or
    GIF (its first frame); a PIL image; an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (1, 3, H, W) or
    (3, H, W), of uint8, uint16 or floats in [0, 1]. Transparency is laid over white.
    size: a bound for the longer side in pixels; a smaller picture stays as it is.
    Raises ImageError for anything else, for a side under 32 pixels and for more than 80 million pixels.

    >>> load_image("starry_night", size=128).shape
    torch.Size([1, 3, 102, 128])
    """
    where = f"load_image({_describe(source)})"
    if size is not None and not (isinstance(size, Integral) and size >= MIN_SIDE):
        raise refusal(where, f"size={size!r} came, expected whole pixels", f"Take {MIN_SIDE} or more.")
    image = _to_tensor(source, where)
    height, width = image.shape[2:]
    if min(height, width) < MIN_SIDE:
        problem = f"{width} x {height} pixels came, expected at least {MIN_SIDE} on the shorter side"
        raise refusal(where, problem, "Take a larger picture.")
    if size is None or size >= max(height, width):
        return image
    if min(_scaled(height, width, size)) < MIN_SIDE:
        problem = f"size={size} leaves less than {MIN_SIDE} pixels on the shorter side of {width} x {height}"
        enough = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
        raise refusal(where, problem, f"Take size={enough} or more.")
    return resize(image, size)


def save_image(image: Tensor, path: str | os.PathLike[str]) -> None:
    """Write an image, (1, 3, H, W) or (3, H, W) floats in [0, 1], in the format that the path's suffix names.

    .png, .bmp, .tif and .tiff keep every 8-bit value; .jpg, .jpeg and .webp are written with quality 95.
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
    picture = _to_pil(image, where)
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
    return _to_pil(image, f"to_pil({_describe(image)})")


def resize(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) of another size, up or down, antialiased and clamped to [0, 1].

    size: the longer side in pixels, which keeps the aspect ratio, or exactly (height, width).
    Raises ImageError for other shapes and for sizes that are not positive whole numbers.

    >>> resize(torch.rand(1, 3, 40, 60), 30).shape
    torch.Size([1, 3, 20, 30])
    >>> resize(torch.rand(1, 3, 40, 60), (50, 50)).shape
    torch.Size([1, 3, 50, 50])
    """
    where = f"resize({_describe(image)}, {size!r})"
    if not (isinstance(image, Tensor) and image.ndim == 4 and image.is_floating_point() and image.numel()):
        raise refusal(where, "expected a tensor (B, C, H, W) of floats", "load_image makes one.")
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) and side > 0 for side in sides):
        raise refusal(where, "expected whole pixels", "Give the longer side or (height, width).")
    height, width = image.shape[2:]
    target = size if isinstance(size, tuple) else _scaled(height, width, size)
    # on the CPU wherever the image lives: not every backend antialiases, and all machines get the same pixels
    resized = interpolate(image.cpu(), target, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1).to(image.device)


def _scaled(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) with `size` as the longer side and the same aspect ratio."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _describe(source: object) -> str:
    """How an error names a picture: by its path, or by the kind of object it is."""
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"{len(source):,} bytes"
    if isinstance(source, Image.Image):
        return f"PIL image, {source.mode}, {source.width} x {source.height}"
    if isinstance(source, (np.ndarray, Tensor)):
        return f"{type(source).__name__}, {tuple(source.shape)}, {source.dtype}"
    return type(source).__name__


def _to_tensor(source: object, where: str) -> Tensor:
    """(1, 3, H, W) from whatever holds a picture."""
    if isinstance(source, Tensor):
        pixels = _three_channels(source, where).permute(1, 2, 0)
        # NumPy knows no bfloat16
        return _from_array((pixels.float() if pixels.is_floating_point() else pixels).numpy(), where)
    if isinstance(source, np.ndarray):
        return _from_array(source, where)
    if isinstance(source, Image.Image):
        return _from_array(np.asarray(decode_picture(source, where)), where)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_array(np.asarray(decode_file(source, where)), where)
    if isinstance(source, (str, os.PathLike)):
        return _from_array(np.asarray(decode_file(os.fspath(source), where)), where)
    way_out = "Give a sample's name, a path, bytes, a PIL image, an array or a tensor."
    raise refusal(where, "this cannot hold a picture", way_out)


def _from_array(array: np.ndarray, where: str) -> Tensor:
    """(1, 3, H, W) from an array with its channels last."""
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise refusal(where, "the shape is no picture's", "Give (H, W), (H, W, 3) or (H, W, 4).")
    if array.dtype.kind == "f":
        pixels = in_range(torch.from_numpy(array.astype(np.float32)), where)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        pixels = torch.from_numpy(array.astype(np.float32)) / np.iinfo(array.dtype).max
    else:
        raise refusal(where, f"{array.dtype} came", "Convert it to uint8, uint16 or floats in [0, 1].")
    if pixels.ndim == 2:
        pixels = pixels[..., None].expand(-1, -1, 3)
    if pixels.shape[2] == 4:
        color, alpha = pixels.split((3, 1), dim=2)
        pixels = color * alpha + (1 - alpha)  # over white
    return pixels.permute(2, 0, 1)[None].contiguous()


def _to_pil(image: object, where: str) -> Image.Image:
    """The 8-bit PIL image of a float image."""
    pixels = _three_channels(image, where)
    if not pixels.is_floating_point():
        problem = f"{pixels.dtype} came, expected floats in [0, 1]"
        raise refusal(where, problem, "load_image makes such a tensor.")
    levels = (in_range(pixels.float(), where) * 255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def _three_channels(image: object, where: str) -> Tensor:
    """The (3, H, W) in an image tensor, on the CPU and without its gradient."""
    if not isinstance(image, Tensor):
        raise refusal(where, f"{type(image).__name__} came, expected a tensor", "load_image makes one.")
    pixels = image[0] if image.ndim == 4 and len(image) == 1 else image
    if pixels.ndim != 3 or len(pixels) != 3 or not pixels.numel():
        problem = f"shape {tuple(image.shape)} came, expected (1, 3, H, W) or (3, H, W)"
        raise refusal(where, problem, "Move the channels with permute, or pick one image of a batch.")
    return pixels.detach().cpu()


def in_range(pixels: Tensor, where: str) -> Tensor:
    """The values, clamped to [0, 1] where rounding to 8 bits would do the same. where: how an error names them.

    Raises ImageError for NaN, infinity, and values further outside.

    >>> in_range(torch.tensor([-1e-4, 0.5, 1.0]), "start")
    tensor([0.0000, 0.5000, 1.0000])
    """
    low, high = pixels.min().item(), pixels.max().item()
    if not math.isfinite(high - low):
        raise refusal(where, "NaN or infinity came, expected [0, 1]", "Look for the step that makes it.")
    if low < -STRAY or high > 1 + STRAY:
        problem = f"values from {low:g} to {high:g} came, expected [0, 1]"
        raise refusal(where, problem, "Clamp them, or divide 0..255 by 255.")
    return pixels.clamp(0, 1)


def is_gray(image: Tensor) -> bool:
    """Whether red, green and blue are the same everywhere, to one of 255 levels.

    image: (1, 3, H, W) in [0, 1].

    >>> is_gray(torch.full((1, 3, 2, 2), 0.5)), is_gray(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))
    (True, False)
    """
    return bool((image.amax(dim=1) - image.amin(dim=1)).max() <= 1.001 / 255)


def without_color(image: Tensor) -> Tensor:
    """Each pixel's three colors brought to their mean.

    image: (1, 3, H, W). Gives a new image of that shape.

    >>> without_color(torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1)).flatten()
    tensor([1., 1., 1.])
    """
    return image.mean(dim=1, keepdim=True).repeat(1, 3, 1, 1)
