"""The number format of the network: the fastest one for a device, and the conversions that half precision needs.

bfloat16 has the range of float32 with 8 of its 24 significant bits; sums over it are computed in float32. float16 has
11 significant bits and a range from 6e-8 to 65504: the responses of a VGG are in this range, their derivatives are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def fastest_precision(device: torch.device, capabilities: Mapping[str, object] | None = None) -> str:
    """The precision in which a device computes the network fastest, by its known properties: nothing is timed, so that
    every run on one machine has the same precision.

    CUDA devices multiply bfloat16 natively from Ampere on, and float16 from Volta on. Of CPUs only those with AMX gain:
    with AVX-512 BF16 alone, an evaluation in bfloat16 took 1.1 to 1.6 times as long as in float32, which needs about
    half as many multiplications, see `winograd`. For MPS, which has not been measured, it is float32.

    capabilities: by default those of this CPU.

    >>> cpu = torch.device("cpu")
    >>> fastest_precision(cpu, {"avx512_bf16": True}), fastest_precision(cpu, {"avx512_bf16": True, "amx_bf16": True})
    ('float32', 'bfloat16')
    """
    if device.type == "cuda":
        generation = torch.cuda.get_device_capability(device)
        return "bfloat16" if generation >= (8, 0) else "float16" if generation >= (7, 0) else "float32"
    if capabilities is None:
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older versions of PyTorch
    return "bfloat16" if device.type == "cpu" and capabilities.get("amx_bf16") else "float32"


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
