"""Textures: the seams of tileable ones, their sizes, and that they have the statistics of their sample."""

import pytest
import torch
from torch import Tensor

import nstlab.coarse_to_fine
from nstlab.base.records import Result
from nstlab.control.textures import SHARES, circular, resized_around, texture, texture_run, texture_term
from nstlab.images import load_image, resize
from nstlab.preparation.starts import starting_image

SIZE = (64, 96)


def seam(image: Tensor) -> float:
    """How much an image changes across the seams of copies side by side, relative to its other rows and columns.

    The mean absolute difference across the seam, divided by the 90 % quantile of those between all other neighboring
    rows, or columns; the larger of both. The quantile, because neighbors differ more across two cells of a pooling than
    within one, and the seams are between cells.
    """
    ratios = []
    for dim, along in ((2, 3), (3, 2)):
        changes = (image.roll(-1, dim) - image).abs().mean((0, 1, along))
        ratios.append((changes[-1] / changes[:-1].quantile(0.9)).item())
    return max(ratios)


@pytest.fixture(scope="module")
def results(vgg) -> dict[bool, Result]:
    sample = load_image("starry_night", size=96)
    return {tileable: texture(sample, SIZE, tileable=tileable, steps=20, vgg=vgg) for tileable in (True, False)}


def test_copies_of_a_tileable_texture_show_no_seam_and_those_of_another_do(results):
    assert seam(results[True].image) < 1.15
    assert seam(results[False].image) > 1.4


@pytest.mark.parametrize("tileable", [True, False])
def test_the_edge_of_a_tileable_texture_is_a_place_like_any_other(tileable, vgg, monkeypatch):
    """Shifted noise gives the shifted texture, at every size: the run cannot know where the edge is."""
    sample = load_image("starry_night", size=96)

    def images(places: int) -> list[Tensor]:
        def shifted(*arguments: object) -> Tensor:
            return starting_image(*arguments).roll((places, places), (2, 3))

        monkeypatch.setattr(nstlab.coarse_to_fine, "starting_image", shifted)
        return [step.image for step in texture_run(sample, (64, 96), tileable=tileable, steps=2, vgg=vgg)]

    for image, other in zip(images(0)[1:], images(16)[1:], strict=True):
        expected = image.roll([16 * image.shape[2] // 32] * 2, (2, 3))
        assert ((other - expected).norm() < 1e-3 * expected.norm()) == tileable


def test_a_texture_has_the_gram_matrices_of_its_sample(results):
    for result in results.values():
        assert tuple(result.image.shape) == (1, 3, *SIZE)
        assert result.history[-1].total < min(0.03, result.history[0].total / 10)


def test_the_units_are_the_gram_matrices_of_the_sample_alone(vgg):
    sample = load_image("texture_citrus", size=64)
    term = texture_term(vgg, sample, None, "float32")
    F = vgg(sample, term.layers)
    nothing = {layer: torch.zeros_like(F_l) for layer, F_l in F.items()}
    assert term(sample, F).item() == pytest.approx(0, abs=1e-6) and term(sample, nothing).item() == pytest.approx(1)
    one = dict(nothing, conv4_1=F["conv4_1"])
    assert term(sample, nothing).item() - term(sample, one).item() == pytest.approx(SHARES["conv4_1"], rel=1e-4)


@pytest.mark.parametrize(
    ("size", "tileable", "sizes"),
    [
        (128, False, [(42, 64), (85, 128)]),
        (128, True, [(32, 64), (80, 128)]),
        ((96, 64), True, [(48, 32), (96, 64)]),
    ],
)
def test_sizes(size, tileable, sizes, vgg):
    sample = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    run = texture_run(sample, size, tileable=tileable, vgg=vgg)
    assert [objective.size for objective in run.objectives] == sizes


def test_a_side_that_breaks_the_poolings_or_does_not_exist_is_refused_with_the_nearest_that_works(vgg):
    sample = load_image("texture_citrus", size=64)
    for size, tileable, says in [
        (500, True, r"size=500 .*multiples of 16 for a tileable texture. Take size=496"),
        ((64, 100), True, r"size=\(64, 100\) .*Take size=\(64, 96\)"),
        (16, False, r"size=16 .*from 32 up. Take size=32"),
        ((64, 64, 64), False, r"Take size=512"),
        (64.0, False, r"size=64.0 must be the longer side or \(height, width\), whole pixels"),
    ]:
        with pytest.raises(ValueError, match=says):
            texture_run(sample, size, tileable=tileable, vgg=vgg)


def test_a_tileable_texture_takes_no_tiles(vgg, with_engine):
    with pytest.raises(ValueError, match=r"padding='circular'.*tile=None"):
        texture_run(load_image("texture_citrus", size=64), 96, tileable=True, vgg=vgg, tile=64)


def test_a_small_sample_is_not_shrunk_below_32_pixels(vgg):
    run = texture_run(torch.rand(1, 3, 40, 40), 256, vgg=vgg)
    assert [objective.size for objective in run.objectives] == [(256, 256)]


def test_a_gray_sample_gives_a_gray_texture(vgg):
    gray = load_image("texture_citrus", size=64).mean(1, keepdim=True).expand(1, 3, -1, -1)
    image = texture(gray, 64, steps=2, vgg=vgg).image
    assert torch.equal(image, image[:, :1].expand_as(image))


def test_the_seed_decides(vgg):
    sample = load_image("texture_citrus", size=64)
    one, same, other = (texture(sample, 48, steps=1, seed=seed, vgg=vgg).image for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_an_enlargement_around_the_edge_follows_a_shift():
    image = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    larger = resized_around(image, (24, 40))
    torch.testing.assert_close(resized_around(image.roll((3, 5), (2, 3)), (24, 40)), larger.roll((6, 10), (2, 3)))
    torch.testing.assert_close(larger[..., 8:-8, 8:-8], resize(image, (24, 40))[..., 8:-8, 8:-8])
    torch.testing.assert_close(resized_around(image, (12, 20)), image)  # so it may be done again after an interrupt


def test_the_network_that_is_given_keeps_its_padding(vgg):
    texture(load_image("texture_citrus", size=64), 48, tileable=True, steps=0, vgg=vgg)
    assert vgg.padding == "replicate" and circular(vgg).padding == "circular"
