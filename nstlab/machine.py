"""Where a run takes place, what the place can do, and how large the run is: the one place that reads NSTLAB_DEVICE and
NSTLAB_PROFILE."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import psutil
import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab.allocator import idle_memory


def default_device() -> torch.device:
    """The device that everything runs on unless told otherwise: NSTLAB_DEVICE, else cuda, mps, cpu.

    >>> default_device().type in ("cuda", "mps", "cpu")
    True
    """
    named = os.environ.get("NSTLAB_DEVICE")
    if named:
        return checked_device(named, "NSTLAB_DEVICE")
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def checked_device(name: str, argument: str = "device") -> torch.device:
    """The device of that name, after one number was put on it and taken back.

    Raises ValueError, naming `argument`, where PyTorch does not know the name or the machine lacks the device.

    >>> checked_device("cpu")
    device(type='cpu')
    """
    try:
        torch.ones(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{argument}={name!r} cannot be used here: {reason} "
            f"Name one that this machine has ('cpu' always works), or leave it out."
        ) from None
    return torch.device(name)


ROUNDS = 20  # of which the least time counts: the rest is the machine's noise
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def checked_precision(precision: str, device: torch.device) -> str:
    """The precision asked for; for "auto" the one in which the device convolves fastest.

    >>> checked_precision("float32", torch.device("cpu"))
    'float32'
    """
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(f"precision={precision!r} is not known; choose one of auto, {', '.join(PRECISIONS)}.")
    if precision != "auto":
        return precision
    return fastest_precision(device)


@cache
def fastest_precision(device: torch.device) -> str:
    """What a device convolves fastest in.

    CUDA multiplies bfloat16 natively from Ampere on, float16 from Volta on. A processor is tried out. MPS is not
    measured: float32.

    >>> fastest_precision(torch.device("cpu")) in PRECISIONS
    True
    """
    if device.type == "cuda":
        generation = torch.cuda.get_device_capability(device)
        return "bfloat16" if generation >= (8, 0) else "float16" if generation >= (7, 0) else "float32"
    return "bfloat16" if device.type == "cpu" and bfloat16_pays() else "float32"


def bfloat16_pays() -> bool:
    """Whether the processor is at least a tenth faster in bfloat16 than in float32.

    It takes AVX-512 BF16 or AMX, but some have the first and are slower with it, so the two are timed.

    >>> bfloat16_pays() in (True, False)
    True
    """
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch cannot tell
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False
    convolve = {name: convolution(PRECISIONS[name]) for name in ("float32", "bfloat16")}
    seconds = dict.fromkeys(convolve, float("inf"))
    for _ in range(ROUNDS):  # in turn, so that whatever else the machine does meets both alike
        for name, call in convolve.items():
            began = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds["bfloat16"] < 0.9 * seconds["float32"]


def convolution(dtype: torch.dtype) -> Callable[[], Tensor]:
    """A convolution like those of block 3, some milliseconds long."""
    x = torch.ones(1, 256, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones(256, 256, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    return lambda: nnf.conv2d(x, weight, padding=1)


def check_compiler(device: torch.device) -> None:
    """`torch.compile` works for the device: it compiles something small.

    Raises ValueError where that fails, as it does without a C++ compiler.

    >>> check_compiler(torch.device("cpu"))  # doctest: +SKIP
    """
    try:
        torch.compile(lambda x: x.relu() + 1)(torch.ones(2, device=device))
    except Exception as error:  # of many kinds, by the device and by what is missing
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"compiled=True cannot be used here, nothing can be compiled for {device}: {reason} "
            f"Install a C++ compiler (on Debian: apt-get install g++ python3-dev), or leave it out."
        ) from None


def free_memory(device: torch.device) -> int:
    """Bytes that a run may still take on the device.

    >>> free_memory(torch.device("cpu")) > 1e6
    True
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return psutil.virtual_memory().available + idle_memory()


@dataclass(frozen=True)
class Profile:
    """How much work a notebook asks for.

    size: longer side of the pictures in pixels; steps: optimizer steps at full size.
    """

    name: str
    size: int
    steps: int


PROFILES = {
    "ci": Profile("ci", size=96, steps=8),
    "cpu": Profile("cpu", size=256, steps=40),
    "gpu": Profile("gpu", size=512, steps=100),
}


def profile() -> Profile:
    """The scale of the notebooks: NSTLAB_PROFILE, else `gpu` where there is one and `cpu` where there is none.

    >>> profile().name in PROFILES
    True
    """
    named = os.environ.get("NSTLAB_PROFILE") or ("cpu" if default_device().type == "cpu" else "gpu")
    if named not in PROFILES:
        raise ValueError(f"NSTLAB_PROFILE={named!r} is not a profile; set it to one of {', '.join(PROFILES)}.")
    return PROFILES[named]
