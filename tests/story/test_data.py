"""The bundled files are the ones that their papers say, and the table of samples agrees with them."""

import hashlib
import re
import runpy
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from nstlab.base.files.filter_files import BUNDLED, BUNDLED_SHA256
from nstlab.base.files.sample_images import IMAGES, samples
from nstlab.images import load_image
from nstlab.preparation.regions import load_regions

ROOT = Path(__file__).parents[2]
DATA = ROOT / "nstlab" / "data"
FILTERS = {network: DATA / name for network, name in BUNDLED.items()}
SHA256 = {
    "vgg16": "377d9605f2e4d30901a28e63910ba880d597707906400b7e2ff8ce55b9664b54",
    "vgg19": "6525c1f13373dbed19f57c8d98b44cd9bf5fc43c747519f8500a450a6d457a2c",
}
SOURCES = (DATA / "images" / "SOURCES.md").read_text(encoding="utf-8")
SAMPLES = pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)


def sources() -> dict[str, list[str]]:
    """The cells of each picture's row in SOURCES.md, links reduced to their text."""
    lines = [line for line in SOURCES.splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell) for cell in row] for row in rows}


@pytest.mark.parametrize("network", FILTERS)
def test_the_filters_are_the_recorded_bytes(network):
    assert hashlib.sha256(FILTERS[network].read_bytes()).hexdigest() == SHA256[network]


@pytest.mark.parametrize("network", FILTERS)
def test_readme_loader_and_rebuild_script_record_the_same_hash(network):
    assert SHA256[network] in (DATA / "README.md").read_text(encoding="utf-8")
    assert BUNDLED_SHA256[network] == SHA256[network]
    assert runpy.run_path(str(ROOT / "tools" / f"rebuild_{network}.py"))["SHA256"] == SHA256[network]


def test_the_readme_names_every_file():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in DATA.iterdir() if path.is_file()}
    assert {name for name in names if f"`{name}`" not in readme} == {"README.md"}


def test_the_filters_of_vgg16_have_the_shapes_that_the_readme_says():
    channels = 3
    with safe_open(FILTERS["vgg16"], framework="pt") as file:
        expected = set()
        for block, (count, width) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], start=1):
            for i in range(1, count + 1):
                name = f"conv{block}_{i}"
                assert file.get_slice(f"{name}.weight").get_shape() == [width, channels, 3, 3]
                assert file.get_slice(f"{name}.bias").get_shape() == [width]
                assert file.get_slice(f"{name}.weight").get_dtype() == "F16"
                expected |= {f"{name}.weight", f"{name}.bias"}
                channels = width
        assert set(file.keys()) == expected


def test_the_filters_of_vgg19_are_coded_as_the_readme_says():
    channels = 3
    with safe_open(FILTERS["vgg19"], framework="pt") as file:
        expected = set()
        for block, (count, width) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], start=1):
            for i in range(1, count + 1):
                name = f"conv{block}_{i}"
                assert file.get_slice(f"{name}.codes").get_shape() == [width, channels, 3, 3]
                assert file.get_slice(f"{name}.codes").get_dtype() == "U8"
                assert file.get_slice(f"{name}.table").get_shape() == [256]
                assert file.get_slice(f"{name}.bias").get_shape() == [width]
                expected |= {f"{name}.{part}" for part in ("codes", "table", "bias")}
                channels = width
        assert set(file.keys()) == expected


def test_the_first_filter_of_vgg16_is_rgb():
    with safe_open(FILTERS["vgg16"], framework="pt") as file:
        blue_row = file.get_tensor("conv1_1.weight")[0, 2, 0]
    assert blue_row.tolist() == pytest.approx([0.42947, 0.37347, -0.06136], abs=2e-4)


@SAMPLES
def test_every_sample_says_what_it_is_and_where_it_is_from(sample):
    assert all([sample.title, sample.author, sample.licence, sample.source])
    assert sample.title in str(sample) and sample.author in str(sample) and sample.licence in str(sample)


@SAMPLES
def test_table_and_sources_say_the_same(sample):
    _, title, author, licence, _, source, _, size = sources()[f"{sample.kind}/{sample.name}.jpg"]
    assert (sample.title, sample.author, sample.licence) == (title, author, licence)
    assert source.startswith(f"{sample.source}, ")
    with Image.open(sample.path) as picture:
        assert size.startswith(f"{picture.width}x{picture.height} ")


def test_every_bundled_picture_is_in_the_table_and_in_sources():
    on_disk = {str(path.relative_to(DATA / "images").as_posix()) for path in DATA.glob("images/*/*.jpg")}
    assert on_disk == {f"{sample.kind}/{sample.name}.jpg" for sample in samples()} == set(sources())


def test_sample_names_are_unique():
    assert len({sample.name for sample in samples()}) == len(samples())


def test_every_photograph_of_a_pair_has_labels_of_its_size():
    pairs = [("waterfront_day", "waterfront_night"), ("berlin_day", "berlin_dusk"), ("hills_summer", "hills_autumn")]
    for pair in pairs:
        regions = load_regions(*(IMAGES / "labels" / f"{name}.png" for name in pair))
        assert 3 <= len(regions) <= 5
        for name, masks in zip(pair, (regions.content, regions.style), strict=True):
            assert masks.shape[2:] == load_image(name).shape[2:]
