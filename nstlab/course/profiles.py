"""How large the notebooks' runs are: the only module that reads NSTLAB_PROFILE."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nstlab.numerics.devices import default_device


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
