"""Approach 1 of the report, from two image files to a pastiche in one call."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import cast

from nstlab.base.files.checkpoints import Checkpoint, fingerprint
from nstlab.base.numerics.arguments import SEEDS, check_callback, naming, whole
from nstlab.base.numerics.devices import chosen_device
from nstlab.base.numerics.modes import entrance
from nstlab.base.records import Result, Step
from nstlab.coarse_to_fine import STATE_TYPES, optimize, pyramid, shrunk
from nstlab.images import MIN_SIDE, ImageSource, load_image
from nstlab.objective import Objective, checked_evaluation, engine
from nstlab.preparation.colors import Color, colored, with_luminance
from nstlab.preparation.inputs import network_on, scaled
from nstlab.preparation.regions import Regions, check_regions
from nstlab.preparation.starts import Start, loaded_start
from nstlab.preparation.style_transfer import CONTENT_WEIGHT, style_transfer_objective
from nstlab.runs import Run
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

SMALL_CONTENT_LAYER = "conv3_1"  # where small sizes compare content: nearer to the pixels, so a step changes more
SMALL_CONTENT_FACTOR = 4.0  # how much more content counts at small sizes: the style is restored quickly at full size


@entrance("stylize")
def stylize_run(
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    *,
    size: int = 512,
    steps: int = 20,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    photorealism_weight: float = 0.0,
    total_variation_weight: float = 0.0,
    exact: bool = False,
    regions: Regions | None = None,
    style_mix: Sequence[float] | None = None,
    style_scale: float = 1.0,
    color: Color = "style",
    vgg: VGG | None = None,
    start: Start = "noise",
    optimizer: str = "lbfgs",
    coarse_to_fine: bool = True,
    seed: int = 0,
    device: str | None = None,
    tile: int | str | None = "auto",
    precision: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Run:
    """`stylize` as a stream of steps, to watch, pause and continue; it takes the same arguments.

    >>> run = stylize_run("chenonceau_river", "starry_night", size=64, steps=1)
    >>> [step.index for step in run], run.image.shape
    ([0, 1], torch.Size([1, 3, 48, 64]))
    """
    size, steps, seed = whole("size", size, MIN_SIDE), whole("steps", steps), whole("seed", seed, *SEEDS)
    start, (tile, precision) = loaded_start(start), checked_evaluation(tile, precision)
    asked = {name: value for name, value in locals().items() if name not in ("checkpoint", "resume")}
    if resume and checkpoint is None:
        raise ValueError("resume needs a checkpoint: name the file that has the run.")
    place = chosen_device(device)
    network = network_on(place, vgg)
    with naming("content"):
        P = load_image(content, size).to(place)
    several = list(style) if isinstance(style, (list, tuple)) else [cast(ImageSource, style)]
    with naming("style"):
        pictures = [load_image(source, size) for source in several]
    styles = [scaled(picture, style_scale).to(place) for picture in pictures]
    check_regions(regions, P, styles)
    P_seen, styles_seen = colored(P, styles, color)
    levels = pyramid(max(P.shape[2:]), steps, coarse_to_fine)
    fast, kept = engine(), None
    if checkpoint is not None:
        inputs = {"content": P, "style": styles, "vgg": network, "device": str(place), "engine": fast is not None}
        kept = Checkpoint(checkpoint, fingerprint({**asked, **inputs}), STATE_TYPES, resume)
        tile, precision = kept.settings["tile"], kept.settings["precision"]
    if fast:  # one choice for all sizes
        largest = max((image.shape[2:] for image in (P, *styles)), key=math.prod)
        precision, tile = fast.resolve_auto(network, (CONTENT_LAYER, *STYLE_LAYERS), largest, tile, precision)

    def objective(longer_side: int) -> Objective:
        small = longer_side < levels[-1][0] and not exact
        return style_transfer_objective(
            network,
            shrunk(P_seen, longer_side),
            [shrunk(S, math.ceil(longer_side * style_scale)) for S in styles_seen],
            content_weight,
            style_weight,
            content_layer=SMALL_CONTENT_LAYER if small else CONTENT_LAYER,
            photorealism_weight=photorealism_weight,
            total_variation_weight=total_variation_weight,
            exact=exact,
            content_factor=SMALL_CONTENT_FACTOR if small else 1.0,
            regions=regions,
            style_mix=style_mix,
            tile=tile,
            precision=precision,
        )

    run = optimize([(objective(side), n) for side, n in levels], start, optimizer=optimizer, seed=seed)
    if color == "content":
        run.shown = lambda gray: with_luminance(P, gray[:, :1])
    if kept:
        kept.settings.update(tile=tile, precision=precision)
        run.keep(kept)
    return run


def stylize(
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    watch: Callable[[Step], object] | None = None,
    *,
    size: int = 512,
    steps: int = 20,
    content_weight: float = CONTENT_WEIGHT,
    style_weight: float = 1.0,
    photorealism_weight: float = 0.0,
    total_variation_weight: float = 0.0,
    exact: bool = False,
    regions: Regions | None = None,
    style_mix: Sequence[float] | None = None,
    style_scale: float = 1.0,
    color: Color = "style",
    vgg: VGG | None = None,
    start: Start = "noise",
    optimizer: str = "lbfgs",
    coarse_to_fine: bool = True,
    seed: int = 0,
    device: str | None = None,
    tile: int | str | None = "auto",
    precision: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Result:
    """Approach 1: the things in the content image, painted like the style image. Equation 4, section 2 of [1].

        L = alpha L_content + beta L_style

    content, style: whatever `load_image` takes. watch: is called with every `Step`. style may be a list of images:
    style_mix gives their shares, by default equal ones.

    size: limit of the longer side in pixels, for both images; they may differ in shape.
    steps: optimizer steps at full size; small sizes get more, see `pyramid`. coarse_to_fine=False: one size only.
    content_weight, style_weight: weights of both losses in units of their own, see `relative_weights`: a content loss
        of 1 means that nothing of the content is left, a style loss of 1 that the pastiche is no nearer to the style
        than the content image is. Small sizes compare the content at conv3_1, and it counts 4 times there.
    photorealism_weight: weight of the mean over pixels of equation 5: equation 6 from the start. 0 leaves it out.
    total_variation_weight: weight of `TotalVariationTerm`, which makes the pastiche smoother.
    regions: which part takes its style from where, see `Regions` and `load_regions`.
    style_scale: longer side of the style image relative to `size`: larger strokes above 1, smaller below.
    color: "style"; "content": only the luminance is painted, and the content's colors are kept; "match": the style
        images first get the mean and the covariance of the content's colors.
    exact: take the weights as alpha, beta and lambda of the equations as printed, at every size.
    vgg: a `VGG`, by default VGG-19 with average pooling. optimizer: "lbfgs" or "adam".
    start: "noise", "content", "style", or a picture that is resized to the content's size; seed: of the noise.
    device: by default NSTLAB_DEVICE, else cuda, mps, cpu.
    tile: longest side in pixels, a multiple of 16, of the parts that are evaluated one by one: the same losses and
        gradient in less memory and more time; None: all at once; "auto": the largest that fits into free memory.
    precision: of the network, "float32", "bfloat16", "float16", or "auto", the fastest on the device; losses are always
        summed in float32.

    checkpoint: a file in which the run is kept, every 30 seconds and at its end, in place of the run that it has.
        resume=True: continue that run, if there is one, to the same result; inputs and settings must be the same.

    If content and style are all gray, so is the pastiche.

    Raises ImageError, ValueError and TypeError before the run begins, DivergenceError during it.

    >>> result = stylize("chenonceau_river", "starry_night", size=64, steps=1)
    >>> result.image.shape, len(result.history)
    (torch.Size([1, 3, 48, 64]), 2)
    """
    settings = {name: value for name, value in locals().items() if name != "watch"}
    check_callback("stylize: watch", watch)
    return stylize_run(**settings).finish(watch)
