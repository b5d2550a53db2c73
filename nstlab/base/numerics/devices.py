"""The device of a run; the only module that reads the environment variable NSTLAB_DEVICE."""

from __future__ import annotations

import os

import torch

from nstlab.base.numerics.arguments import short


def default_device() -> torch.device:
    """The default device: NSTLAB_DEVICE if it is set, else the first available of cuda, mps and cpu.

    Raises ValueError if NSTLAB_DEVICE names a device that cannot be used.

    >>> default_device().type in ("cuda", "mps", "cpu")
    True
    """
    named = os.environ.get("NSTLAB_DEVICE")
    if named:
        return checked_device(named, "NSTLAB_DEVICE")
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device of this name; the default device for None. Raises ValueError as `checked_device` does.

    >>> chosen_device("cpu")
    device(type='cpu')
    """
    return default_device() if device is None else checked_device(device)


def checked_device(name: str | torch.device, argument: str = "device") -> torch.device:
    """The device of this name, after a test: one number is copied to it and back.

    Raises ValueError, which names `argument`, if PyTorch does not know the name or this machine lacks the device.

    >>> checked_device("cpu")
    device(type='cpu')
    """
    try:
        torch.ones(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = "it is no name of a device." if isinstance(error, TypeError) else str(error).splitlines()[0]
        raise ValueError(
            f"{argument}={short(name)} cannot be used here: {reason} "
            f"Choose a device that this machine has ('cpu' always works), or leave {argument} unset."
        ) from None
    return torch.device(name)
