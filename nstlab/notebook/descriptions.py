"""Text as the description of a widget, in ipywidgets 8, and 7 as on Colab."""

from __future__ import annotations

import html

import ipywidgets as widgets


def description(text: str) -> str:
    """A text in the form that a widget shows as it stands: ipywidgets 7 takes a description for HTML, 8 for text.

    >>> description("weight of style")
    'weight of style'
    """
    return html.escape(text) if widgets.__version__.startswith("7.") else text
