"""All self-checks of the course: each names six mistakes or more, and none raises, whatever it is given."""

import importlib
import re
from pathlib import Path

import pytest
import torch

from nstlab.course.check.verdict import Slip, compare, crash

MODULES = [path.stem for path in sorted(Path(__file__).parent.glob("test_check_*.py")) if path.stem not in __name__]
WRONG = [row for module in MODULES for row in importlib.import_module(module).WRONG]
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
IN_NOTEBOOKS = {
    getattr(importlib.import_module(f"nstlab.course.check.{module}"), name)
    for text in map(Path.read_text, NOTEBOOKS)
    for module in re.findall(r"from nstlab\.course\.check import (\w+) as check", text)
    for name in re.findall(r"\bcheck\.(\w+)\(", text)
}
CHECKS = sorted({verdict for verdict, _, _ in WRONG}, key=lambda verdict: (verdict.__module__, verdict.__name__))


def test_the_tables_hold_every_exercise_that_a_notebook_checks():
    assert set(CHECKS) == IN_NOTEBOOKS and len(CHECKS) == 33


@pytest.mark.parametrize("verdict", CHECKS)
def test_six_mistakes_or_more_have_a_hint_of_their_own(verdict):
    hints = {hint for checked, _, hint in WRONG if checked is verdict}
    assert len(hints) >= 6, hints


def out_of_bounds(*arguments):
    return arguments[0][9999]


@pytest.mark.parametrize("verdict", CHECKS)
@pytest.mark.parametrize(
    "answer",
    [lambda *a: None, lambda *a: "sky", lambda *a: a, lambda: 1, lambda *a: [], lambda *a: torch.nan, out_of_bounds, 3],
)
def test_no_answer_makes_a_check_raise(verdict, answer):
    if verdict.__name__ == "balance":  # its answer is a number, and 3 is not refused before a run
        answer = str(answer)
    said = verdict(answer)
    assert not said.passed and len(said.message) > 20


CRASHES = [
    (lambda: torch.ones(2, 3) + torch.ones(2), "Two tensors of different shapes meet"),
    (lambda: torch.ones(2, 3) @ torch.ones(2, 3), "which of the two must be flattened or transposed"),
    (lambda: torch.ones(1, 2, 3) @ torch.ones(1, 2, 3), "which of the two must be flattened or transposed"),
    (lambda: torch.ones(2, 3).view(5), "keeps its number of values"),
    (lambda: torch.ones(2).double() @ torch.ones(2), "float32 meets float64"),
    (lambda: torch.ones(2)[5], "There is no such entry"),
    (lambda: {"a": 1}["b"], "There is no such entry"),
    (lambda: torch.ones(2).summ(), "There is nothing of this name"),
    (lambda: summ(torch.ones(2)), "This name is not known"),  # noqa: F821
    (lambda: torch.autograd.grad(torch.ones(2).sum(), torch.ones(2)), "where none is kept"),
    (lambda: torch.ones(2, requires_grad=True).numpy(), "NumPy knows no gradient"),
    (lambda: torch.ones(2, requires_grad=True).add_(1), "must not be changed in place"),
    (lambda: 1 / 0, "divided by 0"),
    (lambda: None + 1, "There is a None"),
    (lambda: (lambda x: x)(), "arguments as they stand"),
    (lambda: 1 + "1", "a kind of value that it does not know"),
]


@pytest.mark.parametrize(("answer", "meaning"), CRASHES)
def test_an_exception_is_explained_with_the_line_where_it_stops(answer, meaning):
    said = compare(answer, 1.0, [])
    assert not said.passed and re.match("It stops at `.*` with [A-Z]", said.message) and meaning in said.message, said


def test_a_slip_can_recognize_an_exception_and_a_result():
    slips = [Slip(crash("ZeroDivision"), "by zero"), Slip(lambda x: x < 0, "negative")]
    assert compare(lambda: 1 / 0, 1.0, slips).message == "by zero"
    assert compare(lambda: -3.0, 1.0, slips).message == "negative"
    assert "sky" in compare(lambda: "sky", 1.0, slips).message


@pytest.mark.parametrize(
    ("answer", "right", "message"),
    [
        (torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0]), "Return them in the shape (2,), not (2, 1)"),
        (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0]), "the shape (2,) is expected"),
        (torch.tensor([-1.5, -3.0]), torch.tensor([1.0, 2.0]), "It is -1.5 times"),
        (torch.tensor(0.5), torch.tensor(2.0), "It is 0.25 times"),
        (
            torch.tensor([1.0, 2.0, 4.0]),
            torch.tensor([1.0, 2.0, 3.0]),
            "2 of 3 values are right. What is special about",
        ),
        (torch.tensor([1.0, torch.inf]), torch.tensor([1.0, 2.0]), "not finite"),
        (torch.tensor([1.0 + 1j, 2.0]), torch.tensor([1.0, 2.0]), "It returns 'tensor([1.+1.j"),
        ([1, 7], [1, 2], "With b it gives 7"),
    ],
)
def test_a_result_that_no_slip_explains_is_described(answer, right, message):
    said = compare(lambda: answer, right, [], cases=["a", "b"] if isinstance(right, list) else ())
    assert not said.passed and message in said.message, said
