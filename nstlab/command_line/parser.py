"""The grammar of the command line. PyTorch is not imported for it: help and errors are there at once.

So the defaults and the choices are written out here; a test compares them with those of the library.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

PHOTOREALIZE_STEPS = {"solve": 500, "lbfgs": 100, "descent": 200}  # by method


class Parser(argparse.ArgumentParser):
    """Reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> NoReturn:
        from nstlab import __version__

        print(f"nstlab {__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    main = Parser(prog="nstlab", description="Neural style transfer, to read, to run and to learn from.")
    main.add_argument("--version", action=Version, nargs=0, help="print the version")
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    add_stylize(commands.add_parser("stylize", help="approach 1: paint one picture in the style of another"))
    add_photorealize(commands.add_parser("photorealize", help="approach 2: make a pastiche photorealistic again"))
    add_photograph(commands.add_parser("photograph", help="a photograph in the light and the colors of another one"))
    add_texture(commands.add_parser("texture", help="a texture like a sample, of any size"))
    commands.add_parser("samples", help="list the bundled pictures with author and licence")
    course = commands.add_parser("course", help="copy the notebooks of the course into a folder")
    course.add_argument("folder", metavar="DIR", type=Path, help="is made if it is missing")
    lab = commands.add_parser("lab", help="open the notebooks of a folder in JupyterLab")
    lab.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=Path("."), help="(the current one)")
    return main


def add_stylize(command: argparse.ArgumentParser) -> None:
    """The arguments of approach 1."""
    add = command.add_argument
    add("content", metavar="CONTENT", help="a picture's path, or a sample's name")
    add("style", metavar="STYLE", nargs="+", help="the same; several are mixed, or one for each region")
    add_outputs(command)
    add("--film", metavar="OUT", type=Path, help="write the pastiche growing: .gif, .webp, or .mp4 with ffmpeg")
    add("--keep-alpha", action="store_true", help="make the pastiche as transparent as CONTENT")
    add("--checkpoint", metavar="PATH", type=Path, help="keep the run in this file, every 30 seconds and at its end")
    add("--resume", action="store_true", help="continue the run that the checkpoint has, if there is one")
    add_size(command)
    add("--steps", type=int, default=20, help="optimizer steps at full size; small sizes get more (%(default)s)")
    add("--content-weight", type=float, default=0.04, help="relative: see relative_weights (%(default)g)")
    add("--style-weight", type=float, default=1.0, help="relative, too (%(default)g)")
    add("--photorealism-weight", type=float, default=0.0, help="weight of the mean of equation 5 (%(default)g)")
    smoother = "weight of the total variation: a smoother pastiche (%(default)g)"
    add("--total-variation-weight", type=float, default=0.0, help=smoother)
    add("--content-regions", metavar="LABELS", help="a label picture: which part takes its style from where")
    of_style = "the same colors on the style image; without it one STYLE a region, the largest first"
    add("--style-regions", metavar="LABELS", help=of_style)
    add("--style-mix", metavar="SHARE", type=float, nargs="+", help="one for each STYLE (default: equal shares)")
    add("--style-scale", type=float, default=1.0, help="size of the strokes, of the style image (%(default)g)")
    colors = "whose colors, or the style's matched (%(default)s)"
    add("--color", choices=("style", "content", "match"), default="style", help=colors)
    add("--exact", action="store_true", help="take the weights as alpha and beta of equation 4 as printed")
    add("--network", choices=("vgg19", "vgg16"), default="vgg19", help="(%(default)s)")
    add("--weights", metavar="PATH", help="a local file of the network's filters, .pth or .safetensors")
    add("--pooling", choices=("avg", "max"), default="avg", help="(%(default)s)")
    add("--precision", default="auto", help="of the network: float32, bfloat16, float16 or auto (%(default)s)")
    tiles = "evaluate the image in tiles of this size (default: only if memory is short)"
    add("--tile", metavar="PIXELS", type=int, help=tiles)
    add("--start", default="noise", help="noise, content, style, or a picture's path (%(default)s)")
    add("--optimizer", choices=("lbfgs", "adam"), default="lbfgs", help="(%(default)s)")
    add("--one-size", action="store_true", help="full size from the first step on, not from coarse to fine")
    add_seed(command)
    add_device(command)


def add_photorealize(command: argparse.ArgumentParser) -> None:
    """The arguments of approach 2."""
    add = command.add_argument
    add("pastiche", metavar="PASTICHE", help="what approach 1 made: a picture's path")
    add("content", metavar="CONTENT", help="the photograph it was made from, or a sample's name")
    add_outputs(command)
    weights = "lambda, of equation 5; with --style, of its mean over pixels (%(default)g)"
    add("--weight", type=float, default=1e3, help=weights)
    add("--method", choices=PHOTOREALIZE_STEPS, default="solve", help="(%(default)s)")
    add("--style", metavar="STYLE", help="with --method lbfgs: minimize equation 6, with this style image")
    limits = ", ".join(f"{method} {steps}" for method, steps in PHOTOREALIZE_STEPS.items())
    add("--steps", type=int, help=f"at most ({limits})")
    add("--step", type=float, help="with --method descent: its length (default: just below the limit of stability)")
    add_device(command)


def add_photograph(command: argparse.ArgumentParser) -> None:
    """The arguments of a photograph from end to end."""
    add = command.add_argument
    add("content", metavar="CONTENT", help="a photograph's path, or a sample's name")
    add("style", metavar="STYLE", help="the photograph whose light it takes, or a sample's name")
    add_outputs(command)
    add("--preview", metavar="OUT", type=Path, help="write the color match, after some seconds")
    add("--stages", metavar="FOLDER", type=Path, help="write the picture of every stage")
    add("--content-regions", metavar="LABELS", help="a label picture: which part takes its style from where")
    add("--style-regions", metavar="LABELS", help="the same colors on STYLE (default: regions are proposed)")
    add_size(command)
    add("--content-weight", type=float, default=0.4, help="relative (%(default)g)")
    add("--weight", type=float, default=2e3, help="lambda of the solves (%(default)g)")
    add_device(command)


def add_texture(command: argparse.ArgumentParser) -> None:
    """The arguments of a texture."""
    add = command.add_argument
    add("style", metavar="SAMPLE", help="a picture's path, or a sample's name")
    add_outputs(command)
    add("--film", metavar="OUT", type=Path, help="write the texture growing: .gif, .webp, or .mp4 with ffmpeg")
    add("--size", type=int, nargs="+", default=[512], help="the longer side in pixels, or height and width (512)")
    add("--tileable", action="store_true", help="opposite edges meet")
    add("--steps", type=int, default=60, help="at full size; small sizes get more (%(default)s)")
    add_seed(command)
    add_device(command)


def add_outputs(command: argparse.ArgumentParser) -> None:
    """The files that every run can write."""
    command.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="where the picture goes")
    command.add_argument("--losses", metavar="CSV", type=Path, help="write the losses of every epoch as a table")
    command.add_argument("--plot", metavar="PNG", type=Path, help="draw the losses by epoch")


def add_size(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=int, default=512, help="bound of the longer side in pixels (%(default)s)")


def add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu, cuda, mps ... (default: NSTLAB_DEVICE, else the best there is)")
