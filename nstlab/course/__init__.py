"""The course: the size of its runs, its self-checks, and the settings of other tutorials."""

from nstlab.course.conventions import CONVENTIONS, Convention
from nstlab.course.profiles import PROFILES, Profile, profile

__all__ = ["CONVENTIONS", "PROFILES", "Convention", "Profile", "profile"]
