"""Parts of an image, one after the other, where the whole does not fit into memory.

A response looks at the pixels around its place, and not beyond a certain distance, the halo. So what the network says
of a rectangle with a halo around it is, inside the rectangle, exactly what it says of the whole image there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from nstlab.files.architecture import stride
from nstlab.vgg import VGG

GRID = 16  # pixels: four poolings deep, one place of block 5; tiles are cut along it
ALIGNED = 4 * GRID  # pixels: what a tile looks at begins along this; see `seen`


class Tile(NamedTuple):
    """A rectangle of an image: the rows and columns that it answers for, and those that it looks at.

    Both in pixels of the image, and on the pooling grid, except where the image ends.
    """

    rows: slice
    columns: slice
    seen_rows: slice
    seen_columns: slice

    def look(self, image: Tensor) -> Tensor:
        """What it looks at: its part of the image and the halo."""
        return image[..., self.seen_rows, self.seen_columns]

    def inside(self, layer: str) -> tuple[slice, slice]:
        """Rows and columns of the responses to what it looks at that it answers for, without the halo's."""
        rows, columns = within(self.rows, self.seen_rows), within(self.columns, self.seen_columns)
        return scaled(rows, stride(layer)), scaled(columns, stride(layer))

    def part(self, P: Tensor, layer: str) -> Tensor:
        """Its part of the responses of a layer to the whole image."""
        return P[..., scaled(self.rows, stride(layer)), scaled(self.columns, stride(layer))]


def whole(size: tuple[int, int]) -> Tile:
    """An image of size (H, W) as one tile."""
    rows, columns = slice(0, size[0]), slice(0, size[1])
    return Tile(rows, columns, rows, columns)


def tiles(size: tuple[int, int], tile: int | None, halo: int) -> list[Tile]:
    """Tiles that cover an image of size (H, W) exactly, at most tile x tile pixels each (None: one).

    They are about equally large, as far as the grid lets them.

    >>> [(t.rows, t.seen_rows) for t in tiles((200, 64), tile=128, halo=16)]
    [(slice(0, 128, None), slice(0, 144, None)), (slice(128, 200, None), slice(64, 200, None))]
    """
    if tile is None:
        return [whole(size)]
    return [
        Tile(rows, columns, seen(rows, halo, size[0]), seen(columns, halo, size[1]))
        for rows in spans(size[0], tile)
        for columns in spans(size[1], tile)
    ]


def spans(length: int, tile: int) -> list[slice]:
    """0 .. length, cut on the grid."""
    if tile < GRID or tile % GRID:
        raise ValueError(f"tile={tile!r} must be a multiple of {GRID} pixels, the pooling grid of the deepest layers.")
    pieces, grid = -(-length // tile), GRID if tile % ALIGNED else ALIGNED
    step = -(-length // (pieces * grid)) * grid
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def seen(own: slice, halo: int, length: int) -> slice:
    """A span with the halo around it, as far as the image goes.

    It begins where `winograd` begins a tile of 4 x 4 places of block 5, so that every number is rounded as in the whole
    image; else a response near 0, or one near the largest of its cell, may fall on the other side. (In float64 PyTorch
    convolves images of different size with different rounding, so that in flat areas ties of max pooling still may.)
    """
    return slice(max(0, own.start - halo) // ALIGNED * ALIGNED, min(length, own.stop + halo))


def within(own: slice, around: slice) -> slice:
    """A span, counted from the start of the one around it."""
    return slice(own.start - around.start, own.stop - around.start)


def scaled(span: slice, stride: int) -> slice:
    """The places of a layer that a span of pixels answers for."""
    return slice(span.start // stride, span.stop // stride)


def halo(vgg: VGG, layers: Iterable[str]) -> int:
    """How far beyond its own 16x16 pixels a response of these layers looks, up to the next line of the grid.

    Each 3x3 convolution looks one place further; a pooling never leaves the grid.

    >>> halo(VGG(), ["conv1_1"]), halo(VGG(), ["conv1_1", "conv5_1"])
    (16, 80)
    """
    reach = sum(stride(layer) for layer in vgg.down_to(layers))
    return -(-reach // GRID) * GRID
