"""Self-checks of the exercises: `check.gram_matrix(mine)` says whether `mine` is right, and gives a hint if it is not.

There is one module for each notebook; long checks, and what they share, have one of their own. A check computes what
likely mistakes give, and names the one whose result it recognizes. It never raises, so that a notebook with unsolved
exercises runs to its end.
"""

from __future__ import annotations
