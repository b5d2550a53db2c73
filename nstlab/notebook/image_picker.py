"""The image picker: choose a bundled sample, a file on this machine, or an upload."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import ipywidgets as widgets
import traitlets

from nstlab import ImageSource, load_image, to_pil
from nstlab.base.files.decoding import ImageError
from nstlab.base.files.sample_images import samples
from nstlab.notebook.figures import RED
from nstlab.notebook.pictures import image_html

SIDE = 160  # longer side of the preview in pixels
DECODED_SIDE = 1024  # of a picture read for the preview: a larger one is decoded at a reduced size
MAX_UPLOAD = 64_000_000  # bytes; the photographs of a camera have up to about 30 million
UPLOAD = (  # stands for the button of FileUpload, which says how many files it holds, here always (0)
    "<button class='jupyter-button widget-button' style='width:264px' "
    "onclick=\"this.closest('.nstlab-picker').querySelector('.nstlab-upload').click()\">{}</button>"
)


class ImagePicker(widgets.VBox):  # type: ignore[misc]
    """A widget to choose an image; its trait `image` is a source for `load_image` and can be observed.

    kind: the kind of samples to offer, None for all. value: the first choice, by default the first sample. paths: offer
    files of this machine, too, which a page that others can open must not do. If a chosen image cannot be read, one
    line under the controls says why, and `image` keeps its value.

    Raises ValueError for an unknown kind, and ImageError if the first choice cannot be read.

    >>> picker = ImagePicker("style")
    >>> picker.image
    'starry_night'
    >>> picker.choose("great_wave")
    >>> load_image(picker.image, size=96).shape
    torch.Size([1, 3, 65, 96])
    """

    image = traitlets.Any(read_only=True)

    def __init__(
        self,
        kind: Literal["content", "style", "photo"] | None = None,
        value: ImageSource | None = None,
        paths: bool = True,
    ):
        offered = [sample for sample in samples() if kind in (None, sample.kind)]
        if not offered:
            raise ValueError(f"kind={kind!r} must be 'content', 'style', 'photo' or None.")
        widths: dict[str, Any] = {
            "style": {"description_width": "105px"},
            "layout": {"width": "380px", "max_width": "calc(100% - 4px)"},
        }
        options = [(sample.title, sample.name) for sample in offered]
        of = f"{kind} " if kind else ""  # distinct names for a screen reader, also with two pickers on a page
        self.sample = widgets.Dropdown(options=options, value=None, description=f"{of}sample", **widths)
        self.path = widgets.Text(description=f"or {of}path", continuous_update=False, **widths)
        self.path.placeholder = "of a picture on this machine, then Enter"
        self.upload = widgets.FileUpload(
            accept="image/*", description=f"or upload {of}image", layout={"display": "none"}
        )
        self.upload.add_class("nstlab-upload")
        button = widgets.HTML(UPLOAD.format(self.upload.description), layout={"margin": "2px 2px 2px 113px"})
        self.problem, self.preview = widgets.HTML(), widgets.HTML()
        title = widgets.HTML(f"<b>{f'{kind} image' if kind else 'image'}</b>")
        choices = (self.sample, self.path) if paths else (self.sample,)
        controls = widgets.VBox([title, *choices, button, self.upload])
        columns = widgets.HBox([controls, self.preview], layout={"flex_flow": "row wrap", "grid_gap": "16px"})
        super().__init__([columns, self.problem])
        self.add_class("nstlab-picker")
        self.choose(offered[0].name if value is None else value)
        for control in choices:
            control.tooltip = ""  # or ipywidgets 8 says "null" where the mouse rests
            control.observe(lambda change: self.try_to_choose(change.new) if change.new else None, "value")
        self.upload.observe(lambda change: self.choose_upload(), "value")

    def choose(self, source: ImageSource, name: str = "your own picture") -> None:
        """Choose an image, as the controls do.

        name: the caption under the preview; a sample has its own. Raises ImageError if `load_image` does.
        """
        picture = to_pil(load_image(source, DECODED_SIDE))
        self.set_trait("image", source)
        self.problem.value = ""
        is_whole = max(picture.size) < DECODED_SIDE
        caption, alt = f"{name}, {picture.width} × {picture.height} pixels" if is_whole else name, name
        for sample in samples():
            if isinstance(source, str) and source == sample.name:
                caption, alt = f"{sample.title}, by {sample.author}. {sample.licence}.", sample.title
        picture.thumbnail((SIDE, SIDE))
        self.preview.value = (
            f"<figure style='margin:0;width:{SIDE + 40}px'>{image_html(picture, alt)}"
            f"<figcaption style='line-height:1.3'>{html.escape(caption)}</figcaption></figure>"
        )
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
        is_offered = path in (sample for _, sample in self.sample.options)
        self.sample.value, self.path.value = (path, "") if is_offered else (None, path)

    def try_to_choose(self, source: ImageSource, name: str = "your own picture") -> None:
        """Choose an image; if it cannot be read, show the error under the controls."""
        if isinstance(self.image, (str, os.PathLike)) and source == os.fspath(self.image):
            self.problem.value = ""
            return  # the image is chosen already: `choose` has set this control, or the user has undone an edit
        try:
            self.choose(source, name)
        except (ImageError, MemoryError) as error:
            problem = str(error)
            if isinstance(source, bytes):  # an upload is known by the name of its file, not by its number of bytes
                problem = f"{name}: {problem.split(': ', 1)[-1]}"
            self.show_problem(problem)

    def show_problem(self, problem: str) -> None:
        """Show an error under the controls."""
        self.problem.value = f"<div role='alert' style='color:{RED};line-height:1.4'>{html.escape(problem)}</div>"

    def choose_upload(self) -> None:
        """Choose the uploaded file and clear the upload, so that the same file can be uploaded again."""
        value = self.upload.value
        if value:
            name, data = uploaded_file(value)
            self.upload.set_trait("value", type(value)())
            if len(data) > MAX_UPLOAD:
                self.show_problem(
                    f"{name}: the file has {len(data):,} bytes, more than the {MAX_UPLOAD:,} that an upload may have. "
                    "Make the picture smaller with another program, or give its path."
                )
            else:
                self.try_to_choose(data, name)


def uploaded_file(value: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> tuple[str, bytes]:
    """Name and content of the file that a FileUpload has as its value, in ipywidgets 8, and 7 as on Colab.

    >>> uploaded_file(({"name": "a.png", "content": memoryview(b"data")},))
    ('a.png', b'data')
    >>> uploaded_file({"a.png": {"metadata": {"name": "a.png"}, "content": b"data"}})
    ('a.png', b'data')
    """
    name, file = next(iter(value.items())) if isinstance(value, Mapping) else (value[0]["name"], value[0])
    return name, bytes(file["content"])
