"""From the options of a command to its run."""

from __future__ import annotations

import argparse
from functools import partial
from typing import cast

from torch import Tensor

from nstlab import (
    VGG,
    ContentTerm,
    Objective,
    Photograph,
    Regions,
    Run,
    StyleTerm,
    load_image,
    load_regions,
    photograph,
    photorealize_run,
    save_image,
    style_transfer_objective,
    stylize_run,
    texture_run,
)
from nstlab.command_line.interruptions import say


def stylize_from(options: argparse.Namespace) -> Run:
    """The run that `nstlab stylize` asks for."""
    return stylize_run(
        options.content,
        options.style,
        size=options.size,
        steps=options.steps,
        content_weight=options.content_weight,
        style_weight=options.style_weight,
        photorealism_weight=options.photorealism_weight,
        total_variation_weight=options.total_variation_weight,
        regions=regions_from(options),
        style_mix=options.style_mix,
        style_scale=options.style_scale,
        color=options.color,
        exact=options.exact,
        vgg=VGG(options.network, pooling=options.pooling, weights=options.weights),
        start=options.start,
        optimizer=options.optimizer,
        coarse_to_fine=not options.one_size,
        seed=options.seed,
        device=options.device,
        tile="auto" if options.tile is None else options.tile,
        precision=options.precision,
        checkpoint=options.checkpoint,
        resume=options.resume,
    )


def photorealize_from(options: argparse.Namespace) -> Run:
    """The run that `nstlab photorealize` asks for. The content image is shrunk to the pastiche where it is larger."""
    pastiche = load_image(options.pastiche)
    return photorealize_run(
        pastiche,
        load_image(options.content, size=max(pastiche.shape[2:])),
        weight=options.weight,
        method=options.method,
        style=options.style,
        steps=options.steps,
        step=options.step,
        device=options.device,
    )


def texture_from(options: argparse.Namespace) -> Run:
    """The run that `nstlab texture` asks for."""
    return texture_run(
        options.style,
        options.size[0] if len(options.size) == 1 else tuple(options.size),
        tileable=options.tileable,
        steps=options.steps,
        seed=options.seed,
        device=options.device,
    )


RUNS = {"stylize": stylize_from, "photorealize": photorealize_from, "texture": texture_from}


def photograph_from(options: argparse.Namespace) -> partial[Photograph]:
    """The call that `nstlab photograph` asks for; it takes `watch`. Raises ValueError for regions of one image only."""
    regions = regions_from(options)
    if regions is not None and regions.style is None:
        raise ValueError("--content-regions needs --style-regions, the same colors on STYLE.")

    def save_preview(image: Tensor) -> None:
        save_image(image, options.preview)
        say(f"wrote {options.preview}")

    return partial(
        photograph,
        options.content,
        options.style,
        regions,
        size=options.size,
        content_weight=options.content_weight,
        weight=options.weight,
        preview=save_preview if options.preview else None,
        device=options.device,
    )


def regions_from(options: argparse.Namespace) -> Regions | None:
    """The regions that the options name. Raises ValueError for labels of the style image alone."""
    content, style = options.content_regions, options.style_regions
    if content is None:
        if style is not None:
            raise ValueError("--style-regions needs --content-regions, a label picture of the content image.")
        return None
    return load_regions(content, style) if style is not None else Regions(load_regions(content, content).content)


def descriptions(options: argparse.Namespace, objective: Objective) -> list[str]:
    """What is to be known before a run: how it is computed, and with --exact what the weights mean."""
    lines = [objective.computation()]
    if getattr(options, "exact", False) and len(options.style) == 1 and options.content_regions is None:
        lines.append(factors(objective))
    return [line for line in lines if line]


def factors(objective: Objective) -> str:
    """What a content_weight of 1 and a style_weight of 1 are as alpha and beta of equation 4 as printed."""
    content_image, style_image = objective.images["content"], objective.images["style"]
    network = cast(VGG, objective.vgg)
    relative = style_transfer_objective(
        network, content_image, style_image, tile=objective.tile, precision=objective.precision
    )
    content, style = cast(ContentTerm, relative.terms["content"]), cast(StyleTerm, relative.terms["style"])
    of_style = ", ".join(f"{layer} {len(style.w) * w:.3g}" for layer, w in style.w.items())
    units = f"content_weight 1 is alpha = {content.alpha:.3g}; style_weight 1 is beta by layer = {of_style}"
    return f"in relative units, {units}"
