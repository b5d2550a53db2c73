"""Figures of losses; the colors of all figures, on light pages and on dark ones."""

import io

import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from nstlab.base.records import Record
from nstlab.notebook.figures import COLORS, GRAY, OTHER_COLORS, figure, plot_losses, save_figure, save_losses

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


def contrast(color: str, other: str) -> float:
    """The contrast of two colors, from 1 to 21, as the Web Content Accessibility Guidelines define it."""

    def luminance(color: str) -> float:
        shares = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in to_rgb(color)]
        return 0.2126 * shares[0] + 0.7152 * shares[1] + 0.0722 * shares[2]

    darker, lighter = sorted([luminance(color), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("page", ["white", "#111111"])
def test_every_color_is_seen_on_a_light_page_and_on_a_dark_one(page):
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast(GRAY, page) >= (4.5 if page == "white" else 4.1)
    for color in (*COLORS.values(), *OTHER_COLORS):
        assert contrast(color, page) >= 3, color


def test_a_figure_is_transparent_and_its_words_and_axes_are_gray():
    for fig in (plot_losses(HISTORY, "a run"), figure(2, 2)[0]):
        axes = fig.axes[0]
        axes.text(0, 1, "here")  # 0 is not on a log scale
        axes.legend(handles=axes.plot([0, 1], [0, 1], label="a line"), title="lines")
        fig.draw_without_rendering()
        words = {text.get_text(): to_hex(text.get_color()) for text in fig.findobj(Text)}
        assert {words[word] for word in words if word} == {GRAY} and "here" in words and "a line" in words
        assert {to_hex(spine.get_edgecolor()) for spine in axes.spines.values()} == {GRAY}
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png")
        assert Image.open(buffer).convert("RGBA").getpixel((0, 0))[3] == 0


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
