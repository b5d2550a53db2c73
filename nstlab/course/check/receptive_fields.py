"""The pixels that a response depends on: how many, and which."""

from __future__ import annotations

from collections.abc import Sequence

from nstlab.base.files.architecture import layer_names, starts_a_block

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
