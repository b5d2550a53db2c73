"""Pictures on a page: HTML with alternative text, for light pages and dark ones, wide and narrow."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from nstlab import to_pil

MAX_BYTES = 150_000  # of one figure in a notebook
SHOWN_SIDE = 384  # pixels: `show` enlarges images with a longer side of half of this or less
PIXELS_PER_INCH = 100  # of a figure on a page
MARKUP = 400  # bytes of HTML around one of several pictures
GAP = 8  # CSS pixels between two pictures
SMALLEST = 0.7  # of its full width: a picture that would become narrower begins a new row


@dataclass(frozen=True)
class Pictures:
    """Pictures in rows with their captions, which `show` shows: as text, so it has the color of the page around it.

    images: by caption. height: of a row, in CSS pixels. columns: the most pictures in a row; on a narrow page, fewer.
    key: colors by what they stand for, written under the pictures.
    """

    images: Mapping[str, Image.Image]
    height: float
    columns: int
    key: Mapping[str, str] = field(default_factory=dict)

    def html(self, alt: str) -> str:
        """The rows as HTML: a group named by its alternative text, in which each picture is named by its caption."""
        aspects = [picture.width / picture.height for picture in self.images.values()]
        longest = max(sum(aspects[k : k + self.columns]) for k in range(0, len(aspects), self.columns))
        boxes = "".join(self.box(*named, longest) for named in self.images.items())
        rows = "display:flex;flex-flow:row wrap;align-items:flex-end;line-height:1.3"
        width = f"max-width:{longest * self.height + self.columns * GAP:.0f}px;gap:{GAP}px"
        square = "display:inline-block;width:0.8em;height:0.8em;background"
        key = (f'<span style="{square}:{self.key[name]}"></span> {html.escape(name)}' for name in self.key)
        return (
            f'<div role="group" aria-label="{html.escape(alt)}"><div style="{rows};{width}">{boxes}</div>'
            f"{' &ensp; '.join(key)}</div>"
        )

    def box(self, caption: str, picture: Image.Image, longest: float) -> str:
        """One picture under its caption, which a screen reader reads as the picture's alternative text.

        longest: the sum of the aspect ratios of the longest row. The picture gets its share of it, so that all have one
        height and the row fits, but not less than SMALLEST.
        """
        width = self.height * picture.width / picture.height
        share = f"calc({100 * width / (self.height * longest):.2f}% - {GAP}px)"
        size = f"width:clamp({SMALLEST * width:.0f}px,{share},{width:.0f}px);max-width:100%"
        words = f'<div aria-hidden="true" style="white-space:pre-line;text-align:center">{html.escape(caption)}</div>'
        limit = MAX_BYTES // len(self.images) - MARKUP
        image = image_html(fitted(picture, round(width)), caption, "display:block;width:100%", limit)
        return f'<div style="{size}">{words}{image}</div>'


def compare(images: Mapping[str, Tensor], height: float = 2.6, columns: int | None = None) -> Pictures:
    """Images side by side, each with its caption above it, for `show`.

    images: (1, 3, H, W) in [0, 1], by caption; sizes may differ. height: of a row, in inches. columns: images in a row,
    by default all of them; a narrow page shows fewer. Raises ValueError if there are no images.

    >>> from nstlab.images import load_image
    >>> both = compare({"content": load_image("horses", 64), "style": load_image("great_wave", 64)})
    >>> show(both, alt="brown horses, and a blue wave")
    <picture: brown horses, and a blue wave>
    """
    if not images:
        raise ValueError("compare was given no images; it takes a dict of images by caption.")
    pictures = {caption: to_pil(image) for caption, image in images.items()}
    return Pictures(pictures, height * PIXELS_PER_INCH, columns or len(images))


class Shown:
    """What a notebook shows as HTML, with alternative text and a caption, `code` in backticks.

    >>> Shown("<svg></svg>", alt="nothing")
    <picture: nothing>
    """

    def __init__(self, body: str, alt: str, caption: str = ""):
        self.body, self.alt, self.caption = body, alt, caption

    def __repr__(self) -> str:
        return f"<picture: {self.alt}>"

    def _repr_html_(self) -> str:
        words = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(self.caption))
        caption = f"<figcaption>{words}</figcaption>" if words else ""
        return f'<figure style="margin:0">{self.body}{caption}</figure>'


def show(what: Figure | Pictures | Tensor | Image.Image, alt: str, caption: str = "") -> Shown:
    """A figure, pictures or an image as HTML with alternative text: for the last line of a cell.

    what: a figure, what `compare` gives, an image (1, 3, H, W), which is clamped to [0, 1], or a PIL image, as of a
    sweep's sheet. alt: the alternative text. caption: may hold `code` in backticks. Raises ValueError if alt is empty.

    >>> from nstlab.images import load_image
    >>> show(load_image("red_panda", 64), alt="a red panda")
    <picture: a red panda>
    """
    if not alt.strip():
        raise ValueError("show needs alternative text, alt=..., a sentence that describes the picture; it was empty.")
    if isinstance(what, Pictures):
        return Shown(what.html(alt), alt, caption)
    if isinstance(what, Figure):
        buffer = io.BytesIO()
        what.savefig(buffer, format="png", dpi=PIXELS_PER_INCH)
        return Shown(image_html(Image.open(buffer), alt), alt, caption)
    if isinstance(what, Image.Image):
        picture = what.convert("RGBA" if what.has_transparency_data else "RGB")
    else:
        picture = to_pil(what.clamp(0, 1))
    return Shown(image_html(enlarged(picture, SHOWN_SIDE), alt), alt, caption)


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """A picture enlarged by a whole number, so that every pixel becomes a square; no longer than `side`, if it is not.

    >>> enlarged(Image.new("RGB", (64, 32)), 384).size, enlarged(Image.new("RGB", (500, 400)), 384).size
    ((384, 192), (500, 400))
    """
    factor = max(1, side // max(picture.size))
    return picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)


def fitted(picture: Image.Image, width: int) -> Image.Image:
    """A picture with the pixels that a box of this width needs: a smaller one is enlarged by a whole number.

    >>> fitted(Image.new("RGB", (500, 400)), 250).size, fitted(Image.new("RGB", (10, 8)), 250).size
    ((250, 200), (250, 200))
    """
    if picture.width > width:
        return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)
    return enlarged(picture, max(width, round(width * picture.height / picture.width)))


def encoded(picture: Image.Image, limit: int = MAX_BYTES) -> tuple[str, bytes]:
    """A picture as PNG, or if that exceeds the limit, in bytes, as the best JPEG that does not: (format, data).

    A picture with transparent parts becomes WebP in place of JPEG, which has none. If all are larger than the limit, as
    may be for noise, the smallest one.

    >>> encoded(Image.new("RGB", (4, 4)))[0]
    'png'
    """
    kind = "png"
    for quality in (None, 85, 75, 60, 40):
        buffer = io.BytesIO()
        if quality is None:
            picture.save(buffer, kind, optimize=True)
        else:
            kind = "webp" if picture.mode == "RGBA" else "jpeg"
            picture.save(buffer, kind, quality=quality)
        if buffer.tell() <= limit:
            break
    return kind, buffer.getvalue()


def image_html(
    picture: Image.Image, alt: str, style: str = "max-width:100%;height:auto", limit: int = MAX_BYTES
) -> str:
    """An HTML image with its data, at most `limit` bytes, in a data URL.

    >>> image_html(Image.new("RGB", (4, 4)), alt="a black square").split(" src=")[0]
    '<img alt="a black square" style="max-width:100%;height:auto"'
    """
    kind, data = encoded(picture, limit)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{html.escape(alt)}" style="{style}" src="{source}">'
