"""What `gpu.py` measures: each part gives the rows of a table, and its docstring is the table's caption."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from gpu_device import Row, Setting, difference, tf32, tried
from measuring import PAIR, matrix_peak, operations, painted, pictures, seconds, solve_time, square
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from nstlab.engine import evaluate
from nstlab.engine.memory import SHARE, evaluation_memory, free_memory, run_memory
from nstlab.engine.precision import PRECISIONS
from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.optimizers import OPTIMIZERS
from nstlab.textbook import loss_function
from nstlab.transfer import stylize
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

ROOT = Path(__file__).parents[2]
LAYERS = {CONTENT_LAYER, *STYLE_LAYERS}
FORMATS = {  # precision of the network, and whether TF32 is allowed
    "float32": ("float32", False),
    "TF32": ("float32", True),
    "float16": ("float16", True),
    "bfloat16": ("bfloat16", True),
}
SIDES = range(16, 1 << 16, 16)  # in pixels, among which the largest picture is sought
DEVICE, START = "tests/engine/test_device.py", "notebooks/00_start_here.ipynb"
TESTS = [DEVICE, "tests/story/test_transfer.py", START, "notebooks/09_the_cure.ipynb"]
FEW = [f"{DEVICE}::test_a_run_is_on_the_device_and_gives_its_image_on_the_cpu", START]
NBVAL = ["--nbval-lax", "--nbval-cell-timeout=120", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg"]


def evaluations(s: Setting, left: float) -> Iterator[Row]:
    """One evaluation of losses and gradient, beside the textbook, plain autograd, on the same device: float32 beside
    float32, the others beside TF32. Peak: the product of two large matrices of the same format."""
    side = 256 if s.quick else 8192
    for size in s.sizes:
        books: dict[bool, Row] = {}
        for name, (precision, allowed) in FORMATS.items():
            with tf32(allowed):
                peak = matrix_peak(torch.randn(side, side, device=s.device).to(PRECISIONS[precision]), s.rounds, s.wait)
                row = tried(partial(beside_the_textbook, s, size, precision, peak, books, allowed))
            yield {"px": size, "format": name, **row}


def beside_the_textbook(
    s: Setting, size: int, precision: str, peak: float, books: dict[bool, Row], allowed: bool
) -> Row:
    """A row of `evaluations`. books: the textbook's rows by whether TF32 is allowed; missing ones are added."""
    objective, vgg, image = s.objective(size, precision)
    if allowed not in books:
        columns = {"seconds": "textbook, seconds", "GB": "textbook, GB", "failed": "textbook"}
        found = tried(lambda: s.measured(lambda: objective.textbook(image)))
        books[allowed] = {columns[key]: value for key, value in found.items()}
    book, row = books[allowed], s.measured(lambda: objective.at(image))
    rate = operations(vgg, objective.size) / row["seconds"]
    row |= {"TFLOP/s": rate / 1e12, "share of peak": rate / peak, **book}
    if "textbook, seconds" not in book:
        return row
    got = objective.at(image).gradient
    with tf32(False):
        error = difference(got, objective.textbook(image).gradient)
    return row | {"times as fast": book["textbook, seconds"] / row["seconds"], "error of gradient": error}


def steps(s: Setting, left: float) -> Iterator[Row]:
    """How often the host waits for the device, with the lines that make it wait as far as PyTorch's debug mode knows
    them, what is copied between the two, and the kernels launched; a step has one evaluation, or some."""
    objective, _, image = s.objective(s.sizes[0], s.fastest)
    yield {"one": "evaluation", **tried(lambda: traffic(s, lambda: objective.at(image)))}
    for name, optimizer in OPTIMIZERS.items():
        stream = optimizer(objective, image)
        yield {"one": f"step of {name}", **tried(partial(traffic, s, stream.__next__))}


def traffic(s: Setting, step: Callable[[], object]) -> Row:
    """A row of `steps`, the mean of several calls after two that warm up."""
    step(), step()
    row: Row = {}
    if s.device.type == "cuda":
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                for _ in range(s.rounds):
                    step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        places = waits(caught)
        row = {
            "waits": places.total() / s.rounds,
            "where": ", ".join(f"{at} x {n / s.rounds:g}" for at, n in places.items()),
        }
    device = [ProfilerActivity.CUDA] if s.device.type == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *device]) as seen:
        for _ in range(s.rounds):
            step()
        s.wait()
    counts = {event.key: event.count / s.rounds for event in seen.key_averages()}
    return row | {
        "copies": sum(n for key, n in counts.items() if key.startswith(("Memcpy HtoD", "Memcpy DtoH"))),
        "kernels": sum(n for key, n in counts.items() if key.startswith(("cudaLaunchKernel", "cuLaunchKernel"))),
    }


def waits(caught: Sequence[warnings.WarningMessage]) -> Counter[str]:
    """How often each line made the host wait, from the warnings of the debug mode."""
    here = [warning for warning in caught if "synchronizing CUDA operation" in str(warning.message)]
    return Counter(f"{Path(warning.filename).name}:{warning.lineno}" for warning in here)


def runs(s: Setting, left: float) -> Iterator[Row]:
    """`stylize` with its defaults, from two pictures to a pastiche: loading the network and every size included."""
    for size in s.sizes[:2]:
        content, style = pictures(size)
        call = partial(stylize, content, style, size=size, device=str(s.device), steps=1 if s.quick else 20)
        yield {"px": size, "precision": s.fastest, **tried(partial(s.timed, call))}


def largest(s: Setting, left: float) -> Iterator[Row]:
    """The largest picture that a run evaluates at once in the free memory, by the engine's estimate, and whether one
    evaluation of it succeeds."""
    for precision in dict.fromkeys(("float32", s.fastest)):
        yield {"precision": precision, **tried(partial(evaluated_at_the_limit, s, precision))}


def evaluated_at_the_limit(s: Setting, precision: str) -> Row:
    """A row of `largest`; a rehearsal takes the memory that the sizes asked for need."""
    vgg, (h, w) = VGG().to(s.device), load_image(PAIR[0]).shape[2:]

    def shape(side: int) -> tuple[int, int]:
        return side * h // w, side

    def needed(side: int) -> int:
        return run_memory(vgg, LAYERS, shape(side), None, precision)

    def evaluated() -> Row:
        objective, _, image = s.objective(side, precision)
        return s.measured(lambda: objective.at(image))

    memory = needed(max(s.sizes)) if s.quick else int(SHARE * free_memory(s.device))
    side = SIDES[bisect_right(SIDES, memory, key=needed) - 1]
    estimate = evaluation_memory(vgg, LAYERS, shape(side), None, precision)
    return {"px": side, "estimate, GB": estimate / 1e9, **tried(evaluated)}


def laplacian(s: Setting, left: float) -> Iterator[Row]:
    """The Matting Laplacian of a square picture: build, product with an image, and the exact solve to a residual of
    1e-3 with a weight of 100."""
    for size in s.sizes:
        yield {"px": size, **tried(partial(solved, s, size))}


def solved(s: Setting, size: int) -> Row:
    """A row of `laplacian`."""
    image = square(size).to(s.device)
    M, x = MattingLaplacian(image), painted(image)
    took, iterations = solve_time(M, x, 100.0)
    return {
        "build, seconds": seconds(lambda: MattingLaplacian(image), s.rounds, s.wait),
        "product, seconds": seconds(lambda: M @ x, s.rounds, s.wait),
        "solve, seconds": took,
        "iterations": iterations,
    }


def checks(s: Setting, left: float) -> Iterator[Row]:
    """The unit tests that touch devices, and two notebooks at their smallest, on this device."""
    yield tried(lambda: checked(s, [*FEW, *NBVAL] if s.quick else [*TESTS, *NBVAL], left))


def checked(s: Setting, arguments: list[str], left: float) -> Row:
    """The row of `checks`: pytest's last line, and what failed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfE", *arguments]
    there = {**os.environ, "NSTLAB_DEVICE": str(s.device), "NSTLAB_PROFILE": "ci"}
    done = subprocess.run(command, cwd=ROOT, env=there, capture_output=True, text=True, timeout=left)
    lines = (done.stdout.strip() or done.stderr.strip() or "nothing was printed").splitlines()
    failures = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED", "ERROR"))]
    failed = {"failed": ", ".join(failures) or "see result"} if done.returncode else {}
    return {"result": lines[-1].strip("= "), **failed}


def recorded(s: Setting, left: float) -> Iterator[Row]:
    """An evaluation without reading its losses: the textbook as it is, compiled, and as a CUDA graph, all in TF32; and
    the engine in the precision that is fastest here, as it is and as a CUDA graph."""
    size, backend = s.sizes[0], "inductor" if s.device.type == "cuda" else "aot_eager"
    objective, vgg, image = s.objective(size, s.fastest)
    loss = loss_function(vgg, *s.pictures(size))
    x = image.requires_grad_()

    def textbook(loss: Callable[[Tensor], Tensor] = loss) -> Tensor:
        return torch.autograd.grad(loss(x), x)[0]

    def engine() -> Tensor:
        return evaluate(objective, x)[2]

    ways = {
        "textbook": lambda: textbook,
        "textbook, compiled": lambda: partial(textbook, torch.compile(loss, fullgraph=True, backend=backend)),
        "engine": lambda: engine,
        "textbook, CUDA graph": lambda: cuda_graph(textbook),
        "engine, CUDA graph": lambda: cuda_graph(engine),
    }
    with tf32(True):
        for name, way in ways.items():
            expected = engine if name.startswith("engine") else textbook
            yield {"px": size, "evaluation": name, **tried(partial(against, s, way, expected))}


def against(s: Setting, way: Callable[[], Callable[[], Tensor]], expected: Callable[[], Tensor]) -> Row:
    """A row of `recorded`: the time of a way to evaluate, and its difference from the plain one."""
    call = way()
    return {"seconds": seconds(call, s.rounds, s.wait), "error of gradient": difference(call(), expected())}


def cuda_graph(evaluation: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A replay of an evaluation, recorded after some on a side stream, as PyTorch's notes on CUDA graphs ask."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            evaluation()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradient = evaluation()

    def replay() -> Tensor:
        graph.replay()
        return gradient

    return replay
