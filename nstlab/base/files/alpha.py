"""The alpha channel of a picture: how opaque it is, from 0 to 255 at every pixel."""

from __future__ import annotations

import os

from PIL import Image
from torch import Tensor

from nstlab.base.files.decoding import decode_file, decode_picture, refusal
from nstlab.base.files.pixels import eight_bit_picture, own_size


def alpha_channel(source: object, call: str) -> Image.Image:
    """The alpha channel of a path, bytes or a PIL image, upright, as a gray PIL image; white if it has none.

    call: the prefix of errors. Raises ImageError for other types, and for what cannot be decoded.
    """
    if isinstance(source, Image.Image):
        picture = decode_picture(source, call, own_size).picture
    elif isinstance(source, (bytes, bytearray, memoryview)):
        picture = decode_file(source, call, own_size).picture
    elif isinstance(source, (str, os.PathLike)):
        picture = decode_file(os.fsdecode(source), call, own_size).picture
    else:
        raise refusal(call, "only a path, bytes and a PIL image have an alpha channel", "Of an array take [..., 3].")
    if not picture.has_transparency_data or picture.mode.startswith(("I", "F")):  # load_image takes these as opaque
        return Image.new("L", picture.size, 255)
    return picture.convert("RGBA").getchannel("A")


def with_alpha(picture: Image.Image, alpha: Tensor, call: str) -> Image.Image:
    """The RGB picture with an alpha channel, (1, 1, H, W) in [0, 1]. Raises ImageError for another size or values."""
    if alpha.shape != (1, 1, picture.height, picture.width):
        problem = f"got an alpha of {tuple(alpha.shape)}, expected {(1, 1, picture.height, picture.width)}"
        raise refusal(call, problem, "resize brings it to the image's size.")
    return Image.merge("RGBA", (*picture.split(), eight_bit_picture(alpha.expand(1, 3, -1, -1), call).getchannel("R")))
