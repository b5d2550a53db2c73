"""The control of one weight: a box for its number, which has the name, and a slider for the hand."""

from __future__ import annotations

import math

import ipywidgets as widgets
import traitlets

from nstlab.base.numerics.arguments import LARGEST
from nstlab.notebook.descriptions import description

DECADES = 3  # range of the slider, to both sides of the weight
NAMING = (  # gives the handle of the slider the name of the box, when both are on the page; ipywidgets gives it none
    "<img alt='' hidden src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=' onload=\"(function name(img) {"
    "const box = img.closest('.nstlab-weight'), handle = box?.querySelector('.noUi-handle, .ui-slider-handle');"
    "handle ? handle.ariaLabel = box.querySelector('label').textContent : setTimeout(name, 200, img)})(this)\">"
)


class WeightControl(widgets.HBox):  # type: ignore[misc]
    """Shows and changes the weight of a term, its trait `value`, from 0 up; `disabled` is that of both parts.

    The slider has a log scale around the weight that it began with, so a weight of 0 has none. The box takes every
    number. A screen reader gives both the name of the weight.

    >>> control = WeightControl("style", 1.0)
    >>> control.slider.value = 10.0
    >>> control.value, control.number.description
    (10.0, 'weight of style')
    """

    value = traitlets.Float()
    disabled = traitlets.Bool(False)

    def __init__(self, name: str, weight: float):
        self.number = widgets.BoundedFloatText(
            value=weight,
            min=0,
            max=LARGEST,
            description=description(f"weight of {name}"),
            style={"description_width": "185px"},
            layout={"width": "300px", "max_width": "100%"},
        )
        self.number.tooltip = ""  # or ipywidgets 8 says "null" where the mouse rests
        self.slider: widgets.FloatLogSlider | None = None
        parts: list[widgets.Widget] = [self.number]
        if weight > 0:
            middle = math.log10(weight)
            self.slider = widgets.FloatLogSlider(
                value=weight,
                min=middle - DECADES,
                max=middle + DECADES,
                step=0.1,
                readout=False,
                continuous_update=False,
                layout={"width": "260px", "max_width": "100%"},
            )
            self.slider.observe(lambda change: self.set_trait("value", change.new), "value")
            parts += [self.slider, widgets.HTML(NAMING, layout={"display": "none"})]
        super().__init__(parts, value=weight, layout={"flex_flow": "row wrap"})
        self.add_class("nstlab-weight")
        for part in parts[:2]:
            traitlets.dlink((self, "disabled"), (part, "disabled"))
        traitlets.link((self, "value"), (self.number, "value"))
        self.observe(self.move_slider, "value")

    def move_slider(self, change: object = None) -> None:
        """Bring the slider to the weight, if its range has it."""
        if self.slider is not None and 10**self.slider.min <= self.value <= 10**self.slider.max:
            self.slider.value = self.value
