"""Pixels of any kind to an image tensor and back: the second half of `load_image`, and all of `to_pil`."""

from __future__ import annotations

import math
import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nstlab.files.decoding import decode_file, decode_picture, refusal

STRAY = 0.5 / 255  # values outside [0, 1] by no more than this still round to 0 or 255


def described(source: object) -> str:
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


def to_tensor(source: object, where: str) -> Tensor:
    """(1, 3, H, W) from whatever holds a picture."""
    if isinstance(source, Tensor):
        pixels = three_channels(source, where).permute(1, 2, 0)
        # NumPy knows no bfloat16
        return from_array((pixels.float() if pixels.is_floating_point() else pixels).numpy(), where)
    if isinstance(source, np.ndarray):
        return from_array(source, where)
    if isinstance(source, Image.Image):
        return from_array(np.asarray(decode_picture(source, where)), where)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return from_array(np.asarray(decode_file(source, where)), where)
    if isinstance(source, (str, os.PathLike)):
        return from_array(np.asarray(decode_file(os.fspath(source), where)), where)
    way_out = "Give a sample's name, a path, bytes, a PIL image, an array or a tensor."
    raise refusal(where, "this cannot hold a picture", way_out)


def from_array(array: np.ndarray, where: str) -> Tensor:
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


def eight_bit_picture(image: object, where: str) -> Image.Image:
    """The 8-bit PIL image of a float image."""
    pixels = three_channels(image, where)
    if not pixels.is_floating_point():
        problem = f"{pixels.dtype} came, expected floats in [0, 1]"
        raise refusal(where, problem, "load_image makes such a tensor.")
    levels = (in_range(pixels.float(), where) * 255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def three_channels(image: object, where: str) -> Tensor:
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
