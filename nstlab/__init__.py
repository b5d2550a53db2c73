"""Neural style transfer, to read, to run and to learn from.

    image files  ->  VGG responses  ->  losses  ->  objective  ->  stream of steps  ->  pastiche

`images`, `vgg`, `losses`, `laplacian`, `objective`, `optimize`, `transfer` and `photorealism` tell that story, in this
order; the other modules are what these are made of. `plots` and `widgets` only look on.
"""

from nstlab.images import ImageError, load_image, samples, save_image
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, gram_matrix, style_loss
from nstlab.objective import Objective
from nstlab.optimize import DivergenceError, Result, optimize
from nstlab.photorealism import photorealize
from nstlab.style_transfer import style_transfer_objective
from nstlab.transfer import stylize
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
