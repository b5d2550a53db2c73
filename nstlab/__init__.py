"""Neural style transfer, to read, to run and to learn from.

    image files  ->  VGG responses  ->  losses  ->  objective  ->  stream of steps  ->  pastiche

`textbook` tells the whole story on one page. The pages `images`, `vgg`, `losses`, `laplacian`, `terms`, `objective`,
`optimizers`, `runs`, `coarse_to_fine`, `transfer` and `photorealism` tell it in this order, each with what stands
before it. `preparation` makes an objective of pictures: their colors, regions, targets. `engine` makes it fast. `base`
is what the pages stand on. `control` is built from the two approaches: photographs, regions, textures, films.
`notebook`, `command_line` and `course` look on.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# by module; each is imported when one of its names is first used, so that the command line answers at once. The types
# are in __init__.pyi
NAMES = {
    "nstlab.base.version": ("__version__",),
    "nstlab.coarse_to_fine": ("optimize", "pyramid"),
    "nstlab.preparation.colors": ("luminance", "match_colors", "with_luminance"),
    "nstlab.control.films": ("Film", "film"),
    "nstlab.control.measures": ("Measures", "measure"),
    "nstlab.control.photographs": ("Photograph", "color_match", "contrast_match", "photograph"),
    "nstlab.control.proposals": ("propose_regions",),
    "nstlab.control.sweeps": ("Sweep", "sweep"),
    "nstlab.control.textures": ("texture", "texture_run"),
    "nstlab.course": ("profile",),
    "nstlab.images": (
        "ImageError",
        "ImageSource",
        "load_alpha",
        "load_image",
        "resize",
        "samples",
        "save_image",
        "to_pil",
    ),
    "nstlab.laplacian": ("MattingLaplacian",),
    "nstlab.losses": (
        "content_loss",
        "equal_weights",
        "gram_matrix",
        "layer_style_loss",
        "mean_gram_matrix",
        "style_loss",
    ),
    "nstlab.notebook": ("compare", "show"),
    "nstlab.base.numerics.devices": ("default_device",),
    "nstlab.objective": ("Objective",),
    "nstlab.optimizers": ("Descent",),
    "nstlab.photorealism": ("descent_run", "photorealize", "photorealize_run"),
    "nstlab.preparation.region_style": ("RegionStyleTerm", "region_gram_matrices"),
    "nstlab.preparation.regions": ("Regions", "load_regions", "on_grid"),
    "nstlab.base.records": ("DivergenceError", "Record", "Result", "Step"),
    "nstlab.runs": ("Run",),
    "nstlab.preparation.targets": ("targets",),
    "nstlab.terms": ("ContentTerm", "PhotorealismTerm", "StyleTerm", "Term", "TotalVariationTerm"),
    "nstlab.transfer": ("stylize", "stylize_run"),
    "nstlab.preparation.style_transfer": ("CONTENT_WEIGHT", "style_transfer_objective"),
    "nstlab.preparation.weights": ("relative_weights",),
    "nstlab.vgg": ("CONTENT_LAYER", "STYLE_LAYERS", "VGG", "mean_responses"),
}
MODULES = {name: module for module, names in NAMES.items() for name in names}

__all__ = sorted(MODULES)


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
