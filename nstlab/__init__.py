"""Neural style transfer, to read, to run and to learn from.

    image files  ->  VGG responses  ->  losses  ->  objective  ->  stream of steps  ->  pastiche

`textbook` tells the whole story on one page. The pages `images`, `vgg`, `losses`, `laplacian`, `colors`, `terms`,
`objective`, `optimizers`, `runs`, `coarse_to_fine`, `regions`, `transfer_objective`, `transfer` and `photorealism` tell
it in this order, each with what stands before it. `engine` makes it fast; `files` and `numerics` are what the pages
stand on. `control` is built from the two approaches: photographs, regions, textures, films. `notebook` and `course`
look on.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nstlab.coarse_to_fine import optimize, pyramid
from nstlab.colors import luminance, match_colors, with_luminance
from nstlab.control.films import Film, film
from nstlab.control.measures import Measures, measure
from nstlab.control.photographs import Photograph, color_match, contrast_match, photograph
from nstlab.control.proposals import propose_regions
from nstlab.control.sweeps import Sweep, sweep
from nstlab.control.textures import texture, texture_run
from nstlab.images import ImageError, ImageSource, load_image, resize, samples, save_image, to_pil
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import (
    content_loss,
    equal_weights,
    gram_matrix,
    layer_style_loss,
    mean_gram_matrix,
    region_gram_matrices,
    style_loss,
)
from nstlab.numerics.devices import default_device
from nstlab.objective import Objective
from nstlab.optimizers import Descent
from nstlab.photorealism import descent_run, photorealize, photorealize_run
from nstlab.regions import Regions, RegionStyleTerm, load_regions, on_grid
from nstlab.runs import DivergenceError, Record, Result, Run, Step
from nstlab.terms import ContentTerm, PhotorealismTerm, StyleTerm, Term, TotalVariationTerm, relative_weights
from nstlab.transfer import stylize, stylize_run
from nstlab.transfer_objective import style_transfer_objective, targets
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG, mean_responses

LATER = {"compare": "nstlab.notebook", "show": "nstlab.notebook", "profile": "nstlab.course"}  # name: its module

__all__ = [
    "CONTENT_LAYER",
    "STYLE_LAYERS",
    "VGG",
    "ContentTerm",
    "Descent",
    "DivergenceError",
    "Film",
    "ImageError",
    "ImageSource",
    "MattingLaplacian",
    "Measures",
    "Objective",
    "Photograph",
    "PhotorealismTerm",
    "Record",
    "RegionStyleTerm",
    "Regions",
    "Result",
    "Run",
    "Step",
    "StyleTerm",
    "Sweep",
    "Term",
    "TotalVariationTerm",
    "color_match",
    "compare",
    "content_loss",
    "contrast_match",
    "default_device",
    "descent_run",
    "equal_weights",
    "film",
    "gram_matrix",
    "layer_style_loss",
    "load_image",
    "load_regions",
    "luminance",
    "match_colors",
    "mean_gram_matrix",
    "mean_responses",
    "measure",
    "on_grid",
    "optimize",
    "photograph",
    "photorealize",
    "photorealize_run",
    "profile",
    "propose_regions",
    "pyramid",
    "region_gram_matrices",
    "relative_weights",
    "resize",
    "samples",
    "save_image",
    "show",
    "style_loss",
    "style_transfer_objective",
    "stylize",
    "stylize_run",
    "sweep",
    "targets",
    "texture",
    "texture_run",
    "to_pil",
    "with_luminance",
]


def __getattr__(name: str) -> Any:
    """The names in LATER are imported when they are first used: Matplotlib takes half a second."""
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
