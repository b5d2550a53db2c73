"""The number format of the network: the fastest one for a device, and the conversions that half precision needs.

bfloat16 has the range of float32 with 8 of its 24 significant bits; sums over it are computed in float32. float16 has
11 significant bits and a range from 6e-8 to 65504: the responses of a VGG are in this range, their derivatives are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.nn.functional as nnf
from torch import Tensor

ROUNDS = 20  # timings; the shortest counts, since other processes can only lengthen them
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def checked_precision(precision: str, device: torch.device) -> str:
    """The name of the precision; for "auto", the one in which the device computes convolutions fastest.

    Raises ValueError for an unknown name.

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
    """The precision in which a device computes convolutions fastest.

    CUDA devices multiply bfloat16 natively from Ampere on, and float16 from Volta on. A CPU is timed. For MPS, which
    has not been measured, it is float32.

    >>> fastest_precision(torch.device("cpu")) in PRECISIONS
    True
    """
    if device.type == "cuda":
        generation = torch.cuda.get_device_capability(device)
        return "bfloat16" if generation >= (8, 0) else "float16" if generation >= (7, 0) else "float32"
    return "bfloat16" if device.type == "cpu" and bfloat16_is_faster() else "float32"


def bfloat16_is_faster(
    capabilities: Mapping[str, object] | None = None,
    convolution: Callable[[torch.dtype], Callable[[], object]] | None = None,
) -> bool:
    """Whether the CPU takes at least a tenth less time for a convolution in bfloat16 than in float32.

    This requires AVX-512 BF16 or AMX. Some CPUs with AVX-512 BF16 are slower with it, so both precisions are timed.

    capabilities: by default those of this CPU. convolution: gives the function to time for a dtype.

    >>> bfloat16_is_faster() in (True, False)
    True
    """
    if capabilities is None:
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older versions of PyTorch
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False
    calls = {name: (convolution or convolution_of_block_3)(PRECISIONS[name]) for name in ("float32", "bfloat16")}
    seconds = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):  # alternately, so that other processes slow down both alike
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds["bfloat16"] < 0.9 * seconds["float32"]


def convolution_of_block_3(dtype: torch.dtype) -> Callable[[], Tensor]:
    """A function that computes a convolution of the size of block 3's, which takes some milliseconds."""
    x = torch.ones(1, 256, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones(256, 256, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    return lambda: nnf.conv2d(x, weight, padding=1)


def at_least_float32(F: Tensor) -> Tensor:
    """F in float32 if it is bfloat16 or float16, otherwise F itself.

    >>> F = torch.ones(1)
    >>> at_least_float32(F.bfloat16()).dtype, at_least_float32(F.double()).dtype
    (torch.float32, torch.float64)
    """
    return F.float() if F.dtype in (torch.bfloat16, torch.float16) else F


def float16_to_float32(F: Tensor) -> Tensor:
    """F in float32 if it is float16, whose range is too small for derivatives, otherwise F itself.

    >>> float16_to_float32(torch.ones(1).half()).dtype, float16_to_float32(torch.ones(1).bfloat16()).dtype
    (torch.float32, torch.bfloat16)
    """
    return F.float() if F.dtype == torch.float16 else F


def apply_in_float16(linear: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    """linear(d) of a linear function that computes in float16, scaled so that d is in the range of float16.

        f(d) = s f(d / s),    s = max |d|

    d: float32. Gives float32.

    >>> apply_in_float16(lambda d: 3 * d, torch.tensor([2e-9, 1e-9]))
    tensor([6.0000e-09, 3.0000e-09])
    """
    s = d.abs().amax().clamp(min=torch.finfo(d.dtype).tiny)
    return linear((d / s).half()).float().mul_(s)
