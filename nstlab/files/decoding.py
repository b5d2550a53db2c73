"""Picture files of all kinds, decoded to upright, opaque, 8-bit sRGB: the first half of `load_image`."""

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

MAX_PIXELS = 80_000_000  # 960 MB as a float32 tensor; what claims more may be a bomb made to fill the memory
FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF")
COPY_AGAIN = "Copy or download it again."
SRGB = ImageCms.createProfile("sRGB")
TURNS = {  # EXIF orientation: what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture that cannot be read, used or written: the message says which, why, and the way out."""


def refusal(where: str, problem: str, way_out: str) -> ImageError:
    """The one form of all messages; `where` is the call, such as load_image('holiday.jpg')."""
    return ImageError(f"{where}: {problem}. {way_out}")


def decode_file(source: str | bytes | bytearray | memoryview, where: str) -> Image.Image:
    """The picture in a sample, a file or the bytes of one."""
    with _open(source, where) if isinstance(source, str) else BytesIO(source) as file:
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            raise refusal(where, "the file is empty", COPY_AGAIN)
        ending = f" after {length:,} bytes"
        return decode_picture(_identify(file, where, ending), where, ending)


def decode_picture(picture: Image.Image, where: str, ending: str = "") -> Image.Image:
    """The PIL image upright, opaque and in sRGB; `ending` says where its file ends, if that is known."""
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large(where)
    try:
        picture.load()
    except Exception as error:  # damage makes decoders raise OSError, SyntaxError, ValueError and more
        raise _damaged(where, error, ending) from error
    profile = picture.info.get("icc_profile")
    return _to_srgb(_opaque(_eight_bits(_upright(picture), where)), profile, where)


def _open(source: str, where: str) -> BinaryIO:
    """The open file of a sample or a path."""
    if source.startswith(("http://", "https://")):
        raise refusal(where, "web addresses are not read", "Download the picture and give its path.")
    sample_paths = {sample.name: sample.path for sample in samples()}
    path = sample_paths.get(source) or Path(os.path.expanduser(source))
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        nearest = difflib.get_close_matches(path.stem, sample_paths, n=1)
        way_out = f"Did you mean the sample {nearest[0]!r}?" if nearest else "samples() lists all samples."
        problem = f"no sample has this name, and no such file is in {path.absolute().parent}"
        raise refusal(where, problem, way_out) from error
    except (OSError, ValueError) as error:
        problem = f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise refusal(where, problem, "Give the path of a file that you may read.") from error


def _identify(file: BinaryIO, where: str, ending: str) -> Image.Image:
    """The picture with its header read and nothing decoded yet."""
    try:
        return Image.open(file, formats=[name.upper() for name in FORMATS])
    except UnidentifiedImageError as error:
        problem = "it does not begin like a picture of a known format"
        raise refusal(where, problem, f"Give a whole file in {', '.join(FORMATS)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(where) from error
    except Exception as error:  # as above
        raise _damaged(where, error, ending) from error


def _damaged(where: str, error: Exception, ending: str) -> ImageError:
    """What a decoder's complaint means to the picture's owner."""
    if "truncated" in str(error).lower():
        problem = f"the file ends{ending} in the middle of the picture, it was cut off"
    else:
        problem = f"the file is damaged or cut off ({error})"
    return refusal(where, problem, COPY_AGAIN)


def _too_large(where: str) -> ImageError:
    """Said of the header's claim, before any memory is taken."""
    problem = f"it claims to have more than {MAX_PIXELS:,} pixels, which is the limit"
    return refusal(where, problem, "Make it smaller with another program first.")


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its camera was held.

    PIL's exif_transpose also writes the EXIF data anew, and fails where any other part of them is damaged.
    """
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data, as above: the pixels are good, and every viewer shows them
        return picture
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _eight_bits(picture: Image.Image, where: str) -> Image.Image:
    """Gray pictures of 16 bits or floats scaled to 8 bits, which PIL does by itself for colors only."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    white = 1 if picture.mode == "F" else 65535
    levels = np.asarray(picture, dtype=np.float64)
    if not (levels.min() >= 0 and levels.max() <= white):  # NaN fails both
        problem = f"gray levels from {levels.min():g} to {levels.max():g} came, expected 0 to {white}"
        raise refusal(where, problem, "Save the picture with 8 or 16 bits.")
    return Image.fromarray((levels * (255 / white)).round().astype(np.uint8))


def _opaque(picture: Image.Image) -> Image.Image:
    """The picture over white, without palette; gray, CMYK and Lab stay, a profile may be meant for them."""
    gray = picture.mode in ("1", "L", "LA", "La")
    if not picture.has_transparency_data:
        return picture if picture.mode in ("CMYK", "LAB") else picture.convert("L" if gray else "RGB")
    picture = picture.convert("LA" if gray else "RGBA")
    color = picture.convert("L" if gray else "RGB")
    color.paste("white", mask=ImageOps.invert(picture.getchannel("A")))
    return color


def _to_srgb(picture: Image.Image, profile: bytes | None, where: str) -> Image.Image:
    """The colors as the profile means them, in sRGB; without a profile they are taken to be sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if source.profile.xcolor_space == "RGB ":
                picture = picture.convert("RGB")  # RGB profiles are often found on gray pictures
            return ImageCms.buildTransform(source, SRGB, picture.mode, "RGB").apply(picture)
        except (ImageCms.PyCMSError, OSError, ValueError) as error:  # as above
            warnings.warn(f"{where}: its color profile is not used ({error}).", stacklevel=4)
    return picture.convert("RGB")
