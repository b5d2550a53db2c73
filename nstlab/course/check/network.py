"""The self-checks of notebook 02: shapes, receptive fields and mean-response scaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nstlab.base.files.architecture import MAPS, block, starts_a_block
from nstlab.course.check.receptive_fields import KERNEL, LAYERS, field_of_view, seen_box
from nstlab.course.check.verdict import Refusal, Slip, Verdict, compare, crash


def as_tuple(answer: Any) -> Any:
    """A list as a tuple, anything else as it is.

    >>> as_tuple([64, 48, 32]), as_tuple(64)
    ((64, 48, 32), 64)
    """
    return tuple(answer) if isinstance(answer, list) else answer


def response_shape(mine: Callable[[str, int, int], Any]) -> Verdict:
    """Exercise 1: the shape (N, h, w) of the responses of a layer to an image of height x width pixels."""
    cases = [("conv1_2", 96, 64), ("conv2_1", 96, 64), ("conv3_3", 75, 101), ("conv4_4", 50, 33), ("conv5_2", 256, 200)]
    Shrink = Callable[[int, int], Any]  # (side, stride) -> the side of the responses

    def maps(layer: str) -> int:
        return MAPS[block(layer) - 1]

    def stride(layer: str) -> int:
        return int(2 ** (block(layer) - 1))

    def shapes(
        maps: Callable[[str], int] = maps,
        stride: Callable[[str], int] = stride,
        shrink: Shrink = lambda side, stride: side // stride,
    ) -> list[tuple[Any, ...]]:
        return [(maps(layer), shrink(h, stride(layer)), shrink(w, stride(layer))) for layer, h, w in cases]

    right = shapes()
    odd = "If a side is odd, the last row or column has no partner and is dropped."
    doubling = "The number of maps does not double in every block: see the last line of the table."
    power = "Every pooling halves what the last one left: three of them make an eighth, not a sixth."
    slips = [
        Slip(shapes(maps=lambda layer: 64 * stride(layer)), doubling),
        Slip(shapes(maps=lambda layer: 64 * block(layer)), "The maps double from block 1 to 4; see the table."),
        Slip(shapes(maps=lambda layer: 3), "These are the colors of the picture. A layer has one map for each filter."),
        Slip(
            shapes(stride=lambda layer: 2 * stride(layer)),
            "One halving too many: a pooling is between two blocks. How many are before block 1?",
        ),
        Slip(shapes(stride=lambda layer: 1), "Nothing is halved: how many poolings come before the layer?"),
        Slip(
            shapes(stride=lambda layer: int(2 ** (int(layer[-1]) - 1))),
            "You take the last digit of the name, the layer's number in its block. The block is the first one.",
        ),
        Slip(
            shapes(stride=lambda layer: stride(layer) ** 2),
            "A pooling halves each side: it makes a half, not a quarter.",
        ),
        Slip(shapes(maps=lambda layer: min(128 * stride(layer), 512)), "Block 1 has 64 maps: see the table."),
        Slip([(n, h, w) for (n, h, _), (_, _, w) in zip(right, cases, strict=True)], "The width is halved, too."),
        Slip(shapes(stride=lambda layer: 2 * block(layer)), power),
        Slip(shapes(stride=lambda layer: max(1, 2 * (block(layer) - 1))), power),
        Slip(shapes(stride=block), power),
        Slip(
            shapes(shrink=lambda side, stride: side / stride),
            "There are no parts of a response: drop what is left over, as `//` does.",
        ),
        Slip(shapes(shrink=lambda side, stride: -(-side // stride)), odd),
        Slip(shapes(shrink=lambda side, stride: round(side / stride)), f"You round to the nearest number. {odd}"),
        Slip([(n, w, h) for n, h, w in right], "Height and width are swapped: rows come first, (N, h, w)."),
        Slip([(h, w, n) for n, h, w in right], "The maps come first in PyTorch: (N, h, w)."),
        Slip([(1, *shape) for shape in right], "Without the number of images: three numbers, (N, h, w)."),
        Slip([(h, w) for _, h, w in right], "The number of maps N is missing: three numbers, (N, h, w)."),
    ]
    praise = "Each block has half as many rows and columns as the one before, and, up to block 4, twice as many maps."
    return compare(lambda: [as_tuple(mine(*case)) for case in cases], right, slips, praise, cases)


def receptive_field(mine: Callable[[str, Sequence[str]], Any]) -> Verdict:
    """Exercise 2: the receptive field of a layer, in pixels along one side."""
    cases = ["conv1_1", "conv1_2", "conv2_1", "conv3_2", "conv4_2", "conv5_1"]

    def fields(
        added: int = KERNEL - 1,
        pool: int = 1,
        stride: int = 2,
        stride_first: bool = False,
        pool_first: bool = True,
        everywhere: bool = False,
        in_strides: bool = True,
        included: int = 1,
    ) -> list[int]:
        """The right fields, or those of a mistake.

        added, pool: how much a convolution and a pooling add, in strides unless in_strides is False. stride: of a
        pooling. stride_first: update the stride before the field. pool_first: before the convolution. everywhere:
        before each. included: 0 stops before the layer, 2 stops after the next one.
        """
        found = []
        for layer in cases:
            r = j = 1
            for name in LAYERS[: LAYERS.index(layer) + included]:
                pooled = everywhere or starts_a_block(name)
                r += 0 if pool_first else added * j
                if pooled:
                    r += pool * (j * stride if stride_first else j if in_strides else 1)
                    j *= stride
                r += added * j if pool_first else 0
            found.append(r)
        return found

    right = fields()
    start = "begin with a single pixel."
    slips = [
        Slip(fields(stride=1), "You forget the stride of a pooling: one step after it is two steps before it."),
        Slip(fields(pool=0), "The poolings are missing: a pooling takes two neighbors, so it widens the field, too."),
        Slip(fields(pool=0, stride=1), "The poolings are missing altogether."),
        Slip(
            fields(stride_first=True),
            "A pooling widens the field by the stride before it, j, not 2 j. In which order do you update the two?",
        ),
        Slip(fields(pool_first=False), "The pooling comes before the first convolution of its block, not after it."),
        Slip(fields(everywhere=True), "Only a pooling doubles the stride: which layers have one before them?"),
        Slip(fields(in_strides=False), "A pooling widens the field by j, which is 1 only before the first one."),
        Slip(fields(added=KERNEL), "Each convolution adds too much: one of its three responses was counted before."),
        Slip(fields(added=1), "A convolution adds a step on both sides: 2 j."),
        Slip([r + 1 for r in right], f"One too many: {start}"),
        Slip([r - 1 for r in right], f"One too few: {start}"),
        Slip(fields(included=2), "You count one layer too many: stop after the given layer."),
        Slip(fields(included=0), "You stop before the given layer."),
        Slip([fields(included=len(LAYERS))[0]] * len(cases), "You never stop: this is the field of the last layer."),
        Slip([field_of_view(layer)[1] for layer in cases], "This is the stride j. The field is r."),
        Slip(lambda answers: any(r != int(r) for r in answers), "There are no parts of a pixel: give whole numbers."),
        Slip([r**2 for r in right], "This is the number of pixels in the square. How wide is it?"),
    ]
    praise = "A response of conv5_1 in VGG-19 depends on 156 pixels: its style loss sees no larger structure."
    return compare(lambda: [mine(layer, list(LAYERS)) for layer in cases], right, slips, praise, cases)


def rescaled(mine: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 3: the weight and the bias of one layer after mean-response scaling.

        W_ik <- W_ik s_k / s_i,   b_i <- b_i / s_i

    s: the mean responses of this layer; s_k is one of the layer before it.
    """
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(4, generator=generator)
    s_before, s = torch.tensor([2.0, 5.0, 0.5]), torch.tensor([4.0, 0.25, 3.0, 7.0])

    def joined(W: Tensor, b: Tensor) -> Tensor:
        """Weight and bias in one vector, to compare both at once."""
        if (tuple(W.shape), tuple(b.shape)) != (tuple(weight.shape), tuple(bias.shape)):
            raise Refusal(
                f"The weight has shape {tuple(W.shape)} and the bias {tuple(b.shape)}; they should be "
                f"{tuple(weight.shape)} and {tuple(bias.shape)}. Which axis of the weight belongs to which scale?"
            )
        return torch.cat([W.flatten(), b.flatten()])

    def answer() -> Tensor:
        pair = mine(weight.clone(), bias.clone(), s_before, s)
        if pair is None or not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise Refusal("Two tensors are expected, the weight and the bias: `return weight, bias`.")
        return joined(*pair)

    inputs, outputs = s_before.view(1, -1, 1, 1), s.view(-1, 1, 1, 1)
    W, b = weight * inputs / outputs, bias / s
    axes = "Outputs are axis 0 of the weight, inputs are axis 1: give `s` and `s_before` their axes with `view`."
    along = "This goes along the {} of each filter. The inputs are axis 1 of the weight: give `s_before` its axes."
    slips = [
        Slip(crash("must match the size"), axes),
        Slip(joined(weight * s_before / outputs, b), along.format("columns")),
        Slip(joined(weight * s_before.view(-1, 1) / outputs, b), along.format("rows")),
        Slip(
            joined(weight / outputs, b),
            "The scale of this layer is right. But its inputs are divided by `s_before`: where is that undone?",
        ),
        Slip(joined(weight * inputs, b), "The inputs are right. What divides the outputs of this layer by `s`?"),
        Slip(joined(W, bias), "The weight is right. The bias is part of the response, so it must be scaled, too."),
        Slip(joined(weight / outputs, bias), "Neither the inputs nor the bias are scaled: only `s` is in it, once."),
        Slip(joined(weight * outputs / inputs, b), "The bias is right. The weight is upside down."),
        Slip(joined(weight, b), "The bias is right. The weight must be scaled, too."),
        Slip(joined(W, bias * s), "The weight is right. The bias, too, must be divided by `s`, not multiplied."),
        Slip(joined(W, b * s_before.mean()), "The bias does not depend on the inputs, nor on `s_before`."),
        Slip(
            joined(weight * outputs / inputs, bias * s),
            "Upside down: a filter with mean response 4 must become weaker.",
        ),
        Slip(
            joined(weight / inputs / outputs, b),
            "You divide by `s_before`: the division of the inputs by it must be undone.",
        ),
        Slip(joined(weight * inputs * outputs, b), "You multiply the weight by `s`: the response is to be divided."),
    ]
    praise = "Done for all layers in turn, this changes only the scale of each response."
    return compare(answer, joined(W, b), slips, praise)


def seen_pixels(mine: Callable[[str, int, int, Sequence[str]], Any]) -> Verdict:
    """Exercise 4: the box of pixels that a response depends on, as `seen_box` computes it."""
    cases = [("conv1_1", 10, 20), ("conv1_2", 7, 9), ("conv2_1", 10, 20), ("conv3_3", 5, 3), ("conv4_2", 0, 2)]
    right = [seen_box(*case) for case in cases]

    def boxes(first: Callable[[str], int], strided: bool = True) -> list[tuple[int, ...]]:
        """The boxes if that of the first response starts at first(layer); strided: the next one is j pixels later."""
        found: list[tuple[int, ...]] = []
        for layer, row, column in cases:
            r, j = field_of_view(layer)
            top, left = (place * (j if strided else 1) + first(layer) for place in (row, column))
            found.append((top, left, top + r, left + r))
        return found

    slips = [
        Slip(
            boxes(lambda layer: 0),
            "The size is right, the position is not: a convolution also takes the responses above and to the left.",
        ),
        Slip(
            [(top, left, bottom - 1, right - 1) for top, left, bottom, right in right],
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
            [(top, bottom, left, right) for top, left, bottom, right in right],
            "The order is (top, left, bottom, right): first the one corner, then the other.",
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
        Slip(
            lambda answers: any(n != int(n) for box in answers for n in box),
            "There are no parts of a pixel: give whole numbers, as `//` does.",
        ),
        Slip(
            boxes(lambda layer: seen_box(layer, 0, 0)[0], strided=False),
            "A step of one response is a step of j pixels: how often do row and column count?",
        ),
    ]
    praise = "Now you can cut out of any image the patch that a response depends on."
    return compare(lambda: [as_tuple(mine(*case, list(LAYERS))) for case in cases], right, slips, praise, cases)
