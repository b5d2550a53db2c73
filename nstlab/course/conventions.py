"""The weights of other tutorials, such as "style weight 1e6", converted to those of equations 1 and 3.

Their style term of a layer is s S / (N^4 M^2), with S = sum_ij (G_ij - A_ij)^2 of undivided Gram matrices: they divide
each Gram matrix by N M, or by M with N^-2 in the weight, and average the N^2 squared differences. The paper has
w S / (4 N^2 M^2). Their content term is c mean (F - P)^2; the paper has half of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nstlab import CONTENT_LAYER, STYLE_LAYERS
from nstlab.base.files.architecture import MAPS, block, places_of


@dataclass(frozen=True)
class Convention:
    """The layers and the weights of one tutorial: c = content_weight, s = style_weight.

    >>> CONVENTIONS["neural_style"].content_weight, CONVENTIONS["neural_style"].style_weight
    (5.0, 100.0)
    """

    source: str
    content_layer: str
    style_layers: tuple[str, ...]
    content_weight: float
    style_weight: float

    def settings(
        self, size: tuple[int, int], content_weight: float | None = None, style_weight: float | None = None
    ) -> dict[str, Any]:
        """The arguments of `style_transfer_objective` for the same losses.

            c mean (F - P)^2  =  2 c / (N M)  L_content
            s S / (N^4 M^2)   =  4 s / N^2  E_l

        size: (H, W) of the content image, which determines M. content_weight, style_weight: in place of the tutorial's
        own.

        >>> settings = CONVENTIONS["gatys_code"].settings((64, 48))
        >>> settings["style_layers"]["conv1_1"] == 4 * 1e3 / 64**2, settings["content_weight"] == 2 / (512 * 8 * 6)
        (True, True)
        """
        c = self.content_weight if content_weight is None else content_weight
        s = self.style_weight if style_weight is None else style_weight
        responses = maps(self.content_layer) * places_of(self.content_layer, size)
        return {
            "content_layer": self.content_layer,
            "style_layers": {layer: 4 * s / maps(layer) ** 2 for layer in self.style_layers},
            "content_weight": 2 * c / responses,
            "style_weight": 1.0,
            "exact": True,
        }


def maps(layer: str) -> int:
    """N_l: the number of feature maps of a layer.

    >>> maps("conv4_2")
    512
    """
    return MAPS[block(layer) - 1]


CONVENTIONS = {
    "gatys_code": Convention(
        source="L. Gatys' PyTorch notebook",
        content_layer=CONTENT_LAYER,
        style_layers=STYLE_LAYERS,
        content_weight=1.0,
        style_weight=1e3,
    ),
    "neural_style": Convention(
        source="neural-style-pt, its default options",
        content_layer=CONTENT_LAYER,
        style_layers=STYLE_LAYERS,
        content_weight=5.0,
        style_weight=1e2,
    ),
    "pytorch_tutorial": Convention(
        source="the PyTorch tutorial; it takes the responses before the ReLU, and other layers than [1]",
        content_layer="conv2_2",
        style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
        content_weight=1.0,
        style_weight=1e6,
    ),
}
