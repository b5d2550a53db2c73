"""The self-checks of notebook 02: shapes and mean-response scaling; `receptive_fields` has the other two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nstlab.base.files.architecture import MAPS, block
from nstlab.course.check.receptive_fields import LAYERS, as_tuple
from nstlab.course.check.receptive_fields import field_of_view as field_of_view  # these four for notebook 02
from nstlab.course.check.receptive_fields import receptive_field as receptive_field
from nstlab.course.check.receptive_fields import seen_box as seen_box
from nstlab.course.check.receptive_fields import seen_pixels as seen_pixels
from nstlab.course.check.verdict import Refusal, Slip, Verdict, called, compare, crash


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
        Slip([(n, h, w) for (n, _, w), (_, h, _) in zip(right, cases, strict=True)], "The height is halved, too."),
        Slip([(n, h, h) for n, h, _ in right], "The picture need not be square: height and width are two numbers."),
        Slip([(n, h * w) for n, h, w in right], "Rows and columns are two numbers, not their product M: (N, h, w)."),
        Slip([n * h * w for n, h, w in right], "This is how many responses there are. Return (N, h, w)."),
        Slip(
            shapes(stride=lambda layer: max(1, stride(layer) // 2)), "One halving too few: block 2 has one before it."
        ),
        Slip(shapes(stride=lambda layer: 2), "The sides are halved once. How many poolings come before the layer?"),
        Slip(shapes(stride=lambda layer: 16), "These are all poolings. Only those before the layer count."),
        Slip(shapes(stride=lambda layer: 3 ** (block(layer) - 1)), "A pooling takes 2 x 2 responses, not 3 x 3."),
        Slip(
            shapes(stride=lambda layer: int(2 ** LAYERS.index(layer))),
            "A convolution keeps the sides. Only a pooling halves them.",
        ),
        Slip(shapes(maps=lambda layer: 64), "This is block 1's number of maps. Later blocks have more: see the table."),
        Slip(shapes(maps=lambda layer: 512), "This is the deepest block's number of maps: see the table."),
        Slip(shapes(maps=lambda layer: 128 * stride(layer)), doubling),
        Slip(
            shapes(maps=lambda layer: MAPS[int(layer[-1]) - 1]),
            "You take the last digit of the name for the maps. The block is the first one.",
        ),
        Slip(shapes(shrink=lambda side, stride: side * stride), "A pooling makes the sides smaller: divide."),
        Slip(shapes(shrink=lambda side, stride: side % stride), "`%` gives what is left over. The quotient is `//`."),
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
        pair = called(mine, weight, bias, s_before, s)
        if not isinstance(pair, (tuple, list)) or [type(part) for part in pair] != [Tensor, Tensor]:
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
        Slip(joined(weight, bias), "Nothing is scaled yet."),
        Slip(joined(weight * outputs / inputs, bias), "The weight is upside down, and the bias must be scaled, too."),
        Slip(joined(weight * inputs, bias), "The inputs are right. What divides the outputs, and the bias, by `s`?"),
        Slip(joined(weight * outputs, bias * s), "You multiply by `s`: the response is to be divided by it."),
        Slip(joined(weight / inputs, b), "You divide by `s_before`, and the outputs are not scaled yet."),
        Slip(joined(weight / outputs, bias * s), "The bias, too, must be divided by `s`, not multiplied."),
        Slip(joined(W, b / s), "The weight is right. The bias is divided by `s` once, not twice."),
        Slip(joined(W, bias - s), "The weight is right. The bias is divided by `s`; nothing is subtracted."),
        Slip(joined(W, 0 * b), "The weight is right. The bias has become 0."),
        Slip(joined(W.relu(), b), "A filter may have weights below 0: the ReLU acts on responses."),
        Slip(
            joined(weight * s_before.mean() / outputs, b),
            "Each input has a scale of its own: take `s_before` itself, along axis 1, not its mean.",
        ),
        Slip(joined(weight * inputs.sqrt() / outputs.sqrt(), b), "There is no root: the scales are not squares."),
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
