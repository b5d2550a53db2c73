"""The region editor: merge, drop and re-pair regions by clicks on the images, or by ticks and buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from nstlab import ImageSource, Regions, load_image, to_pil
from nstlab.control.region_edits import dropped, merged, swapped
from nstlab.notebook.descriptions import description
from nstlab.notebook.pictures import image_html
from nstlab.notebook.region_figures import color_of, outlined, tinted

SIDE = 384  # pixels: longer side of the images on the page
ACTIONS = {  # icon, and what the button says when the mouse rests on it
    "Merge": ("object-group", "Make one region of all selected ones"),
    "Drop": ("trash", "Leave out the selected regions; their content joins a neighbor"),
    "Swap": ("exchange", "Exchange the style partners of the two selected regions"),
    "Undo": ("undo", "Take back the last change"),
    "Reset": ("refresh", "Return to the regions from the beginning"),
}
HELP = (
    f"<div style='max-width:{2 * SIDE}px;line-height:1.4'>Select regions by clicks on the images or by their boxes. "
    "<b>Drop</b>: nothing is learned from their style, and their content joins the neighbor with the longest border. "
    "<b>Swap</b>: two exchange their parts of the style image.</div>"
)
JAVASCRIPT = """
function render({ model, el }) {
  const parsed = () => new DOMParser().parseFromString(model.get("html"), "text/html").querySelector("img");
  const img = parsed();  // stays on the page: a click on an image that is replaced meanwhile would be lost
  model.on("change:html", () => {
    for (const { name, value } of parsed().attributes) img.setAttribute(name, value);
  });
  img.addEventListener("click", (event) => {
    const box = img.getBoundingClientRect();
    model.send({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  });
  el.append(img);
}
export default { render };
"""


class ClickableImage(anywidget.AnyWidget):
    """An HTML image that reports where it is clicked: on_click(x, y), from (0, 0), top left, to (1, 1)."""

    _esm = JAVASCRIPT
    html = traitlets.Unicode().tag(sync=True)

    def __init__(self, on_click: Callable[[float, float], object]):
        super().__init__()
        self.on_msg(lambda _, place, buffers: on_click(place["x"], place["y"]))


class RegionEditor(widgets.VBox):  # type: ignore[misc]
    """A widget to edit regions; its trait `regions` holds the edited ones and can be observed.

    Regions are selected by a click on either image or by their boxes; every button is also a method of the same name.
    Merge makes one region of several. Drop learns nothing from a region's part of the style image, and gives its part
    of the content image to the neighbor with the longest border. Swap exchanges the style partners of two regions.

    content, style: whatever `load_image` takes. regions: with masks of both images; they are not changed.

    Raises ValueError for regions without masks of the style image or with other shapes than the images, and ImageError
    for an image that cannot be read.

    >>> import torch
    >>> masks = torch.eye(3).view(3, 1, 1, 3).repeat_interleave(16, 3).expand(3, 1, 32, 48)
    >>> editor = RegionEditor(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 32, 48), Regions(masks, masks))
    >>> editor.select("1", "3")
    >>> editor.merge()
    >>> editor.regions
    Regions(names=('1 + 3', '2'))
    """

    regions = traitlets.Instance(Regions, read_only=True)

    def __init__(self, content: ImageSource, style: ImageSource, regions: Regions):
        if regions.style is None:
            raise ValueError("RegionEditor: the regions have no masks of the style image; it needs both.")
        self.images = {"content": load_image(content, SIDE), "style": load_image(style, SIDE)}
        regions.check_images(self.images["content"], self.images["style"], stride=1)
        self.past = [regions]  # the newest last; it is `self.regions`
        self.boxes: list[Any] = []  # one for every region
        self.pictures = {side: ClickableImage(self.clicker(side)) for side in self.images}
        self.buttons = {
            name: widgets.Button(description=name, icon=icon, tooltip=tooltip, layout={"width": "90px"})
            for name, (icon, tooltip) in ACTIONS.items()
        }
        for button in self.buttons.values():
            button.on_click(lambda button: getattr(self, button.description.lower())())
        self.rows = widgets.VBox()
        wrapped = {"flex_flow": "row wrap", "grid_gap": "8px"}
        columns = widgets.HBox(list(self.pictures.values()), layout=wrapped)
        super().__init__([columns, widgets.HTML(HELP), self.rows, widgets.HBox(list(self.buttons.values()))])
        self.add_class("nstlab-regions")
        self.refresh()

    @property
    def selected(self) -> list[int]:
        """The numbers of the selected regions, from 0 up."""
        return [r for r, box in enumerate(self.boxes) if box.value]

    def select(self, *names: str) -> None:
        """Select the regions with these names, and no others. Raises ValueError for a name that no region has."""
        unknown = [name for name in names if name not in self.regions.names]
        if unknown:
            raise ValueError(f"select: no region is named {unknown[0]!r}; there are: {', '.join(self.regions.names)}.")
        for name, box in zip(self.regions.names, self.boxes, strict=True):
            box.value = name in names

    def merge(self) -> None:
        """Make one region of the selected ones. Raises ValueError for fewer than two."""
        self.check_selection(len(self.selected) >= 2, "merge", "two regions or more")
        self.change_to(merged(self.regions, self.selected))

    def drop(self) -> None:
        """Drop the selected regions. Raises ValueError if there are none, or no others."""
        chosen = self.selected
        self.check_selection(0 < len(chosen) < len(self.regions), "drop", "one region or more, but not all")
        edited = self.regions
        for r in reversed(chosen):  # from the last, so that the other numbers stay
            edited = dropped(edited, r)
        self.change_to(edited)

    def swap(self) -> None:
        """Exchange the style partners of the two selected regions. Raises ValueError for another number."""
        self.check_selection(len(self.selected) == 2, "swap", "two regions")
        self.change_to(swapped(self.regions, *self.selected))

    def undo(self) -> None:
        """Take back the last change, if there is one."""
        if len(self.past) > 1:
            self.past.pop()
            self.refresh()

    def reset(self) -> None:
        """Return to the regions from the beginning; `undo` takes that back, too."""
        if self.regions is not self.past[0]:
            self.change_to(self.past[0])

    def check_selection(self, fits: bool, action: str, needed: str) -> None:
        """Raise ValueError unless the selection fits an action."""
        if not fits:
            names = ", ".join(self.regions.names[r] for r in self.selected) or "nothing"
            raise ValueError(f"{action}: {names} is selected; select {needed}.")

    def change_to(self, regions: Regions) -> None:
        """Make these the regions, with what was before to go back to."""
        self.past.append(regions)
        self.refresh()

    def clicker(self, side: str) -> Callable[[float, float], None]:
        """What a click on one of the images does."""

        def click(x: float, y: float) -> None:
            """Turn the selection of the region at this place."""
            masks = dict(self.regions.sides())[side]
            height, width = masks.shape[2:]
            at_place = masks[:, 0, min(int(y * height), height - 1), min(int(x * width), width - 1)]
            if bool(at_place.any()):  # parts of the style image may have no region
                box = self.boxes[int(at_place.argmax())]
                box.value = not box.value

        return click

    def refresh(self) -> None:
        """Show the newest regions, none of them selected."""
        self.set_trait("regions", self.past[-1])
        replaced = self.rows.children
        self.boxes = []
        for label in labels(self.regions):
            box = widgets.Checkbox(description=description(label), indent=False, layout={"width": "auto"})
            box.observe(lambda change: self.refresh_selection(), "value")
            self.boxes.append(box)
        self.rows.children = [widgets.HBox([swatch(r), box]) for r, box in enumerate(self.boxes)]
        for row in replaced:
            for part in (*row.children, row):
                part.close()
        self.refresh_selection()

    def refresh_selection(self) -> None:
        """Outline the selected regions, and enable the buttons that have an effect now."""
        chosen = self.selected
        for side, masks in self.regions.sides():
            image = self.images[side]
            picture = to_pil(outlined(tinted(image, masks), masks, chosen))
            names = ", ".join(self.regions.names[r] for r in chosen) or "none"
            alt = f"The {side} image in the colors of its regions. Selected: {names}."
            style = (
                f"max-width:100%;width:{picture.width}px;aspect-ratio:{picture.width}/{picture.height};cursor:pointer"
            )
            self.pictures[side].html = image_html(picture, alt, style)
        enabled = {
            "Merge": len(chosen) >= 2,
            "Drop": 0 < len(chosen) < len(self.regions),
            "Swap": len(chosen) == 2,
            "Undo": len(self.past) > 1,
            "Reset": self.regions is not self.past[0],
        }
        for name, button in self.buttons.items():
            button.disabled = not enabled[name]


def swatch(region: int) -> Any:
    """A square in the color of a region."""
    square = f"<div style='width:20px;height:20px;margin-top:5px;background:{color_of(region)}'></div>"
    return widgets.HTML(square)


def labels(regions: Regions) -> list[str]:
    """The name of every region, with its share of both images.

    >>> import torch
    >>> labels(Regions(torch.ones(1, 1, 8, 8), torch.eye(8).view(1, 1, 8, 8), ("sky",)))
    ['sky: 100% of the content, 12% of the style']
    """
    shares = zip(*(masks.mean((1, 2, 3)).tolist() for _, masks in regions.sides()), strict=True)
    return [
        f"{n}: {c:.0%} of the content, {s:.0%} of the style" for n, (c, s) in zip(regions.names, shares, strict=True)
    ]
