"""Textures: new images with the look of a sample, of any size, and if wanted without edges.

Gatys, Ecker, Bethge, "Texture Synthesis Using Convolutional Neural Networks", NeurIPS 2015.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from nstlab import (
    STYLE_LAYERS,
    VGG,
    ImageSource,
    Objective,
    Result,
    Run,
    Step,
    StyleTerm,
    load_image,
    optimize,
    pyramid,
    relative_weights,
    resize,
    targets,
)
from nstlab.base.files.architecture import stride
from nstlab.base.numerics.arguments import check_callback, naming, whole
from nstlab.base.numerics.devices import chosen_device
from nstlab.base.numerics.modes import entrance
from nstlab.coarse_to_fine import CoarseToFine, shrunk
from nstlab.images import MIN_SIDE, is_gray
from nstlab.preparation.inputs import network_on

SAMPLE_SIZE = 1024  # pixels: limit of the longer side of a sample
GRID = stride(STYLE_LAYERS[-1])  # pixels: at multiples of it all poolings are without remainder
# w_l, each half of the one before; found by looking: with equal ones colors fade, and the grid of the poolings shows
SHARES = {layer: 2.0**-k / (2 - 2.0**-4) for k, layer in enumerate(STYLE_LAYERS)}


@entrance("texture")
def texture_run(
    style: ImageSource,
    size: int | tuple[int, int] = 512,
    *,
    tileable: bool = False,
    steps: int = 60,
    seed: int = 0,
    vgg: VGG | None = None,
    device: str | None = None,
    optimizer: str = "lbfgs",
    tile: int | str | None = "auto",
    precision: str = "auto",
) -> Run:
    """`texture` as a stream of steps, to watch, pause and continue; it takes the same arguments.

    >>> run = texture_run(load_image("starry_night", size=64), size=64, steps=1)
    >>> [step.index for step in run], run.image.shape
    ([0, 1], torch.Size([1, 3, 51, 64]))
    """
    place, steps = chosen_device(device), whole("steps", steps)
    with naming("style"):
        sample = load_image(style, SAMPLE_SIZE).to(place)
    full = texture_size(size, sample, tileable)
    network = network_on(place, vgg)
    seen_by = circular(network) if tileable else network

    def objective(longer: int) -> Objective:
        share = longer / max(full)
        small = shrunk(sample, round(share * max(sample.shape[2:])))
        height, width = (in_units(share * side, GRID if tileable else 1) for side in full)
        return Objective(
            {"style": texture_term(network, small, tile, precision)},
            {"style": 1.0},
            (height, width),
            seen_by,
            {"style": sample},
            gray=is_gray(sample),
            tile=tile,
            precision=precision,
        )

    smallest = max(full) * min(1, MIN_SIDE / min(sample.shape[2:]))  # the sample shrinks as the texture does
    stages = [(objective(longer), n) for longer, n in pyramid(max(full), steps) if longer >= smallest]
    for of_size, _ in stages:
        of_size.computation()  # one that cannot be divided into tiles is refused now, not at the largest size
    run = optimize(stages, "noise", optimizer=optimizer, seed=seed)
    if tileable:
        assert isinstance(run.points, CoarseToFine)
        run.points = CoarseToFineAround(run.points.stages, run.points.image, run.points.build)
    return run


def texture(
    style: ImageSource,
    size: int | tuple[int, int] = 512,
    *,
    tileable: bool = False,
    steps: int = 60,
    seed: int = 0,
    vgg: VGG | None = None,
    device: str | None = None,
    watch: Callable[[Step], object] | None = None,
    optimizer: str = "lbfgs",
    tile: int | str | None = "auto",
    precision: str = "auto",
) -> Result:
    """A texture: noise, changed until its Gram matrices are those of a sample. Gatys, Ecker, Bethge, NeurIPS 2015.

        L = sum_l w_l E_l(G_l, A_l) / E_l(0, A_l),    w_l = 16/31, 8/31, 4/31, 2/31, 1/31

    This is equation 3 without any content, in units of the sample's Gram matrices: 1 without any response, 0 at the
    sample. Gram matrices do not know places, so the texture may be larger than the sample.

    style: the sample, whatever `load_image` takes, at its own size up to 1024 pixels: load it with a smaller size for
        finer patterns. size: the longer side in pixels, with the shape of the sample, or (height, width).
    tileable: make opposite edges meet, so that copies side by side show no seam. The network then sees the texture
        continued on its opposite side, `VGG(padding="circular")`. Given sides must be multiples of 16 pixels, and a
        side that follows from the shape of the sample is rounded to one.
    steps: at full size; small sizes get more, see `pyramid`. They shrink the sample too, down to 32 pixels.
    watch: is called with every `Step`. seed, vgg, device, optimizer, tile, precision: as in `stylize`; a tileable
        texture cannot be divided into tiles. If the sample is gray, so is the texture.

    Raises ImageError, ValueError and TypeError before the run begins, also for a tileable texture that needs tiles, and
    DivergenceError during it.

    >>> result = texture(load_image("texture_citrus", size=64), (64, 80), tileable=True, steps=1)
    >>> result.image.shape
    torch.Size([1, 3, 64, 80])
    """
    settings = {name: value for name, value in locals().items() if name != "watch"}
    check_callback("texture: watch", watch)
    return texture_run(**settings).finish(watch)


def texture_size(size: int | tuple[int, int], sample: Tensor, tileable: bool) -> tuple[int, int]:
    """(height, width) of a texture. Raises ValueError for sides under 32 pixels, or not in multiples of 16 if tileable.

    >>> texture_size(64, torch.zeros(1, 3, 50, 100), tileable=False)
    (32, 64)
    """
    unit = GRID if tileable else 1
    given = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size,)
    try:
        sides = tuple(whole("size", side) for side in given)
        near = tuple(max(MIN_SIDE, in_units(side, unit)) for side in sides)
    except ValueError:
        sides, near = (), (512,)
    if sides != near:
        multiples = f", multiples of {unit} for a tileable texture" if tileable else ""
        raise ValueError(
            f"size={size!r} must be the longer side or (height, width), whole pixels from {MIN_SIDE} up{multiples}. "
            f"Take size={near if len(near) == 2 else near[0]}."
        )
    if len(sides) == 2:
        return sides[0], sides[1]
    height, width = (in_units(sides[0] * side / max(sample.shape[2:]), unit) for side in sample.shape[2:])
    return height, width


def in_units(side: float, unit: int) -> int:
    """A side rounded to a multiple of `unit` pixels, and at least GRID, where block 5 of the network has a place.

    >>> in_units(39.6, 1), in_units(39.6, 16), in_units(3, 16)
    (40, 32, 16)
    """
    return max(GRID, round(side / unit) * unit)


def texture_term(vgg: VGG, sample: Tensor, tile: int | str | None, precision: str) -> StyleTerm:
    """Equation 3 with the weights w_l / E_l(0, A_l): the loss is 1 without any response, whatever the sample.

    sample: (1, 3, H, W), on the network's device. tile, precision: as in `Objective`.

    >>> term = texture_term(VGG(), torch.rand(1, 3, 32, 32), None, "float32")
    >>> term.of_gram_matrices({layer: 0 * A_l for layer, A_l in term.A.items()}).round(decimals=4)
    tensor(1.)
    """
    P, _, A = targets(vgg, sample, sample, STYLE_LAYERS[0], STYLE_LAYERS, tile, precision)
    nothing = {layer: torch.zeros_like(A_l) for layer, A_l in A.items()}
    _, w = relative_weights(P, nothing, A, SHARES)
    return StyleTerm(A, w)


def circular(vgg: VGG) -> VGG:
    """A network with the same filters, which sees an image continued on its opposite side.

    >>> vgg = VGG()
    >>> circular(vgg).padding, vgg.padding, circular(vgg).conv1_1 is vgg.conv1_1
    ('circular', 'replicate', True)
    """
    other = copy.copy(vgg)
    other.padding = "circular"
    return other


class CoarseToFineAround(CoarseToFine):
    """`CoarseToFine` for tileable images: the enlargement sees the image continued on its opposite side."""

    def next_stage(self) -> None:
        for objective, _ in self.stages[self.stage + 1 : self.stage + 2]:  # none after the last stage
            self.image = resized_around(self.image, objective.size)  # of this size already after an interrupt
        super().next_stage()


def resized_around(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A tileable image (1, 3, H, W) at another size, (height, width): the middle of three by three copies, resized.

    >>> edge = torch.tensor([1.0, 0.0]).repeat_interleave(4).expand(1, 3, 8, 8)
    >>> [round(x, 2) for x in resized_around(edge, (16, 16))[0, 0, 0, [0, 7, 8, 15]].tolist()]
    [0.8, 0.8, 0.2, 0.2]
    """
    height, width = size
    larger = resize(image.repeat(1, 1, 3, 3), (3 * height, 3 * width))
    return larger[..., height : 2 * height, width : 2 * width].contiguous()
