"""An image taken part by part: the same losses and gradient, in less memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.images import load_image
from nstlab.memory import PEAK, PEAK_APART, WORKSPACE, evaluation_memory, fitting_tile, run_memory
from nstlab.objective import Objective, Term
from nstlab.style_transfer import CONTENT_LAYER, STYLE_LAYERS, style_transfer_objective
from nstlab.tiles import ALIGNED, GRID, halo, places_of, tiles
from nstlab.transfer import stylize
from nstlab.vgg import VGG

LAYERS = (CONTENT_LAYER, *STYLE_LAYERS)


@settings(deadline=None)
@given(st.integers(32, 900), st.integers(32, 900), st.integers(1, 20), st.sampled_from([0, 16, 64]))
def test_tiles_cover_every_pixel_once_lie_on_the_grid_and_keep_their_size(H, W, n, margin):
    covered = torch.zeros(H, W)
    for t in tiles((H, W), n * GRID, margin):
        covered[t.rows, t.columns] += 1
        for own, seen, length in ((t.rows, t.seen_rows, H), (t.columns, t.seen_columns, W)):
            assert own.start % GRID == 0 and (own.stop % GRID == 0 or own.stop == length)
            assert own.stop - own.start <= n * GRID
            assert seen.start % ALIGNED == 0 and seen.stop == min(length, own.stop + margin)
            assert max(0, own.start - margin) - ALIGNED < seen.start <= max(0, own.start - margin)
    assert (covered == 1).all()


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize(("size", "tile"), [(160, 64), (213, 112), (300, 160)])
def test_losses_and_gradient_equal_those_of_the_whole_image(pooling, size, tile):
    vgg, content, style = VGG(pooling=pooling), load_image("horses", size=size), load_image("great_wave", size=200)
    settings = {"photorealism_weight": 10.0, "per_layer": size == 160}
    whole = style_transfer_objective(vgg, content, style, **settings)
    tiled = style_transfer_objective(vgg, content, style, **settings, tile=tile)
    assert len(tiled.tiles) > 2
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    expected, got = whole.at(image), tiled.at(image)
    assert got.total == pytest.approx(expected.total, rel=1e-4)
    assert got.losses == pytest.approx(expected.losses, rel=1e-4)
    assert (got.gradient - expected.gradient).norm() < 1e-4 * expected.gradient.norm()


def test_without_its_halo_a_tile_would_be_wrong(monkeypatch):
    monkeypatch.setattr("nstlab.objective.halo", lambda vgg, layers: 16)
    vgg, content = VGG(), load_image("horses", size=160)
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    whole, tiled = (style_transfer_objective(vgg, content, content, tile=tile).at(image) for tile in (None, 64))
    assert (tiled.gradient - whole.gradient).norm() > 1e-3 * whole.gradient.norm()


def test_no_pixel_beyond_the_halo_reaches_a_response():
    vgg, layer = VGG(weights="random"), "conv5_1"
    image = torch.rand(1, 3, 272, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    place = vgg(image, [layer])[layer][..., 8, 0].sum()  # answers for rows 128 to 143
    rows = torch.autograd.grad(place, image)[0].abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[0] >= 128 - halo(vgg, [layer]) and rows[-1] < 144 + halo(vgg, [layer])


def test_stylize_takes_a_tile_and_gives_the_same_picture():
    settings = {"size": 96, "steps": 2, "coarse_to_fine": False, "vgg": VGG()}
    whole, tiled = (stylize("horses", "great_wave", **settings, tile=tile) for tile in (None, 48))
    torch.testing.assert_close(tiled.image, whole.image, atol=1e-3, rtol=0)


@pytest.mark.parametrize("tile", [0, 8, 100, -16])
def test_a_tile_off_the_grid_is_refused(tile):
    with pytest.raises(ValueError, match="multiple of 16"):
        stylize("horses", "great_wave", size=128, tile=tile)


def test_a_term_that_needs_the_whole_image_is_refused_by_name():
    term = Term(lambda image, F: F["conv1_1"].max(), ("conv1_1",))
    with pytest.raises(ValueError, match="peak"):
        Objective({"peak": term}, {"peak": 1.0}, (64, 64), VGG(), tile=32)


def test_the_tile_chosen_is_the_largest_that_fits():
    vgg, size = VGG(), (2048, 3072)
    assert fitting_tile(vgg, LAYERS, size, run_memory(vgg, LAYERS, size)) is None
    memory = run_memory(vgg, LAYERS, size) // 2
    tile = fitting_tile(vgg, LAYERS, size, memory)
    assert run_memory(vgg, LAYERS, size, tile) <= memory < run_memory(vgg, LAYERS, size, tile + ALIGNED)
    assert fitting_tile(vgg, LAYERS, size, 0) == 256


def test_bfloat16_is_planned_with_half_the_memory():
    short, exact = (
        evaluation_memory(VGG(precision=p), LAYERS, (512, 512)) - WORKSPACE for p in ("bfloat16", "float32")
    )
    assert 2 * short == pytest.approx(exact, abs=2)


def test_max_pooling_is_planned_with_more():
    least, more = (evaluation_memory(VGG(pooling=p), LAYERS, (512, 512)) for p in ("avg", "max"))
    assert least < more < 1.4 * least


def test_float16_is_planned_with_a_wide_copy_of_what_is_read():
    half, read = (evaluation_memory(VGG(precision=p), LAYERS, (512, 512)) - WORKSPACE for p in ("bfloat16", "float16"))
    copies = sum(VGG().convolution(layer).out_channels * places_of(layer, (512, 512)) * 4 for layer in LAYERS)
    assert read / PEAK_APART - half / PEAK["avg"] == pytest.approx(copies, abs=2)


def test_filters_transformed_are_planned_until_they_are_there():
    vgg, image = VGG(), torch.rand(1, 3, 64, 64)
    before = run_memory(vgg, LAYERS, (64, 64))
    vgg.read(image, [(layer, torch.Tensor.sum) for layer in LAYERS])
    made = sum(U.numel() * U.element_size() for _, _, U in vgg.transforms.values())
    assert before - run_memory(vgg, LAYERS, (64, 64)) == made > 1e8


def test_a_run_divides_its_image_by_itself_where_memory_is_short(monkeypatch):
    monkeypatch.setattr("nstlab.memory.free_memory", lambda device: 5 * 10**7)
    seen = []
    stylize("horses", "great_wave", watch=seen.append, size=320, steps=0, coarse_to_fine=False)
    from nstlab.transfer import stylize_run

    run = stylize_run("horses", "great_wave", size=320, steps=0, coarse_to_fine=False)
    assert len(run.objectives[-1].tiles) > 1 and seen[0].image.shape[3] == 320
