"""The wheel as a user has it, outside of the checkout. `make dist` builds it; without it, these tests are skipped."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEELS, SOURCES = list((ROOT / "dist").glob("*.whl")), list((ROOT / "dist").glob("*.tar.gz"))

pytestmark = pytest.mark.skipif(not WHEELS, reason="the wheel is not built; `make dist` builds it")


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory) -> Path:
    """A folder that has nothing but the wheel, installed into `installed`."""
    folder = tmp_path_factory.mktemp("empty")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder / "installed"]
    subprocess.run([*pip, *WHEELS], check=True)
    return folder


def output(folder: Path, *command: str) -> str:
    """What `python -m` and this command print in the folder, where only the wheel's nstlab is found."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "installed"), "NSTLAB_PROFILE": "ci"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_one_wheel_and_one_source_distribution_and_both_are_small():
    for (path,) in (WHEELS, SOURCES):
        assert path.stat().st_size < 60_000_000


def test_the_wheel_has_the_version_of_pyproject(empty_folder):
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert output(empty_folder, "nstlab", "--version") == f"nstlab {version}\n"


def test_every_link_of_its_description_leads_somewhere_from_outside_the_repository(empty_folder):
    (metadata,) = (empty_folder / "installed").glob("nstlab-*.dist-info/METADATA")
    links = re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", metadata.read_text("utf-8"))
    assert len(links) > 40 and all(link.startswith("https://") for link in links)


def test_the_wheel_paints(empty_folder):
    output(empty_folder, "nstlab", "stylize", "horses", "great_wave", "--size", "64", "--steps", "1", "-o", "p.png")
    assert (empty_folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_course_of_the_wheel_runs(empty_folder):
    output(empty_folder, "nstlab", "course", "course")
    names = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (empty_folder / "course").glob("*.ipynb")} == names
    page = "course/00_start_here.ipynb"
    ran = output(empty_folder, "nbconvert", "--to", "notebook", "--execute", "--stdout", page)
    code = [cell for cell in json.loads(ran)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)


def test_the_command_that_opens_the_course_is_there(empty_folder):
    assert output(empty_folder, "nstlab", "lab", "--help").startswith("usage: nstlab lab")
