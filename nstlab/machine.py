"""Where a run takes place and how large it is: the one place that reads NSTLAB_DEVICE and NSTLAB_PROFILE."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


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


@dataclass(frozen=True)
class Profile:
    """How much work a notebook asks for.

    size: longer side of the pictures in pixels; steps: optimizer steps at full size; network: whose filters.
    """

    name: str
    size: int
    steps: int
    network: str


PROFILES = {
    "ci": Profile("ci", size=96, steps=8, network="vgg16"),
    "cpu": Profile("cpu", size=256, steps=40, network="vgg16"),
    "gpu": Profile("gpu", size=512, steps=100, network="vgg19"),
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
