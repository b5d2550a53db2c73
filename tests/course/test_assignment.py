"""A page becomes an assignment: no solution is left, and behind every exercise stands the cell that grades it."""

import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
make_assignment = runpy.run_path(str(ROOT / "tools/make_assignment.py"))["make_assignment"]
PAGES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_solutions_and_outputs_are_gone_and_every_exercise_is_graded(path):
    page = nbformat.read(path, as_version=4)
    exercises = sum("check." in cell.source and "raise NotImplementedError" in cell.source for cell in page.cells)
    assignment = make_assignment(page)
    nbformat.validate(assignment)
    assert not [cell.source for cell in assignment.cells if "<summary>Solution" in cell.source]
    assert not [cell for cell in assignment.cells if cell.get("outputs")]
    marked = [
        (before, cell) for before, cell in zip(assignment.cells, assignment.cells[1:], strict=False) if points(cell)
    ]
    assert len(marked) == sum(points(cell) for cell in assignment.cells) >= exercises
    for exercise, grading in marked:
        question = exercise.source.splitlines()[-1]
        assert exercise.metadata.nbgrader.solution and "check." in question
        assert grading.metadata.nbgrader.locked and grading.source.startswith(f"verdict = {question}\n")


def points(cell):
    return cell.metadata.get("nbgrader", {}).get("points", 0)


def test_a_right_answer_passes_its_grading_cell_and_a_wrong_one_shows_the_hint():
    (path,) = (path for path in PAGES if path.name.startswith("04_"))
    assignment = make_assignment(nbformat.read(path, as_version=4))
    grading = next(cell.source for cell in assignment.cells if points(cell))
    for divisor, hint in (("1", None), ("F.shape[2]", "Equation 2 does not divide")):
        answer = f"def gram_matrix_of_mine(F):\n    F = F.flatten(2)\n    return F @ F.mT / {divisor}\n"
        code = f"from nstlab.course.check import style as check\n{answer}{grading}"
        if hint is None:
            exec(code, {})
        else:
            with pytest.raises(AssertionError, match=hint):
                exec(code, {})
