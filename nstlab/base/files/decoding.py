"""Decoding of picture files, bounded in time and memory, and upright: the first part of `load_image`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from nstlab.base.files.limits import MAX_BYTES, MAX_PIXELS, Metered, TooMuch, check_exif, check_jpeg
from nstlab.base.files.sample_images import samples

REDUCED = 25_000_000  # pixels: a larger JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is enough
ENOUGH = 4  # times the wanted size; what is left is resized as any picture is
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1", b"ftypavif")  # bytes 4 to 11
AS_JPEG = "Save it as JPEG: export it in a picture viewer, or set an iPhone's camera to the format Most Compatible."
COPY_AGAIN = "Copy or download it again."
SAVE_AGAIN = "Open it in another program and save it as a plain JPEG or PNG, without metadata."
REDUCE = "Reduce it with another program first."
TO_UPRIGHT = {  # the transposition for each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)  # the orientations that exchange height and width
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF
Sides = tuple[int, int]  # height, width
Fit = Callable[[int, int], Sides | None]  # the wanted size of a picture (height, width), None for its own


class ImageError(ValueError):
    """A picture cannot be read, used or written; the message names the picture, the reason and a remedy.

    >>> from nstlab import load_image
    >>> load_image(b"")
    Traceback (most recent call last):
    nstlab.base.files.decoding.ImageError: load_image(0 bytes): the file is empty. Copy or download it again.
    """


def refusal(call: str, problem: str, remedy: str) -> ImageError:
    """An ImageError in the form that all messages share; `call` is, for example, load_image('holiday.jpg').

    >>> refusal("load_image('holiday.jpg')", "the file is empty", "Copy or download it again.")
    ImageError("load_image('holiday.jpg'): the file is empty. Copy or download it again.")
    """
    return ImageError(f"{call}: {problem}. {remedy}")


class Decoded(NamedTuple):
    """A PIL image, upright and decoded, and the size that it shall have, (height, width), or None for its own."""

    picture: Image.Image
    target: Sides | None


def decode_file(source: str | bytes | bytearray | memoryview, call: str, fit: Fit) -> Decoded:
    """The decoded picture of a sample's name, a path or the bytes of a file.

    call: the prefix of errors. fit: gives the wanted size for (height, width), or raises, before anything is decoded.
    Raises ImageError if the file cannot be opened or decoded, or is beyond a limit.
    """
    with _open(source, call) if isinstance(source, str) else BytesIO(bytes(source)) as file:
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            raise refusal(call, "the file is empty", COPY_AGAIN)
        if length > MAX_BYTES:
            raise refusal(call, f"the file has {length:,} bytes, more than {MAX_BYTES:,}, which is the limit", REDUCE)
        end = f" after {length:,} bytes"
        metered = Metered(file, length)
        picture = _identify(metered, call, end)
        target = _target(picture, call, fit)
        if target and picture.width * picture.height > REDUCED:
            factor = _reduction(picture.height, picture.width, target)
            picture.draft(None, (picture.width // factor, picture.height // factor))
        metered.allow_pixels()
        return _decoded(picture, target, call, end)


def _reduction(height: int, width: int, target: Sides) -> int:
    """The factor, 1, 2, 4 or 8, by which a JPEG may be decoded smaller on its way to a target (height, width).

    It divides both sides, because the decoder rounds them up, which would stretch the picture.

    >>> _reduction(6000, 8000, (384, 512)), _reduction(6000, 8001, (384, 512))
    (2, 1)
    """
    enough = min(height // target[0], width // target[1]) // ENOUGH
    return max(factor for factor in (1, 2, 4, 8) if factor <= max(1, enough) and height % factor == width % factor == 0)


def decode_picture(picture: Image.Image, call: str, fit: Fit) -> Decoded:
    """The decoded picture of a PIL image, which may be a file that was opened and not yet read.

    call, fit and errors: those of `decode_file`.
    """
    file = getattr(picture, "fp", None)
    if file is not None and picture.format in ("JPEG", "MPO"):
        try:
            check_jpeg(file)
        except Exception as error:  # of a closed file, too
            raise _damaged(call, error, "") from error
    return _decoded(picture, _target(picture, call, fit), call)


def _target(picture: Image.Image, call: str, fit: Fit) -> Sides | None:
    """The wanted size of a picture whose header has been read. Raises ImageError if it is too large to be decoded."""
    check_pixels(picture.height, picture.width, call)
    tags = getattr(picture, "tag_v2", {})  # a TIFF file is decoded tile by tile
    length, width = tags.get(TILE_LENGTH), tags.get(TILE_WIDTH)
    if isinstance(length, int) and isinstance(width, int):
        check_pixels(length, width, call)
    return fit(picture.height, picture.width)


def check_pixels(height: int, width: int, call: str) -> None:
    """Raise ImageError for more than MAX_PIXELS pixels.

    >>> check_pixels(8_000, 10_000, "load_image('poster.png')")
    """
    if height * width > MAX_PIXELS:
        raise _too_large(call)


def _decoded(picture: Image.Image, target: Sides | None, call: str, end: str = "") -> Decoded:
    """The picture with its pixels decoded, and upright.

    end: where the file ends, such as " after 512 bytes", if that is known; an error about a truncated file quotes it.
    """
    try:
        _check_strips(picture)
        picture.load()
        orientation = _orientation(picture)
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError and others for damaged files
        raise _damaged(call, error, end) from error
    if orientation in TO_UPRIGHT:
        picture = picture.transpose(TO_UPRIGHT[orientation])
    return Decoded(picture, target[::-1] if target and orientation in LYING else target)


def _check_strips(picture: Image.Image) -> None:
    """Raise OSError for a TIFF file whose strips end before its last row: the rest would be black, without a word."""
    strips = getattr(picture, "tile", None) if picture.format == "TIFF" else None
    rows = max(strip[1][3] for strip in strips) if strips else picture.height
    if rows < picture.height:
        raise OSError(f"it is truncated: {rows:,} of {picture.height:,} rows are there")


def _open(source: str, call: str) -> BinaryIO:
    """The opened file of a sample's name or a path."""
    if source.startswith(("http://", "https://")):
        raise refusal(call, "web addresses are not read", "Download the picture and give its path.")
    sample_paths = {sample.name: sample.path for sample in samples()}
    path = sample_paths.get(source) or Path(os.path.expanduser(source))
    try:
        if path.is_fifo():  # opening it waits until somebody writes to it
            raise OSError("it is a pipe")
        return path.open("rb")
    except FileNotFoundError as error:
        similar = difflib.get_close_matches(path.stem, sample_paths, n=1)
        remedy = f"Did you mean the sample {similar[0]!r}?" if similar else "samples() lists all samples."
        problem = f"no sample has this name, and there is no such file in {str(path.absolute().parent)!r}"
        raise refusal(call, problem, remedy) from error
    except (OSError, ValueError) as error:
        problem = f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise refusal(call, problem, "Give the path of a file that you may read.") from error


def _identify(file: Metered, call: str, end: str) -> Image.Image:
    """The picture with its header read and its pixels not yet decoded."""
    try:
        check_jpeg(file.file)
        file.seek(0)
        return Image.open(cast(BinaryIO, file), formats=[name.upper() for name in FORMATS])
    except UnidentifiedImageError as error:
        if _is_heic(file.file):
            raise refusal(call, "it is a HEIC or AVIF file, which is not read", AS_JPEG) from error
        problem = "its first bytes are not those of a known picture format"
        raise refusal(call, problem, f"Give a complete file in one of the formats {', '.join(FORMATS)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(call) from error
    except Exception as error:  # damaged headers raise exceptions of many kinds
        raise _damaged(call, error, end) from error


def _is_heic(file: BinaryIO) -> bool:
    """Whether a file begins like the pictures of an iPhone, HEIC, or like its sister AVIF."""
    file.seek(4)
    return file.read(8) in HEIC_BRANDS


def _damaged(call: str, error: Exception, end: str) -> ImageError:
    """The ImageError for an exception from a decoder."""
    if isinstance(error, TooMuch):
        return refusal(call, str(error), SAVE_AGAIN)
    # Pillow's limits for what a PNG file holds beside its pixels; Pillow 10 does not name the limit
    if "MAX_TEXT" in str(error) or str(error) == "Decompressed Data Too Large":
        return refusal(call, "its text or its color profile is too large", SAVE_AGAIN)
    if "truncated" in str(error).lower():
        problem = f"the file is cut off: it ends{end} in the middle of the picture"
    else:
        problem = f"the file is damaged or cut off ({error})"
    return refusal(call, problem, COPY_AGAIN)


def _too_large(call: str) -> ImageError:
    """The ImageError for the size that the header states, raised before any memory is allocated."""
    problem = f"by its header it has more than {MAX_PIXELS:,} pixels, which is the limit"
    return refusal(call, problem, REDUCE)


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation of a picture, 1 for upright. Raises TooMuch for EXIF data beyond the limit.

    PIL's exif_transpose is not used: it also rewrites the EXIF data, and fails if any other part of them is damaged.
    """
    check_exif(max(len(picture.info.get(key, "")) for key in ("exif", "Raw profile type exif")))
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raise many kinds of exceptions, but the pixels are intact
        return 1
