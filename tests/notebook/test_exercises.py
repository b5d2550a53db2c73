"""The exercises of the course as they stand in the notebooks: the stub waits, the hidden solution passes its check."""

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# with code, by notebook
EXERCISES = {"01": 4, "02": 4, "03": 4, "04": 4, "05": 4, "06": 3, "07": 3, "08": 2, "09": 1, "10": 4}


def cells(number: str) -> list[nbformat.NotebookNode]:
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    return nbformat.read(path, as_version=4).cells


def exercises(number: str) -> list[tuple[str, str]]:
    """The code cell of every exercise, and the code in the <details> block of the cell after it."""
    solution = re.compile(r"<details>.*?```python\n(.*?)```", re.DOTALL)
    pairs = [(before.source, solution.search(cell.source)) for before, cell in pairwise(cells(number))]
    return [(stub, found[1]) for stub, found in pairs if found]


@pytest.mark.parametrize("number", EXERCISES)
def test_every_solution_in_the_notebook_passes_and_every_stub_waits(number):
    imports = next(cell.source for cell in cells(number) if "from nstlab.course.check import" in cell.source)
    assert len(exercises(number)) == EXERCISES[number]
    for stub, solution in exercises(number):
        question = stub.strip().splitlines()[-1]
        for answer, passes in ((stub, False), (solution, True)):
            names: dict[str, object] = {}
            exec(imports, names)
            exec(answer, names)
            verdict = eval(question, names)
            assert verdict.passed is passes, (question, verdict)
            assert passes or re.search("yours to (write|choose)", verdict.message)
