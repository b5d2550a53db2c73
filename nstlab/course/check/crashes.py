"""What an exception in a learner's function means: the line where it stops, and the likely mistake behind it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

MEANINGS = [  # (pattern of "type: message", the likely mistake); the first that fits counts
    (r"object is not callable", "Is that a function? Give the check your function itself, without parentheses."),
    (r"positional argument|keyword argument", "Keep the function's arguments as they stand in the exercise."),
    (r"NameError", "This name is not known: is it spelled as above, and has the cell been run that makes it?"),
    (r"NoneType", "There is a None where a value should be: does every function that you call end with `return`?"),
    (r"(Attribute|Import|ModuleNotFound)Error", "There is nothing of this name: how is it spelled?"),
    (r"does not require grad", "The gradient is asked for where none is kept: the formula needs tensors alone."),
    (r"leaf Variable", "A tensor whose gradient is wanted must not be changed in place: make a new one."),
    (r"call numpy|detach\(\)", "NumPy knows no gradient: use tensors all the way."),
    (r"same dtype|scalar type", "float32 meets float64: make new tensors with `dtype=` that of the argument."),
    (r"must match the (size|existing)|be broadcast|is not broadcastable", "Two tensors of different shapes meet: "
     "print both, then give the smaller one its axes with `view`, or None, or sum before you add."),
    (r"mat1|mat2|batch[12]|inconsistent tensor size|matmul|size mismatch|1D tensors expected", "In a product the last "
     "side of the first must be the first side of the second: which of the two must be flattened or transposed?"),
    (r"is invalid for input|view size", "A tensor keeps its number of values in a new shape: count them."),
    (r"unpack|not iterable", "The number of values on both sides of the `=` is not the same."),
    (r"ambiguous", "`if` takes one truth value: for a tensor use `torch.where`, or multiply by the mask."),
    (r"(Index|Key)Error", "There is no such entry: which axis, place or name do you ask for?"),
    (r"ZeroDivision", "Something is divided by 0: which number can be 0 here?"),
    (r"math domain|positive input|NaN", "A root or a logarithm has no value for a negative number."),
    (r"Recursion", "The function calls itself without end."),
    (r"TypeError", "An operation got a kind of value that it does not know: print what goes into that line."),
]  # fmt: skip


def explain(error: Exception) -> str:
    """The line of the learner's function where it stops, the exception, and its likely cause.

    >>> explain(KeyError("steps"))
    "It stops with KeyError: 'steps'. There is no such entry: which axis, place or name do you ask for?"
    """
    text = f"{type(error).__name__}: {error}".strip().split("\n")[0].rstrip(": .")
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.line for frame in frames if Path(frame.filename).parent != Path(__file__).parent and frame.line]
    where = f" at `{lines[0]}`" if lines else ""
    meaning = next((meaning for pattern, meaning in MEANINGS if re.search(pattern, text)), "What goes into that line?")
    return f"It stops{where} with {text}. {meaning}"
