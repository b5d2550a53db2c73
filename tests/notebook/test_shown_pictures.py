"""Pictures on a page say what they show, and stay small enough for a notebook."""

import base64
import io
import re

import pytest
import torch
from PIL import Image

from nstlab.images import load_image, to_pil
from nstlab.notebook.figures import figure
from nstlab.notebook.pictures import GAP, MAX_BYTES, SMALLEST, compare, encoded, show


def test_pictures_stand_side_by_side_under_their_captions():
    images = {"content": load_image("horses", 64), "<style>": load_image("church_at_auvers", 64)}
    page = show(compare(images), alt="horses, and a church")._repr_html_()
    assert re.findall(r'<div aria-hidden="true"[^>]*>([^<]*)<', page) == ["content", "&lt;style&gt;"]
    assert re.findall(r'<img alt="([^"]*)"', page) == ["content", "&lt;style&gt;"]
    assert 'role="group" aria-label="horses, and a church"' in page
    with pytest.raises(ValueError, match="no images"):
        compare({})


@pytest.mark.parametrize(("columns", "longest"), [(None, 5.5), (2, 3), (1, 2)])
def test_all_rows_have_one_height_and_the_longest_one_fits(columns, longest):
    aspects = 2, 0.5, 1, 2
    pictures = {f"number {k}": torch.rand(1, 3, 20, round(20 * a)) for k, a in enumerate(aspects)}
    page = show(compare(pictures, height=2, columns=columns), alt="noise")._repr_html_()
    sizes = re.findall(rf"clamp\((\d+)px,calc\(([\d.]+)% - {GAP}px\),(\d+)px\)", page)
    assert [int(full) for _, _, full in sizes] == [200 * a for a in aspects]
    assert [int(least) for least, _, _ in sizes] == [SMALLEST * 200 * a for a in aspects]
    assert [float(share) for _, share, _ in sizes] == pytest.approx([100 * a / longest for a in aspects], abs=0.01)
    assert f"max-width:{200 * longest + (columns or 4) * GAP:.0f}px" in page


def test_pictures_side_by_side_are_together_within_the_limit():
    images = {str(k): torch.rand(1, 3, 300, 400) for k in range(4)}
    page = show(compare(images), alt="noise")._repr_html_()
    assert sum(len(base64.b64decode(data)) for data in re.findall('base64,([^"]*)"', page)) <= MAX_BYTES


def test_a_shown_picture_has_alternative_text_and_a_caption():
    page = show(load_image("horses", 64), alt='horses & "foals"', caption="Horses <3")._repr_html_()
    assert 'alt="horses &amp; &quot;foals&quot;"' in page and "Horses &lt;3" in page and "base64," in page
    assert "an empty figure" in repr(show(figure()[0], alt="an empty figure"))
    with pytest.raises(ValueError, match="alt"):
        show(load_image("horses", 64), alt=" ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_pil_image_is_shown_with_its_transparent_parts(mode):
    picture = Image.effect_noise((600, 600), 90).convert("RGB").convert(mode)  # too large for a PNG within the limit
    if mode == "RGBA":
        picture.putalpha(0)
    kind = re.search("data:image/([a-z]+);", show(picture, alt="noise")._repr_html_()).group(1)
    assert kind == ("webp" if mode == "RGBA" else "jpeg")


def test_backticks_in_a_caption_mark_code():
    page = show(load_image("horses", 64), alt="horses", caption="kept in `.image`, by `<x>`, 5` long")._repr_html_()
    assert "kept in <code>.image</code>, by <code>&lt;x&gt;</code>, 5` long<" in page


def test_a_photograph_is_encoded_within_the_limit():
    kind, data = encoded(to_pil(load_image("horses")))
    assert kind == "jpeg" and len(data) <= MAX_BYTES


def test_a_figure_with_a_photograph_stays_transparent_within_the_limit():
    fig, axes = figure(10, 8, rows=2, columns=2)
    for place in axes:
        place.imshow(to_pil(load_image("horses")))
    page = show(fig, alt="horses, four times")._repr_html_()
    kind, data = re.search('data:image/([a-z]+);base64,([^"]*)"', page).groups()
    data = base64.b64decode(data)
    assert kind == "webp" and len(data) <= MAX_BYTES
    assert Image.open(io.BytesIO(data)).getpixel((0, 0))[3] == 0


def test_noise_that_nothing_makes_small_enough_keeps_its_size_in_pixels():
    kind, data = encoded(Image.fromarray((torch.rand(900, 900, 3) * 255).byte().numpy()))
    assert kind == "jpeg" and Image.open(io.BytesIO(data)).size == (900, 900)
    assert len(data) < 900 * 900
