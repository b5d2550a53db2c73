"""How a result shows itself on a page: the picture, a link that saves it, the loss curves."""

from __future__ import annotations

import base64
import html
import io

from PIL import Image

from nstlab import Result, to_pil
from nstlab.notebook.live_curves import losses_svg
from nstlab.notebook.pictures import image_html

SIDE = 320  # longer side of the picture on the page, in CSS pixels


def result_html(result: Result) -> str:
    """The picture of a result beside its loss curves, and a link that saves the picture.

    >>> from nstlab import stylize
    >>> page = result_html(stylize("horses", "great_wave", size=64, steps=1))
    >>> page.count("<img"), page.count("<svg"), "Save picture" in page
    (1, 1, True)
    """
    picture = to_pil(result.image)
    summary = repr(result)[1:-1]
    shown = image_html(picture, f"The {summary}", shown_size(picture))
    curves = losses_svg(result.history, result.history[-1].index)
    return (
        f"<div>{html.escape(summary)}</div><div style='display:flex;flex-flow:row wrap;gap:8px;align-items:flex-start'>"
        f"<div>{shown}{save_link(picture, 'pastiche.png')}</div>"
        f"<div style='flex:1 1 400px;max-width:540px'>{curves}</div></div>"
    )


def shown_size(picture: Image.Image) -> str:
    """The CSS that shows a picture with a longer side of SIDE.

    >>> shown_size(Image.new("RGB", (64, 32)))
    'display:block;width:320px;height:160px'
    """
    width, height = (round(SIDE * side / max(picture.size)) for side in picture.size)
    return f"display:block;width:{width}px;height:{height}px"


def save_link(picture: Image.Image, name: str) -> str:
    """A link that looks like a button and saves the picture's own pixels as a PNG file of this name.

    It needs neither a kernel nor a server, so it works in JupyterLab, Voila and Colab.

    >>> save_link(Image.new("RGB", (4, 4)), "square.png")[:47]
    '<a class="jupyter-button widget-button" downloa'
    """
    buffer = io.BytesIO()
    picture.save(buffer, "png", compress_level=1)  # quick: it is made at every pause
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<a class="jupyter-button widget-button" download="{html.escape(name)}" '
        f'href="data:image/png;base64,{data}">Save picture</a>'
    )
