"""nstlab against a textbook implementation and against the machine's own limit, as ratios within one run.

    python tests/benchmarks/bench_transfer.py [PART ...]

Parts: evaluation, memory, growth, large, race, and precision where the processor is fast in bfloat16; all of them take
about half an hour on two cores. Results go to out/bench/transfer.md, and of `growth` a figure besides. The textbook
runs in processes of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from measuring import PAIR, forget_peak, matrix_peak, operations, pictures, processor, resident, seconds
from textbook import Textbook

from nstlab.base.files.sample_images import samples
from nstlab.coarse_to_fine import optimize
from nstlab.engine.memory import evaluation_memory
from nstlab.engine.precision import PRECISIONS, fastest_precision
from nstlab.images import load_image
from nstlab.objective import Objective
from nstlab.preparation.starts import starting_image
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize, stylize_run
from nstlab.vgg import STYLE_LAYERS, VGG

OUT = Path("out/bench")
PRECISION = fastest_precision(torch.device("cpu"))
ROUNDS = 5
TILE = 2048  # of the picture of 4096 px
GOALS = (150, 500)  # evaluations after which the textbook's loss is to be reached
PLAN = (40, 40, 20, 250)  # steps at 64, 128, 256 and 512 px
PARTS = ["evaluation", "memory", "growth", "large", "race", *(["precision"] if PRECISION == "bfloat16" else [])]
lines: list[str] = []


def say(line: str) -> None:
    """Print a line and keep it."""
    print(line, flush=True)
    lines.append(line)


def ours(size: int, tile: int | None = None) -> Objective:
    return style_transfer_objective(VGG(), *pictures(size), tile=tile, precision=PRECISION)


def evaluation() -> None:
    """Seconds per evaluation of losses and gradient, and the share of what the machine can multiply."""
    peak = matrix_peak(torch.randn(2048, 2048).to(PRECISIONS[PRECISION]))
    say(f"matrix peak: {peak / 1e9:.0f} GFLOP/s in {PRECISION}")
    for size in (256, 512, 1024):
        image, objective = torch.rand_like(pictures(size)[0]), ours(size)
        assert objective.vgg is not None
        mine, theirs = seconds(lambda: objective.at(image), ROUNDS), child("textbook", size)[1]  # noqa: B023
        share = operations(objective.vgg, objective.size) / mine / peak
        ratio = f"textbook {theirs:6.3f} s | {theirs / mine:4.2f} x as fast"
        say(f"{size:>5} px | {mine:6.3f} s | {ratio} | {share:4.0%} of peak")


def memory() -> None:
    """Bytes that network, targets and evaluations take, each in a process of its own."""
    for size in (512, 1024):
        theirs = child("textbook", size)[0]
        for tile in (0, 512) if size == 1024 else (0,):
            mine = child("ours", size, tile)[0]
            how = f"in tiles of {tile} px" if tile else "at once"
            say(
                f"{size:>5} px | {mine / 1e9:.2f} GB {how} | textbook {theirs / 1e9:.2f} GB | {mine / theirs:.2f} of it"
            )


def growth() -> None:
    """Time and memory per pixel from 128 to 2048 px, with a figure."""
    sizes, rows = (128, 256, 512, 1024, 2048), []
    for size in sizes:
        added, took, pixels = child("ours", size)
        rows.append((1e6 * took / pixels, added / pixels))
        say(f"{size:>5} px | {1e6 * took / pixels:5.2f} µs a pixel | {added / pixels:5.0f} bytes a pixel")
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, column, label in zip(axes, zip(*rows, strict=True), ("µs per pixel", "bytes per pixel"), strict=True):
        axis.plot(sizes, column, "o-")
        axis.set(xscale="log", xlabel="longer side, pixels", ylabel=label, ylim=(0, 1.2 * max(column)))
        axis.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        axis.minorticks_off()
    figure.suptitle(f"One evaluation of losses and gradient, {PRECISION}")
    figure.savefig(OUT / "growth.png", dpi=110)


def large() -> None:
    """4096 px in tiles."""
    added, took, pixels = child("ours", 4096, TILE)
    whole = child("ours", 1024)
    cost = took / pixels / (whole[1] / whole[2])
    planned = evaluation_memory(VGG(), STYLE_LAYERS, (3072, 4096), TILE, PRECISION)
    room = f"{added / 1e9:.2f} GB, {planned / 1e9:.2f} planned for the evaluation beside its pictures"
    say(f" 4096 px in tiles of {TILE} | {room} | {cost:.2f} x the time a pixel")


def race() -> None:
    """Seconds to the least loss that the textbook has seen after 150 and after 500 evaluations at 512 px."""
    goals = [(float(goal), float(theirs)) for goal, theirs in (line.split() for line in apart("textbook race"))]
    times = first_seconds([goal for goal, _ in goals])
    for n, (goal, theirs), mine in zip(GOALS, goals, times, strict=True):
        how = f"{mine:.0f} s" if mine < float("inf") else f"not in {PLAN[-1]} steps at full size"
        say(f"loss {goal:.3g} of evaluation {n} | textbook {theirs:.0f} s | {how} | {theirs / mine:.1f} x as fast")


def textbook_race() -> None:
    """Print the least loss and the seconds after so many evaluations, a line for each of GOALS."""
    start = starting_image(ours(512), "noise", 0)
    book, began, least = Textbook(*pictures(512)), time.perf_counter(), float("inf")
    for n, loss in enumerate(book.minimize(start), 1):
        least = min(least, loss)
        if n in GOALS:
            print(least, time.perf_counter() - began, flush=True)
        if n == GOALS[-1]:
            break


def first_seconds(goals: list[float]) -> list[float]:
    """Seconds until a run from coarse to fine is at each loss at full size, everything counted from its start."""
    began, times = time.perf_counter(), [float("inf")] * len(goals)
    levels = stylize_run(*PAIR, size=512, precision=PRECISION).objectives
    for step in optimize(list(zip(levels, PLAN, strict=True)), "noise"):
        for k, goal in enumerate(goals):
            if max(step.size) == 512 and step.total <= goal:
                times[k] = min(times[k], time.perf_counter() - began)
    return times


def precision() -> None:
    """The float32 loss after as many steps in bfloat16 and in float32, at 256 px, for every pair of samples."""
    vgg = VGG()
    of_kind = {kind: [s.name for s in samples() if s.kind == kind] for kind in ("content", "style")}
    for names in product(of_kind["content"], of_kind["style"]):
        exact = style_transfer_objective(vgg, *(load_image(name, 256) for name in names))
        images = [stylize(*names, size=256, steps=30, vgg=vgg, precision=p).image for p in ("float32", "bfloat16")]
        totals = [exact.at(image).total for image in images]
        change = f"float32 {totals[0]:.4g} | bfloat16 {totals[1]:.4g} | {totals[1] / totals[0] - 1:+.1%}"
        say(f"{names[0]:>18} | {names[1]:>18} | {change}")


def child(who: str, size: int, tile: int = 0) -> tuple[int, float, int]:
    """Bytes that network, targets and evaluations add at their peak, seconds, and pixels, in a fresh process."""
    (line,) = apart(f"{who} {size} {tile}")
    added, took, pixels = line.split()
    return int(added), float(took), int(pixels)


def apart(what: str) -> list[str]:
    """The lines that a process of its own prints."""
    command = [sys.executable, __file__, "--child", *what.split()]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def in_child(who: str, size: int, tile: int) -> None:
    content, style = pictures(size)
    image = torch.rand_like(content)
    before = resident("VmRSS")
    forget_peak()
    evaluate = Textbook(content, style).evaluate if who == "textbook" else ours(size, tile or None).at
    took = seconds(lambda: evaluate(image), 1 if size > 2048 else 3)
    print(resident("VmHWM") - before, took, image.shape[2] * image.shape[3])


def main(parts: list[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    say(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {PRECISION}")
    for part in parts:
        say(f"\n{part}: {globals()[part].__doc__}\n")
        globals()[part]()
    (OUT / "transfer.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--child", "textbook", "race"]:
        textbook_race()
    elif sys.argv[1:2] == ["--child"]:
        in_child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(sys.argv[1:] or PARTS)
