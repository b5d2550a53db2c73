"""The self-checks of notebook 02, and the pixels that a response depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.base.files.architecture import MAPS, block, layer_names, starts_a_block
from nstlab.course.check.verdict import Slip, Verdict, compare

LAYERS = layer_names("vgg19")
KERNEL, POOL = 3, 2  # side of the window of a convolution and of a pooling


def field_of_view(layer: str, layers: Sequence[str] = LAYERS) -> tuple[int, int]:
    """The receptive field r of a response and the stride j from one response to the next, both in pixels.

        convolution 3x3:  r <- r + 2 j            pooling 2x2:  r <- r + j,  j <- 2 j

    layers: the convolutions of the network in order; there is a pooling before each block but the first.

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
    """The pixels that the response at (row, column) of a layer depends on: (top, left, bottom, right).

    bottom and right are excluded, as in a slice. At the border the box extends beyond the image, into the padding.

    >>> seen_box("conv1_1", 10, 20), seen_box("conv2_1", 10, 20)
    ((9, 19, 12, 22), (16, 36, 26, 46))
    """
    r, j = field_of_view(layer, layers)
    reach, step = 0, 1  # how far the box of the response at (0, 0) extends beyond the corner; the current stride
    for name in layers[: layers.index(layer) + 1]:
        step *= POOL if starts_a_block(name) else 1
        reach += step
    return row * j - reach, column * j - reach, row * j - reach + r, column * j - reach + r


def response_shape(mine: Callable[[str, int, int], Any]) -> Verdict:
    """Exercise 1: the shape (N, h, w) of the responses of a layer to an image of height x width pixels."""
    cases = [("conv1_2", 96, 64), ("conv2_1", 96, 64), ("conv3_3", 75, 101), ("conv5_2", 256, 200)]

    def shapes(doubling: bool = False, more_poolings: int = 0, round_up: bool = False) -> list[tuple[int, int, int]]:
        """The right shapes, or those of a mistake: N doubled in every block, more poolings, odd sides rounded up."""
        found = []
        for layer, height, width in cases:
            stride = 2 ** (block(layer) - 1 + more_poolings)
            N = 64 * 2 ** (block(layer) - 1) if doubling else MAPS[block(layer) - 1]
            h, w = ((-(-side // stride) if round_up else side // stride) for side in (height, width))
            found.append((N, h, w))
        return found

    return compare(
        lambda: [tuple(int(n) for n in mine(*case)) for case in cases],
        shapes(),
        [
            Slip(
                shapes(doubling=True),
                "The number of maps does not double in every block: see the last line of the table.",
            ),
            Slip(
                shapes(more_poolings=1),
                "One halving too many: a pooling is between two blocks. How many are before block 1?",
            ),
            Slip(shapes(round_up=True), "If a side is odd, the last row or column has no partner and is dropped."),
            Slip([(n, w, h) for n, h, w in shapes()], "Height and width are swapped: rows come first, (N, h, w)."),
            Slip([(h, w, n) for n, h, w in shapes()], "The maps come first in PyTorch: (N, h, w)."),
        ],
        "Each block has half as many rows and columns as the one before, and, up to block 4, twice as many maps.",
    )


def receptive_field(mine: Callable[[str, Sequence[str]], Any]) -> Verdict:
    """Exercise 2: the receptive field of a layer, in pixels along one side."""
    cases = ["conv1_1", "conv1_2", "conv2_1", "conv3_2", "conv4_2", "conv5_1"]

    def fields(
        added: int = KERNEL - 1, pool: int = 1, stride: int = 2, stride_first: bool = False, included: int = 1
    ) -> list[int]:
        """The right fields, or those of a mistake.

        added, pool: how much a convolution and a pooling add, in strides. stride: of a pooling. stride_first: update
        the stride before the field. included: 0 stops before the layer, 2 stops after the next one.
        """
        found = []
        for layer in cases:
            r = j = 1
            for name in LAYERS[: LAYERS.index(layer) + included]:
                if starts_a_block(name):
                    j = j * stride if stride_first else j
                    r += pool * j
                    j = j if stride_first else j * stride
                r += added * j
            found.append(r)
        return found

    return compare(
        lambda: [int(mine(layer, list(LAYERS))) for layer in cases],
        fields(),
        [
            Slip(
                fields(stride=1),
                "You forget the stride of a pooling: one step after it is two steps before it.",
            ),
            Slip(
                fields(pool=0), "The poolings are missing: a pooling takes two neighbors, so it widens the field, too."
            ),
            Slip(fields(pool=0, stride=1), "The poolings are missing altogether."),
            Slip(
                fields(stride_first=True),
                "Nearly: a pooling widens the field by the stride before it. In which order do you update the two?",
            ),
            Slip(
                fields(added=KERNEL),
                "Each convolution adds too much: one of its three responses was counted before.",
            ),
            Slip([r + 1 for r in fields()], "One too many: begin with a single pixel."),
            Slip([r - 1 for r in fields()], "One too few: begin with a single pixel."),
            Slip(
                fields(included=2),
                "You count one layer too many: stop after the given layer.",
            ),
            Slip(fields(included=0), "You stop before the given layer."),
        ],
        "A response of conv5_1 in VGG-19 depends on 156 pixels: its style loss sees no larger structure.",
    )


def rescaled(mine: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 3: the weight and the bias of one layer after mean-response scaling.

        W_ik <- W_ik s_k / s_i,   b_i <- b_i / s_i

    s: the mean responses of this layer; s_k is one of the layer before it.
    """
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(4, generator=generator)
    s_before, s = torch.tensor([2.0, 5.0, 0.5]), torch.tensor([4.0, 0.25, 3.0, 7.0])

    def joined(pair: Any) -> Any:
        """Weight and bias in one vector, to compare both at once. Raises ValueError if a shape is wrong."""
        W, b = pair
        if tuple(W.shape) != tuple(weight.shape) or tuple(b.shape) != tuple(bias.shape):
            raise ValueError(
                f"the weight has shape {tuple(W.shape)} and the bias {tuple(b.shape)}; they should be "
                f"{tuple(weight.shape)} and {tuple(bias.shape)}. Which axis of the weight belongs to which scale?"
            )
        return torch.cat([W.flatten(), b.flatten()])

    inputs, outputs = s_before.view(1, -1, 1, 1), s.view(-1, 1, 1, 1)
    return compare(
        lambda: joined(mine(weight.clone(), bias.clone(), s_before, s)),
        joined((weight * inputs / outputs, bias / s)),
        [
            Slip(
                joined((weight / outputs, bias / s)),
                "The scale of this layer is right. But its inputs are divided by `s_before`: where is that undone?",
            ),
            Slip(
                joined((weight * inputs / outputs, bias)),
                "The weight is right. The bias is part of the response, so it must be scaled, too.",
            ),
            Slip(
                joined((weight * outputs / inputs, bias * s)),
                "Upside down: a filter with mean response 4 must become weaker.",
            ),
            Slip(
                joined((weight / inputs / outputs, bias / s)),
                "You divide by `s_before`: the division of the inputs by it must be undone.",
            ),
            Slip(
                joined((weight * inputs / outputs, bias * s_before.mean() / s)),
                "The bias does not depend on the inputs, nor on `s_before`.",
            ),
        ],
        "Done for all layers in turn, this changes only the scale of each response.",
    )


def seen_pixels(mine: Callable[[str, int, int, Sequence[str]], Any]) -> Verdict:
    """Exercise 4: the box of pixels that a response depends on, as `seen_box` computes it."""
    cases = [("conv1_1", 10, 20), ("conv1_2", 7, 9), ("conv2_1", 10, 20), ("conv3_3", 5, 3), ("conv4_2", 0, 2)]

    def boxes(first: Callable[[str], int], extra: int = 0) -> list[tuple[int, ...]]:
        """The boxes if that of the first response starts at first(layer); extra is added to bottom and right."""
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
                "The size is right, the position is not: a convolution also takes the responses above and to the left.",
            ),
            Slip(
                boxes(lambda layer: corner[layer], extra=-1),
                "The last row and column are excluded, as in a slice: x[top:bottom].",
            ),
            Slip(
                [(top, left, bottom - top, right - left) for top, left, bottom, right in right],
                "Return the corners, not the size: (top, left, bottom, right).",
            ),
            Slip(
                [(left, top, right, bottom) for top, left, bottom, right in right],
                "Rows and columns are swapped: (top, left, bottom, right).",
            ),
            Slip(
                boxes(lambda layer: -(field_of_view(layer)[0] // 2)),
                "Nearly: after a pooling the box is not centered on row times stride. Follow its top edge by layer.",
            ),
            Slip(
                boxes(lambda layer: -(1 + LAYERS.index(layer))),
                "A step up in a deep layer is more than one pixel: how many, after the poolings before it?",
            ),
            Slip(
                [tuple(max(0, n) for n in box) for box in right],
                "You cut the box off at the border of the image. Do not: it may start at a negative row.",
            ),
        ],
        "Now you can cut out of any image the patch that a response depends on.",
    )
