"""A decoded picture in strips of rows, opaque, in 8-bit sRGB: so that no second copy of a large one is made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from nstlab.base.files.decoding import refusal

PIXELS = 1_000_000  # of a strip: 12 MB as floats
SRGB = ImageCms.createProfile("sRGB")


def rows_of_a_strip(width: int) -> int:
    """The number of rows, at least 1, that make about PIXELS pixels.

    >>> rows_of_a_strip(4000)
    250
    """
    return max(1, PIXELS // width)


def rgb_strips(picture: Image.Image, call: str) -> Iterator[np.ndarray]:
    """The strips of a picture from top to bottom, (rows, W, 3) uint8, over white and in sRGB.

    call: the prefix of errors. Raises ImageError for levels of gray that are out of range.

    >>> [strip.shape for strip in rgb_strips(Image.new("LA", (800_000, 3)), "test")]
    [(1, 800000, 3), (1, 800000, 3), (1, 800000, 3)]
    """
    rows, to_srgb = rows_of_a_strip(picture.width), None
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        strip = _opaque(_eight_bits(strip, call))
        to_srgb = to_srgb or _to_srgb(strip.mode, picture.info.get("icc_profile"), call)
        yield np.asarray(to_srgb(strip))


def _eight_bits(picture: Image.Image, call: str) -> Image.Image:
    """Gray pictures of 16-bit integers or floats scaled to 8 bits; PIL scales only color pictures."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    white = 1 if picture.mode == "F" else 65535
    levels = np.asarray(picture, dtype=np.float64)
    if not (levels.min() >= 0 and levels.max() <= white):  # also true for NaN
        problem = f"got gray levels from {levels.min():g} to {levels.max():g}, expected 0 to {white}"
        raise refusal(call, problem, "Save the picture with 8 or 16 bits.")
    return Image.fromarray((levels * (255 / white)).round().astype(np.uint8))


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture over a white background, without a palette.

    Gray, CMYK and Lab are not yet converted to RGB, because the color profile refers to them.
    """
    gray = picture.mode in ("1", "L", "LA", "La")
    if not picture.has_transparency_data:
        return picture if picture.mode in ("CMYK", "LAB") else picture.convert("L" if gray else "RGB")
    picture = picture.convert("LA" if gray else "RGBA")
    color = picture.convert("L" if gray else "RGB")
    color.paste("white", mask=ImageOps.invert(picture.getchannel("A")))
    return color


def _to_srgb(mode: str, profile: bytes | None, call: str) -> Callable[[Image.Image], Image.Image]:
    """The conversion of pictures of a mode from a color profile; without a profile their colors are taken for sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            # many gray pictures carry an RGB profile
            before = "RGB" if source.profile.xcolor_space == "RGB " else mode
            transform = ImageCms.buildTransform(source, SRGB, before, "RGB")
            return lambda picture: transform.apply(picture.convert(before))
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            warnings.warn(f"{call}: its color profile is not used ({error}).", stacklevel=6)
    return lambda picture: picture.convert("RGB")
