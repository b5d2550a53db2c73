"""Turn a page of the course into an assignment that nbgrader can hand out and grade.

    python tools/make_assignment.py notebooks/04_style.ipynb source/style/style.ipynb

Solutions and outputs are taken out. Behind every exercise comes a cell worth one point, which asserts that the check of
the exercise passes; nbgrader puts its own copy of this cell in place of the student's before it grades.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

SOLUTION = re.compile(r"<details>\s*<summary>Solution.*?</details>\n*", re.DOTALL)


def make_assignment(page: NotebookNode) -> NotebookNode:
    """The page without solutions and outputs, its exercises marked, each followed by a cell that grades it."""
    cells, number = [], 0
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLUTION.sub("", cell.source)
        else:
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
        if is_exercise(cell):
            number += 1
            mark(cell, f"exercise-{number}", solution=True)
            question = cell.source.strip().splitlines()[-1]
            cells.append(nbformat.v4.new_code_cell(f"verdict = {question}\nassert verdict.passed, verdict"))
            mark(cells[-1], f"check-{number}", grade=True, locked=True, points=1)
    page.cells = cells
    return page


def is_exercise(cell: NotebookNode) -> bool:
    """Whether the learner writes this cell: its last line calls a check."""
    lines = cell.source.strip().splitlines()
    return cell.cell_type == "code" and bool(lines) and re.match(r"check\.\w+\(\w+\)$", lines[-1]) is not None


def mark(cell: NotebookNode, name: str, **role: bool | int) -> None:
    """Tell nbgrader what this cell is for."""
    flags = {"solution": False, "grade": False, "locked": False, "task": False}
    cell.metadata["nbgrader"] = {"schema_version": 3, "grade_id": name, **flags, **role}


if __name__ == "__main__":
    page, out = map(Path, sys.argv[1:])
    out.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(make_assignment(nbformat.read(page, as_version=4)), out)
