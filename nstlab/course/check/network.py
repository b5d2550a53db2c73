"""Notebook 02: its self-checks, and which pixels a response sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.course.check.verdict import Slip, Verdict, compare
from nstlab.files.architecture import MAPS, block, layer_names, starts_a_block

LAYERS = layer_names("vgg19")
KERNEL, POOL = 3, 2  # pixels that a convolution and a pooling look at, along one side


def field_of_view(layer: str, layers: Sequence[str] = LAYERS) -> tuple[int, int]:
    """The receptive field of one response and the stride from one response to the next, both in pixels.

        convolution 3x3:  r <- r + 2 j            pooling 2x2:  r <- r + j,  j <- 2 j

    layer: its name; layers: all convolutions of the network in order, a pooling before each new block.

    >>> field_of_view("conv1_1"), field_of_view("conv5_1")
    ((3, 1), (156, 16))
    """
    r = j = 1
    for name in layers[: layers.index(layer) + 1]:
        if starts_a_block(name):
            r, j = r + (POOL - 1) * j, POOL * j
        r += (KERNEL - 1) * j
    return r, j


def seen_box(layer: str, row: int, column: int, layers: Sequence[str] = LAYERS) -> tuple[int, int, int, int]:
    """The pixels that the response at (row, column) of a layer sees: (top, left, bottom, right), the last two excluded.

    At the border the box reaches beyond the picture, into the padding.

    >>> seen_box("conv1_1", 10, 20), seen_box("conv2_1", 10, 20)
    ((9, 19, 12, 22), (16, 36, 26, 46))
    """
    r, j = field_of_view(layer, layers)
    reach, step = 0, 1  # how far the response in the corner sees beyond the corner
    for name in layers[: layers.index(layer) + 1]:
        step *= POOL if starts_a_block(name) else 1
        reach += step
    return row * j - reach, column * j - reach, row * j - reach + r, column * j - reach + r


def response_shape(mine: Callable[[str, int, int], Any]) -> Verdict:
    """Exercise 1: the shape (N, h, w) of a layer's responses, for a picture of height x width pixels."""
    cases = [("conv1_2", 96, 64), ("conv2_1", 96, 64), ("conv3_3", 75, 101), ("conv5_2", 256, 200)]

    def shapes(doubling: bool = False, poolings: int = 0, up: bool = False) -> list[tuple[int, int, int]]:
        found = []
        for layer, height, width in cases:
            times = block(layer) - 1 + poolings
            N = 64 * 2 ** (block(layer) - 1) if doubling else MAPS[block(layer) - 1]
            h, w = ((-(-side // 2**times) if up else side // 2**times) for side in (height, width))
            found.append((N, h, w))
        return found

    return compare(
        lambda: [tuple(int(n) for n in mine(*case)) for case in cases],
        shapes(),
        [
            Slip(
                shapes(doubling=True),
                "The maps do not double for ever: look at the last line of the table.",
            ),
            Slip(
                shapes(poolings=1),
                "One halving too many: the pooling stands between two blocks. How many lie before block 1?",
            ),
            Slip(
                shapes(up=True), "A side that cannot be halved: the last row or column finds no partner and is dropped."
            ),
            Slip(
                [(n, w, h) for n, h, w in shapes()], "Height and width have changed places: rows come first, (N, h, w)."
            ),
            Slip([(h, w, n) for n, h, w in shapes()], "The maps come first in PyTorch: (N, h, w)."),
        ],
        "Each block has half as many rows and columns as the one before, and, up to block 4, twice as many maps.",
    )


def receptive_field(mine: Callable[[str, Sequence[str]], Any]) -> Verdict:
    """Exercise 2: how many pixels, along one side, a response of a layer sees."""
    cases = ["conv1_1", "conv1_2", "conv2_1", "conv3_2", "conv4_2", "conv5_1"]

    def fields(added: int = KERNEL - 1, pool: int = 1, stride: int = 2, late: bool = False, stop: int = 1) -> list[int]:
        """The answers, or what comes of a slip; `stop` layers from the one asked for are taken."""
        found = []
        for layer in cases:
            r = j = 1
            for name in LAYERS[: LAYERS.index(layer) + stop]:
                if starts_a_block(name):
                    j = j * stride if late else j
                    r += pool * j
                    j = j if late else j * stride
                r += added * j
            found.append(r)
        return found

    return compare(
        lambda: [int(mine(layer, list(LAYERS))) for layer in cases],
        fields(),
        [
            Slip(
                fields(stride=1),
                "You forget what a pooling does to all that follow: one step there is two steps before it.",
            ),
            Slip(
                fields(pool=0), "The poolings are missing: a pooling looks at two neighbors, so it widens the view too."
            ),
            Slip(fields(pool=0, stride=1), "The poolings are missing altogether."),
            Slip(
                fields(late=True),
                "Nearly: a pooling widens the view by the distance of the responses before it. In which order?",
            ),
            Slip(
                fields(added=KERNEL),
                "Each convolution adds too much: of its three pixels, one was there before.",
            ),
            Slip([r + 1 for r in fields()], "One too many: begin with a single pixel."),
            Slip([r - 1 for r in fields()], "One too few: begin with a single pixel."),
            Slip(
                fields(stop=2),
                "You count one layer too many: stop after the layer that was asked for.",
            ),
            Slip(fields(stop=0), "You stop before the layer that was asked for."),
        ],
        "conv5_1 of VGG-19 sees 156 pixels: its style loss sees no further.",
    )


def rescaled(mine: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 3: one layer's weight and bias after mean-response scaling.

    W_ik <- W_ik s_k / s_i        b_i <- b_i / s_i
    """
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(4, generator=generator)
    before, own = torch.tensor([2.0, 5.0, 0.5]), torch.tensor([4.0, 0.25, 3.0, 7.0])

    def joined(pair: Any) -> Any:
        """Weight and bias in one row, so that they are compared as one."""
        W, b = pair
        if tuple(W.shape) != tuple(weight.shape) or tuple(b.shape) != tuple(bias.shape):
            raise ValueError(
                f"the weight has shape {tuple(W.shape)} and the bias {tuple(b.shape)}; they should stay "
                f"{tuple(weight.shape)} and {tuple(bias.shape)}. Which axis of the weight do the numbers belong to?"
            )
        return torch.cat([W.flatten(), b.flatten()])

    inputs, outputs = before.view(1, -1, 1, 1), own.view(-1, 1, 1, 1)
    return compare(
        lambda: joined(mine(weight.clone(), bias.clone(), before, own)),
        joined((weight * inputs / outputs, bias / own)),
        [
            Slip(
                joined((weight / outputs, bias / own)),
                "This layer's own scale is right. But its inputs arrive divided by `s_before`: who undoes that?",
            ),
            Slip(
                joined((weight * inputs / outputs, bias)),
                "The weight is right. The bias is part of the response too, so it must be scaled as well.",
            ),
            Slip(
                joined((weight * outputs / inputs, bias * own)),
                "Upside down: a filter that responds 4 on average must become weaker.",
            ),
            Slip(
                joined((weight / inputs / outputs, bias / own)),
                "You divide by `s_before` where its division must be undone.",
            ),
            Slip(
                joined((weight * inputs / outputs, bias * before.mean() / own)),
                "The bias does not see the inputs: `s_before` has no place in it.",
            ),
        ],
        "Do it for all layers in turn, and only the scale of each response has changed.",
    )


def seen_pixels(mine: Callable[[str, int, int, Sequence[str]], Any]) -> Verdict:
    """Exercise 4: the box of pixels that a response sees, as `seen_box` computes it."""
    cases = [("conv1_1", 10, 20), ("conv1_2", 7, 9), ("conv2_1", 10, 20), ("conv3_3", 5, 3), ("conv4_2", 0, 2)]

    def boxes(first: Callable[[str], int], extra: int = 0) -> list[tuple[int, ...]]:
        """(top, left, bottom, right), where the response in the corner begins to see at pixel `first`."""
        found: list[tuple[int, ...]] = []
        for layer, row, column in cases:
            r, j = field_of_view(layer)
            top, left = row * j + first(layer), column * j + first(layer)
            found.append((top, left, top + r + extra, left + r + extra))
        return found

    right = [seen_box(*case) for case in cases]
    corner = {layer: seen_box(layer, 0, 0)[0] for layer, _, _ in cases}
    return compare(
        lambda: [tuple(int(n) for n in mine(*case, list(LAYERS))) for case in cases],
        right,
        [
            Slip(
                boxes(lambda layer: 0),
                "The size is right, the place is not: each convolution also looks one response up and left.",
            ),
            Slip(
                boxes(lambda layer: corner[layer], extra=-1),
                "The last row and column are excluded, as in a slice: x[top:bottom].",
            ),
            Slip(
                [(top, left, bottom - top, right - left) for top, left, bottom, right in right],
                "Give the corners, not the size: (top, left, bottom, right).",
            ),
            Slip(
                [(left, top, right, bottom) for top, left, bottom, right in right],
                "Rows and columns have changed places: (top, left, bottom, right).",
            ),
            Slip(
                boxes(lambda layer: -(field_of_view(layer)[0] // 2)),
                "Nearly: behind a pooling the box is not centered on row times stride. Follow its top edge by layer.",
            ),
            Slip(
                boxes(lambda layer: -(1 + LAYERS.index(layer))),
                "A step up in a deep layer is more than one pixel: how many, after the poolings before it?",
            ),
            Slip(
                [tuple(max(0, n) for n in box) for box in right],
                "You cut the box off at the picture's border. Leave it whole: it may begin at a negative row.",
            ),
        ],
        "Now you can cut out of any picture what excited a response.",
    )
