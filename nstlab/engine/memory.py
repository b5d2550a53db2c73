"""How much memory a run will take, and the tile with which it fits into what there is."""

from __future__ import annotations

from collections.abc import Collection

import psutil
import torch

from nstlab.engine import winograd
from nstlab.engine.buffers import BUFFERS
from nstlab.engine.network import KEPT
from nstlab.engine.precision import PRECISIONS
from nstlab.engine.tiles import ALIGNED, halo, tiles
from nstlab.files.architecture import places_of, starts_a_block
from nstlab.optimizers import MEMORY
from nstlab.vgg import VGG

SMALLEST = 256  # pixels a side that a tile chosen here has at least: smaller ones are mostly halo
PEAK = {"avg": 1.1, "max": 1.4}  # measured peak over the bytes of the responses kept for the backward pass, by pooling
PEAK_FLOAT16 = 1.6  # the same, in float16, where derivatives are wider than responses
WORKSPACE = 1 << 27  # bytes that convolutions work in, whatever the size of the image
IMAGES = 2 * MEMORY + 10  # of the optimizer: its pairs, the point, the trial and the directions between them
SHARE = 0.8  # of the free memory that a run may plan with


def evaluation_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """About how many bytes one evaluation of losses and gradient takes besides the filters, at most.

    size: (H, W). tile: as in `tiles`; None: the whole image at once. What counts are the responses of every layer,
    which are kept for the backward pass, and in float16 a copy in float32 of those that are read.

    >>> whole, tiled = (evaluation_memory(VGG(), ["conv5_1"], (2048, 2048), tile) for tile in (None, 512))
    >>> tiled < whole / 6
    True
    """
    wanted, number = set(layers), PRECISIONS[precision].itemsize
    parts = tiles(size, tile, halo(vgg, wanted))
    H = max(part.seen_rows.stop - part.seen_rows.start for part in parts)
    W = max(part.seen_columns.stop - part.seen_columns.start for part in parts)
    total = 0
    for layer in vgg.down_to(wanted):
        N, inputs = vgg.convolution(layer).weight.shape[:2]
        pooled = inputs if starts_a_block(layer) else 0  # its input
        copied = 4 * N if precision == "float16" and layer in wanted else 0
        total += places_of(layer, (H, W)) * ((N + pooled) * number + copied)
    peak = PEAK_FLOAT16 if precision == "float16" else PEAK[vgg.pooling]
    return int(peak * total) + WORKSPACE


def run_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """About how many bytes a run takes at most besides the filters: one evaluation, the filters as the engine prepares
    them before the first one, and the optimizer's images.

    >>> run_memory(VGG(), ["conv5_1"], (384, 512)) > evaluation_memory(VGG(), ["conv5_1"], (384, 512))
    True
    """
    image, dtype = 3 * size[0] * size[1] * torch.float32.itemsize, PRECISIONS[precision]
    to_prepare = [layer for layer in vgg.down_to(layers) if (layer, precision) not in KEPT.get(vgg, {})]
    filters = 0
    for layer in to_prepare:
        weight = vgg.convolution(layer).weight
        converted = 0 if precision == "float32" else weight.numel() * dtype.itemsize
        filters += winograd.transformed_bytes(weight, dtype) + converted
    return evaluation_memory(vgg, layers, size, tile, precision) + filters + IMAGES * image


def fitting_tile(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int, precision: str = "float32"
) -> int | None:
    """The largest tile with which a run takes no more than this many bytes; None if the whole image fits.

    At least SMALLEST pixels, even if that is too much.

    >>> fitting_tile(VGG(), ["conv5_1"], (256, 256), memory=10**10) is None
    True
    """
    if run_memory(vgg, layers, size, None, precision) <= memory:
        return None
    tile = SMALLEST
    while run_memory(vgg, layers, size, tile + ALIGNED, precision) <= memory:
        tile += ALIGNED
    return tile


def chosen_tile(vgg: VGG, layers: Collection[str], size: tuple[int, int], precision: str = "float32") -> int | None:
    """The largest tile that the network's device has memory for; None if the whole image fits.

    >>> chosen_tile(VGG(), ["conv1_1"], (64, 64)) is None
    True
    """
    return fitting_tile(vgg, layers, size, int(SHARE * free_memory(vgg.mean.device)), precision)


def free_memory(device: torch.device) -> int:
    """Bytes that a run may still take on the device.

    >>> free_memory(torch.device("cpu")) > 1e6
    True
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return int(psutil.virtual_memory().available) + BUFFERS.idle()
