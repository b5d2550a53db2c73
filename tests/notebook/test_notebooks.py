"""The rules that every notebook of the course keeps, read from the files; nbval runs them.

app.ipynb is no page of the course: test_app.py holds it to rules of its own.
"""

import ast
import base64
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
DOORS = {"nstlab", "nstlab.notebook", "nstlab.course"}  # what a notebook may import from, and nstlab.course.*
LONGEST_CELL, LARGEST_FIGURE, LARGEST_NOTEBOOK = 20, 150_000, 3_000_000

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def shown(path: Path) -> list[str]:
    """The HTML of every output."""
    data = [output.get("data", {}) for cell in cells(path, "code") for output in cell["outputs"]]
    return ["".join(d["text/html"]) for d in data if "text/html" in d]


def test_it_opens_with_badge_title_objectives_prerequisites_time_and_filters(path):
    opening = source(cells(path, "markdown")[0])
    assert f"/blob/main/notebooks/{path.name})" in opening and "colab-badge.svg" in opening
    assert re.search(rf"^# {path.name[:2]} ", opening, re.M)
    for heading in ("**You will learn**", "**Before this**", "**Time**", "**Filters**"):
        assert heading in opening
    objectives = opening.split("**You will learn**")[1].split("**Before this**")[0]
    assert 2 <= len(re.findall(r"^- ", objectives, re.M)) <= 4


def test_its_set_up_installs_nstlab_alone_and_only_where_it_is_missing(path):
    first = source(cells(path, "code")[0])
    assert "google.colab" in first and "--no-deps" in first and len(first.splitlines()) <= 3
    assert "torch" not in re.sub("#.*", "", first)


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def modules_imported(code: str) -> set[str]:
    """The modules that a code cell imports or imports from; lines for IPython, with % or !, are left out."""
    found = set()
    for node in ast.walk(ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", code, flags=re.M))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module, *filter(is_module, (f"{module}.{alias.name}" for alias in node.names))}
    return found


def test_it_imports_of_nstlab_only_what_is_public_the_notebook_and_the_course(path):
    imported = set().union(*(modules_imported(source(cell)) for cell in cells(path, "code")))
    ours = {name for name in imported if name.split(".")[0] == "nstlab"}
    assert not {name for name in ours if name not in DOORS and not name.startswith("nstlab.course.")}


def test_every_cell_was_executed_in_order_and_none_is_skipped(path):
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert "nbval-skip" not in path.read_text().lower() and "NBVAL_SKIP" not in path.read_text()


def test_at_least_three_cells_are_held_to_their_committed_output(path):
    checked = [c for c in cells(path, "code") if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert len(checked) >= 3 and all(cell["outputs"] for cell in checked)


def test_a_cell_that_only_tests_the_page_is_checked_and_folded_away(path):
    for cell in cells(path, "code"):
        if "remove-cell" in cell["metadata"].get("tags", []):  # a book leaves it out
            assert "nbval-check-output" in cell["metadata"]["tags"]
            assert cell["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}


def test_cells_are_short(path):
    assert max(len(source(cell).splitlines()) for cell in cells(path, "code")) <= LONGEST_CELL


def test_figures_have_alternative_text_and_stay_small(path):
    figures = [page for page in shown(path) if "<img " in page]
    assert figures
    for page in figures:
        tags = re.findall(r"<img [^>]*>", page)
        assert re.search(r' (alt|aria-label)="[^"]{10,}"', page.split(" src=")[0]), page[:200]
        assert all(re.search(r' alt="[^"]+"', tag) for tag in tags), page[:200]
        sizes = [len(base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1])) for tag in tags]
        assert sum(sizes) <= LARGEST_FIGURE
    for cell in cells(path, "code"):
        for output in cell["outputs"]:
            assert not {"image/png", "image/jpeg"} & set(output.get("data", {})), "a figure without alternative text"


def test_it_is_small_and_holds_no_widget_state_and_no_complaint(path):
    assert path.stat().st_size <= LARGEST_NOTEBOOK
    assert "widgets" not in json.loads(path.read_text())["metadata"]
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]


def test_its_links_are_alive(path):
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\(([^)#\s]+)", source(cell)):
            assert target.startswith("https://") or (path.parent / target).exists(), target


def test_it_ends_with_what_is_known_now_and_what_comes_next(path):
    ending = source(cells(path, "markdown")[-1])
    assert "**Next**" in ending and "What you now know" in "".join(map(source, cells(path, "markdown")[-3:]))
