"""Words of the user stand on a page as they are: names of files, regions and terms, titles, errors; never as HTML."""

import io

import ipywidgets
import pytest
import torch
from PIL import Image

from nstlab.coarse_to_fine import optimize
from nstlab.notebook import ImagePicker, LiveRun, RegionEditor, compare, figure, show, show_regions
from nstlab.objective import Objective
from nstlab.preparation.regions import Regions
from nstlab.terms import Term

WORDS = '<b>&"'
ESCAPED = "&lt;b&gt;&amp;&quot;"
IMAGE = torch.rand(1, 3, 32, 48)
REGIONS = Regions(*[torch.eye(2).view(2, 1, 1, 2).repeat_interleave(24, 3).expand(2, 1, 32, 48)] * 2, ("sky", WORDS))


def page_of(widget) -> str:
    """All HTML of a widget and of those in it."""
    own = widget.value if isinstance(widget, ipywidgets.HTML) else getattr(widget, "html", "")
    return own + "".join(map(page_of, getattr(widget, "children", ())))


def is_escaped_once(page: str, times: int) -> bool:
    return WORDS not in page and page.count(ESCAPED) == times


@pytest.fixture(params=[7, 8])
def version(request, monkeypatch):
    """Of ipywidgets: 7 takes a description for HTML, 8 for text."""
    monkeypatch.setattr(ipywidgets, "__version__", f"{request.param}.7.1")
    return request.param


@pytest.mark.parametrize(
    ("what", "own"),
    [
        (figure()[0], 0),
        (IMAGE, 0),
        (compare({WORDS: IMAGE}), 2),  # caption, alternative text
        (show_regions(IMAGE, IMAGE, REGIONS), 1),  # key
    ],
)
def test_alternative_text_captions_and_keys(what, own):
    page = show(what, alt=WORDS, caption=WORDS)._repr_html_()
    assert is_escaped_once(page, 2 + own)


def test_the_name_of_an_upload():
    picker, file = ImagePicker(), io.BytesIO()
    Image.new("RGB", (48, 32)).save(file, "png")
    picker.try_to_choose(file.getvalue(), WORDS)
    assert is_escaped_once(page_of(picker), 2)  # alternative text, caption
    picker.try_to_choose(b"Dear diary", WORDS)
    assert is_escaped_once(picker.problem.value, 1)


def test_a_path():
    picker = ImagePicker()
    picker.path.value = WORDS
    assert is_escaped_once(picker.problem.value, 1)


def test_the_name_of_a_region(version):
    editor = RegionEditor(IMAGE, IMAGE, REGIONS)
    editor.select(WORDS)
    assert is_escaped_once(page_of(editor), 2)  # the alternative texts of both images
    assert editor.boxes[1].description.startswith(ESCAPED if version == 7 else WORDS)


def test_the_name_of_a_term(version):
    term = Term(lambda image, responses: (image - 0.25).square().mean())
    live = LiveRun(lambda: optimize(Objective({WORDS: term}, {WORDS: 1.0}, size=(4, 4)), steps=1), alt=WORDS)
    live.start()
    live.wait()
    assert is_escaped_once(page_of(live), 4)  # alternative texts of picture and curves, two legends
    assert live.weight_controls[WORDS].number.description == f"weight of {ESCAPED if version == 7 else WORDS}"


@pytest.mark.parametrize("mode", ["thread", "foreground"])
def test_an_error(mode):
    def fail():
        raise RuntimeError(WORDS)

    live = LiveRun(fail, mode)
    live.start()
    with pytest.raises(RuntimeError):
        live.wait()
    assert is_escaped_once(page_of(live), 1)
