"""Checkpoints: a run that is cut off goes on from its file, to the same bytes; no file is lost or taken for another."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nstlab.base.files.checkpoints import Checkpoint, CheckpointError
from nstlab.coarse_to_fine import STATE_TYPES, optimize
from nstlab.images import load_image, save_image
from nstlab.objective import Objective
from nstlab.runs import Run
from nstlab.terms import Term
from nstlab.transfer import stylize, stylize_run

SMALL = {"size": 96, "steps": 1}  # at two sizes
ONE_SIZE = {"size": 56, "steps": 2}


def settings(name: str) -> dict:
    return {
        "plain": {"steps": 2},  # so that L-BFGS has something to remember
        "adam": {"optimizer": "adam", "steps": 2},
        "from the content": {"start": "content"},
        "content's colors": {"color": "content"},
        "two styles": {"style": ["starry_night", "great_wave"], "style_mix": [0.25, 0.75]},
        "bfloat16": {"precision": "bfloat16"},
        "tiles": {"tile": 64},
    }[name]


@pytest.mark.parametrize(
    "name", ["plain", "adam", "from the content", "content's colors", "two styles", "bfloat16", "tiles"]
)
def test_a_run_left_after_every_epoch_ends_in_the_bytes_of_an_uninterrupted_one(tmp_path, vgg, name):
    kept, images = {"content": "horses", "style": "great_wave", "vgg": vgg, **SMALL, **settings(name)}, []
    whole = stylize(**kept)
    for _ in whole.history:
        run = stylize_run(**kept, checkpoint=tmp_path / "run", resume=True)
        images.append(next(run).image)
        run.close()
    with pytest.raises(StopIteration):
        next(stylize_run(**kept, checkpoint=tmp_path / "run", resume=True))
    resumed = stylize(**kept, checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(resumed.image, whole.image) and resumed.epoch == whole.epoch
    assert [(r.index, r.losses, r.size) for r in resumed.history] == [
        (r.index, r.losses, r.size) for r in whole.history
    ]
    assert len(images) == len(whole.history) and all(image.isfinite().all() for image in images)


def test_changed_weights_are_kept(tmp_path):
    def run() -> Run:
        return stylize_run("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path / "run", resume=True)

    first = run()
    next(first)
    first.weigh(content=0.5)
    next(first)
    first.close()
    second = run()
    assert second.history[-1].weights["content"] == next(second).weights["content"] == 0.5


def interrupt_at_1(step):
    if step.index == 1:
        raise KeyboardInterrupt


def test_an_interrupted_run_keeps_its_last_epoch(tmp_path):
    result = stylize("horses", "great_wave", interrupt_at_1, **SMALL, checkpoint=tmp_path / "run")
    assert result.interrupted
    run = stylize_run("horses", "great_wave", **SMALL, checkpoint=tmp_path / "run", resume=True)
    assert next(run).index == 2


def test_other_inputs_and_settings_are_listed_and_the_file_stays(tmp_path):
    path = tmp_path / "run"
    stylize("horses", "great_wave", **ONE_SIZE, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as error:
        stylize("red_panda", "great_wave", size=56, steps=3, seed=1, checkpoint=path, resume=True)
    for part in (str(path), "content is ", "steps is 3, was 2", "seed is 1, was 0"):
        assert part in str(error.value)
    assert "style is" not in str(error.value)
    assert path.read_bytes() == before


def test_without_resume_a_run_begins_again_and_replaces_its_checkpoint(tmp_path):
    path = tmp_path / "run"
    stylize("horses", "great_wave", **ONE_SIZE, checkpoint=path)
    before = path.read_bytes()
    result = stylize("horses", "great_wave", **ONE_SIZE, seed=1, checkpoint=path)
    assert result.history[0].index == 0 and path.read_bytes() != before


def quadratic(checkpoint: Checkpoint, steps: int = 5) -> Run:
    distance = Term(lambda image, F: (image - 0.25).square().sum())
    run = optimize(Objective({"distance": distance}, {"distance": 1.0}, size=(8, 8)), steps=steps, optimizer="adam")
    run.keep(checkpoint)
    return run


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "run"
    quadratic(Checkpoint(path, {"steps": 5}, STATE_TYPES)).finish()
    return path.read_bytes()


def refused(path: Path, content: bytes, resume: bool) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(f"checkpoint {path}")):
        Checkpoint(path, {"steps": 5}, STATE_TYPES, resume)
    assert path.read_bytes() == content


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_torn_file_is_refused_and_stays(whole_file, tmp_path_factory, share):
    refused(tmp_path_factory.getbasetemp() / "torn", whole_file[: int(share * len(whole_file))], resume=True)


@given(share=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_a_file_with_a_changed_byte_is_refused_and_stays(whole_file, tmp_path_factory, share, change):
    place = int(share * len(whole_file))
    damaged = whole_file[:place] + bytes([whole_file[place] ^ change]) + whole_file[place + 1 :]
    refused(tmp_path_factory.getbasetemp() / "damaged", damaged, resume=True)


def test_no_byte_of_the_header_can_change(whole_file, tmp_path):
    """Among them the names of the parts, and the types of the tensors: F32 and I32 differ in one byte."""
    length = int.from_bytes(whole_file[:8], "little")
    first = whole_file.index(b"F32")
    refused(tmp_path / "run", whole_file[:first] + b"I" + whole_file[first + 1 :], resume=True)
    for place in range(8, 8 + length, 7):
        refused(tmp_path / "run", whole_file[:place] + bytes([whole_file[place] ^ 1]) + whole_file[place + 1 :], True)


@given(content=st.binary(max_size=300))
def test_a_foreign_file_is_refused_and_stays(tmp_path_factory, content):
    refused(tmp_path_factory.getbasetemp() / "foreign", content, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_picture_is_not_taken_for_a_checkpoint(tmp_path, resume):
    save_image(load_image("horses", 64), tmp_path / "picture.png")
    refused(tmp_path / "picture.png", (tmp_path / "picture.png").read_bytes(), resume)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="folder"):
        stylize("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path)


def test_it_is_written_when_it_is_time_to(tmp_path):
    path = tmp_path / "run"
    checkpoint = Checkpoint(path, {}, STATE_TYPES)
    run = quadratic(checkpoint)
    next(run)
    assert not path.exists()  # 30 seconds have not passed
    checkpoint.every = 0
    next(run)
    assert path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_second_run_is_refused_while_the_first_one_goes_on(tmp_path):
    first = stylize_run("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="another run"):
        stylize_run("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path / "run")
    first.close()
    stylize_run("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path / "run").close()


def test_an_error_in_the_arguments_does_not_keep_the_file(tmp_path):
    with pytest.raises(ValueError, match="optimizer") as kept:  # its traceback keeps all that the call has made
        stylize("horses", "great_wave", **ONE_SIZE, optimizer="newton", checkpoint=tmp_path / "run")
    stylize("horses", "great_wave", **ONE_SIZE, checkpoint=tmp_path / "run")
    assert kept.value.__traceback__ is not None


def test_a_run_that_goes_on_after_an_interrupt_holds_its_file_again(tmp_path):
    first, again = quadratic(Checkpoint(tmp_path / "run", {}, STATE_TYPES)), Checkpoint(tmp_path / "run", {})
    first.finish(interrupt_at_1)
    again.hold()
    again.release()
    next(first)
    with pytest.raises(ValueError, match="another run"):
        again.hold()
    first.finish()
    again.hold()
    again.release()


def test_resume_needs_a_checkpoint():
    with pytest.raises(ValueError, match="resume needs a checkpoint"):
        stylize("horses", "great_wave", resume=True)


DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from nstlab.transfer import stylize_run
from nstlab.vgg import VGG

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)  # a process that has started OpenMP's threads cannot be forked
vgg = VGG("vgg16")
vgg(torch.zeros(1, 3, 32, 32), ["conv1_1"])

def run(path, resume=True):
    run = stylize_run("horses", "great_wave", size=56, steps=8, vgg=vgg, checkpoint=path, resume=resume)
    run.checkpoint.every = 0.0
    return run.finish()

def in_a_child(path):
    child = os.fork()
    if not child:
        torch.save(run(path).image, f"{path}.image")
        os._exit(0)
    return child

began = time.monotonic()
os.waitpid(in_a_child(folder / "whole"), 0)
seconds = time.monotonic() - began
whole, generator, killed, epochs = torch.load(folder / "whole.image"), random.Random(0), 0, []
for k in range(kills):
    path = folder / str(k)
    child = in_a_child(path)
    time.sleep((0.1 + 0.9 * (k + generator.random()) / kills) * seconds)  # one in every part of the run
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    os.waitpid(in_a_child(path), 0)
    assert torch.equal(torch.load(f"{path}.image"), whole), k
print(json.dumps({"killed": killed, "whole": kills}))
"""


@pytest.mark.posix
def test_runs_killed_at_any_moment_end_in_the_bytes_of_an_uninterrupted_one(tmp_path):
    kills = int(os.environ.get("NSTLAB_KILLS", "8"))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(kills)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (
        counts["whole"] == kills and counts["killed"] >= kills / 4
    )  # in the middle; on a busy machine a kill may come late
