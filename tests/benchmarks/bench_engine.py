"""What each part of the engine gains: one part at a time is switched off, in turn with the whole engine.

    python tests/benchmarks/bench_engine.py [PART ...]        or        make bench ABLATE="PART ..."

Parts: winograd, bands, buffers, losses, backward; by default all of them, in some ten minutes on two cores. A line for
each part and size: time and peak memory of an evaluation without it, as multiples of those with it. Every measurement
is made in a process of its own, in the precision that is fastest on this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from measuring import forget_peak, pictures, resident, seconds
from torch import Tensor

from nstlab.engine import convolution, evaluation, losses, network, winograd
from nstlab.engine.precision import at_least_float32, fastest_precision
from nstlab.losses import gram_matrix
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.vgg import VGG

SIZES = {512: 8, 1024: 4}  # longer side in pixels: evaluations, of which the shortest counts
ROUNDS = 3


class PlainDistance:
    """sum_ij (F_ij - P_ij)^2 by autograd."""

    @staticmethod
    def apply(F: Tensor, P: Tensor) -> Tensor:
        return (at_least_float32(F) - at_least_float32(P)).square().sum()


class PlainProduct:
    """F F^T by autograd."""

    @staticmethod
    def apply(F: Tensor) -> Tensor:
        return gram_matrix(at_least_float32(F))


class OneLayer(torch.autograd.Function):
    """One layer with its gradient: what autograd needs, and no more."""

    @staticmethod
    def forward(ctx: Any, F: Tensor, layer: network.Layer) -> Tensor:
        ctx.layer, out = layer, layer.forward(F)
        ctx.save_for_backward(F, out)
        return out

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:
        F, out = ctx.saved_tensors
        d = ctx.layer.backward(torch.where(out > 0, d, torch.zeros_like(d)))
        if ctx.layer.pooling is None:
            return d, None
        with torch.enable_grad():
            leaf = F.detach().requires_grad_()
            return torch.autograd.grad(ctx.layer.pooling.forward(leaf), leaf, d)[0], None


def read_layer_by_layer(
    vgg: VGG, image: Tensor, readers: Any, places: Callable[[str], Any], precision: str
) -> list[Tensor]:
    """`network.read`, with autograd between the layers."""
    wanted = {name for name, _ in readers}
    F, x = {}, vgg.prepared(image, wanted)
    for name in vgg.down_to(wanted):
        layer = network.prepared_layer(vgg, name, precision)
        F[name] = x = OneLayer.apply(x.to(layer.weight.dtype), layer)
    return [reader(network.crop(F[name], places(name))) for name, reader in readers]


def plain_empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    B, N, h, w = shape
    return like.new_empty(B, h, w, N).permute(0, 3, 1, 2)


def without(part: str) -> list[AbstractContextManager[Any]]:
    """What to patch so that the engine does without a part."""
    at_once: dict[str, Any] = {"band": 1 << 60}
    return {
        "nothing": [],
        "winograd": [patch.object(winograd, "is_faster", lambda weight, dtype=None: False)],
        "bands": [
            patch.object(convolution, name, partial(getattr(convolution, name), **at_once))
            for name in ("convolve_relu", "convolve_transposed")
        ],
        "buffers": [patch.object(module, "empty", plain_empty) for module in (convolution, losses, network, winograd)],
        "losses": [
            patch.object(evaluation, "SquaredDistance", PlainDistance),
            patch.object(evaluation, "SelfProduct", PlainProduct),
        ],
        "backward": [patch.object(evaluation, "read", read_layer_by_layer)],
    }[part]


PARTS = ("winograd", "bands", "buffers", "losses", "backward")


def in_child(part: str, size: int) -> None:
    """Print the shortest time of an evaluation in seconds, and the peak memory of network and evaluations in bytes."""
    content, style = pictures(size)
    image = torch.rand_like(content)
    before = resident("VmRSS")
    forget_peak()
    with ExitStack() as patches:
        for context in without(part):
            patches.enter_context(context)
        objective = style_transfer_objective(VGG(), content, style, precision=os.environ["PRECISION"])
        took = seconds(lambda: objective.at(image), SIZES[size])
    print(took, resident("VmHWM") - before)


def measured(part: str, size: int) -> tuple[float, int]:
    """What `in_child` prints, from a process of its own."""
    command = [sys.executable, __file__, "--child", part, str(size)]
    seconds, memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(memory)


def main(parts: list[str]) -> None:
    os.environ["PRECISION"] = fastest_precision(torch.device("cpu"))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {os.environ['PRECISION']}", flush=True)
    for size in SIZES:
        for part in parts:
            runs: dict[str, list[tuple[float, int]]] = {"nothing": [], part: []}
            for n in range(ROUNDS):
                for name in sorted(runs, reverse=bool(n % 2)):
                    runs[name].append(measured(name, size))
            (whole, whole_memory), (less, less_memory) = (tuple(map(min, zip(*r, strict=True))) for r in runs.values())
            gain = f"{less / whole:.2f} x the time, {less_memory / whole_memory:.2f} x the memory"
            print(f"{size:>5} px without {part:<9}| {gain}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        in_child(sys.argv[2], int(sys.argv[3]))
    else:
        main(sys.argv[1:] or list(PARTS))
