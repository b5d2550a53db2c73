"""The engine: the same losses and gradients as `Objective.textbook`, in less time and memory.

Only `nstlab.objective` and the command line use it. NSTLAB_ENGINE=plain turns it off; without this folder everything
still runs, more slowly. README.md in this folder lists what each part gains.
"""

from nstlab.engine.evaluation import Plan, computation, evaluate, plan, resolve_auto, targets
from nstlab.engine.memory import run_memory
from nstlab.engine.out_of_memory import OutOfMemory

__all__ = ["OutOfMemory", "Plan", "computation", "evaluate", "plan", "resolve_auto", "run_memory", "targets"]
