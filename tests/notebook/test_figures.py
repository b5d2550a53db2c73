"""Figures say what they show, and stay small enough for a notebook."""

import io

import pytest
import torch
from PIL import Image

from nstlab.images import load_image, to_pil
from nstlab.notebook.figures import MAX_BYTES, compare, encoded, figure, plot_losses, save_figure, save_losses, show
from nstlab.runs import Record

HISTORY = [
    Record(k, {"content": 10 / (k + 1), "style": 1e6 / (k + 1)}, {"content": 1e3, "style": 1.0}, 1e6, k, (48, 64))
    for k in range(5)
] + [Record(5, {"content": 1.0, "style": 2.0}, {"content": 1e3, "style": 1.0}, 1e3, 5.0, (96, 128))]


def test_losses_are_drawn_raw_and_weighted_on_a_log_scale_with_labels():
    raw, weighted = plot_losses(HISTORY, "a run").axes
    assert raw.get_yscale() == weighted.get_yscale() == "log"
    assert raw.get_xlabel() == weighted.get_xlabel() == "epoch" and raw.get_ylabel()
    assert [t.get_text() for t in raw.get_legend().get_texts()] == ["content", "style"]
    assert [t.get_text() for t in weighted.get_legend().get_texts()] == ["content", "style", "total"]
    assert list(raw.lines[0].get_ydata())[:2] == [10, 5] and list(weighted.lines[0].get_ydata())[:2] == [
        1e4,
        5e3,
    ]
    assert "128 px" in [t.get_text() for t in raw.texts]


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_epochs_are_whole_numbers(epochs):
    fig = plot_losses(HISTORY[: epochs + 1])
    fig.draw_without_rendering()
    for axes in fig.axes:
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels and all(label.lstrip("\N{MINUS SIGN}").isdigit() for label in labels), labels


def test_pictures_stand_side_by_side_under_their_captions():
    images = {"content": load_image("horses", 64), "style": load_image("church_at_auvers", 64)}
    fig = compare(images)
    assert [axes.get_title() for axes in fig.axes] == ["content", "style"]
    assert len(compare(images, columns=1).axes) == 2


def test_a_shown_picture_has_alternative_text_and_a_caption():
    page = show(load_image("horses", 64), alt='horses & "foals"', caption="Horses <3")._repr_html_()
    assert 'alt="horses &amp; &quot;foals&quot;"' in page and "Horses &lt;3" in page and "base64," in page
    assert "an empty figure" in repr(show(figure()[0], alt="an empty figure"))
    with pytest.raises(ValueError, match="alt"):
        show(load_image("horses", 64), alt=" ")


def test_backticks_in_a_caption_mark_code():
    page = show(load_image("horses", 64), alt="horses", caption="kept in `.image`, by `<x>`, 5` long")._repr_html_()
    assert "kept in <code>.image</code>, by <code>&lt;x&gt;</code>, 5` long<" in page


def test_a_photograph_is_encoded_within_the_limit():
    kind, data = encoded(to_pil(load_image("horses")))
    assert kind == "jpeg" and len(data) <= MAX_BYTES


def test_noise_that_nothing_makes_small_enough_keeps_its_size_in_pixels():
    kind, data = encoded(Image.fromarray((torch.rand(900, 900, 3) * 255).byte().numpy()))
    assert kind == "jpeg" and Image.open(io.BytesIO(data)).size == (900, 900)
    assert len(data) < 900 * 900


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="empty history"):
        plot_losses([])


def test_figures_are_written_in_the_format_of_the_suffix(tmp_path):
    save_figure(plot_losses(HISTORY), tmp_path / "a.png")
    save_figure(plot_losses(HISTORY), tmp_path / "a.svg")
    save_figure(plot_losses(HISTORY), tmp_path / "a")
    for name in ("a.png", "a"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
    assert "<svg" in (tmp_path / "a.svg").read_text() and len(list(tmp_path.iterdir())) == 3


def test_losses_table_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "losses.csv"
    save_losses(HISTORY, path)
    lines = path.read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith("epoch,seconds,height,width,total,content,content weighted")
    with pytest.raises(ValueError, match="empty history"):
        save_losses([], path)
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_losses(HISTORY[:1], path)
    assert path.read_text().splitlines() == lines and list(path.parent.iterdir()) == [path]
