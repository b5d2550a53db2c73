"""In which precision the network is computed: what a device is fast in, and what half precision must not lose.

bfloat16 has the range of float32 and 8 bits of its 24; sums over it are taken in float32. float16 has 11 bits, and
reaches from 6e-8 to 65504: the responses of a VGG lie within, their derivatives do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.nn.functional as nnf
from torch import Tensor

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


def bfloat16_pays(
    capabilities: Mapping[str, object] | None = None,
    convolution: Callable[[torch.dtype], Callable[[], object]] | None = None,
) -> bool:
    """Whether the processor is at least a tenth faster in bfloat16 than in float32.

    It takes AVX-512 BF16 or AMX, but some have the first and are slower with it, so the two are timed.
    capabilities: by default the processor's. convolution: from a type of number to what is timed.

    >>> bfloat16_pays() in (True, False)
    True
    """
    if capabilities is None:
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch cannot tell
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False
    calls = {name: (convolution or convolution_of_block_3)(PRECISIONS[name]) for name in ("float32", "bfloat16")}
    seconds = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):  # in turn, so that whatever else the machine does meets both alike
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds["bfloat16"] < 0.9 * seconds["float32"]


def convolution_of_block_3(dtype: torch.dtype) -> Callable[[], Tensor]:
    """A convolution like those of block 3, some milliseconds long."""
    x = torch.ones(1, 256, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones(256, 256, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    return lambda: nnf.conv2d(x, weight, padding=1)


def widened(F: Tensor) -> Tensor:
    """F in float32, unless it is as wide already.

    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype, widened(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return F.float() if F.dtype in (torch.bfloat16, torch.float16) else F


def with_range(F: Tensor) -> Tensor:
    """F in float32 if it is float16, which has no room for what derives from it.

    >>> with_range(torch.ones(1, dtype=torch.float16)).dtype, with_range(torch.ones(1, dtype=torch.bfloat16)).dtype
    (torch.float32, torch.bfloat16)
    """
    return F.float() if F.dtype == torch.float16 else F


def within_range(linear: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    """linear(d), d and the answer in float32, of a linear function that is computed in float16.

        f(d) = s f(d / s),    s = max |d|

    >>> within_range(lambda d: 3 * d, torch.tensor([2e-9, 1e-9]))
    tensor([6.0000e-09, 3.0000e-09])
    """
    s = d.abs().amax().clamp(min=torch.finfo(d.dtype).tiny)
    return linear((d / s).half()).float().mul_(s)
