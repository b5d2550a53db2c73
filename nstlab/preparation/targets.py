"""What a pastiche is compared with: the responses to the content image, the Gram matrices of the style images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nstlab.base.files.pixels import described, in_range
from nstlab.base.numerics.arguments import check_type, naming, number, short
from nstlab.base.numerics.modes import entrance
from nstlab.losses import mean_gram_matrix
from nstlab.objective import checked_evaluation, engine
from nstlab.preparation.region_style import region_gram_matrices
from nstlab.preparation.regions import Regions, on_grid
from nstlab.vgg import VGG

GramMatrices = dict[str, Tensor]  # by layer


@entrance("targets")
def targets(
    vgg: VGG,
    content: Tensor,
    style: Tensor,
    content_layer: str,
    style_layers: Iterable[str],
    tile: int | str | None = None,
    precision: str = "float32",
    *,
    content_masks: Tensor | None = None,
    style_masks: Tensor | None = None,
) -> tuple[Tensor, GramMatrices, GramMatrices]:
    """What the pastiche is compared with: P of equation 1, and by layer the Gram matrices per place of the content
    image and of the style image, A of equation 3.

    content, style: (1, 3, H, W) in [0, 1]. tile, precision: as in `Objective`. content_masks, style_masks: of R
    regions, as in `Regions`. Gives P, (1, N, h, w), and two dicts of (1, N_l, N_l), with masks of (R, N_l, N_l). Raises
    ValueError and TypeError for layers that the network does not have, and for images that are too small or hold other
    values.

    >>> P, G_p, A = targets(VGG(), torch.rand(1, 3, 32, 48), torch.rand(1, 3, 16, 16), "conv4_2", ["conv1_1"])
    >>> P.shape, A["conv1_1"].shape
    (torch.Size([1, 512, 4, 6]), torch.Size([1, 64, 64]))
    """
    P, G_p, (A,) = targets_of_several(
        vgg, content, [style], content_layer, style_layers, tile, precision, content_masks, style_masks
    )
    return P, G_p, A


@torch.no_grad()
def targets_of_several(
    vgg: VGG,
    content: Tensor,
    styles: Sequence[Tensor],
    content_layer: str,
    style_layers: Iterable[str],
    tile: int | str | None,
    precision: str,
    content_masks: Tensor | None,
    style_masks: Tensor | None,
) -> tuple[Tensor, GramMatrices, list[GramMatrices]]:
    """`targets` for several style images, with A of each."""
    check_type("vgg", vgg, VGG, "Give a VGG, for example VGG('vgg19').")
    tile, precision = checked_evaluation(tile, precision)
    with naming("style_layers"):
        names = list(style_layers)
        deepest_of_style = vgg.down_to(names)[-1]
    with naming("content_layer"):
        deepest = vgg.down_to([content_layer, *names])[-1]  # the pastiche has the content's size
    for argument, image, layer in [("content", content, deepest), *(("style", S, deepest_of_style) for S in styles)]:
        with naming(argument):
            vgg.check_image(image, layer)
            in_range(image, described(image))
    fast = engine()
    if fast:
        found: tuple[Tensor, GramMatrices, list[GramMatrices]] = fast.targets(
            vgg, content, styles, content_layer, names, tile, precision, content_masks, style_masks
        )
        return found

    def gram_matrices(F: dict[str, Tensor], masks: Tensor | None) -> GramMatrices:
        if masks is None:
            return {layer: mean_gram_matrix(F[layer]) for layer in names}
        grids = {layer: on_grid(masks, (F[layer].shape[2], F[layer].shape[3])).to(F[layer]) for layer in names}
        return {layer: region_gram_matrices(F[layer], grids[layer]) for layer in names}

    of_content = vgg(content, {content_layer, *names})
    A = [gram_matrices(vgg(S, names), style_masks) for S in styles]
    return of_content[content_layer], gram_matrices(of_content, content_masks), A


def combined(A: Sequence[Tensor], mix: Sequence[float] | None) -> Tensor:
    """The Gram matrices of several style images: their mean with the shares `mix`, or one after another for None.

        sum_k mix_k |G - A_k|^2 = |G - sum_k mix_k A_k|^2 + a constant,    if the shares add up to 1

    So a pastiche between several styles is compared with the mean of their Gram matrices.

    A: (R, N, N) each, (1, N, N) for None. Gives (R, N, N).

    >>> combined([torch.zeros(1, 1, 1), torch.ones(1, 1, 1)], [0.25, 0.75]).flatten()
    tensor([0.7500])
    """
    if mix is None:
        return torch.cat(list(A))
    return torch.stack([share * A_k for share, A_k in zip(mix, A, strict=True)]).sum(0)


def checked_mix(styles: int, style_mix: Sequence[float] | None, regions: Regions | None) -> list[float] | None:
    """The share of every style image, adding up to 1; None if there is one style image for each region.

    Raises ValueError for numbers of style images, regions and shares that do not fit together.

    >>> checked_mix(2, [1, 3], None)
    [0.25, 0.75]
    """
    if not styles:
        raise ValueError("style: the list of style images is empty; give at least one.")
    if regions and regions.style is None:
        if styles != len(regions) or style_mix is not None:
            raise ValueError(
                f"style: {styles} style images for {len(regions)} regions without masks of the style image; give one "
                f"image for each region, without style_mix, or masks."
            )
        return None
    given = [1.0] * styles if style_mix is None else style_mix
    shares = [number("style_mix", share) for share in given] if isinstance(given, Iterable) else []
    if len(shares) != styles or not sum(shares):
        raise ValueError(
            f"style_mix={short(style_mix)} must be one share from 0 up for each of the {styles} style images, and not "
            f"all 0."
        )
    return [share / sum(shares) for share in shares]
