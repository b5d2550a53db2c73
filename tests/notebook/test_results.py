"""A result shows itself on a page; a call on a page shows how far it is."""

import re
import sys
from types import SimpleNamespace

import pytest

from nstlab import Result, stylize
from nstlab.base import progress

SMALL = {"size": 64, "steps": 2, "coarse_to_fine": False}


@pytest.fixture(scope="module")
def result() -> Result:
    return stylize("horses", "great_wave", **SMALL)


def test_a_result_is_told_in_one_line(result):
    assert re.fullmatch(r"<pastiche of 64 x 42 pixels, epoch \d of 2, \d+\.\d s>", repr(result))


def test_a_result_shows_its_picture_with_words_its_curves_and_a_link_that_saves_it(result):
    page = result._repr_html_()
    assert f'alt="The {repr(result)[1:-1]}"' in page
    assert 'role="img" aria-label="Losses by epoch' in page
    assert 'download="pastiche.png"' in page


def test_without_the_extra_for_notebooks_a_result_is_text(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "nstlab.notebook.result_display", None)
    assert result._repr_html_() is None


@pytest.fixture
def page(monkeypatch):
    """The page of a notebook whose person can answer questions, and the bars that were drawn there."""
    message = {"content": {"allow_stdin": True}}
    shell = SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: message))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    bars = []
    monkeypatch.setattr(progress, "move", lambda bar, step: bars.append((bar.total, step.index)))
    return SimpleNamespace(message=message, bars=bars)


def test_a_call_on_a_page_moves_a_bar(page):
    stylize("horses", "great_wave", **SMALL)
    assert page.bars == [(2, 0), (2, 1), (2, 2)]


def test_a_watched_call_and_one_of_a_program_that_runs_notebooks_move_none(page):
    stylize("horses", "great_wave", print, **{**SMALL, "steps": 0})
    page.message["content"]["allow_stdin"] = False
    stylize("horses", "great_wave", **SMALL)
    assert page.bars == []
