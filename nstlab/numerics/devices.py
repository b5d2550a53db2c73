"""Where a run takes place: the only module that reads NSTLAB_DEVICE."""

from __future__ import annotations

import os

import torch


def default_device() -> torch.device:
    """The device that everything runs on unless another one is named: NSTLAB_DEVICE, else cuda, mps, cpu.

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
    """The device of this name, after one number was put on it and read back.

    Raises ValueError, naming `argument`, if PyTorch does not know the name or the machine does not have the device.

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
