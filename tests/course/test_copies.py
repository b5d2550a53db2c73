"""The commands without a run: the course on a user's own disk, JupyterLab, the version."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import nstlab
from nstlab.__main__ import main

ROOT = Path(nstlab.__file__).parents[1]


def test_the_course_is_copied_with_its_figures(tmp_path, capsys):
    assert main(["course", str(tmp_path / "new" / "course")]) == 0
    copied = {path.relative_to(tmp_path / "new" / "course"): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} == {
        p.name for p in copied if p.suffix == ".ipynb"
    }
    assert Path("figures/strip.jpg") in copied and Path("LICENSE.md") in copied
    assert all(json.loads(path.read_text())["cells"] for path in copied.values() if path.suffix == ".ipynb")
    assert f"wrote {len(copied)} files" in capsys.readouterr().out


def test_a_user_s_work_is_not_replaced_and_nothing_is_copied_beside_it(tmp_path, capsys):
    mine = tmp_path / "05_approach_1.ipynb"
    mine.write_text("my work")
    assert main(["course", str(tmp_path)]) == 2
    assert mine.read_text() == "my work" and list(tmp_path.iterdir()) == [mine]
    assert "05_approach_1.ipynb is there already" in capsys.readouterr().err


def test_lab_opens_jupyterlab_there_and_gives_its_exit_code(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(subprocess, "call", lambda command: called.append(command) or 7)
    assert main(["lab", str(tmp_path)]) == 7
    assert called[0][:4] == [sys.executable, "-m", "jupyterlab", str(tmp_path)]


@pytest.mark.parametrize("missing", ["folder", "jupyterlab"])
def test_lab_says_what_is_missing_and_how_to_get_it(tmp_path, monkeypatch, capsys, missing):
    if missing == "jupyterlab":
        monkeypatch.setattr("nstlab.command_line.at_once.find_spec", lambda name: None)
    assert main(["lab", str(tmp_path / "nowhere")]) == 2
    says = {"folder": "nstlab course", "jupyterlab": "pip install 'nstlab[lab]'"}[missing]
    assert says in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"nstlab {nstlab.__version__}\n"
