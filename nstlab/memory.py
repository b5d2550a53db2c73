"""How much memory a run will take, and the tile with which it fits into what there is."""

from __future__ import annotations

from collections.abc import Collection

import torch

from nstlab import winograd
from nstlab.filters import starts_a_block
from nstlab.machine import free_memory
from nstlab.optimizers import MEMORY
from nstlab.tiles import ALIGNED, halo, places_of, tiles
from nstlab.vgg import VGG

SMALLEST = 256  # pixels a side that a tile chosen here has at least: smaller ones are mostly halo
PEAK = {"avg": 1.1, "max": 1.4}  # measured peak over the bytes of the responses kept for the way back, by pooling
PEAK_APART = 1.6  # the same, in float16, where derivatives are wider than responses, and compiled, by autograd
WORKSPACE = 1 << 27  # bytes that convolutions work in, whatever the size of the image
IMAGES = 2 * MEMORY + 10  # of the optimizer: its pairs, the point, the trial and the directions between them
SHARE = 0.8  # of the free memory that a run may plan with


def evaluation_memory(vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None) -> int:
    """About how many bytes one evaluation of losses and gradient takes beside the filters, at most.

    size: (H, W). tile: as in `tiles`; None: the whole image at once. What counts are the responses of every layer,
    which are kept for the way back, and in float16 a copy in float32 of those that are read.

    >>> whole, tiled = (evaluation_memory(VGG(), ["conv5_1"], (2048, 2048), tile) for tile in (None, 512))
    >>> tiled < whole / 6
    True
    """
    read = set(layers)
    computed, parts = vgg.down_to(read), tiles(size, tile, halo(vgg, read))
    H = max(part.seen_rows.stop - part.seen_rows.start for part in parts)
    W = max(part.seen_columns.stop - part.seen_columns.start for part in parts)
    total = 0
    for layer in computed:
        weight = vgg.convolution(layer).weight
        pooled = weight.shape[1] if starts_a_block(layer) else 0  # its input
        copied = weight.shape[0] * 4 if weight.dtype == torch.float16 and layer in read else 0
        total += places_of(layer, (H, W)) * ((weight.shape[0] + pooled) * weight.element_size() + copied)
    peak = PEAK_APART if vgg.compiled or vgg.precision == "float16" else PEAK[vgg.pooling]
    return int(peak * total) + WORKSPACE


def run_memory(vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None) -> int:
    """About how many bytes a run takes at most beside the filters: one evaluation, what `winograd` makes of the
    filters before the first one, and the optimizer's images.

    >>> run_memory(VGG(), ["conv5_1"], (384, 512)) > evaluation_memory(VGG(), ["conv5_1"], (384, 512))
    True
    """
    image = 3 * size[0] * size[1] * torch.float32.itemsize
    untransformed = [vgg.convolution(layer).weight for layer in vgg.down_to(layers) if layer not in vgg.transforms]
    filters = sum(map(winograd.transformed_bytes, untransformed))
    return evaluation_memory(vgg, layers, size, tile) + filters + IMAGES * image


def fitting_tile(vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int) -> int | None:
    """The largest tile with which a run takes no more than so many bytes; None where the whole image fits.

    At least SMALLEST pixels, even where that is too much.

    >>> fitting_tile(VGG(), ["conv5_1"], (256, 256), memory=10**10) is None
    True
    """
    if run_memory(vgg, layers, size) <= memory:
        return None
    tile = SMALLEST
    while run_memory(vgg, layers, size, tile + ALIGNED) <= memory:
        tile += ALIGNED
    return tile


def chosen_tile(vgg: VGG, layers: Collection[str], size: tuple[int, int], device: torch.device) -> int | None:
    """The largest tile that the device has memory for; None where the whole image fits.

    >>> chosen_tile(VGG(), ["conv1_1"], (64, 64), torch.device("cpu")) is None
    True
    """
    return fitting_tile(vgg, layers, size, int(SHARE * free_memory(device)))
