"""Self-checks of the exercises: `check.gram_matrix(mine)` says whether `mine` is right, and gives a hint if it is not.

There is one module for each notebook. A check never raises, so that a notebook with unsolved exercises runs to its end.
"""

from __future__ import annotations
