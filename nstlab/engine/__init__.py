"""The engine: the same losses and gradients as `Objective.textbook`, sooner and in less memory.

`Objective.at` asks it; nothing else in the package depends on it. NSTLAB_ENGINE=plain turns it off, and without this
folder everything still runs, slower. README.md in this folder lists what each part gains.
"""

from nstlab.engine.evaluation import Plan, evaluate, plan, targets
from nstlab.engine.memory import run_memory

__all__ = ["Plan", "evaluate", "plan", "run_memory", "targets"]
