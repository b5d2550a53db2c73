"""The commands without a run: the course on a user's own disk, JupyterLab, the version."""

import json
import os
import signal
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


LAB = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
print("ready", flush=True)
signal.pause()
"""  # stands for JupyterLab, which asks what to do


@pytest.mark.posix
def test_ctrl_c_ends_jupyterlab_in_its_own_way(tmp_path):
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "__main__.py").write_text(LAB)
    (tmp_path / "jupyterlab" / "__init__.py").touch()
    command = [sys.executable, "-m", "nstlab", "lab", str(tmp_path)]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (5, "")


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
