"""The memory that a run needs, and the largest tile with which it fits into the free memory."""

from __future__ import annotations

from collections.abc import Collection

import psutil
import torch

from nstlab.base.files.architecture import places_of, starts_a_block
from nstlab.engine import buffers, winograd
from nstlab.engine.containers import container_memory
from nstlab.engine.network import KEPT
from nstlab.engine.precision import PRECISIONS
from nstlab.engine.tiles import ALIGNED, GRID, halo, tiles
from nstlab.optimizers import MEMORY
from nstlab.vgg import VGG

SMALLEST_TILE = 256  # pixels; of smaller tiles most is halo
PEAK = {"avg": 1.0, "max": 1.3}  # by pooling: measured peak memory / bytes of the responses kept for the backward pass
PEAK_FLOAT16 = 1.4  # the same ratio in float16, where gradients are float32
WORKSPACE_PER_PIXEL, WORKSPACE = 2400, 150_000_000  # bytes of temporary memory of the convolutions; the latter at most
ONCE = 65_000_000  # bytes that PyTorch takes at the first evaluation of a process, and keeps; more on some processors
OPTIMIZER_IMAGES = 2 * MEMORY + 10  # the pairs of L-BFGS, and the current point, the trial point and the directions
SHARE = 0.8  # of the free memory that a run may use


def evaluation_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """An estimate of the bytes that one evaluation of losses and gradient needs, without the filters.

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
    return int(peak * total + min(WORKSPACE_PER_PIXEL * H * W, WORKSPACE))


def run_memory(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], tile: int | None = None, precision: str = "float32"
) -> int:
    """An estimate of the bytes that a run needs in addition to the network's filters.

    That is by how much the resident memory of a new process grows at most, from the loading of the network to the end
    of a run of L-BFGS that has all its pairs. The sum of one evaluation, the filters that the engine has yet to convert
    or transform, the optimizer's images, and what PyTorch takes once. On a CPU with average pooling it is within 15 %
    of what is measured in float32 and bfloat16, from 64 to 2048 pixels, and within 60 MB where that is more: at 64
    pixels what PyTorch takes once is most of it, and depends on the processor. The arguments are those of
    `evaluation_memory`.

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
    return evaluation_memory(vgg, layers, size, tile, precision) + filters + OPTIMIZER_IMAGES * image + ONCE


def fitting_tile(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int, precision: str = "float32"
) -> int | None:
    """The largest tile in pixels with which a run needs at most `memory` bytes; None if the whole image fits, or if the
    network's padding does not allow tiles.

    At least SMALLEST_TILE, even if that needs more.

    >>> fitting_tile(VGG(), ["conv5_1"], (256, 256), memory=10**10) is None
    True
    """
    if halo(vgg, layers) is None or run_memory(vgg, layers, size, None, precision) <= memory:
        return None
    tile = SMALLEST_TILE
    while run_memory(vgg, layers, size, tile + ALIGNED, precision) <= memory:
        tile += ALIGNED
    return tile


def fitting_size(
    vgg: VGG, layers: Collection[str], size: tuple[int, int], memory: int, precision: str = "float32"
) -> int | None:
    """The largest longer side in pixels, a multiple of GRID, of an image of this shape and not of this size with which
    a run needs at most `memory` bytes, in tiles if need be; None if there is none.

    >>> fitting_size(VGG(), ["conv5_1"], (3072, 4096), memory=10**9) > 512
    True
    """
    longer = max(size)
    for side in range((longer - 1) // GRID * GRID, GRID, -GRID):
        smaller = (max(GRID, size[0] * side // longer), max(GRID, size[1] * side // longer))
        tile = fitting_tile(vgg, layers, smaller, 0, precision)
        if any(run_memory(vgg, layers, smaller, t, precision) <= memory for t in (None, tile)):
            return side
    return None


def automatic_tile(vgg: VGG, layers: Collection[str], size: tuple[int, int], precision: str = "float32") -> int | None:
    """The tile for tile="auto": the largest that fits into the device's free memory; None if the whole image fits.

    >>> automatic_tile(VGG(), ["conv1_1"], (64, 64)) is None
    True
    """
    return fitting_tile(vgg, layers, size, int(SHARE * free_memory(vgg.mean.device)), precision)


def free_memory(device: torch.device) -> int:
    """The free memory of a device in bytes, including what the engine's buffer or PyTorch has and does not use.

    On a CPU the least of what the machine and this process's container have.

    >>> free_memory(torch.device("cpu")) > 1e6
    True
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return int(min(psutil.virtual_memory().available, container_memory())) + buffers.free_bytes()
