"""What the notebooks play with: the live run and the image picker.

>>> picker = ImagePicker("content")
>>> live = LiveRun(lambda: stylize_run(picker.image, "starry_night", size=64, steps=2))
"""

from nstlab.live import LiveRun
from nstlab.picker import ImagePicker
from nstlab.transfer import stylize_run

__all__ = ["ImagePicker", "LiveRun", "stylize_run"]
