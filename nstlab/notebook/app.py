"""The app: two pictures, one Start button, two sliders, and the pastiche growing; notebooks/app.ipynb shows it."""

from __future__ import annotations

import ipywidgets as widgets

from nstlab import CONTENT_WEIGHT, Run, load_image, photorealize_run, stylize_run
from nstlab.notebook.image_picker import ImagePicker
from nstlab.notebook.run_panel import LiveRun


class StyleTransferApp(widgets.VBox):  # type: ignore[misc]
    """A widget in which two pictures are chosen and the pastiche is made of them; a switch adds approach 2.

    size: longer side of the pastiche in pixels; steps: optimizer steps at that size.

    >>> app = StyleTransferApp(size=64, steps=2)
    >>> app.content.choose("horses")
    >>> app.approach_2.value = True
    >>> app.live.start()
    >>> app.live.wait()
    >>> list(app.live.history[-1].losses), app.live.image.shape
    (['photorealism', 'distance'], torch.Size([1, 3, 42, 64]))
    """

    def __init__(self, size: int = 256, steps: int = 40):
        self.size, self.steps = size, steps
        self.content, self.style = ImagePicker("content", paths=False), ImagePicker("style", paths=False)
        self.approach_2 = widgets.Checkbox(
            description="make it a photograph again afterwards (approach 2)", indent=False, layout={"width": "auto"}
        )
        weights = {"content": CONTENT_WEIGHT, "style": 1.0}
        self.live = LiveRun(self.stylized, alt="The pastiche", weights=weights, then=self.photorealized)
        for picker in (self.content, self.style):
            picker.layout.flex = "1 1 400px"  # side by side on a wide page, one above the other on a narrow one
        pickers = widgets.HBox([self.content, self.style], layout={"flex_flow": "row wrap", "grid_gap": "0 16px"})
        super().__init__([pickers, self.approach_2, self.live])
        self.add_class("nstlab-app")

    def stylized(self) -> Run:
        """The run of approach 1 on the pictures chosen now."""
        self.photograph = load_image(self.content.image, self.size)
        return stylize_run(self.photograph, self.style.image, size=self.size, steps=self.steps)

    def photorealized(self, finished: Run) -> Run | None:
        """The run of approach 2 on the finished pastiche, if the switch is on."""
        if not self.approach_2.value or finished.best is None:
            return None
        return photorealize_run(finished.best.image.clamp(0, 1), self.photograph)
