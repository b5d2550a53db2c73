"""The image picker: samples, paths, and uploads as ipywidgets 8 gives them and 7, which Colab has."""

import io
import re
from datetime import datetime

import ipywidgets
import pytest
import traitlets
from PIL import ExifTags, Image

from nstlab import ImageError, load_image, save_image
from nstlab.notebook import ImagePicker


class FileUpload7(ipywidgets.FileUpload):
    """The FileUpload of ipywidgets 7.7.1: its value is a dict by name, and only the browser may set it."""

    value = traitlets.Dict(read_only=True)


INSTALLED = int(ipywidgets.__version__.split(".")[0])


@pytest.fixture(params=sorted({7, INSTALLED}))
def picker(request, monkeypatch):
    if request.param < INSTALLED:
        monkeypatch.setattr(ipywidgets, "FileUpload", FileUpload7)
    return ImagePicker("content", "horses")


def upload(picker, data, name="mine.png"):
    """What a browser does when a file is uploaded."""
    about = {"name": name, "type": "image/png", "size": len(data)}
    if isinstance(picker.upload.value, dict):
        picker.upload.set_trait("value", {name: {"metadata": {**about, "lastModified": 0}, "content": data}})
    else:
        picker.upload.value = [{**about, "last_modified": datetime.now(), "content": memoryview(data)}]


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_sample_is_chosen_by_its_menu_and_by_a_call():
    picker = ImagePicker("content", "chenonceau_river")
    assert picker.image == "chenonceau_river" and len(picker.sample.options) == 6
    seen = []
    picker.observe(lambda change: seen.append(change.new), "image")
    picker.sample.value = "horses"
    picker.choose("red_panda")
    assert seen == ["horses", "red_panda"] and picker.sample.value == "red_panda"
    assert 'alt="Red panda"' in picker.preview.value and "by Mathias Appel. CC0-1.0." in picker.preview.value
    assert ImagePicker("style").image == "starry_night" and len(ImagePicker().sample.options) == 19
    with pytest.raises(ValueError, match="kind='paintings' must be"):
        ImagePicker("paintings")


def test_a_path_and_an_upload_replace_the_sample(picker, tmp_path):
    path = tmp_path / "holiday <1>.png"
    save_image(load_image("horses", 64), path)
    picker.path.value = str(path)
    assert picker.image == str(path) and picker.sample.value is None
    upload(picker, path.read_bytes())
    assert picker.image == path.read_bytes() and picker.path.value == ""
    assert "mine.png, 64 × 42 pixels" in picker.preview.value
    picker.sample.value = "horses"
    assert picker.image == "horses"


def test_an_unreadable_image_gives_one_line_and_changes_nothing():
    picker = ImagePicker("content", "horses")
    picker.path.value = "nowhere.jpg"
    assert "load_image(&#x27;nowhere.jpg&#x27;)" in picker.problem.value and "\n" not in picker.problem.value
    assert picker.image == "horses" and "Nokota" in picker.preview.value
    with pytest.raises(ImageError):
        picker.choose(b"no picture")
    picker.sample.value = "astronaut"
    assert picker.problem.value == ""


def test_the_same_file_is_uploaded_twice_in_a_row_and_after_another_choice(picker):
    said = []
    picker.observe(lambda change: said.append(change.new), "image")
    data = encoded(Image.new("RGB", (96, 64), "red"), "png")
    for _ in range(2):
        upload(picker, data)
        assert picker.image == data and not picker.upload.value and picker.problem.value == ""
    picker.choose("red_panda")
    upload(picker, data)
    assert said == [data, "red_panda", data] and not picker.upload.value


def test_exif_turns_an_upload(picker):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    upload(picker, encoded(Image.new("RGB", (96, 64), "red"), "jpeg", exif=turned))
    assert "mine.png, 64 × 96 pixels" in picker.preview.value


UPLOADS = {
    "no bytes": (b"", "the file is empty"),
    "text": (b"Dear diary", "not those of a known picture format.*JPEG, PNG"),
    "cut off": (encoded(Image.effect_noise((200, 200), 90), "png")[:9000], "cut off"),
    "an iPhone's": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC or AVIF.*Save it as JPEG"),
    "too many bytes": (bytes(64_000_001), "64,000,001 bytes, more than the 64,000,000"),
    "too many pixels": (encoded(Image.new("1", (10_000, 8_001)), "png"), "80,000,000 pixels"),
    "tiny": (encoded(Image.new("L", (8, 8)), "png"), "8 x 8 pixels"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_that_is_no_picture_or_too_large_gives_one_line_and_changes_nothing(picker, name):
    data, says = UPLOADS[name]
    upload(picker, data, "<mine>.png")
    assert re.search(f"&lt;mine&gt;.png: .*{says}", picker.problem.value) and "role='alert'" in picker.problem.value
    assert "\n" not in picker.problem.value and "<mine>" not in picker.problem.value
    assert picker.image == "horses" and "Nokota" in picker.preview.value and not picker.upload.value
    upload(picker, encoded(Image.new("RGB", (64, 64)), "png"))
    assert picker.problem.value == "" and isinstance(picker.image, bytes)


def test_a_large_picture_is_decoded_at_a_reduced_size_for_its_preview():
    picker = ImagePicker("content", "horses")
    picker.choose(encoded(Image.new("RGB", (4000, 3000), "blue"), "jpeg"), "holiday.jpg")
    assert "<figcaption style='line-height:1.3'>holiday.jpg</figcaption>" in picker.preview.value
