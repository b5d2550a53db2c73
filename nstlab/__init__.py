"""Neural style transfer, to read, to run and to learn from.

    image files  ->  VGG responses  ->  losses  ->  objective  ->  stream of steps  ->  pastiche

Every module is a page of that story, in this order: `images`, `vgg`, `losses`, `laplacian`, `objective`, `optimize`,
`transfer`. `plots` and `widgets` only look on.
"""

from nstlab.images import ImageError, load_image, samples, save_image
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, gram_matrix, style_loss
from nstlab.objective import Objective
from nstlab.optimize import DivergenceError, Result, optimize
from nstlab.style_transfer import style_transfer_objective
from nstlab.transfer import photorealize, stylize
from nstlab.vgg import VGG

__all__ = [
    "VGG",
    "DivergenceError",
    "ImageError",
    "MattingLaplacian",
    "Objective",
    "Result",
    "content_loss",
    "gram_matrix",
    "load_image",
    "optimize",
    "photorealize",
    "samples",
    "save_image",
    "style_loss",
    "style_transfer_objective",
    "stylize",
]
