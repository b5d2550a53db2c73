"""The size of the notebooks' runs. Only this module reads NSTLAB_PROFILE."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nstlab import default_device


@dataclass(frozen=True)
class Profile:
    """The size of a notebook's runs.

    size: longer side of the images in pixels; steps: optimizer steps at full size.

    >>> PROFILES["cpu"]
    Profile(name='cpu', size=256, steps=40)
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
    """The profile named by NSTLAB_PROFILE; by default "gpu" if there is a GPU, else "cpu".

    Raises ValueError for an unknown name.

    >>> profile().name in PROFILES
    True
    """
    name = os.environ.get("NSTLAB_PROFILE") or ("cpu" if default_device().type == "cpu" else "gpu")
    if name not in PROFILES:
        raise ValueError(f"NSTLAB_PROFILE={name!r} is not a profile; set it to one of {', '.join(PROFILES)}.")
    return PROFILES[name]
