"""Real signals to real processes: what there is is saved, the exit code is right, and no traceback is printed."""

import os
import re
import signal
import struct
import subprocess
import sys
import time
from itertools import cycle

import pytest

from nstlab import __main__ as cli
from nstlab.command_line.interruptions import SIGNALS
from nstlab.images import load_image

pytestmark = pytest.mark.posix
LONG = ["stylize", "horses", "great_wave", "--size", "64", "--steps", "20000"]
CODES = list(zip(SIGNALS, (130, 143, 129), strict=False))  # Windows has no SIGHUP


def heed_signals() -> None:
    """In the child: a process in the background of a shell would ignore Ctrl-C."""
    for number, _ in CODES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def started(*arguments: object, before=heed_signals) -> subprocess.Popen:
    command = [sys.executable, "-m", "nstlab", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=before)


def wait_for_an_epoch(stream: int) -> None:
    """Return when the progress bar that is written to this file descriptor shows an epoch."""
    shown = b""
    while not re.search(rb" [1-9]\d*/20000 ", shown):
        read = os.read(stream, 4096)
        assert read, shown
        shown += read


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_saves_image_losses_and_film(tmp_path, number, code):
    out, losses, film = tmp_path / "p.png", tmp_path / "l.csv", tmp_path / "f.gif"
    process = started(*LONG, "-o", out, "--losses", losses, "--film", film)
    wait_for_an_epoch(process.stderr.fileno())
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in errors
    assert b"interrupted after" in said and str(out).encode() in said
    assert load_image(out).shape == (1, 3, 42, 64) and len(losses.read_text().splitlines()) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.gif", "l.csv", "p.png"]


def test_further_signals_do_not_disturb_the_saving(tmp_path):
    out, plot = tmp_path / "p.png", tmp_path / "l.pdf"
    process = started(*LONG, "-o", out, "--plot", plot)
    wait_for_an_epoch(process.stderr.fileno())
    while not plot.exists():
        for number, _ in CODES:
            process.send_signal(number)
        time.sleep(0.002)
    said, errors = process.communicate()
    assert process.returncode in dict(CODES).values() and b"Traceback" not in errors
    assert load_image(out).shape == (1, 3, 42, 64) and plot.exists() and str(plot).encode() in said


@pytest.mark.parametrize(
    ("seconds", "number", "code"),
    [(s, *c) for s, c in zip([0.15, 0.5, 1.0, 1.5, 2.0, 2.5], cycle(CODES), strict=False)],
)
def test_a_signal_before_the_first_epoch_is_one_line(tmp_path, seconds, number, code):
    ready, out = "import sys; sys.stdout.write('.'); sys.stdout.flush()", tmp_path / "p.png"
    script = f"{ready}; from nstlab.__main__ import main; sys.exit(main({[*LONG, '-o', str(out)]}))"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=heed_signals
    )
    assert process.stdout.read(1) == b"."
    time.sleep(seconds)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in errors
    if not out.exists():
        assert errors.splitlines()[-1] == b"nstlab: interrupted before the first epoch; no result was written"


def test_a_closed_terminal_saves_what_there_is(tmp_path):
    out = tmp_path / "p.png"
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nstlab", *LONG, "-o", out], stdin=inside, stdout=inside, stderr=inside,
        start_new_session=True, preexec_fn=lambda: (heed_signals(), take_terminal()),
    )  # fmt: skip
    os.close(inside)
    wait_for_an_epoch(terminal)
    os.close(terminal)  # the system sends SIGHUP, and nothing can be written to the terminal any more
    assert process.wait(60) == 129 and load_image(out).shape == (1, 3, 42, 64)


def take_terminal() -> None:
    """In the child: the terminal that is its standard input is the one that controls it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))


def test_a_signal_that_is_ignored_outside_stays_ignored(tmp_path):
    out = tmp_path / "p.png"
    few = ["stylize", "horses", "great_wave", "--size", "64", "--steps", "3", "--one-size"]
    process = started(*few, "-o", out, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    time.sleep(1)
    process.send_signal(signal.SIGHUP)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and said.splitlines()[-1] == f"wrote {out}".encode()


@pytest.mark.parametrize(
    ("error", "code"), [(OSError("the bar is broken"), 2), (ArithmeticError("the bar overflows"), 1)]
)
def test_an_error_of_what_watches_keeps_the_image(tmp_path, capsys, error, code):
    def broken(bar, step):
        if step.index == 2:
            raise error

    out, losses = tmp_path / "p.png", tmp_path / "l.csv"
    command = f"stylize horses great_wave -o {out} --losses {losses} --size 64 --steps 4 --one-size"
    assert cli.main(command.split(), watch=broken) == code
    captured = capsys.readouterr()
    assert out.exists() and len(losses.read_text().splitlines()) == 4
    assert "interrupted after 2 of 4 epochs" in captured.out and captured.err.endswith(f"nstlab: {error}\n")


def test_a_fault_in_the_program_is_shown_after_the_image_is_saved(tmp_path):
    def broken(bar, step):
        raise TypeError("a fault")

    out = tmp_path / "p.png"
    with pytest.raises(TypeError, match="a fault"):
        cli.main(f"stylize horses great_wave -o {out} --size 64 --steps 4".split(), watch=broken)
    assert out.exists()


@pytest.mark.parametrize("stage", ["approach 1", "solve"])
def test_an_interrupted_photograph_is_saved(tmp_path, monkeypatch, stage):
    def interrupt(bar, step):
        if stage == "approach 1" and step.index == 2:
            raise KeyboardInterrupt
        if stage == "solve" and step.index == 34:
            monkeypatch.setattr("nstlab.laplacian.MattingLaplacian.solve", interrupting)

    def interrupting(*_):
        raise KeyboardInterrupt

    out = tmp_path / "p.png"
    command = f"photograph hills_summer hills_autumn --size 96 -o {out}"
    assert cli.main(command.split(), watch=interrupt) == 130
    assert load_image(out).shape == (1, 3, 72, 96)


def test_a_reader_that_leaves_does_not_matter(tmp_path):
    process = started("samples")
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == b"" and process.wait(60) == 0


def test_a_thread_in_the_middle_of_an_epoch_does_not_disturb_the_end_of_python():
    script = """
import threading, time
from nstlab import stylize_run
run = stylize_run("horses", "great_wave", size=64, steps=20000)
next(run)
threading.Thread(target=run.finish, daemon=True).start()
time.sleep(0.3)
"""
    done = [subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60) for _ in range(3)]
    assert [(d.returncode, d.stderr) for d in done] == [(0, b"")] * 3


IN_AN_IMPORT = """
import signal, sys
from nstlab import stylize

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == "sympy.solvers":  # of what PyTorch imports at its first backward pass
            sys.meta_path.remove(Finder)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
try:
    stylize("horses", "great_wave", size=64, steps=3)
except KeyboardInterrupt:
    print("interrupted")
print(stylize("horses", "great_wave", size=64, steps=3).epoch)
"""


def test_an_interrupt_in_the_middle_of_an_import_does_not_leave_a_package_half_imported(with_engine):
    done = subprocess.run([sys.executable, "-c", IN_AN_IMPORT], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("interrupted\n3\n", "")
