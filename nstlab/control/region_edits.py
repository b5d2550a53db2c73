"""Edits of regions: several become one, one is dropped, two swap their parts of the style image."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as nnf
from torch import Tensor

from nstlab import Regions


def merged(regions: Regions, chosen: Sequence[int]) -> Regions:
    """One region in place of those with the numbers `chosen`; it stands where the first of them stood.

    >>> import torch
    >>> merged(Regions(torch.eye(3).view(3, 1, 1, 3), names=("sky", "trees", "clouds")), [0, 2])
    Regions(names=('sky + clouds', 'trees'))
    """
    kept = [r for r in range(len(regions)) if r not in chosen[1:]]

    def joined(masks: Tensor) -> Tensor:
        masks = masks.clone()
        masks[chosen[0]] = masks[list(chosen)].sum(0).clamp(max=1)
        return masks[kept]

    names = list(regions.names)
    names[chosen[0]] = " + ".join(names[r] for r in chosen)
    style = None if regions.style is None else joined(regions.style)
    return Regions(joined(regions.content), style, tuple(names[r] for r in kept))


def dropped(regions: Regions, r: int) -> Regions:
    """All regions but number r: its part of the content image joins the neighbor with which it has the longest border.

    Nothing is learned any more from its part of the style image.

    >>> import torch
    >>> content = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]).view(3, 1, 1, 4)
    >>> dropped(Regions(content, names=("sky", "bird", "hill")), 0).content[:, 0, 0].tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    kept = [other for other in range(len(regions)) if other != r]
    content = regions.content[kept]
    around = nnf.avg_pool2d(regions.content[r], 3, 1, 1)
    border = (around * content).sum((1, 2, 3))
    content[border.argmax()] += regions.content[r]
    style = None if regions.style is None else regions.style[kept]
    return Regions(content.clamp(max=1), style, tuple(regions.names[other] for other in kept))


def swapped(regions: Regions, a: int, b: int) -> Regions:
    """The same regions; numbers a and b have exchanged their parts of the style image.

    >>> import torch
    >>> regions = Regions(torch.eye(2).view(2, 1, 1, 2), torch.eye(2).view(2, 1, 1, 2))
    >>> swapped(regions, 0, 1).style[:, 0, 0].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    assert regions.style is not None
    order = list(range(len(regions)))
    order[a], order[b] = b, a
    return Regions(regions.content, regions.style[order], regions.names)
