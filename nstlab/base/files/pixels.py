"""Conversion of pixels to an image tensor and back: the last part of `load_image`, and `to_pil`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nstlab.base.files.decoding import Decoded, Fit, Sides, check_pixels, decode_file, decode_picture, refusal
from nstlab.base.files.strips import rgb_strips, rows_of_a_strip

TOLERANCE = 0.5 / 255  # values outside [0, 1] by at most this still round to 0 or 255
LONGEST_PATH = 1000  # characters of an error message


def described(source: object) -> str:
    """The description of a picture in error messages: its path, or its type and size.

    >>> described("horses"), described(b"123"), described(torch.zeros(3, 2, 2))
    ("'horses'", '3 bytes', 'Tensor, (3, 2, 2), torch.float32')
    """
    if isinstance(source, (str, os.PathLike)):
        path = repr(os.fspath(source))
        return path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}..., {len(path):,} characters"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"{memoryview(source).nbytes:,} bytes"
    if isinstance(source, Image.Image):
        return f"PIL image, {source.mode}, {source.width} x {source.height}"
    if isinstance(source, (np.ndarray, Tensor)):
        return f"{type(source).__name__}, {tuple(source.shape)}, {source.dtype}"
    return type(source).__name__


def own_size(height: int, width: int) -> Sides | None:
    """The `fit` of `to_tensor` that leaves every picture as large as it is."""
    return None


def to_tensor(source: object, call: str, fit: Fit = own_size) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of a path, bytes, a PIL image, an array or a tensor.

    call: the prefix of errors. fit: the wanted size, (height, width), for the picture's own; None leaves it.
    Raises ImageError for other types, shapes and values.
    """
    if isinstance(source, Tensor):
        pixels = three_channels(source, call).permute(1, 2, 0)
        pixels = pixels.float() if pixels.is_floating_point() else pixels  # NumPy has no bfloat16
        return from_array(pixels.numpy(), call, fit)
    if isinstance(source, np.ndarray):
        return from_array(source, call, fit)
    if isinstance(source, Image.Image):
        return from_picture(decode_picture(source, call, fit), call)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return from_picture(decode_file(source, call, fit), call)
    if isinstance(source, (str, os.PathLike)):
        return from_picture(decode_file(os.fsdecode(source), call, fit), call)
    remedy = "Give a sample's name, a path, bytes, a PIL image, an array or a tensor."
    raise refusal(call, "this type cannot hold a picture", remedy)


def from_picture(decoded: Decoded, call: str) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of a decoded picture."""
    picture, target = decoded
    strips = (to_floats(strip, call) for strip in rgb_strips(picture, call))
    return assembled(strips, picture.height, picture.width, target)


def from_array(array: np.ndarray, call: str, fit: Fit) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of an array (H, W), (H, W, 3) or (H, W, 4).

    Raises ImageError for other shapes, dtypes and values.
    """
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise refusal(call, "a picture cannot have this shape", "Give (H, W), (H, W, 3) or (H, W, 4).")
    height, width = array.shape[:2]
    check_pixels(height, width, call)
    target, rows = fit(height, width), rows_of_a_strip(width)
    strips = (to_floats(array[top : top + rows], call) for top in range(0, height, rows))
    return assembled(strips, height, width, target)


def to_floats(array: np.ndarray, call: str) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of an array of pixels, as `from_array` takes it."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what no float32 can hold becomes infinite and is refused
            pixels = in_range(torch.from_numpy(array.astype(np.float32)), call)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        pixels = torch.from_numpy(array.astype(np.float32)) / np.iinfo(array.dtype).max
    else:
        raise refusal(call, f"{array.dtype} is not supported", "Convert it to uint8, uint16 or floats in [0, 1].")
    if pixels.ndim == 2:
        pixels = pixels[..., None].expand(-1, -1, 3)
    if pixels.shape[2] == 4:
        color, alpha = pixels.split((3, 1), dim=2)
        pixels = color * alpha + (1 - alpha)  # over a white background
    return pixels.permute(2, 0, 1)[None].contiguous()


def assembled(strips: Iterable[Tensor], height: int, width: int, target: Sides | None) -> Tensor:
    """The image (1, 3, H, W) of its strips from top to bottom, each (1, 3, rows, W), of the target's size.

    Every strip is made narrower as it comes, so that a large picture never exists in floats. An antialiased resize
    is separable: the result is the same as that of the whole.
    """
    columns = target[1] if target else width
    image, top = torch.empty(1, 3, height, columns, dtype=torch.float32, device="cpu"), 0
    for strip in strips:
        bottom = top + strip.shape[2]
        image[:, :, top:bottom] = interpolated(strip, (bottom - top, columns)) if target else strip
        top = bottom
    return interpolated(image, target).clamp(0, 1) if target else image


def interpolated(image: Tensor, size: Sides) -> Tensor:
    """Images (B, C, H, W) of another size, antialiased, not clamped.

    On the CPU: not every device can antialias, and all machines get the same pixels.
    """
    return torch.nn.functional.interpolate(image.cpu(), size, mode="bicubic", antialias=True, align_corners=False)


def eight_bit_picture(image: object, call: str) -> Image.Image:
    """The 8-bit PIL image of a float image, (1, 3, H, W) or (3, H, W) in [0, 1].

    Raises ImageError for other types, shapes and values.
    """
    pixels = three_channels(image, call)
    if not pixels.is_floating_point():
        problem = f"got {pixels.dtype}, expected floats in [0, 1]"
        raise refusal(call, problem, "load_image gives such a tensor.")
    levels = (in_range(pixels.float(), call) * 255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def three_channels(image: object, call: str) -> Tensor:
    """The image (3, H, W) or (1, 3, H, W) as (3, H, W), detached and on the CPU. Raises ImageError for other shapes."""
    if not isinstance(image, Tensor):
        raise refusal(call, f"got {type(image).__name__}, expected a tensor", "load_image gives one.")
    if image.is_meta or image.is_quantized or image.layout != torch.strided:
        kind = "a meta" if image.is_meta else "a quantized" if image.is_quantized else "a sparse"
        raise refusal(call, f"got {kind} tensor, expected one with all its values", "Make it with dense floats.")
    pixels = image[0] if image.ndim == 4 and len(image) == 1 else image
    if pixels.ndim != 3 or len(pixels) != 3 or not pixels.numel():
        problem = f"got shape {tuple(image.shape)}, expected (1, 3, H, W) or (3, H, W)"
        raise refusal(call, problem, "Move the channels with permute, or select one image of the batch.")
    return pixels.detach().cpu()


def in_range(pixels: Tensor, call: str) -> Tensor:
    """The pixels clamped to [0, 1], if no value is further outside than rounding to 8 bits hides.

    call: the prefix of errors. Raises ImageError for NaN, infinity, and values further outside.

    >>> in_range(torch.tensor([-1e-4, 0.5, 1.0]), "start")
    tensor([0.0000, 0.5000, 1.0000])
    """
    low, high = pixels.min().item(), pixels.max().item()
    if not math.isfinite(high - low):
        raise refusal(call, "NaN or infinity found, expected [0, 1]", "Find the step that produces it.")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        problem = f"got values from {low:g} to {high:g}, expected [0, 1]"
        raise refusal(call, problem, "Clamp them, or divide 0..255 by 255.")
    return pixels.clamp(0, 1)
