"""Label pictures: every color is a label. Two of them become two maps of numbers, one numbering for both."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.base.files.decoding import refusal
from nstlab.base.files.pixels import to_tensor

LABELS = 255  # at most
NEAR = 40  # of 255 levels: a pixel has a label if no channel is further from the label's color
SMALLEST = 0.002  # share of the pixels of both pictures that a color needs to be a label
STRAY = 0.02  # share of a picture: a label on one side only, and no larger, goes to the labels around it
GRAYS = 32  # a gray picture of no more shades holds numbers, so its labels are told apart by any difference
LABELLED = 0.9  # share of the pixels of a label picture that have a label; a photograph has fewer
NAMES = {
    (0, 0, 0): "black", (255, 255, 255): "white", (128, 128, 128): "gray", (255, 0, 0): "red", (0, 255, 0): "green",
    (0, 0, 255): "blue", (255, 255, 0): "yellow", (255, 0, 255): "magenta", (0, 255, 255): "cyan",
}  # fmt: skip


def read_labels(first: object, second: object, call: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Two label pictures as maps of label numbers, (H, W) int64 from 0 up, and the names of the labels.

    first, second: whatever `load_image` takes, or arrays (H, W) of whole numbers. call: the prefix of errors. Pixels
    between two colors, and a label on one side only that covers at most STRAY of it, get the labels around them.
    Raises ImageError for more than LABELS labels, for a photograph, and for a label on one side only.

    >>> a, b, names = read_labels(np.eye(4, dtype=int), np.ones((2, 2), dtype=int) - np.eye(2, dtype=int), "test")
    >>> a[0].tolist(), b.tolist(), names
    ([1, 0, 0, 0], [[0, 1], [1, 0]], ('0', '1'))
    """
    numbers = [whole_numbers(source) for source in (first, second)]
    if numbers[0] is not None and numbers[1] is not None:
        values = torch.unique(torch.cat([number.flatten() for number in numbers if number is not None]))
        maps = [torch.searchsorted(values, number) for number in numbers if number is not None]
        names = [str(value) for value in values.tolist()]
    else:
        pictures = [(to_tensor(source, call)[0] * 255).round().permute(1, 2, 0) for source in (first, second)]
        levels = torch.cat([picture.flatten(0, 1) for picture in pictures])
        near = 0 if is_numbered(levels) else NEAR
        colors = pure_colors(levels, near)
        maps = [nearest(picture, colors, near) for picture in pictures]
        names = [color_name(color) if near else str(color[0]) for color in colors.int().tolist()]
        for which, labels in zip(("first", "second"), maps, strict=True):
            labelled = (labels >= 0).float().mean().item()
            if labelled < LABELLED:
                problem = f"the {which} picture is a photograph: only {labelled:.0%} of its pixels have a pure color"
                raise refusal(call, problem, "Give a picture in which every region has one color.")
    if len(names) > LABELS:
        raise refusal(call, f"there are {len(names)} labels, expected at most {LABELS}", "Join some of them.")
    areas = [torch.stack([(labels == k).float().mean() for k in range(len(names))]) for labels in maps]
    check_pairs(areas[0], areas[1], names, call)
    kept = [k for k in range(len(names)) if areas[0][k] and areas[1][k]]
    renumbered = torch.full((len(names) + 1,), -1, device="cpu")  # the last entry is for pixels without a label, -1
    renumbered[kept] = torch.arange(len(kept), device="cpu")
    first_map, second_map = (spread(renumbered[labels]) for labels in maps)
    return first_map, second_map, tuple(names[k] for k in kept)


def whole_numbers(source: object) -> Tensor | None:
    """An array (H, W) of whole numbers as int64; None for anything else."""
    if not isinstance(source, (np.ndarray, Tensor)):
        return None
    array = np.asarray(source)
    return (
        torch.from_numpy(np.ascontiguousarray(array, np.int64))
        if array.ndim == 2 and array.dtype.kind in "iub"
        else None
    )


def is_numbered(levels: Tensor) -> bool:
    """Whether these colors, (P, 3), are at most GRAYS shades of gray."""
    return bool((levels == levels[:, :1]).all()) and len(torch.unique(levels[:, 0])) <= GRAYS


def pure_colors(levels: Tensor, near: int) -> Tensor:
    """The colors of the labels, (K, 3), the most frequent first, each further than `near` from the others.

    levels: the colors of all pixels, (P, 3), from 0 to 255. Each label has SMALLEST of the pixels, and the first one
    has them all if no color has so many.
    """
    colors, counts = torch.unique(levels, dim=0, return_counts=True)
    found: list[Tensor] = []
    least = SMALLEST * len(levels)
    for color in colors[counts.argsort(descending=True)]:
        its = (levels - color).abs().amax(1) <= near
        if found and its.sum() < least and its.any():
            break
        if its.any():
            found.append(color)
            levels = levels[~its]
        if len(levels) == 0 or len(found) > LABELS:
            break
    return torch.stack(found)


def nearest(picture: Tensor, colors: Tensor, near: int) -> Tensor:
    """The number of the nearest color at every pixel, (H, W); -1 if it is further away than `near`."""
    distance = torch.stack([(picture - color).abs().amax(2) for color in colors])
    least, number = distance.min(0)
    return torch.where(least <= near, number, -1)


def color_name(color: list[int]) -> str:
    """The name of a pure color; of others their hexadecimal number.

    >>> color_name([250, 3, 0]), color_name([60, 80, 200])
    ('red', '#3c50c8')
    """
    for pure, name in NAMES.items():
        if max(abs(a - b) for a, b in zip(color, pure, strict=True)) <= NEAR / 2:
            return name
    return "#" + bytes(color).hex()


def check_pairs(first: Tensor, second: Tensor, names: list[str], call: str) -> None:
    """Raise ImageError for labels in one picture only that cover more than STRAY of it; first, second: their areas."""
    for here, there, where in ((first, second, "first"), (second, first, "second")):
        alone = [f"{name} ({here[k]:.1%})" for k, name in enumerate(names) if here[k] > STRAY and not there[k]]
        if alone:
            problem = f"{', '.join(alone)} of the {where} picture has no partner in the other one"
            raise refusal(call, problem, "Give it the color of another region, or draw it in both.")


def spread(labels: Tensor) -> Tensor:
    """The map with every pixel without a label, -1, given the most frequent label around it; (H, W)."""
    count = int(labels.max()) + 1
    while bool((labels < 0).any()):
        votes = torch.stack([(labels == k).float() for k in range(count)])
        votes = nnf.avg_pool2d(nnf.pad(votes[None], (1, 1, 1, 1)), 3, stride=1)[0]
        most, label = votes.max(0)
        labels = torch.where((labels < 0) & (most > 0), label, labels)
    return labels
