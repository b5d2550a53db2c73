"""Division of an image into tiles, for images whose evaluation does not fit into memory at once.

A response depends only on pixels within a certain distance of its place, the halo. If the network sees a tile with a
halo around it, its responses inside the tile are exactly those to the whole image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from nstlab.base.files.architecture import stride
from nstlab.vgg import VGG

GRID = 16  # pixels: the stride of block 5, after four poolings; tiles are cut along multiples of it
ALIGNED = 4 * GRID  # pixels: visible regions begin at multiples of it, see `with_halo`


class Tile(NamedTuple):
    """A rectangle of an image, and the visible region: the rectangle with its halo.

    Rows and columns are in pixels of the image, and multiples of GRID, except at the end of the image.
    """

    rows: slice
    columns: slice
    visible_rows: slice
    visible_columns: slice

    def visible(self, image: Tensor) -> Tensor:
        """The tile and its halo in an image (..., H, W), a view."""
        return image[..., self.visible_rows, self.visible_columns]

    def interior(self, layer: str) -> tuple[slice, slice]:
        """The rows and columns of the tile, without its halo, in the responses to the visible region."""
        rows, columns = relative(self.rows, self.visible_rows), relative(self.columns, self.visible_columns)
        return in_places(rows, layer), in_places(columns, layer)

    def part(self, P: Tensor, layer: str) -> Tensor:
        """The tile, without its halo, in the responses P to the whole image, a view."""
        return P[..., in_places(self.rows, layer), in_places(self.columns, layer)]


def whole(size: tuple[int, int]) -> Tile:
    """An image of size (H, W) as one tile."""
    rows, columns = slice(0, size[0]), slice(0, size[1])
    return Tile(rows, columns, rows, columns)


def tiles(size: tuple[int, int], tile: int | None, halo: int | None) -> list[Tile]:
    """Tiles that cover every pixel of an image exactly once, of nearly equal size.

    size: (H, W). tile: their largest side in pixels, a multiple of GRID; None: one tile. halo: its width in pixels, a
    multiple of GRID; None: as in `halo`. Raises ValueError for another `tile`, and for several tiles without a halo.

    >>> [(t.rows, t.visible_rows) for t in tiles((200, 64), tile=128, halo=16)]
    [(slice(0, 128, None), slice(0, 144, None)), (slice(128, 200, None), slice(64, 200, None))]
    """
    if tile is None:
        return [whole(size)]
    by_rows, by_columns = spans(size[0], tile), spans(size[1], tile)
    if len(by_rows) == len(by_columns) == 1:
        return [whole(size)]
    if halo is None:
        raise ValueError(
            f"tile: an image of {size[1]} x {size[0]} pixels cannot be divided into tiles of {tile} with "
            f"padding='circular', which needs opposite ends at once. Use tile=None, or a smaller image."
        )
    return [
        Tile(rows, columns, with_halo(rows, halo, size[0]), with_halo(columns, halo, size[1]))
        for rows in by_rows
        for columns in by_columns
    ]


def spans(length: int, tile: int) -> list[slice]:
    """The pixels 0 .. length in spans of at most `tile` pixels, cut along the grid."""
    pieces, grid = -(-length // tile), GRID if tile % ALIGNED else ALIGNED
    step = -(-length // (pieces * grid)) * grid
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def with_halo(span: slice, halo: int, length: int) -> slice:
    """A span with at least its halo on both sides, within the image.

    It begins at a multiple of ALIGNED, which is a boundary of `winograd`'s tiles of 4 x 4 places in every block. So
    every response is rounded as in the whole image. Otherwise a response near 0, or near the maximum of its pooling
    cell, could fall on the other side of it. (In float64 PyTorch's rounding depends on the size of the image, so this
    remains possible for ties of max pooling in flat areas.)
    """
    return slice(max(0, span.start - halo) // ALIGNED * ALIGNED, min(length, span.stop + halo))


def relative(span: slice, outer: slice) -> slice:
    """A span, counted from the start of the outer one."""
    return slice(span.start - outer.start, span.stop - outer.start)


def in_places(span: slice, layer: str) -> slice:
    """A span of pixels as a span of the layer's places."""
    return slice(span.start // stride(layer), span.stop // stride(layer))


def halo(vgg: VGG, layers: Iterable[str]) -> int | None:
    """The width of the halo in pixels: how far the responses of these layers depend on pixels outside a tile.

    Every 3x3 convolution adds one place of its layer; poolings add nothing, since tiles end along the grid. The sum is
    rounded up to a multiple of GRID. None for circular padding: pixels at the opposite end are not in any halo.

    >>> halo(VGG(), ["conv1_1"]), halo(VGG(), ["conv1_1", "conv5_1"])
    (16, 80)
    """
    if vgg.padding == "circular":
        return None
    reach = sum(stride(layer) for layer in vgg.down_to(layers))
    return -(-reach // GRID) * GRID
