"""The image picker: a sample of the package, an upload, or a path."""

from __future__ import annotations

import html
import os
from typing import Any, Literal

import ipywidgets as widgets
import traitlets

from nstlab.files.decoding import ImageError
from nstlab.files.sample_images import samples
from nstlab.images import ImageSource, load_image, to_pil
from nstlab.notebook.figures import image_html

SIDE = 160  # longer side of the preview in pixels


class ImagePicker(widgets.VBox):  # type: ignore[misc]
    """Chooses a picture; `image` is what `load_image` takes, and can be observed.

    kind: which samples are offered, all of them for None. value: what is chosen at first, by default the first.
    What cannot be read is refused with one line under the controls, and `image` stays what it was.

    Raises ValueError for another kind, and ImageError if the first choice cannot be read.

    >>> picker = ImagePicker("style")
    >>> picker.image
    'starry_night'
    >>> picker.choose("great_wave")
    >>> load_image(picker.image, size=96).shape
    torch.Size([1, 3, 65, 96])
    """

    image = traitlets.Any(read_only=True)

    def __init__(self, kind: Literal["content", "style", "photo"] | None = None, value: ImageSource | None = None):
        offered = [sample for sample in samples() if kind in (None, sample.kind)]
        if not offered:
            raise ValueError(f"kind={kind!r} must be 'content', 'style', 'photo' or None.")
        look: dict[str, Any] = {"style": {"description_width": "70px"}, "layout": {"width": "360px"}}
        options = [(sample.title, sample.name) for sample in offered]
        self.sample = widgets.Dropdown(options=options, value=None, description="sample", **look)
        self.path = widgets.Text(description="or path", continuous_update=False, **look)
        self.path.placeholder = "of a picture on this machine, then Enter"
        self.upload = widgets.FileUpload(accept="image/*", description="or upload")
        self.upload.layout.margin = "2px 2px 2px 78px"
        self.problem, self.preview = widgets.HTML(), widgets.HTML()
        title = widgets.HTML(f"<b>{f'{kind} image' if kind else 'image'}</b>")
        controls = widgets.VBox([title, self.sample, self.path, self.upload])
        columns = widgets.HBox([controls, self.preview], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        super().__init__([columns, self.problem])
        self.add_class("nstlab-picker")
        self.choose(offered[0].name if value is None else value)
        for control in (self.sample, self.path):
            control.observe(lambda change: self.take(change.new) if change.new else None, "value")
        self.upload.observe(lambda change: self.take_upload(), "value")

    def choose(self, source: ImageSource, name: str = "your own picture") -> None:
        """Take this picture, as the controls do. name: what it is called under the preview, unless it is a sample.

        Raises ImageError for what `load_image` refuses.
        """
        picture = to_pil(load_image(source))
        self.set_trait("image", source)
        self.problem.value = ""
        caption, alt = f"{name}, {picture.width} × {picture.height} pixels", name
        for sample in samples():
            if isinstance(source, str) and source == sample.name:
                caption, alt = f"{sample.title}, by {sample.author}. {sample.licence}.", sample.title
        picture.thumbnail((SIDE, SIDE))
        self.preview.value = (
            f"<figure style='margin:0;max-width:{2 * SIDE}px'>{image_html(picture, alt)}"
            f"<figcaption style='line-height:1.3'>{html.escape(caption)}</figcaption></figure>"
        )
        text = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
        known = text in (sample for _, sample in self.sample.options)
        self.sample.value, self.path.value = (text, "") if known else (None, text)

    def take(self, source: ImageSource, name: str = "your own picture") -> None:
        """Choose, and say under the controls what is wrong with a picture that cannot be read."""
        if isinstance(self.image, (str, os.PathLike)) and source == os.fspath(self.image):
            self.problem.value = ""
            return  # a control that follows the choice, or comes back to it
        try:
            self.choose(source, name)
        except ImageError as error:
            self.problem.value = f"<div style='color:#c62828;line-height:1.4'>{html.escape(str(error))}</div>"

    def take_upload(self) -> None:
        """The file that the browser has just sent; then forget it there, so that it can be sent again."""
        if self.upload.value:
            file = self.upload.value[0]
            self.upload.value = ()
            self.take(bytes(file["content"]), file["name"])
