"""Outputs: what cannot be written is told in one line before the run; an older file stays until a new one is whole."""

import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from nstlab import __main__ as cli
from nstlab.base.files.atomic import replacing
from nstlab.base.files.locks import locked
from nstlab.base.files.sample_images import IMAGES
from nstlab.images import ImageError, load_alpha, load_image, save_image

STYLIZE = "stylize horses great_wave --size 64 --steps 1 --one-size"


def refused(command: str, capsys) -> str:
    """The one line that a command is refused with, before anything is computed or written."""
    assert cli.main(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and not captured.out
    return captured.err


def contents(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("option", ["-o", "--checkpoint", "--losses"])
@pytest.mark.posix
def test_what_no_file_can_replace_is_refused_and_stays(tmp_path, capsys, option):
    suffix = {"-o": "png", "--losses": "csv", "--checkpoint": "run"}[option]
    loop, pipe, folder, device, link, inside = (
        tmp_path / f"{x}.{suffix}" for x in ("loop", "pipe", "folder", "device", "link", "file")
    )
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    folder.mkdir()
    device.symlink_to("/dev/full")
    link.symlink_to(pipe)
    inside.touch()
    for path, says in (
        (loop, "symbolic links"),
        (pipe, "pipe or a device"),
        (folder, "there is a folder of that name"),
        (device, "pipe or a device"),
        (link, "pipe or a device"),
        (inside / f"x.{suffix}", "Not a directory"),
        (f"~nobody_at_all/x.{suffix}", "home"),
        (tmp_path / f"{'x' * 300}.{suffix}", "File name too long"),
    ):
        output = "" if option == "-o" else f"-o {tmp_path / 'p.png'}"
        assert says in refused(f"{STYLIZE} {output} {option} {path}", capsys)
    assert loop.is_symlink() and stat.S_ISFIFO(pipe.stat().st_mode) and folder.is_dir() and device.is_symlink()


@pytest.mark.posix
def test_the_library_writes_to_files_only(tmp_path):
    loop, pipe = tmp_path / "loop.png", tmp_path / "pipe.png"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    for path, says in ((loop, "symbolic links"), (pipe, "pipe or a device"), (tmp_path, "unknown format")):
        with pytest.raises(ImageError, match=says):
            save_image(torch.zeros(3, 32, 32), path)
    assert loop.is_symlink() and stat.S_ISFIFO(pipe.stat().st_mode) and len(list(tmp_path.iterdir())) == 2


@pytest.mark.posix
def test_an_input_is_never_an_output(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = Image.new("RGB", (64, 48))
    picture.save("mine.png")
    os.link("mine.png", "hard.png")
    os.symlink("mine.png", "soft.png")
    os.symlink(tmp_path, "folder")
    for output in ("mine.png", "hard.png", "soft.png", "folder/mine.png", "new/../mine.png"):
        assert "that is CONTENT, too" in refused(f"stylize mine.png great_wave -o {output}", capsys)
    assert "that is STYLE, too" in refused("stylize horses great_wave mine.png -o hard.png", capsys)
    assert "that is --output, too" in refused("stylize horses great_wave -o new.png --checkpoint new.png", capsys)
    sample = load_image("horses").shape
    assert "that is CONTENT, too" in refused(
        f"stylize horses great_wave -o {IMAGES / 'content' / 'horses.jpg'}", capsys
    )
    assert "that is --output, too" in refused(
        "photograph horses great_wave -o stages/4_solve.png --stages stages", capsys
    )
    assert load_image("horses").shape == sample and load_image("mine.png").max() == 0


@pytest.mark.posix
def test_no_room_is_told_before_the_run(tmp_path):
    import resource  # not on Windows

    script = f"import sys; from nstlab.__main__ import main; sys.exit(main('{STYLIZE} -o {tmp_path}/p.png'.split()))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
    assert f"nothing can be written into {tmp_path} (File too large)" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.posix
def test_a_disk_that_is_full_at_the_end_leaves_the_older_file_and_what_fits(tmp_path, capsys):
    import resource  # not on Windows

    out, losses = tmp_path / "p.png", tmp_path / "l.csv"
    out.write_bytes(b"older")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(bar, step):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    try:
        code = cli.main(f"{STYLIZE} -o {out} --losses {losses}".split(), watch=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    captured = capsys.readouterr()
    assert code == 2 and "it cannot be written (File too large)" in captured.err and f"wrote {losses}" in captured.out
    assert out.read_bytes() == b"older" and sorted(contents(tmp_path)) == ["l.csv", "p.png"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder that even root cannot write into")
def test_a_folder_without_the_right_to_write_is_refused(capsys):
    assert "nothing can be written into /proc" in refused(f"{STYLIZE} -o /proc/new/p.png", capsys)


WRITING = """
import sys, time
from nstlab.base.files.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def writing(path) -> subprocess.Popen:
    """A process in the middle of writing to a file."""
    process = subprocess.Popen([sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip()
    return process


def test_what_a_killed_process_leaves_is_deleted_by_the_next_one_and_nothing_else(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(b"older")
    killed, alive = writing(path), writing(path)
    left = {name for name in contents(tmp_path) if str(killed.pid) in name}
    killed.kill()
    killed.communicate()
    (here,) = left
    others = [here.replace(f"-{killed.pid}-", f"_elsewhere-{killed.pid}-"), ".nstlab-notes.png", f".{'a' * 32}.png"]
    for name in others:
        (tmp_path / name).touch()
    assert path.read_bytes() == b"older" and here.startswith(".nstlab-")
    with replacing(path) as temporary:
        temporary.write_bytes(b"newer")
    names = set(contents(tmp_path))
    alive.kill()
    alive.communicate()
    assert path.read_bytes() == b"newer" and not left & names and set(others) <= names
    assert [name for name in names if f"-{alive.pid}-" in name]


@pytest.mark.posix
def test_an_error_leaves_nothing_and_rights_are_kept(tmp_path):
    path = tmp_path / "note"
    path.write_text("older")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert contents(tmp_path) == {"note": b"older"}
    with replacing(path) as temporary:
        temporary.write_text("newer")
    assert contents(tmp_path) == {"note": b"newer"} and stat.S_IMODE(path.stat().st_mode) == 0o640


LOCKING = """
import sys, time
from nstlab.base.files.locks import locked
from nstlab.base.files.sample_images import IMAGES
with locked(sys.argv[1], "--output"):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.mark.posix
def test_a_second_run_on_one_output_is_refused_until_the_first_one_ends(tmp_path, capsys):
    out, link = tmp_path / "p.png", tmp_path / "link.png"
    link.symlink_to(out)
    first = subprocess.Popen([sys.executable, "-c", LOCKING, str(out)], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"locked\n"
    for path in (out, link):
        assert f"--output {path}: another run is writing to it" in refused(f"{STYLIZE} -o {path}", capsys)
    assert not out.exists()
    first.kill()
    first.communicate()
    assert cli.main(f"{STYLIZE} -o {link}".split()) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "p.png"]


def test_one_file_is_locked_once_in_a_process(tmp_path):
    with locked(tmp_path / "a", "output"), locked(tmp_path / "b", "output"), pytest.raises(ValueError, match="another"):
        locked(tmp_path / "a", "output").__enter__()
    with locked(tmp_path / "a", "output"):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_the_alpha_channel_is_kept(tmp_path, suffix):
    content, out = tmp_path / "content.png", tmp_path / f"p.{suffix}"
    pixels = np.full((96, 128, 4), 200, np.uint8)
    pixels[:, :, 3] = np.where(np.arange(128) < 64, 0, 255)
    Image.fromarray(pixels).save(content)
    command = f"stylize {content} great_wave -o {out} --keep-alpha --size 64 --steps 1 --one-size"
    assert cli.main(command.split()) == 0
    alpha = load_alpha(out)
    assert alpha.shape == (1, 1, 48, 64) and alpha[..., :30].max() == 0 and alpha[..., 34:].min() == 1


def test_alpha_there_and_back(tmp_path):
    image, alpha = torch.rand(1, 3, 48, 64), torch.arange(64 * 48).view(1, 1, 48, 64) % 256 / 255
    save_image(image, tmp_path / "p.png", alpha=alpha)
    assert torch.equal(load_alpha(tmp_path / "p.png"), alpha)
    assert (
        load_alpha("horses").unique().tolist() == [1.0]
        and load_alpha("horses").shape[2:] == load_image("horses").shape[2:]
    )
    palette = Image.new("P", (40, 32))
    palette.info["transparency"] = 0
    assert load_alpha(palette).max() == 0
    assert load_alpha((tmp_path / "p.png").read_bytes()).shape == (1, 1, 48, 64)
    for wrong, says in (
        (lambda: save_image(image, tmp_path / "p.jpg", alpha=alpha), "no alpha channel"),
        (lambda: save_image(image, tmp_path / "q.png", alpha=alpha[..., :9]), "expected"),
        (lambda: save_image(image, tmp_path / "q.png", alpha=alpha + 1), "from 1 to 2"),
        (lambda: load_alpha(np.zeros((40, 40, 4))), "Of an array"),
    ):
        with pytest.raises(ImageError, match=re.escape(says)):
            wrong()
    assert list(contents(tmp_path)) == ["p.png"]


def test_an_output_without_alpha_is_refused_before_the_run(tmp_path, capsys):
    assert "the suffix must be one of .png" in refused(f"{STYLIZE} --keep-alpha -o {tmp_path / 'p.jpg'}", capsys)


def test_a_checkpoint_is_resumed_to_the_same_bytes(tmp_path, capsys):
    out, kept = tmp_path / "p.png", tmp_path / "run"
    command = f"{STYLIZE} -o {out} --checkpoint {kept}"
    assert cli.main(command.split()) == 0
    whole = out.read_bytes()
    assert cli.main(f"{command} --resume".split()) == 0 and out.read_bytes() == whole
    capsys.readouterr()
    assert cli.main(f"{command} --resume --seed 5".split()) == 2 and "seed" in capsys.readouterr().err
    assert "resume needs a checkpoint" in refused(f"{STYLIZE} -o {out} --resume", capsys)
    assert out.read_bytes() == whole


WITH_WARNINGS_AS_ERRORS = r"""
import runpy, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", r"'\w+' .*deprecated", DeprecationWarning)  # pyparsing's, of an older matplotlib
runpy.run_module("nstlab", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "command",
    [
        f"{STYLIZE} -o p.png --plot l.png --losses l.csv --film f.gif",
        "photorealize hills_autumn hills_autumn -o p.png --steps 2",
        "texture sample.png -o p.png --size 64 --steps 1",
        "photograph hills_summer hills_autumn -o p.png --size 96",
        "samples",
        "--help",
        "stylize --help",
    ],
)
def test_standard_error_is_the_progress_bar_alone(command, tmp_path):
    save_image(load_image("texture_citrus", size=64), tmp_path / "sample.png")
    everything = [sys.executable, "-c", WITH_WARNINGS_AS_ERRORS, *command.split()]
    done = subprocess.run(everything, capture_output=True, text=True, cwd=tmp_path)
    bars = [line for line in re.split("[\r\n]+", done.stderr) if line]
    assert done.returncode == 0 and all("epoch" in bar for bar in bars), done.stderr
    assert bool(bars) == ("-o" in command)
