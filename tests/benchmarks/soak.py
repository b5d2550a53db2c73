"""300 runs with random settings: none may raise, give a number that is not finite, or end above its start.

Writes the table `out/soak.csv`, one row a run, and exits with 1 if a run failed. Arguments: how many runs, and a seed.
"""

from __future__ import annotations

import csv
import math
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nstlab.images import MIN_SIDE, load_image, samples
from nstlab.objective import Objective
from nstlab.photorealism import photorealize_run
from nstlab.preparation.starts import starting_image
from nstlab.runs import Run
from nstlab.transfer import stylize_run
from nstlab.vgg import VGG

RISE = 1e-5  # relative: by so much rounding alone may raise a total
PLACES = Path("out/soak.csv")


def settings(draw: random.Random, names: list[str]) -> dict[str, Any]:
    """The settings of one run."""

    def weight() -> float:
        return 10 ** draw.uniform(-4, 4)

    return {
        "approach": draw.choice((1, 1, 1, 2)),
        "content": draw.choice(names),
        "style": draw.choice(names),
        "size": draw.randint(32, 256),
        "steps": draw.randint(0, 6),
        "content_weight": weight() * draw.choice((0, 1, 1, 1, 1)),
        "style_weight": weight() * draw.choice((0, 1, 1, 1, 1)),
        "photorealism_weight": weight() * draw.choice((0, 0, 0, 1)),
        "optimizer": draw.choice(("lbfgs", "adam")),
        "start": draw.choice(("noise", "content", "style")),
        "coarse_to_fine": draw.random() < 0.7,
        "network": draw.choice(("vgg19", "vgg16")),
        "pooling": draw.choice(("avg", "max")),
        "method": draw.choice(("solve", "lbfgs", "descent")),
        "seed": draw.randint(0, 10**6),
    }


def run_of(chosen: dict[str, Any], networks: dict[tuple[str, str], VGG]) -> Run:
    """The run with these settings."""
    content, style = (small(chosen[name], chosen["size"]) for name in ("content", "style"))
    if chosen["approach"] == 2:
        generator = torch.Generator().manual_seed(chosen["seed"])
        pastiche = (content + 0.1 * torch.randn(content.shape, generator=generator)).clamp(0, 1)
        return photorealize_run(pastiche, content, method=chosen["method"], steps=chosen["steps"])
    keys = ("steps", "content_weight", "style_weight", "photorealism_weight", "optimizer", "start", "coarse_to_fine")
    kept = {key: chosen[key] for key in (*keys, "seed")}
    network = networks.setdefault(
        (chosen["network"], chosen["pooling"]), VGG(chosen["network"], pooling=chosen["pooling"])
    )
    return stylize_run(content, style, size=max(*content.shape[2:], *style.shape[2:]), vgg=network, **kept)


def small(name: str, size: int) -> Tensor:
    """A sample picture with this longer side, or with the least that its shape allows: no side is under MIN_SIDE."""
    picture = load_image(name)
    shorter, longer = sorted(picture.shape[2:])
    return load_image(picture, max(size, math.ceil(MIN_SIDE * longer / shorter)))


def failures(chosen: dict[str, Any], run: Run) -> tuple[float, float, str]:
    """The total of the start and of the result, at full size, and what is wrong, or ""."""
    last: Objective = run.objectives[-1]
    at_start = math.nan
    if chosen["approach"] == 1:
        at_start = last.at(starting_image(last, chosen["start"], chosen["seed"])).total
    result = run.finish()
    first, best = result.history[0].total, result.history[result.epoch].total
    at_start = first if math.isnan(at_start) else at_start
    if not result.image.isfinite().all() or not math.isfinite(best):
        return at_start, best, "not finite"
    whole = result.history[-1].size == last.size  # a run of 0 steps stays at its first size
    if whole and best > at_start + RISE * abs(at_start) + 1e-9:
        return at_start, best, "above its start"
    return at_start, best, ""


def main(runs: int = 300, seed: int = 0) -> int:
    draw, networks, failed = random.Random(seed), {}, 0
    names = [sample.name for sample in samples()]
    PLACES.parent.mkdir(exist_ok=True)
    with open(PLACES, "w", newline="") as file:
        table = csv.writer(file)
        for number in tqdm(range(runs), unit="run"):
            chosen, began = settings(draw, names), time.perf_counter()
            try:
                at_start, best, wrong = failures(chosen, run_of(chosen, networks))
            except Exception:
                at_start, best, wrong = math.nan, math.nan, traceback.format_exc().strip().splitlines()[-1]
            if number == 0:
                table.writerow([*chosen, "total_at_start", "total", "seconds", "wrong"])
            table.writerow([*chosen.values(), at_start, best, f"{time.perf_counter() - began:.2f}", wrong])
            file.flush()
            if wrong:
                failed += 1
                tqdm.write(f"{number}: {wrong}: {chosen}")
    print(f"{runs} runs, {failed} failed; wrote {PLACES}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
