"""The command line: `python -m nstlab`, installed as `nstlab`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from torch import Tensor
from tqdm import tqdm

from nstlab import (
    VGG,
    ContentTerm,
    DivergenceError,
    Film,
    Objective,
    Record,
    Regions,
    Run,
    Step,
    StyleTerm,
    load_image,
    load_regions,
    photograph,
    photorealize_run,
    samples,
    save_image,
    style_transfer_objective,
    stylize_run,
    texture_run,
)
from nstlab.coarse_to_fine import NAMED_STARTS
from nstlab.colors import COLORS
from nstlab.control.films import WRITERS as FILM_WRITERS
from nstlab.control.photographs import CONTENT_WEIGHT as PHOTOGRAPH_CONTENT_WEIGHT
from nstlab.control.photographs import STEPS as PHOTOGRAPH_STEPS
from nstlab.control.photographs import WEIGHT as PHOTOGRAPH_WEIGHT
from nstlab.images import WRITERS
from nstlab.notebook.figures import figure_formats, plot_losses, save_figure, save_losses
from nstlab.objective import engine
from nstlab.optimizers import OPTIMIZERS
from nstlab.photorealism import STEPS, WEIGHT
from nstlab.transfer_objective import CONTENT_WEIGHT
from nstlab.vgg import NETWORKS, POOLINGS

INPUTS = (
    "content",
    "style",
    "pastiche",
    "start",
    "weights",
    "content_regions",
    "style_regions",
)  # options that may be a file's path


class Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    main = Parser(prog="nstlab", description="Neural style transfer, to read, to run and to learn from.")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    stylize = commands.add_parser("stylize", help="approach 1: paint one picture in the style of another")
    stylize.add_argument("content", metavar="CONTENT", help="a picture's path, or a sample's name")
    stylize.add_argument(
        "style", metavar="STYLE", nargs="+", help="the same; several are mixed, or one for each region"
    )
    add_outputs(stylize)
    add = stylize.add_argument
    add("--film", metavar="OUT", type=Path, help="write the pastiche growing: .gif, .webp, or .mp4 with ffmpeg")
    add("--size", type=int, default=512, help="bound of the longer side in pixels (%(default)s)")
    add(
        "--steps",
        type=int,
        default=20,
        help="optimizer steps at full size; small sizes get more (%(default)s)",
    )
    add(
        "--content-weight",
        type=float,
        default=CONTENT_WEIGHT,
        help="relative: see relative_weights (%(default)g)",
    )
    add(
        "--style-weight",
        type=float,
        default=1.0,
        help="relative, too (%(default)g)",
    )
    add("--photorealism-weight", type=float, default=0.0, help="weight of the mean of equation 5 (%(default)g)")
    add(
        "--total-variation-weight",
        type=float,
        default=0.0,
        help="weight of the total variation: a smoother pastiche (%(default)g)",
    )
    add("--content-regions", metavar="LABELS", help="a label picture: which part takes its style from where")
    add(
        "--style-regions",
        metavar="LABELS",
        help="the same colors on the style image; without it one STYLE a region, the largest first",
    )
    add("--style-mix", metavar="SHARE", type=float, nargs="+", help="one for each STYLE (default: equal shares)")
    add("--style-scale", type=float, default=1.0, help="size of the strokes, of the style image (%(default)g)")
    add("--color", choices=COLORS, default="style", help="whose colors, or the style's matched (%(default)s)")
    add("--exact", action="store_true", help="take the weights as alpha and beta of equation 4 as printed")
    add("--network", choices=NETWORKS, default="vgg19", help="(%(default)s)")
    add("--weights", metavar="PATH", help="a local file of the network's filters, .pth or .safetensors")
    add("--pooling", choices=POOLINGS, default="avg", help="(%(default)s)")
    add("--precision", default="auto", help="of the network: float32, bfloat16, float16 or auto (%(default)s)")
    add(
        "--tile",
        metavar="PIXELS",
        type=int,
        help="evaluate the image in tiles of this size (default: only if memory is short)",
    )
    add("--start", default="noise", help="noise, content, style, or a picture's path (%(default)s)")
    add("--optimizer", choices=OPTIMIZERS, default="lbfgs", help="(%(default)s)")
    add(
        "--one-size",
        action="store_true",
        help="full size from the first step on, not from coarse to fine",
    )
    add("--seed", type=int, default=0, help="of the noise (%(default)s)")
    add("--device", help="cpu, cuda, mps ... (default: NSTLAB_DEVICE, else the best there is)")
    stylize.set_defaults(run=stylize_from)

    photorealize = commands.add_parser("photorealize", help="approach 2: make a pastiche photorealistic again")
    photorealize.add_argument("pastiche", metavar="PASTICHE", help="what approach 1 made: a picture's path")
    photorealize.add_argument("content", metavar="CONTENT", help="the photograph it was made from, or a sample's name")
    add_outputs(photorealize)
    add = photorealize.add_argument
    add(
        "--weight",
        type=float,
        default=WEIGHT,
        help="lambda, of equation 5; with --style, of its mean over pixels (%(default)g)",
    )
    add("--method", choices=STEPS, default="solve", help="(%(default)s)")
    add("--style", metavar="STYLE", help="with --method lbfgs: minimize equation 6, with this style image")
    add("--steps", type=int, help="at most (" + ", ".join(f"{m} {n}" for m, n in STEPS.items()) + ")")
    add("--step", type=float, help="with --method descent: its length (default: just below the limit of stability)")
    add("--device", help="cpu, cuda, mps ... (default: NSTLAB_DEVICE, else the best there is)")
    photorealize.set_defaults(run=photorealize_from)

    photo = commands.add_parser("photograph", help="a photograph in the light and the colors of another one")
    photo.add_argument("content", metavar="CONTENT", help="a photograph's path, or a sample's name")
    photo.add_argument("style", metavar="STYLE", help="the photograph whose light it takes, or a sample's name")
    add_outputs(photo)
    add = photo.add_argument
    add("--preview", metavar="OUT", type=Path, help="write the color match, after some seconds")
    add("--stages", metavar="FOLDER", type=Path, help="write the picture of every stage")
    add("--content-regions", metavar="LABELS", help="a label picture: which part takes its style from where")
    add("--style-regions", metavar="LABELS", help="the same colors on STYLE (default: regions are proposed)")
    add("--size", type=int, default=512, help="bound of the longer side in pixels (%(default)s)")
    add("--content-weight", type=float, default=PHOTOGRAPH_CONTENT_WEIGHT, help="relative (%(default)g)")
    add("--weight", type=float, default=PHOTOGRAPH_WEIGHT, help="lambda of the solves (%(default)g)")
    add("--device", help="cpu, cuda, mps ... (default: NSTLAB_DEVICE, else the best there is)")
    photo.set_defaults(run=None)

    texture = commands.add_parser("texture", help="a texture like a sample, of any size")
    texture.add_argument("style", metavar="SAMPLE", help="a picture's path, or a sample's name")
    add_outputs(texture)
    add = texture.add_argument
    add("--film", metavar="OUT", type=Path, help="write the texture growing: .gif, .webp, or .mp4 with ffmpeg")
    add("--size", type=int, nargs="+", default=[512], help="the longer side in pixels, or height and width (512)")
    add("--tileable", action="store_true", help="opposite edges meet")
    add("--steps", type=int, default=60, help="at full size; small sizes get more (%(default)s)")
    add("--seed", type=int, default=0, help="of the noise (%(default)s)")
    add("--device", help="cpu, cuda, mps ... (default: NSTLAB_DEVICE, else the best there is)")
    texture.set_defaults(run=texture_from)

    listing = commands.add_parser("samples", help="list the bundled pictures with author and licence")
    listing.set_defaults(run=None)
    return main


def add_outputs(command: argparse.ArgumentParser) -> None:
    """The files that every run can write."""
    command.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="where the picture goes")
    command.add_argument("--losses", metavar="CSV", type=Path, help="write the losses of every epoch as a table")
    command.add_argument("--plot", metavar="PNG", type=Path, help="draw the losses by epoch")


def stylize_from(options: argparse.Namespace) -> Run:
    """The run that `nstlab stylize` asks for."""
    start = options.start
    if start not in NAMED_STARTS:
        start = load_image(start)
    network = VGG(options.network, pooling=options.pooling, weights=options.weights)
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
        vgg=network,
        start=start,
        optimizer=options.optimizer,
        coarse_to_fine=not options.one_size,
        seed=options.seed,
        device=options.device,
        tile="auto" if options.tile is None else options.tile,
        precision=options.precision,
    )


def carry_out_photograph(options: argparse.Namespace, watch: Callable[[tqdm, Step], None]) -> int:
    """Make the photograph, save it and its stages. Gives the exit code."""
    check_outputs(options)
    regions = regions_from(options)
    if regions is not None and regions.style is None:
        raise ValueError("--content-regions needs --style-regions, the same colors on STYLE.")

    def save_preview(image: Tensor) -> None:
        if options.preview:
            save_image(image, options.preview)
            print(f"wrote {options.preview}", flush=True)

    with tqdm(total=sum(PHOTOGRAPH_STEPS), unit="epoch") as bar:
        result = photograph(
            options.content,
            options.style,
            regions,
            lambda step: watch(bar, step),
            size=options.size,
            content_weight=options.content_weight,
            weight=options.weight,
            preview=save_preview,
            device=options.device,
        )
    with undisturbed():
        written = save(options, result.image, result.history)
        for number, (stage, image) in enumerate(result.stages.items() if options.stages else (), 1):
            written.append(options.stages / f"{number}_{stage.replace(' ', '_')}.png")
            save_image(image, written[-1])
    print("wrote " + ", ".join(map(str, written)))
    return 130 if result.interrupted else 0


def regions_from(options: argparse.Namespace) -> Regions | None:
    """The regions that the options name. Raises ValueError for labels of the style image alone."""
    content, style = options.content_regions, options.style_regions
    if content is None:
        if style is not None:
            raise ValueError("--style-regions needs --content-regions, a label picture of the content image.")
        return None
    return load_regions(content, style) if style is not None else Regions(load_regions(content, content).content)


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


def check_outputs(options: argparse.Namespace) -> None:
    """Raise ValueError before the run begins if an output cannot be written at its end, or would replace an input."""
    given = {name: value for name, value in vars(options).items() if name in INPUTS and value}
    taken = {
        Path(value).expanduser().resolve(): name.upper()
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
    }
    for option, path, suffixes in (
        ("--output", options.output, set(WRITERS)),
        ("--losses", options.losses, {".csv"}),
        ("--plot", options.plot, figure_formats()),
        ("--film", getattr(options, "film", None), set(FILM_WRITERS)),
        ("--preview", getattr(options, "preview", None), set(WRITERS)),
    ):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise ValueError(f"{option} {path}: the suffix must be one of {', '.join(sorted(suffixes))}.")
        if path.is_dir():
            raise ValueError(f"{option} {path}: there is a folder of that name.")
        whole = path.expanduser().resolve()
        if whole in taken:
            raise ValueError(f"{option} {path}: that is {taken[whole]}, too; name another file.")
        taken[whole] = option
        folder = next(parent for parent in whole.parents if parent.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise ValueError(f"{option} {path}: nothing can be written into {folder}; name another folder.")


def move(bar: tqdm, step: Step) -> None:
    """Move the progress bar. The start, epoch 0, is not a step."""
    bar.set_postfix_str(", ".join(f"{name} {loss:.3g}" for name, loss in step.losses.items()), refresh=False)
    bar.set_description_str(f"{max(step.size)} px", refresh=False)
    if step.index:
        bar.update()


def description(objective: Objective) -> str:
    """How the network is computed and how much memory that takes; nothing if there is no network or no engine."""
    fast = engine()
    if objective.vgg is None or fast is None:
        return ""
    plan, size = fast.plan(objective), f"{objective.size[1]} x {objective.size[0]} px"
    parts = f"in {len(plan.tiles)} tiles" if len(plan.tiles) > 1 else "at once"
    where = f"{objective.vgg.network} in {plan.precision} on {objective.device}"
    memory = fast.run_memory(objective.vgg, objective.layers, objective.size, plan.tile, plan.precision)
    return f"{where}, {size} {parts}: about {memory / 1e6:,.0f} MB of memory"


def factors(objective: Objective) -> str:
    """What a content_weight of 1 and a style_weight of 1 are as alpha and beta of equation 4 as printed."""
    assert objective.vgg is not None
    content_image, style_image = objective.images["content"], objective.images["style"]
    relative = style_transfer_objective(
        objective.vgg, content_image, style_image, tile=objective.tile, precision=objective.precision
    )
    content, style = relative.terms["content"], relative.terms["style"]
    assert isinstance(content, ContentTerm) and isinstance(style, StyleTerm)
    of_style = ", ".join(f"{layer} {len(style.w) * w:.3g}" for layer, w in style.w.items())
    units = f"content_weight 1 is alpha = {content.alpha:.3g}; style_weight 1 is beta by layer = {of_style}"
    return f"in relative units, {units}"


def carry_out(options: argparse.Namespace, watch: Callable[[tqdm, Step], None]) -> int:
    """Run, save the results, print what was written. Gives the exit code."""
    check_outputs(options)
    run: Run = options.run(options)
    plan = description(run.objectives[-1])
    if plan:
        print(plan)
    if getattr(options, "exact", False) and len(options.style) == 1 and options.content_regions is None:
        print(factors(run.objectives[-1]))
    code = 0
    image: Tensor | None
    diverged: DivergenceError | None = None
    film = Film(options.film) if getattr(options, "film", None) else None

    def seen(step: Step) -> None:
        watch(bar, step)
        if film is not None:
            film(step)

    with tqdm(total=run.steps, unit="epoch") as bar:
        try:
            result = run.finish(seen)
            image, history, code = result.image, result.history, 130 if result.interrupted else 0
        except DivergenceError as error:
            image, history, code, diverged = error.image, error.history, 1, error
    if image is not None:
        with undisturbed():
            written = save(options, image, history)
            if film is not None:
                film.close()
                written.append(film.path)
        if code == 130:
            print(f"interrupted after {len(history) - 1} of {run.steps} epochs; the result so far is saved")
        print("wrote " + ", ".join(map(str, written)))
    if diverged:
        print(f"nstlab: {diverged}", file=sys.stderr)
    return code


def save(options: argparse.Namespace, image: Tensor, history: Sequence[Record]) -> list[Path]:
    """Write the picture and the other files asked for. Gives their paths."""
    save_image(image.clamp(0, 1), options.output)
    if options.losses:
        save_losses(history, options.losses)
    if options.plot:
        save_figure(plot_losses(history), options.plot)
    return [path for path in (options.output, options.losses, options.plot) if path]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C, so that a second one does not interrupt the saving."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main(arguments: Sequence[str] | None = None, watch: Callable[[tqdm, Step], None] = move) -> int:
    """Carry out one command; `watch` is called with the progress bar and every step.

    Gives 0, 1 after a divergence, 2 for bad input, 130 after Ctrl-C.
    """
    options = parser().parse_args(arguments)
    try:
        if options.command == "samples":
            print("\n".join(map(str, samples())))
            return 0
        return (carry_out_photograph if options.command == "photograph" else carry_out)(options, watch)
    except (ValueError, OSError) as error:  # ImageError and WeightsError are ValueErrors
        print(f"nstlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nstlab: interrupted before the first epoch; nothing was written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
