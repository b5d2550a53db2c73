"""What the notebooks show: figures, live runs, image pickers, a region editor, the app.

>>> from nstlab import stylize_run
>>> from nstlab.notebook import ImagePicker, LiveRun
>>> picker = ImagePicker("content")
>>> live = LiveRun(lambda: stylize_run(picker.image, "starry_night", size=64, steps=2))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nstlab.notebook.figures import figure, plot_losses, save_figure, save_losses
from nstlab.notebook.pictures import compare, show
from nstlab.notebook.region_figures import show_photograph, show_regions

if TYPE_CHECKING:
    from nstlab.notebook.app import StyleTransferApp
    from nstlab.notebook.image_picker import ImagePicker
    from nstlab.notebook.region_editor import RegionEditor
    from nstlab.notebook.run_panel import LiveRun

__all__ = [
    "ImagePicker",
    "LiveRun",
    "RegionEditor",
    "StyleTransferApp",
    "compare",
    "figure",
    "plot_losses",
    "save_figure",
    "save_losses",
    "show",
    "show_photograph",
    "show_regions",
]

WIDGETS = {  # name: its module
    "ImagePicker": "image_picker",
    "LiveRun": "run_panel",
    "RegionEditor": "region_editor",
    "StyleTransferApp": "app",
}


def __getattr__(name: str) -> Any:
    """Import a widget when it is first used: widgets need ipywidgets, figures do not."""
    if name in WIDGETS:
        return getattr(import_module(f"{__name__}.{WIDGETS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
