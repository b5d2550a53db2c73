"""The layout: few pages on top, each short, each importing only what stands before it; rooms with one door."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nstlab

ROOT = Path(nstlab.__file__).parent
STORY = [
    "images", "vgg", "textbook", "losses", "laplacian", "terms", "objective", "preparation", "optimizers",
    "runs", "coarse_to_fine", "transfer", "photorealism",
]  # fmt: skip
PAGES = [page for page in STORY if page != "preparation"]  # a room among the pages: of many pages, with one job
BELOW = {"base"}  # what the story stands on
LEAVES = {"notebook", "course", "command_line"}  # what only looks on


def imported(path: Path) -> set[str]:
    """The parts of nstlab that a file imports when it is imported itself: pages, and the names of rooms."""
    tree = ast.parse(path.read_text())
    found = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    found += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in found if name.startswith("nstlab.")}


def room_of(path: Path) -> str:
    """The page or the room that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_from_stylize_to_equation_1_it_is_four_short_files():
    way = ["transfer.py", "preparation/style_transfer.py", "terms.py", "losses.py"]
    texts = [(ROOT / name).read_text() for name in way]
    for text, following in zip(texts, way[1:], strict=False):
        assert f"from nstlab.{following.removesuffix('.py').replace('/', '.')} import" in text
    assert sum(len(text.splitlines()) for text in texts) <= 520


def test_pages_and_rooms_know_few_others():
    known = {(room_of(path), name) for path in ROOT.rglob("*.py") for name in imported(path)}
    assert len({(who, whom) for who, whom in known if who != whom}) <= 70


def test_the_top_level_is_the_story_and_two_doors():
    assert {path.stem for path in ROOT.glob("*.py")} == {*PAGES, "__init__", "__main__"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short_and_imports_only_pages_before_it(page):
    path = ROOT / f"{page}.py"
    assert len(path.read_text().splitlines()) <= 200
    assert imported(path) <= {*STORY[: STORY.index(page)], *BELOW}


@pytest.mark.parametrize("room", ["base", "preparation", "engine", "control", "course", "notebook", "command_line"])
def test_a_room_imports_only_what_it_may(room):
    pages = {"base": [], "preparation": STORY[: STORY.index("preparation")]}.get(room, STORY)
    may = {room, *BELOW, *pages}
    may |= {"control"} if room in LEAVES else set()
    may |= {"notebook"} if room == "command_line" else set()
    for path in (ROOT / room).rglob("*.py"):
        assert imported(path) <= may, path


def test_the_engine_is_imported_in_one_place_only():
    importers = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if re.search(r"(from|import) nstlab\.engine", path.read_text()) and path.parent.name != "engine"
    ]
    assert importers == ["objective.py"]


def test_the_core_works_without_jupyter_and_matplotlib():
    code = """
import sys
for name in ("ipywidgets", "IPython", "matplotlib"):
    sys.modules[name] = None
import nstlab
print(len(nstlab.stylize("horses", "great_wave", size=64, steps=1).history))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


@pytest.mark.parametrize("module", ["nstlab", "nstlab.notebook", "nstlab.course"])
def test_every_public_name_is_there_and_the_top_level_shows_no_other(module):
    door = importlib.import_module(module)
    assert all(getattr(door, name) is not None for name in door.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        door.no_such_name  # noqa: B018
    assert dir(nstlab) == sorted(nstlab.__all__)


def public(module: str) -> dict[str, object]:
    """The functions and classes of a door by name: constants and types of arguments have no docstring of their own."""
    door = importlib.import_module(module)
    named = {name: getattr(door, name) for name in door.__all__}
    return {name: value for name, value in named.items() if inspect.isfunction(value) or inspect.isclass(value)}


@pytest.mark.parametrize("module", ["nstlab", "nstlab.notebook", "nstlab.course"])
def test_every_public_name_has_an_example_that_runs(module):
    """Doctests run with the tests; this one sees that there is one."""
    assert not [name for name, value in public(module).items() if ">>> " not in (value.__doc__ or "")]


def test_the_types_of_the_top_level_are_those_of_its_names():
    stub = ast.parse((ROOT / "__init__.pyi").read_text())
    typed = {a.name: n.module for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    (listed,) = (ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert typed == nstlab.MODULES and sorted(listed) == nstlab.__all__


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, nstlab, nstlab.__main__ as cli; cli.main(['samples']); print({'torch', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_types_are_published():
    assert (ROOT / "py.typed").exists()


@pytest.mark.parametrize("call", ["stylize", "photorealize", "texture"])
def test_a_call_takes_what_its_stream_takes_and_a_watcher(call):
    parameters = dict(inspect.signature(getattr(nstlab, call)).parameters)
    del parameters["watch"]
    assert parameters == dict(inspect.signature(getattr(nstlab, f"{call}_run")).parameters)
