"""The memory that a run needs, and the largest tile with which it fits into the free memory."""

from __future__ import annotations

from collections.abc import Collection

import psutil
import torch

from nstlab.engine import buffers, winograd
from nstlab.engine.containers import container_memory
from nstlab.engine.network import KEPT
from nstlab.engine.precision import PRECISIONS
from nstlab.engine.tiles import ALIGNED, halo, tiles
from nstlab.files.architecture import places_of, starts_a_block
from nstlab.optimizers import MEMORY
from nstlab.vgg import VGG

SMALLEST_TILE = 256  # pixels; of smaller tiles most is halo
PEAK = {"avg": 1.1, "max": 1.4}  # by pooling: measured peak memory / bytes of the responses kept for the backward pass
PEAK_FLOAT16 = 1.6  # the same ratio in float16, where gradients are float32
WORKSPACE = 1 << 27  # bytes of temporary memory of the convolutions, for images of any size
OPTIMIZER_IMAGES = 2 * MEMORY + 10  # the pairs of L-BFGS, and the current point, the trial point and the directions
SHARE = 0.8  # of the free memory that a run may use


def evaluation_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """An upper estimate of the bytes that one evaluation of losses and gradient needs, without the filters.

    The responses of all layers dominate, which are kept for the backward pass; in float16 those that terms read are
    also copied to float32.

    layers: those that terms read. size: (H, W). tile: as in `tiles`; None: the whole image at once.

    >>> whole, tiled = (evaluation_memory(VGG(), ["conv5_1"], (2048, 2048), tile) for tile in (None, 512))
    >>> tiled < whole / 6
    True
    """
    wanted, itemsize = set(layers), PRECISIONS[precision].itemsize
    parts = tiles(size, tile, halo(vgg, wanted))
    H = max(part.visible_rows.stop - part.visible_rows.start for part in parts)
    W = max(part.visible_columns.stop - part.visible_columns.start for part in parts)
    total = 0
    for layer in vgg.down_to(wanted):
        N, inputs = vgg.convolution(layer).weight.shape[:2]
        pooled = inputs if starts_a_block(layer) else 0  # maps of the pooled responses, the input of the convolution
        copied = 4 * N if precision == "float16" and layer in wanted else 0
        total += places_of(layer, (H, W)) * ((N + pooled) * itemsize + copied)
    peak = PEAK_FLOAT16 if precision == "float16" else PEAK[vgg.pooling]
    return int(peak * total) + WORKSPACE


def run_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """An upper estimate of the bytes that a run needs in addition to the network's filters.

    The sum of one evaluation, the filters that the engine has yet to convert or transform, and the optimizer's images.
    The arguments are those of `evaluation_memory`.

    >>> run_memory(VGG(), ["conv5_1"], (384, 512)) > evaluation_memory(VGG(), ["conv5_1"], (384, 512))
    True
    """
    image, dtype = 3 * size[0] * size[1] * torch.float32.itemsize, PRECISIONS[precision]
    unprepared = [layer for layer in vgg.down_to(layers) if (layer, precision) not in KEPT.get(vgg, {})]
    filters = 0
    for layer in unprepared:
        weight = vgg.convolution(layer).weight
        converted = 0 if precision == "float32" else weight.numel() * dtype.itemsize
        filters += winograd.transformed_bytes(weight, dtype) + converted
    return evaluation_memory(vgg, layers, size, tile, precision) + filters + OPTIMIZER_IMAGES * image


def fitting_tile(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int, precision: str = "float32"
) -> int | None:
    """The largest tile in pixels with which a run needs at most `memory` bytes; None if the whole image fits.

    At least SMALLEST_TILE, even if that needs more.

    >>> fitting_tile(VGG(), ["conv5_1"], (256, 256), memory=10**10) is None
    True
    """
    if run_memory(vgg, layers, size, None, precision) <= memory:
        return None
    tile = SMALLEST_TILE
    while run_memory(vgg, layers, size, tile + ALIGNED, precision) <= memory:
        tile += ALIGNED
    return tile


def automatic_tile(vgg: VGG, layers: Collection[str], size: tuple[int, int], precision: str = "float32") -> int | None:
    """The tile for tile="auto": the largest that fits into the device's free memory; None if the whole image fits.

    >>> automatic_tile(VGG(), ["conv1_1"], (64, 64)) is None
    True
    """
    return fitting_tile(vgg, layers, size, int(SHARE * free_memory(vgg.mean.device)), precision)


def free_memory(device: torch.device) -> int:
    """The free memory of a device in bytes, including what the engine's buffer has and does not use.

    On a CPU the least of what the machine and this process's container have.

    >>> free_memory(torch.device("cpu")) > 1e6
    True
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return int(min(psutil.virtual_memory().available, container_memory())) + buffers.free_bytes()
