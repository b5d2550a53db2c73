"""What the benchmarks measure with: pictures, wall time, memory, and the multiplications of the equations."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from nstlab.base.files.architecture import places_of
from nstlab.images import load_image, resize
from nstlab.laplacian import MattingLaplacian
from nstlab.vgg import STYLE_LAYERS, VGG

PAIR = ("chenonceau_river", "starry_night")


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Content and style; beyond its own size the content is enlarged."""
    content, style = (load_image(name) for name in PAIR)
    return resize(content, size), resize(style, min(size, 1024))


def square(size: int) -> Tensor:
    """The content image of the Matting Laplacian."""
    return resize(load_image("waterfront_day"), (size, size))


def painted(image: Tensor) -> Tensor:
    """An image that is far from being a recoloring of a square one."""
    size = (image.shape[2], image.shape[3])
    return 0.7 * image.flip(3) + 0.3 * resize(load_image("starry_night"), size).to(image)


def solve_time(M: MattingLaplacian, x: Tensor, weight: float) -> tuple[float, int]:
    """Seconds and iterations of the exact solve to a residual of 1e-3, which waits for its device in each."""
    began = time.perf_counter()
    *_, last = M.solve_steps(x, weight)
    return time.perf_counter() - began, last.iteration


def seconds(call: Callable[[], object], rounds: int, wait: Callable[[], object] = lambda: None) -> float:
    """The least wall time of some calls, after one that warms up: the rest is the machine's noise.

    wait: returns when the device has finished what it was given.
    """
    times = []
    for _ in range(rounds + 1):
        wait()
        began = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def matrix_peak(a: Tensor, rounds: int = 10, wait: Callable[[], object] = lambda: None) -> float:
    """Operations a second in the product of a square matrix with itself."""
    return 2 * len(a) ** 3 / seconds(lambda: a @ a, rounds, wait)


def operations(vgg: VGG, size: tuple[int, int]) -> float:
    """Multiplications and additions of one evaluation, each convolution and each Gram matrix there and back, as the
    equations have them: Winograd's algorithm gets by with fewer, which counts as speed.
    """
    total = 0.0
    for layer in vgg.down_to(STYLE_LAYERS):
        N, inputs = vgg.convolution(layer).weight.shape[:2]
        total += 2 * 2 * places_of(layer, size) * N * (9 * inputs + (N if layer in STYLE_LAYERS else 0))
    return total


def forget_peak() -> None:
    """Linux: forget how much memory this process has had at most."""
    Path("/proc/self/clear_refs").write_text("5")


def resident(key: str) -> int:
    """A line of /proc/self/status, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def processor() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return names[0] if names else platform.processor()
