"""Decoding of picture files to upright, opaque, 8-bit sRGB: the first half of `load_image`."""

from __future__ import annotations

import difflib
import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from nstlab.files.sample_images import samples

MAX_PIXELS = 80_000_000  # 960 MB as a float32 tensor; a larger size in a header may be a decompression bomb
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
COPY_AGAIN = "Copy or download it again."
SRGB = ImageCms.createProfile("sRGB")
TO_UPRIGHT = {  # the transposition for each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture cannot be read, used or written; the message names the picture, the reason and a remedy."""


def refusal(call: str, problem: str, remedy: str) -> ImageError:
    """An ImageError in the form that all messages share; `call` is, for example, load_image('holiday.jpg').

    >>> refusal("load_image('holiday.jpg')", "the file is empty", "Copy or download it again.")
    ImageError("load_image('holiday.jpg'): the file is empty. Copy or download it again.")
    """
    return ImageError(f"{call}: {problem}. {remedy}")


def decode_file(source: str | bytes | bytearray | memoryview, call: str) -> Image.Image:
    """The decoded picture of a sample's name, a path or the bytes of a file; `call` is the prefix of errors.

    Raises ImageError if it cannot be opened or decoded.
    """
    with _open(source, call) if isinstance(source, str) else BytesIO(source) as file:
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            raise refusal(call, "the file is empty", COPY_AGAIN)
        end = f" after {length:,} bytes"
        return decode_picture(_identify(file, call, end), call, end)


def decode_picture(picture: Image.Image, call: str, end: str = "") -> Image.Image:
    """The PIL image upright, opaque and in sRGB.

    call: the prefix of errors. end: where the file ends, such as " after 512 bytes", if that is known; an error about a
    truncated file quotes it. Raises ImageError if the picture is too large or damaged.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large(call)
    try:
        picture.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError and others for damaged files
        raise _damaged(call, error, end) from error
    profile = picture.info.get("icc_profile")
    return _to_srgb(_opaque(_eight_bits(_upright(picture), call)), profile, call)


def _open(source: str, call: str) -> BinaryIO:
    """The opened file of a sample's name or a path."""
    if source.startswith(("http://", "https://")):
        raise refusal(call, "web addresses are not read", "Download the picture and give its path.")
    sample_paths = {sample.name: sample.path for sample in samples()}
    path = sample_paths.get(source) or Path(os.path.expanduser(source))
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        similar = difflib.get_close_matches(path.stem, sample_paths, n=1)
        remedy = f"Did you mean the sample {similar[0]!r}?" if similar else "samples() lists all samples."
        problem = f"no sample has this name, and there is no such file in {path.absolute().parent}"
        raise refusal(call, problem, remedy) from error
    except (OSError, ValueError) as error:
        problem = f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise refusal(call, problem, "Give the path of a file that you may read.") from error


def _identify(file: BinaryIO, call: str, end: str) -> Image.Image:
    """The picture with its header read and its pixels not yet decoded."""
    try:
        return Image.open(file, formats=[name.upper() for name in FORMATS])
    except UnidentifiedImageError as error:
        problem = "its first bytes are not those of a known picture format"
        raise refusal(call, problem, f"Give a complete file in one of the formats {', '.join(FORMATS)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(call) from error
    except Exception as error:  # damaged headers raise exceptions of many kinds
        raise _damaged(call, error, end) from error


def _damaged(call: str, error: Exception, end: str) -> ImageError:
    """The ImageError for an exception from a decoder."""
    if "truncated" in str(error).lower():
        problem = f"the file is cut off: it ends{end} in the middle of the picture"
    else:
        problem = f"the file is damaged or cut off ({error})"
    return refusal(call, problem, COPY_AGAIN)


def _too_large(call: str) -> ImageError:
    """The ImageError for the size that the header states, raised before any memory is allocated."""
    problem = f"by its header it has more than {MAX_PIXELS:,} pixels, which is the limit"
    return refusal(call, problem, "Reduce it with another program first.")


def _upright(picture: Image.Image) -> Image.Image:
    """The picture rotated and mirrored as its EXIF orientation says.

    PIL's exif_transpose is not used: it also rewrites the EXIF data, and fails if any other part of them is damaged.
    """
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data raise many kinds of exceptions, but the pixels are intact
        return picture
    return picture.transpose(TO_UPRIGHT[orientation]) if orientation in TO_UPRIGHT else picture


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


def _to_srgb(picture: Image.Image, profile: bytes | None, call: str) -> Image.Image:
    """The picture in sRGB, converted from its color profile; without a profile its colors are assumed to be sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if source.profile.xcolor_space == "RGB ":
                picture = picture.convert("RGB")  # many gray pictures carry an RGB profile
            return ImageCms.buildTransform(source, SRGB, picture.mode, "RGB").apply(picture)
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            warnings.warn(f"{call}: its color profile is not used ({error}).", stacklevel=4)
    return picture.convert("RGB")
