"""Conversion of pixels to an image tensor and back: the second half of `load_image`, and `to_pil`."""

from __future__ import annotations

import math
import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nstlab.files.decoding import decode_file, decode_picture, refusal

TOLERANCE = 0.5 / 255  # values outside [0, 1] by at most this still round to 0 or 255


def described(source: object) -> str:
    """The description of a picture in error messages: its path, or its type and size.

    >>> described("horses"), described(b"123"), described(torch.zeros(3, 2, 2))
    ("'horses'", '3 bytes', 'Tensor, (3, 2, 2), torch.float32')
    """
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"{len(source):,} bytes"
    if isinstance(source, Image.Image):
        return f"PIL image, {source.mode}, {source.width} x {source.height}"
    if isinstance(source, (np.ndarray, Tensor)):
        return f"{type(source).__name__}, {tuple(source.shape)}, {source.dtype}"
    return type(source).__name__


def to_tensor(source: object, call: str) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of a path, bytes, a PIL image, an array or a tensor.

    call: the prefix of errors. Raises ImageError for other types, shapes and values.
    """
    if isinstance(source, Tensor):
        pixels = three_channels(source, call).permute(1, 2, 0)
        pixels = pixels.float() if pixels.is_floating_point() else pixels  # NumPy has no bfloat16
        return from_array(pixels.numpy(), call)
    if isinstance(source, np.ndarray):
        return from_array(source, call)
    if isinstance(source, Image.Image):
        return from_array(np.asarray(decode_picture(source, call)), call)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return from_array(np.asarray(decode_file(source, call)), call)
    if isinstance(source, (str, os.PathLike)):
        return from_array(np.asarray(decode_file(os.fspath(source), call)), call)
    remedy = "Give a sample's name, a path, bytes, a PIL image, an array or a tensor."
    raise refusal(call, "this type cannot hold a picture", remedy)


def from_array(array: np.ndarray, call: str) -> Tensor:
    """The float32 tensor (1, 3, H, W) in [0, 1] of an array (H, W), (H, W, 3) or (H, W, 4).

    Raises ImageError for other shapes, dtypes and values.
    """
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise refusal(call, "a picture cannot have this shape", "Give (H, W), (H, W, 3) or (H, W, 4).")
    if array.dtype.kind == "f":
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
