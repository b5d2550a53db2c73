"""Self-checks of the exercises: `check.gram_matrix(mine)` says whether it is right, and if not, what to look at.

One module for each notebook; a check never raises, so that a notebook with open exercises still runs to its end.
"""

from __future__ import annotations
