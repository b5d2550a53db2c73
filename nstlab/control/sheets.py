"""Contact sheets: images in labeled rows and columns, with an error in the place of an image that is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from nstlab import to_pil

TILE, GAP, FONT_SIZE = 224, 12, 16  # pixels: longer side of an image, space around it, height of the text
WORDS = "#767676"  # is read on a light page and on a dark one, as the words of the notebooks' figures
INK, GRAY = "#222222", "#dddddd"  # of an error and of its tile
LABEL = 24  # letters of a row's label in one line
ERROR = 130  # letters of an error that are shown


def contact_sheet(
    rows: Sequence[Sequence[Tensor | str]], row_labels: Sequence[str], column_labels: Sequence[str], title: str = ""
) -> Image.Image:
    """Images in rows and columns on a transparent ground, with labels beside and above them, and a title on top.

    rows: images (1, 3, H, W) in [0, 1], or an error, which is written on a gray tile.

    >>> import torch
    >>> contact_sheet([[torch.rand(1, 3, 32, 48), "ValueError: size=0"]], ["horses"], ["size 48", "size 0"]).mode
    'RGBA'
    """
    font = ImageFont.load_default(FONT_SIZE)
    cells = [[cell if isinstance(cell, str) else small(cell) for cell in row] for row in rows]
    sizes = [cell.size for row in cells for cell in row if not isinstance(cell, str)] or [(TILE, TILE)]
    width, height = (max(size[side] for size in sizes) for side in (0, 1))
    above = [filled(label, int(width / font.getlength("n"))) for label in column_labels]
    beside = [filled(label, LABEL) for label in row_labels]
    title = filled(title, int((width + GAP) * len(above) / font.getlength("n")))
    left = GAP + max(GAP + extent(label, font)[0] if label else 0 for label in beside)
    title_height = 2 * GAP + extent(title, font)[1] if title else 0
    top = title_height + GAP + max(extent(label, font)[1] for label in above) + GAP / 2
    size = left + len(above) * (width + GAP), top + len(rows) * (height + GAP)
    sheet = Image.new("RGBA", (round(size[0]), round(size[1])), WORDS + "00")  # so that letters have no dark edges
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((left, GAP), title, WORDS, font)
    for j, label in enumerate(above):
        place = left + j * (width + GAP) + width / 2, top - GAP / 2
        draw.multiline_text(place, label, WORDS, font, "md", align="center")
    for i, (label, row) in enumerate(zip(beside, cells, strict=True)):
        y = top + i * (height + GAP)
        draw.multiline_text((left - GAP, y + height / 2), label, WORDS, font, "rm", align="right")
        for j, cell in enumerate(row):
            x = left + j * (width + GAP)
            picture = gray_tile(cell, (width, height), font) if isinstance(cell, str) else cell
            sheet.paste(picture, (round(x + (width - picture.width) / 2), round(y + (height - picture.height) / 2)))
    return sheet


def extent(text: str, font: Any) -> tuple[float, float]:
    """Width and height of a text in pixels."""
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), text, font)[2:]


def filled(text: str, letters: int) -> str:
    """Every line of a text in lines of at most so many letters.

    >>> filled("size 512, steps 60", 10)
    'size 512,\\nsteps 60'
    """
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def small(image: Tensor) -> Image.Image:
    """An image with TILE pixels on the longer side."""
    picture = to_pil(image)
    scale = TILE / max(picture.size)
    return picture.resize([max(1, round(scale * side)) for side in picture.size], Image.Resampling.LANCZOS)


def gray_tile(error: str, size: tuple[int, int], font: Any) -> Image.Image:
    """A gray tile with an error on it."""
    picture = Image.new("RGB", size, GRAY)
    text = textwrap.fill(textwrap.shorten(error, ERROR), int(size[0] / font.getlength("n")))
    middle = (size[0] / 2, size[1] / 2)
    ImageDraw.Draw(picture).multiline_text(middle, text, INK, font, "mm", align="center")
    return picture
