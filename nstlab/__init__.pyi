"""The types of the names in __init__.py."""

from nstlab.base.numerics.devices import default_device
from nstlab.base.records import DivergenceError, Record, Result, Step
from nstlab.base.version import __version__
from nstlab.coarse_to_fine import optimize, pyramid
from nstlab.control.films import Film, film
from nstlab.control.measures import Measures, measure
from nstlab.control.photographs import Photograph, color_match, contrast_match, photograph
from nstlab.control.proposals import propose_regions
from nstlab.control.sweeps import Sweep, sweep
from nstlab.control.textures import texture, texture_run
from nstlab.course import profile
from nstlab.images import ImageError, ImageSource, load_alpha, load_image, resize, samples, save_image, to_pil
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import (
    content_loss,
    equal_weights,
    gram_matrix,
    layer_style_loss,
    mean_gram_matrix,
    style_loss,
)
from nstlab.notebook import compare, show
from nstlab.objective import Objective
from nstlab.optimizers import Descent
from nstlab.photorealism import descent_run, photorealize, photorealize_run
from nstlab.preparation.colors import luminance, match_colors, with_luminance
from nstlab.preparation.region_style import RegionStyleTerm, region_gram_matrices
from nstlab.preparation.regions import Regions, load_regions, on_grid
from nstlab.preparation.style_transfer import CONTENT_WEIGHT, style_transfer_objective
from nstlab.preparation.targets import targets
from nstlab.preparation.weights import relative_weights
from nstlab.runs import Run
from nstlab.terms import ContentTerm, PhotorealismTerm, StyleTerm, Term, TotalVariationTerm
from nstlab.transfer import stylize, stylize_run
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG, mean_responses

__all__ = [
    "CONTENT_LAYER",
    "CONTENT_WEIGHT",
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
    "__version__",
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
    "load_alpha",
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
