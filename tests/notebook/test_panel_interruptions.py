"""The live run, interrupted: by real signals at every line, by errors anywhere, during preparation and at exit."""

import base64
import io
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image
from test_widgets import Bowl, click, effective, finished_run, until

import nstlab.notebook
from nstlab.images import to_pil
from nstlab.notebook.interrupts import HeldInterrupts
from nstlab.notebook.player import Player
from nstlab.notebook.run_panel import LiveRun
from nstlab.transfer import stylize_run

HERE = str(Path(nstlab.notebook.__file__).parent)


@pytest.fixture(autouse=True)
def interrupts_raise():
    """Python's own handler of SIGINT, also where the tests run in the background and SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Gate:
    """A make_run that waits until `open` is set."""

    def __init__(self, make_run):
        self.make_run, self.entered, self.open, self.calls = make_run, threading.Event(), threading.Event(), 0

    def __call__(self):
        self.calls += 1
        self.entered.set()
        assert self.open.wait(20)
        return self.make_run()


@pytest.fixture
def gated():
    """A live run in a thread that is preparing its first run, and its gate."""
    gate = Gate(Bowl())
    live = LiveRun(gate, mode="thread")
    live.start()
    assert gate.entered.wait(60)
    yield live, gate
    gate.open.set()
    live.stop()
    live.player.wait(60)


# An interrupt at every line


def traced_start(live, interrupt_at=None):
    """Start, and give the lines of nstlab.notebook that were run; a SIGINT is sent before one of them."""
    lines = []

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line":
            lines.append((frame.f_code.co_filename, frame.f_lineno))
            if len(lines) - 1 == interrupt_at:
                signal.raise_signal(signal.SIGINT)
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        live.start()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(previous)
    return lines


def moments():
    """For every line of nstlab.notebook that a run passes, when it is passed first and last."""
    lines = traced_start(LiveRun(Bowl(steps=2), mode="foreground"))
    first, last = {}, {}
    for index, line in enumerate(lines):
        first.setdefault(line, index)
        last[line] = index
    return sorted({*first.values(), *last.values()})


def test_after_an_interrupt_at_any_line_the_buttons_are_live_and_start_continues_to_the_same_result():
    expected = finished_run(steps=2).image
    interrupts = moments()
    assert len(interrupts) > 150
    for interrupt_at in interrupts:
        live = LiveRun(Bowl(steps=2), mode="foreground")
        traced_start(live, interrupt_at)
        assert live.player.state in ("ready", "paused", "finished") and "Start" in effective(live), interrupt_at
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if live.player.state != "finished":
            live.start()
        assert "Finished" in live.view.status.value and torch.equal(live.image, expected), interrupt_at


INTERRUPTED = """
import os, signal, sys, threading
from nstlab.notebook.run_panel import LiveRun
from nstlab.transfer import stylize_run
for seconds in map(float, sys.argv[1:]):
    def make_run():
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
        return stylize_run("horses", "great_wave", size=64, steps=300)
    live = LiveRun(make_run, mode="foreground")
    live.start()
    live.make_run = live.player.make_run = lambda: stylize_run("horses", "great_wave", size=64, steps=3)
    buttons = sorted(name for name, button in live.buttons.items() if button.tooltip == name)
    print(live.player.state, *buttons, len(live.history) <= 600)
    live.step()
    live.wait()
    print(live.player.state, len(live.history) > 1)
"""


@pytest.mark.posix
def test_a_real_interrupt_in_a_transfer_pauses_it_while_it_is_prepared_and_later():
    seconds = ["0.3", "0", "0.05", "1"]  # the first preparation takes longest: it reads modules and weights
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, *seconds], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == 4 * ["paused Reset Start Step Stop True", "paused True"]


def test_interrupts_are_held_outside_and_raised_inside():
    with HeldInterrupts() as held:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), held.released():
            pytest.fail("the interrupt that came before must be raised")
        with pytest.raises(KeyboardInterrupt), held.released():
            signal.raise_signal(signal.SIGINT)
        with held.released():
            pass
        signal.raise_signal(signal.SIGINT)  # dropped
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


# Interrupts and clicks while a run is being prepared


@pytest.mark.parametrize(("name", "state"), [("Pause", "paused"), ("Stop", "stopped")])
def test_a_click_during_the_preparation_is_answered_at_once_and_no_epoch_follows(gated, name, state):
    live, gate = gated
    assert effective(live) == {"Pause", "Stop", "Reset"} and "Preparing" in live.view.status.value
    click(live, name)
    assert f"{name[:4]}" in live.view.status.value and "when everything is prepared" in live.view.status.value
    gate.open.set()
    live.wait(60)
    assert live.player.state == state and live.history == [] and live.image is None
    assert "Start" in effective(live) and "href" not in live.view.save.value
    click(live, "Start")
    live.wait(60)
    assert "Finished" in live.view.status.value and torch.equal(live.image, finished_run().image)


def test_reset_during_the_preparation_discards_it_and_start_prepares_again(gated):
    live, gate = gated
    discarded = live.player
    click(live, "Reset")
    assert live.player.state == "ready" and effective(live) == {"Start", "Step"}
    gate.open.set()
    click(live, "Start")
    live.wait(60)
    discarded.wait(60)
    assert discarded.state == "stopped" and discarded.run.history == [] and gate.calls == 2
    assert "Finished" in live.view.status.value and torch.equal(live.image, finished_run().image)


def test_a_run_paused_before_its_first_epoch_says_what_to_press():
    def interrupted():
        raise KeyboardInterrupt

    live = LiveRun(interrupted, mode="foreground")
    live.start()
    assert repr(live) == "<live run: Paused: press Start to prepare it again>"
    assert "Paused" in live.view.announced.value and effective(live) == {"Start", "Step", "Stop", "Reset"}


# Errors


@pytest.mark.parametrize("mode", ["thread", "foreground"])
@pytest.mark.parametrize("error", [MemoryError("no room"), SystemExit(2), ValueError("bad <b>")], ids=repr)
def test_an_error_in_make_run_of_any_kind_ends_the_run_with_live_buttons(mode, error):
    def broken():
        raise error

    live = LiveRun(broken, mode=mode)
    live.start()
    with pytest.raises(type(error)):
        live.wait(60)
    assert live.player.state == "failed" and effective(live) == {"Start", "Step", "Reset"}
    assert type(error).__name__ in live.view.problem.value and "<b>" not in live.view.problem.value[5:]
    live.make_run = Bowl()
    live.start()
    live.wait(60)
    assert "Finished" in live.view.status.value and not live.view.problem.value


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("failing_call", range(5))
def test_an_error_in_a_consumer_ends_the_run_and_keeps_image_and_history(threaded, failing_call, capfd):
    calls = []

    def watch():
        calls.append(1)
        if len(calls) > failing_call:
            raise OSError("the page is gone")

    player = Player(Bowl(steps=3), watch)
    player.play(threaded=threaded)
    with pytest.raises(OSError, match="the page is gone"):
        player.wait(60)
    assert player.state == "failed" and len(calls) == failing_call + 2  # the last call tells the end
    assert len(player.run.history if player.run else []) == failing_call
    assert failing_call == 0 or player.run.image is not None
    assert capfd.readouterr().err == ""


# A run that is kept in a checkpoint


@pytest.mark.parametrize("end", ["stop", "reset"])
def test_an_ended_run_lets_go_of_its_checkpoint_and_the_next_one_resumes_it(tmp_path, end):
    def make_run():
        return stylize_run("horses", "great_wave", size=64, steps=2, checkpoint=tmp_path / "run", resume=True)

    live = LiveRun(make_run, mode="foreground")
    live.step()
    getattr(live, end)()
    live.step()
    assert live.error is None and [r.index for r in live.history] == [0, 1, 2]


def test_reset_in_an_epoch_of_a_checkpointed_run_and_start_at_once_begin_it_anew(tmp_path):
    in_epoch, over, was_over = threading.Event(), threading.Event(), []

    class LongEpochs:
        """The points of a run, of which all but the start are not there before `over` is set."""

        def __init__(self, points):
            self.points, self.state = points, points.state

        def __next__(self):
            if live.history:
                in_epoch.set()
                over.wait(60)
            return next(self.points)

    def make_run():
        was_over.append(over.is_set())
        run = stylize_run("horses", "great_wave", size=64, steps=2, checkpoint=tmp_path / "run")
        if len(was_over) == 1:
            run.points = LongEpochs(run.points)
        return run

    live = LiveRun(make_run, mode="thread")
    live.start()
    assert in_epoch.wait(60)
    click(live, "Reset")
    click(live, "Start")
    assert "Preparing" in live.view.status.value
    threading.Timer(0.3, over.set).start()
    live.wait(60)
    assert was_over == [False, True] and repr(live) == "<live run: Finished, epoch 2 of 2>"


# The end of Python


@pytest.mark.parametrize("moment", ["preparing", "starting", "running"])
def test_python_ends_quietly_while_a_run_is_played(moment):
    wait = {"starting": "", "preparing": "time.sleep(0.3)", "running": "while not live.history: time.sleep(0.01)"}
    code = f"""
import time
import torch
from nstlab.objective import Objective
from nstlab.terms import Term
from nstlab.runs import Run
from nstlab.optimizers import Descent
from nstlab.notebook.run_panel import LiveRun

def slow():
    time.sleep(0.6 if {moment == "preparing"} else 0)
    distance = Term(lambda x, _: (x - 0.3).square().sum())
    objective = Objective({{"distance": distance}}, {{"distance": 1.0}}, size=(32, 48))
    return Run(Descent(objective, torch.zeros(1, 3, 32, 48), rate=1e-3), 10**6, [objective])

live = LiveRun(slow, mode="thread")
live.start()
{wait[moment]}
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


# Several at the same time


def test_a_notebook_that_a_program_executes_twice_runs_in_the_foreground_and_gives_the_same_picture(tmp_path):
    code = """
import hashlib
from nstlab import stylize_run
from nstlab.notebook import LiveRun
live = LiveRun(lambda: stylize_run("horses", "great_wave", size=64, steps=3))
live.start()
live.wait()
print(live.player.threaded, live, hashlib.sha256(live.image.numpy().tobytes()).hexdigest())
"""

    def execute(number):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return notebook.cells[0].outputs[0].text

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(execute, range(2))
    assert one == two and one.startswith("False <live run: Finished, epoch 3 of 3>")
    assert list(tmp_path.iterdir()) == []


def test_two_panels_are_prepared_at_the_same_time_and_do_not_mix_their_runs():
    gates = [Gate(Bowl(steps=5)), Gate(Bowl(steps=9))]
    lives = [LiveRun(gate, mode="thread") for gate in gates]
    for live, gate in zip(lives, gates, strict=True):
        live.start()
        assert gate.entered.wait(60)
    click(lives[0], "Pause")
    for gate in reversed(gates):
        gate.open.set()
    for live in lives:
        live.wait(60)
    assert lives[0].player.state == "paused" and lives[1].player.state == "finished"
    lives[0].start()
    lives[0].wait(60)
    assert torch.equal(lives[0].image, finished_run(steps=5).image)
    assert torch.equal(lives[1].image, finished_run(steps=9).image)


# One run after the other, weights before the first, the saved picture


@pytest.mark.parametrize("mode", ["thread", "foreground"])
def test_a_second_run_follows_the_finished_one_and_is_stepped_and_continued(mode):
    given = []

    def then(finished):
        given.append(finished.image)
        return Bowl(steps=4)()

    live = LiveRun(Bowl(steps=2), mode=mode, then=then)
    for epochs in (1, 0, 1):  # the last epoch of the first run leads to the start of the second
        live.step()
        live.wait(60)
        assert live.player.state == "paused" and live.history[-1].index == epochs
    live.start()
    live.wait(60)
    assert len(given) == 1 and torch.equal(given[0], finished_run(steps=2).image)
    assert repr(live) == "<live run: Finished, epoch 4 of 4>"


def test_an_interrupt_while_the_second_run_is_prepared_pauses_and_start_prepares_it_again():
    interrupts = [KeyboardInterrupt()]

    def then(finished):
        if interrupts:
            raise interrupts.pop()
        return Bowl(steps=4)()

    live = LiveRun(Bowl(steps=2), mode="foreground", then=then)
    live.start()
    assert live.player.state == "paused" and len(live.history) == 3 and live.image is not None
    live.start()
    assert repr(live) == "<live run: Finished, epoch 4 of 4>"


def test_sliders_are_there_before_the_first_start_and_count_from_the_start_of_every_run():
    live = LiveRun(Bowl(steps=2), mode="foreground", weights={"content": 10.0, "style": 2.0})
    assert list(live.weight_controls) == ["content", "style"]
    live.weight_controls["content"].value = 100.0
    live.weigh(style=3.0)
    for moved in (None, 4.0):
        if moved:
            assert not live.weight_controls["style"].disabled
            live.weight_controls["style"].value = moved
        live.start()
        assert {tuple(r.weights.values()) for r in live.history} == {(100.0, moved or 3.0)}
    live.reset()
    assert [control.value for control in live.weight_controls.values()] == [100.0, 4.0]


def saved(live):
    """The picture that the link saves."""
    assert 'download="pastiche.png"' in live.view.save.value
    data = re.search(r'href="data:image/png;base64,([^"]+)"', live.view.save.value)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_paused_or_ended_run_offers_its_own_pixels_as_png():
    live = LiveRun(Bowl(seconds=0.02), mode="thread")
    assert live.view.save.value == ""
    live.start()
    until(lambda: len(live.history) > 1)
    assert live.view.save.value == ""
    live.pause()
    live.wait(60)
    assert np.array_equal(saved(live), np.asarray(to_pil(live.image)))
    live.start()
    live.wait(60)
    assert np.array_equal(saved(live), np.asarray(to_pil(live.image)))
    live.reset()
    assert live.view.save.value == ""


def test_a_screen_reader_is_told_every_change_of_the_state_and_no_epoch():
    live, told = LiveRun(Bowl(steps=30, seconds=0.02), mode="thread"), []
    live.view.announced.observe(lambda change: told.append(re.sub("<[^>]*>", "", change.new)), "value")
    live.start()
    live.wait(20)
    assert told[-2:] == ["Running", "Finished"] and len(told) <= 3
    assert all("role='status'" in value for value in [live.view.announced.value])
