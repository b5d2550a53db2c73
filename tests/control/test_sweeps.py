"""Sweeps: every combination in its order, wherever it runs, and nothing lost if one of them fails."""

import csv
import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import torch
from PIL import Image, ImageColor

from nstlab.base.records import Record, Result
from nstlab.control.sheets import GRAY, TILE
from nstlab.control.sweeps import NOT_RUN, Sweep, sweep
from nstlab.notebook import figures

STYLIZE = {"content": "horses", "style": ["great_wave", "night_cafe"], "size": 64, "steps": 1}


def painted(red: float, green: float = 0.0, blue: float = 0.0, height: int = 32) -> Result:
    """A run that gives an image of one color, which says how it was called."""
    if red < 0:
        raise ValueError(f"red={red} is no color")
    image = torch.tensor([red, green, blue]).view(1, 3, 1, 1).repeat(1, 1, height, 48)
    return Result(image, [Record(k, {"style": red / (k + 1)}, {"style": 2.0}, 2 * red, 0.1, (32, 48)) for k in (0, 1)])


def process_of(seed: int) -> Result:
    """A run that says in which process it ran; it takes as long as it takes to start a second process."""
    time.sleep(0.5)
    return Result(torch.zeros(1, 3, 32, 32), [Record(0, {}, {}, float(os.getpid()), 0.0, (32, 32))])


def dying(seed: int) -> Result:
    """A run whose process ends."""
    os._exit(1)


def colors(found: Sweep) -> list[list[float] | None]:
    """The color of every image of a sweep of `painted`."""
    return [None if e.image is None else [round(c, 3) for c in e.image[0, :, 0, 0].tolist()] for e in found.entries]


def equal_entries(a: Sweep, b: Sweep) -> bool:
    """Whether two sweeps ran the same settings with the same results, except for the seconds and for rounding: the
    number of threads may differ."""
    return all(
        x.settings == y.settings
        and torch.allclose(x.image, y.image, atol=1e-3)
        and x.losses == pytest.approx(y.losses, rel=1e-3)
        for x, y in zip(a.entries, b.entries, strict=True)
    )


@pytest.fixture(scope="module")
def one_by_one() -> Sweep:
    return sweep(STYLIZE, progress=False)


def test_all_combinations_in_order_the_last_setting_fastest():
    found = sweep({"red": [0.5, 1.0], "green": 0.25, "blue": [0.0, 0.5]}, run=painted)
    assert colors(found) == [[0.5, 0.25, 0.0], [0.5, 0.25, 0.5], [1.0, 0.25, 0.0], [1.0, 0.25, 0.5]]
    assert [e.settings for e in found.entries] == [{"red": r, "blue": b} for r in (0.5, 1.0) for b in (0.0, 0.5)]
    assert all(e.error is None and e.seconds > 0 and len(e.history) == 2 for e in found.entries)
    assert found.entries[2].losses == {"style": 0.5, "total": 2.0}


def test_the_default_run_is_stylize(one_by_one):
    assert [e.settings for e in one_by_one.entries] == [{"style": "great_wave"}, {"style": "night_cafe"}]
    one, other = (e.image for e in one_by_one.entries)
    assert all(image.shape[:2] == (1, 3) and image.device.type == "cpu" for image in (one, other))
    assert not torch.equal(one, other)


def test_a_tuple_is_one_value():
    found = sweep({"red": 0.5, "height": [32]}, run=painted)
    assert len(found.entries) == 1 and found.entries[0].settings == {}
    found = sweep({**STYLIZE, "style": ("great_wave", "night_cafe")}, progress=False)
    assert len(found.entries) == 1 and found.entries[0].error is None


@pytest.mark.parametrize("threads", [None, 2])
def test_the_others_go_on_after_a_failure(threads):
    executor = threads and ThreadPoolExecutor(threads)
    found = sweep({"red": [0.5, -1.0, 1.0]}, executor, run=painted, progress=False)
    assert colors(found) == [[0.5, 0, 0], None, [1.0, 0, 0]]
    assert [e.error for e in found.entries] == [None, "ValueError: red=-1.0 is no color", None]
    assert found.entries[1].history == [] and found.entries[1].losses == {}


def test_threads_give_the_same(one_by_one):
    with ThreadPoolExecutor(2) as executor:
        assert equal_entries(sweep(STYLIZE, executor, progress=False), one_by_one)


def test_processes_give_the_same(one_by_one, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))  # of the new processes, too
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        assert equal_entries(sweep(STYLIZE, executor, progress=False), one_by_one)
        found = sweep({"seed": [0, 1, 2, 3]}, executor, run=process_of, progress=False)
    used = {e.losses["total"] for e in found.entries}
    assert len(used) == 2 and os.getpid() not in used


def test_the_end_of_a_process_is_an_error_of_its_entries():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        found = sweep({"seed": [0, 1]}, executor, run=dying, progress=False)
    assert all("BrokenProcessPool" in e.error for e in found.entries)


def test_dask_gives_the_same(one_by_one, tmp_path, monkeypatch):
    from dask import distributed  # here, because every new process imports this file

    monkeypatch.chdir(tmp_path)  # where Dask keeps its files
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        assert equal_entries(sweep(STYLIZE, executor, progress=False), one_by_one)
        found = sweep({"red": [0.5, -1.0]}, executor, run=painted, progress=False)
        processes = sweep({"seed": [0, 1]}, executor, run=process_of, progress=False)
    assert colors(found) == [[0.5, 0, 0], None] and "is no color" in found.entries[1].error
    assert os.getpid() not in {e.losses["total"] for e in processes.entries}


@pytest.mark.parametrize("caught", [True, False])
def test_an_interrupt_keeps_what_is_done(caught):
    def interrupted(red):
        if red == 0.5:
            if caught:  # as a `Run` does, which then gives what it has
                return Result(painted(red).image, [], interrupted=True)
            raise KeyboardInterrupt
        return painted(red)

    found = sweep({"red": [0.25, 0.5, 1.0]}, run=interrupted, progress=False)
    assert colors(found) == [[0.25, 0, 0], None, None]
    assert [e.error for e in found.entries] == [None, NOT_RUN, NOT_RUN]
    assert [e.settings for e in found.entries] == [{"red": 0.25}, {"red": 0.5}, {"red": 1.0}]


def test_an_interrupt_cancels_what_has_not_begun():
    begun, go_on = [], threading.Event()

    def interrupted(red):
        begun.append(red)
        if red == 0.5:
            raise KeyboardInterrupt
        go_on.wait(10 if red == 0.75 else 0)
        return painted(red)

    with ThreadPoolExecutor(1) as executor:
        found = sweep({"red": [0.25, 0.5, 0.75, *([1.0] * 5)]}, executor, run=interrupted, progress=False)
        go_on.set()
    assert colors(found)[0] == [0.25, 0, 0] and {e.error for e in found.entries[1:]} == {NOT_RUN}
    assert 1.0 not in begun


def test_the_bar_is_on_standard_error(capsys):
    sweep({"red": [0.5, 1.0]}, run=painted)
    shown = capsys.readouterr()
    assert "2/2" in shown.err and not shown.out
    sweep({"red": [0.5, 1.0]}, run=painted, progress=False)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "grid, message",
    [
        ({"red": []}, "no values for red"),
        ({"red": [0.5], "purple": [1]}, "does not fit painted: .*'purple'.* red, green, blue, height"),
        ({}, "missing a required argument: 'red'"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_before_the_first_run(grid, message):
    with pytest.raises(ValueError, match=message):
        sweep(grid, run=painted)


def test_the_table_has_the_same_columns_in_every_row(tmp_path):
    found = sweep({"red": [0.5, -1.0], "blue": 0.5}, run=painted, progress=False)
    first, failed = found.table()
    assert list(first) == list(failed) == ["red", "seconds", "style loss", "total", "error"]
    assert (first["red"], first["style loss"], first["total"], first["error"]) == (0.5, 0.25, 1.0, None)
    assert failed["total"] is None and "is no color" in failed["error"]
    found.save_table(tmp_path / "new" / "table.csv")
    with open(tmp_path / "new" / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["red"] for row in rows] == ["0.5", "-1.0"] and rows[1]["style loss"] == "" == rows[0]["error"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["table.csv"]


def tiles(sheet: Image.Image) -> list[list[tuple[int, ...]]]:
    """The colors of the tiles of a sheet row by row, from left to right: those that fill many pixels."""
    sheet = on_page(sheet, "white")
    pixels = sheet.load()
    found: list[list[tuple[int, ...]]] = []
    for y in range(0, sheet.height, 10):
        row: list[tuple[int, ...]] = []
        x = 0
        while x < sheet.width - 40:
            color = pixels[x, y]
            if color != (255, 255, 255) and all(pixels[x + k, y] == color for k in range(40)):
                row.append(color)
                x += TILE
            x += 1
        if row and (not found or found[-1] != row):
            found.append(row)
    return found


def on_page(sheet: Image.Image, color: str) -> Image.Image:
    """A sheet as it is seen on a page of this color."""
    page = Image.new("RGBA", sheet.size, color)
    page.alpha_composite(sheet)
    return page.convert("RGB")


def levels(*color: float) -> tuple[int, ...]:
    return tuple(round(255 * c) for c in color)


def test_the_sheet_has_the_first_setting_by_row_and_the_second_by_column():
    red, blue, green = [0.2, 0.6], [0.0, 0.4, 0.8], [0.0, 1.0]
    found = sweep({"red": red, "height": 32, "blue": blue, "green": green}, run=painted, progress=False)
    assert tiles(found.sheet()) == [[levels(r, g, b) for b in blue] for r in red for g in green]


def test_one_setting_makes_a_row_and_none_a_tile():
    found = sweep({"red": [0.2, 0.6], "blue": [0.5]}, run=painted, progress=False)
    assert tiles(found.sheet()) == [[levels(0.2, 0, 0.5), levels(0.6, 0, 0.5)]]
    assert tiles(sweep({"red": 0.2}, run=painted, progress=False).sheet()) == [[levels(0.2, 0, 0)]]


def test_a_failed_entry_is_a_gray_tile_with_its_error_on_it():
    found = sweep({"red": [0.2, -1.0]}, run=painted, progress=False)
    sheet = found.sheet()
    assert tiles(sheet)[0] == [levels(0.2, 0, 0), ImageColor.getrgb(GRAY)]
    right = sheet.crop((sheet.width - TILE, sheet.height - 80, sheet.width, sheet.height - 50)).convert("L")
    assert min(right.tobytes()) < 100  # ink
    assert tiles(sweep({"red": [-1.0]}, run=painted, progress=False).sheet())  # with no image at all


@pytest.mark.parametrize("page", ["white", "#111111"])
def test_the_words_of_a_saved_sheet_are_read_on_a_light_page_and_on_a_dark_one(page, tmp_path):
    sweep({"red": [0.2, 0.6], "blue": 0.5}, run=painted, progress=False).sheet().save(tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    words = on_page(sheet, page).crop((0, 0, sheet.width, 40))  # the title
    ground, gray = ImageColor.getrgb(page)[0], ImageColor.getrgb(figures.GRAY)[0]
    assert words.getpixel((0, 0)) == (ground,) * 3
    assert words.getchannel("R").getextrema() == (min(ground, gray), max(ground, gray))  # letters have no dark edges


def test_labels_tell_values_apart():
    found = Sweep([], {"start": [torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)], "seed": [0, 1]})
    assert found.labels("seed") == ["seed 0", "seed 1"]
    assert [label.split(":")[0] for label in found.labels("start")] == ["start 1", "start 2"]
