"""Films: every frame in its order, for as long as it should last, in little memory, and never half a file."""

import base64
import shutil
import subprocess
import weakref
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageChops, ImageSequence, ImageStat

from nstlab.base.records import Record, Result, Step
from nstlab.control.films import Film, film
from nstlab.images import ImageError, to_pil
from nstlab.objective import Point
from nstlab.runs import Run
from nstlab.transfer import stylize, stylize_run

SUFFIXES = [".gif", ".webp"]
FFMPEG = """#!/bin/sh
for last; do true; done
echo "$@" > "{folder}/arguments"
cat > "$last"
"""


def gray(level: float, height: int = 40, width: int = 60) -> torch.Tensor:
    return torch.full((1, 3, height, width), level)


def levels(path) -> list[float]:
    """The gray level of every frame, at its center."""
    with Image.open(path) as picture:
        frames = [frame.convert("L") for frame in ImageSequence.Iterator(picture)]
    return [frame.getpixel((frame.width // 2, frame.height // 2)) / 255 for frame in frames]


def seconds(path) -> float:
    with Image.open(path) as picture:
        total = 0
        for k in range(picture.n_frames):
            picture.seek(k)
            picture.load()
            total += picture.info["duration"]
    return total / 1000


def fake_ffmpeg(folder, monkeypatch, script: str = FFMPEG) -> None:
    """A program of this name, the only one on the PATH besides those of the system, that writes what it reads."""
    program = folder / "ffmpeg"
    program.write_text(script.format(folder=folder))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_frame_comes_in_its_order_and_lasts_as_long_as_it_should(tmp_path, suffix):
    film((gray(k / 24) for k in range(25)), tmp_path / f"a{suffix}", fps=12)
    assert levels(tmp_path / f"a{suffix}") == pytest.approx([k / 24 for k in range(25)], abs=0.012)
    assert seconds(tmp_path / f"a{suffix}") == pytest.approx(25 / 12, abs=0.006)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.size == (60, 40) and picture.info["loop"] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_frames_are_all_shown(tmp_path, suffix):
    film([gray(0.5)] * 6, tmp_path / f"a{suffix}", fps=10)
    assert levels(tmp_path / f"a{suffix}") == pytest.approx([0.5] * 6, abs=0.012)
    assert seconds(tmp_path / f"a{suffix}") == pytest.approx(0.6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_colors_are_those_of_the_frames(tmp_path, suffix):
    steps = torch.linspace(0, 1, 60).expand(40, 60)
    image = torch.stack([steps, steps.flip(1), torch.full_like(steps, 0.5)])[None]
    film([image, image.flip(3)], tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as picture:
        first = picture.convert("RGB")
        picture.seek(1)
        second = picture.convert("RGB")
    assert first.getpixel((5, 20)) == pytest.approx((22, 233, 128), abs=12)
    assert second.getpixel((5, 20)) == pytest.approx((233, 22, 128), abs=12)


@pytest.mark.parametrize("size, expected", [(None, (60, 40)), (30, (30, 20)), ((20, 50), (50, 20))])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_from_coarse_to_fine_get_one_size(tmp_path, suffix, size, expected):
    film([gray(0.2, 10, 15), gray(0.5, 20, 30), gray(0.8)], tmp_path / f"a{suffix}", size=size)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.size == expected
    assert levels(tmp_path / f"a{suffix}") == pytest.approx([0.2, 0.5, 0.8], abs=0.012)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_frame_is_kept(tmp_path, suffix, monkeypatch):
    frames: list[weakref.ref] = []
    pictures: list[weakref.ref] = []

    def alive(references=frames):
        return sum(reference() is not None for reference in references)

    def converted(image):
        pictures.append(weakref.ref(picture := to_pil(image)))
        return picture

    monkeypatch.setattr("nstlab.control.films.to_pil", converted)

    def growing():
        for k in range(30):
            assert alive() <= 1 and alive(pictures) <= 1  # the loop's own, and the last
            image = gray(k / 30)
            frames.append(weakref.ref(image))
            yield image
            del image

    film(growing(), tmp_path / f"a{suffix}")
    assert len(frames) == 30 and alive() == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_are_written_one_by_one(tmp_path, suffix, monkeypatch):
    frames: list[weakref.ref] = []
    pictures = Film.pictures

    def counted(self, size):
        for picture in pictures(self, size):
            frames.append(weakref.ref(picture))
            assert sum(frame() is not None for frame in frames) <= 2
            yield picture
            del picture

    monkeypatch.setattr(Film, "pictures", counted)
    film((gray(k / 30) for k in range(30)), tmp_path / f"a{suffix}")
    assert len(frames) == 30


def test_a_run_is_watched(tmp_path):
    with Film(tmp_path / "a.gif") as watcher:
        result = stylize("horses", "great_wave", watch=watcher, size=64, steps=3)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == len(result.history)
        assert picture.size == (result.image.shape[3], result.image.shape[2])


@pytest.mark.parametrize("frames, expected", [(9, [0, 4, 8]), (11, [0, 4, 8, 10]), (1, [0])])
def test_every_keeps_the_start_and_the_last_frame(tmp_path, frames, expected):
    with Film(tmp_path / "a.webp", every=4) as watcher:
        for k in range(frames):
            watcher(Step(k, {}, {}, 0.0, 0.0, (40, 60), gray(k / 10)))
    assert levels(tmp_path / "a.webp") == pytest.approx([k / 10 for k in expected], abs=0.012)


def test_values_outside_are_clamped_and_nan_is_refused(tmp_path):
    film([gray(-0.5), gray(1.5)], tmp_path / "a.gif")
    assert levels(tmp_path / "a.gif") == [0, 1]
    with pytest.raises(ImageError, match="NaN"):
        film([gray(float("nan"))], tmp_path / "b.gif")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_film_so_far_is_written(tmp_path, error):
    def broken():
        yield gray(0.2)
        yield gray(0.6)
        raise error("stop")

    with pytest.raises(error, match="stop"):
        film(broken(), tmp_path / "a.gif")
    assert levels(tmp_path / "a.gif") == pytest.approx([0.2, 0.6], abs=0.012)


def test_an_interrupt_while_a_frame_is_recorded_spoils_no_other(tmp_path):
    watcher = Film(tmp_path / "a.gif")
    watcher(gray(0.2))
    write = watcher.spool.write

    def interrupted(data):
        write(data[:20])
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watcher, "spool", SimpleNamespace(write=interrupted, seek=watcher.spool.seek))
        with pytest.raises(KeyboardInterrupt):
            watcher(gray(0.4))
    watcher(gray(0.6))
    watcher.close()
    assert levels(tmp_path / "a.gif") == pytest.approx([0.2, 0.6], abs=0.012)


def test_an_error_before_the_first_frame_is_reported_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), Film(tmp_path / "a.gif"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_closing_twice_writes_once(tmp_path):
    watcher = Film(tmp_path / "a.gif")
    watcher(gray(0.5))
    watcher.close()
    (tmp_path / "a.gif").unlink()
    watcher.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_film_that_fails_leaves_the_older_one(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"older")
    pictures = Film.pictures

    def interrupted(self, size):
        yield next(pictures(self, size))
        raise KeyboardInterrupt

    monkeypatch.setattr(Film, "pictures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        film([gray(0.1), gray(0.2)], path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"older"


def test_no_frames(tmp_path):
    with pytest.raises(ValueError, match=r"a\.gif.*there is no frame"):
        film([], tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("a.avi", {}, r"unknown format '.avi'; take one of .gif, .webp, .mp4"),
        ("film", {}, "unknown format ''"),
        ("a.gif", {"fps": 0}, "fps=0 must be from 0.1 to 50"),
        ("a.gif", {"fps": float("nan")}, "fps=nan must be"),
        ("a.gif", {"every": 0}, "every=0 must be a whole number from 1 up"),
        ("a.gif", {"every": 1.5}, "every=1.5"),
    ],
)
def test_what_cannot_be_filmed_is_refused_before_the_run(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        Film(tmp_path / name, **options)


def test_without_ffmpeg_the_way_out_is_named_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"needs the program ffmpeg.*Install it, or take \.gif or \.webp"):
        Film(tmp_path / "a.mp4")


@pytest.mark.posix
def test_ffmpeg_is_given_every_pixel(tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, monkeypatch)
    film([gray(0.0, 20, 30), gray(1.0)], tmp_path / "new folder" / "a.mp4", fps=24)
    assert (tmp_path / "new folder" / "a.mp4").read_bytes() == bytes(40 * 60 * 3) + b"\xff" * (40 * 60 * 3)
    arguments = (tmp_path / "arguments").read_text()
    assert "-pix_fmt rgb24 -s 60x40 -r 24 -i -" in arguments


@pytest.mark.parametrize("frames", [1, 200])  # 200: more than a pipe takes
@pytest.mark.posix
def test_the_message_of_ffmpeg_is_passed_on(tmp_path, monkeypatch, frames):
    fake_ffmpeg(tmp_path, monkeypatch, "#!/bin/sh\necho no such encoder >&2\nexit 1\n")
    with pytest.raises(OSError, match="ffmpeg failed: no such encoder"):
        film([gray(0.5)] * frames, tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
def test_a_real_mp4_has_every_frame_and_an_even_size(tmp_path):
    film([gray(k / 10, 41, 61) for k in range(10)], tmp_path / "a.mp4", fps=10)
    command = ["ffmpeg", "-i", str(tmp_path / "a.mp4"), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    pixels = torch.frombuffer(bytearray(done.stdout), dtype=torch.uint8).view(10, 40, 60).float() / 255
    assert pixels.mean((1, 2)).tolist() == pytest.approx([k / 10 for k in range(10)], abs=0.02)
    assert b"01.00" in done.stderr  # seconds


def result(**settings) -> Result:
    return stylize("horses", "great_wave", size=64, coarse_to_fine=False, **settings)


def test_a_result_shows_how_its_image_grew(tmp_path):
    grown = result(steps=2)
    clip = grown.film(fps=10)
    page = clip._repr_html_()
    assert page.startswith(f'<img alt="How it grew: the {repr(grown)[1:-1].split(",")[0]}')
    shown = tmp_path / "shown.webp"
    shown.write_bytes(base64.b64decode(page.split("base64,")[1].removesuffix('">')))
    with Image.open(shown) as picture:
        assert picture.n_frames == 4 and picture.size == (64, 42)  # the start, two steps, the image
    clip.save(tmp_path / "grown.gif")
    with Image.open(tmp_path / "grown.gif") as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    away = [mean_difference(frame, to_pil(grown.image)) for frame in frames]
    assert away[0] > 1.5 * away[-1] and away[-1] < 6  # a GIF has 256 colors
    assert seconds(tmp_path / "grown.gif") == pytest.approx(0.4)


def mean_difference(a: Image.Image, b: Image.Image) -> float:
    return ImageStat.Stat(ImageChops.difference(a, b)).mean[0]


@pytest.mark.parametrize(
    ("steps", "epochs"), [(47, list(range(48))), (48, list(range(0, 49, 2))), (200, [8 * k for k in range(26)])]
)
def test_a_run_keeps_evenly_spaced_frames_however_long_it_is(steps, epochs):
    points = (Point(gray(k / 255, 300, 400), {}, {}, 1.0, gray(0.0)) for k in range(steps + 1))
    frames = Run(points, steps, []).finish(lambda step: None).frames
    assert [int(frame.amax()) for frame in frames] == epochs
    assert all(frame.shape == (1, 3, 192, 256) and frame.dtype == torch.uint8 for frame in frames)


def test_a_run_that_goes_on_from_its_checkpoint_has_the_whole_film(tmp_path):
    kept = {"steps": 2, "checkpoint": tmp_path / "run", "resume": True}
    run = stylize_run("horses", "great_wave", size=64, coarse_to_fine=False, **kept)
    next(run)
    run.close()
    frames, whole = result(**kept).frames, result(steps=2).frames
    assert len(frames) == 3 and all(torch.equal(*pair) for pair in zip(frames, whole, strict=True))


def test_a_film_of_nothing_is_refused():
    made_by_hand = Result(gray(0.5), [Record(0, {}, {}, 1.0, 0.0, (40, 60))])
    with pytest.raises(ValueError, match="no frames: no run made it"):
        made_by_hand.film()
    with pytest.raises(ValueError, match="fps=0 must be from"):
        made_by_hand.film(fps=0)
