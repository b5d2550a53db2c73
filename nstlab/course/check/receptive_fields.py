"""The pixels that a response depends on: how many, and which; and the two self-checks of notebook 02 on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from nstlab.base.files.architecture import layer_names, starts_a_block
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


def as_tuple(answer: Any) -> Any:
    """A list or a tensor as a tuple, anything else as it is.

    >>> as_tuple([64, 48, 32]), as_tuple(64)
    ((64, 48, 32), 64)
    """
    return (
        tuple(answer.tolist() if isinstance(answer, Tensor) else answer)
        if isinstance(answer, (list, Tensor))
        else answer
    )


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
        Slip(fields(added=2 * (KERNEL - 1)), "2 j is both sides together: each side has one neighbor."),
        Slip(fields(stride=3), "A pooling has stride 2: it doubles j."),
        Slip(fields(stride=4), "A pooling has stride 2 along one side: it doubles j."),
        Slip([r // 2 for r in right], "This is how far it reaches to one side. The field has both, and the middle."),
        Slip([r + field_of_view(layer)[1] for r, layer in zip(right, cases, strict=True)], "One step j too many."),
        Slip(
            [KERNEL * (LAYERS.index(layer) + 1) for layer in cases],
            "The kernels overlap: a further convolution adds only its outer neighbors, 2 j.",
        ),
        Slip(
            [KERNEL ** (LAYERS.index(layer) + 1) for layer in cases],
            "Neighbors share most of their field: the sizes are added, not multiplied.",
        ),
        Slip([KERNEL] * len(cases), "This is the first layer's. Is a `return` indented too far?"),
        Slip([1 + 2 * int(layer[-1]) for layer in cases], "You begin in the layer's block. Begin at the pixels."),
        Slip([r**2 for r in right], "This is the number of pixels in the square. How wide is it?"),
    ]
    praise = "A response of conv5_1 in VGG-19 depends on 156 pixels: its style loss sees no larger structure."
    return compare(lambda: [mine(layer, list(LAYERS)) for layer in cases], right, slips, praise, cases)


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
        Slip([(row, column, row + 1, column + 1) for _, row, column in cases], "This is the response, not its pixels."),
        Slip(
            boxes(lambda layer: -field_of_view(layer)[0]), "It begins a whole field before: r is the width of the box."
        ),
        Slip([seen_box(layer, 0, 0) for layer, _, _ in cases], "Row and column are not in it: this is the first box."),
        Slip([tuple(n + 1 for n in box) for box in right], "Rows and columns are counted from 0."),
        Slip([box[:2] for box in right], "This is one corner. Return two: (top, left, bottom, right)."),
        Slip([(*box[:2], box[2] + 1, box[3] + 1) for box in right], "One row and one column too many at the end."),
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
