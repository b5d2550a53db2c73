"""Evaluation by tiles: the same losses and gradient, in less memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.base.files.architecture import places_of
from nstlab.engine import buffers
from nstlab.engine.evaluation import evaluate, plan
from nstlab.engine.memory import PEAK, PEAK_FLOAT16, WORKSPACE, evaluation_memory, fitting_tile, free_memory, run_memory
from nstlab.engine.network import KEPT, read
from nstlab.engine.tiles import ALIGNED, GRID, halo, tiles
from nstlab.images import load_image
from nstlab.objective import Objective
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.terms import Term
from nstlab.transfer import stylize, stylize_run
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG

LAYERS = (CONTENT_LAYER, *STYLE_LAYERS)


@settings(deadline=None)
@given(st.integers(32, 900), st.integers(32, 900), st.integers(1, 20), st.sampled_from([0, 16, 64]))
def test_tiles_cover_every_pixel_once_lie_on_the_grid_and_keep_their_size(H, W, n, margin):
    covered = torch.zeros(H, W)
    for t in tiles((H, W), n * GRID, margin):
        covered[t.rows, t.columns] += 1
        for span, visible, length in ((t.rows, t.visible_rows, H), (t.columns, t.visible_columns, W)):
            assert span.start % GRID == 0 and (span.stop % GRID == 0 or span.stop == length)
            assert span.stop - span.start <= n * GRID
            assert visible.start % ALIGNED == 0 and visible.stop == min(length, span.stop + margin)
            assert max(0, span.start - margin) - ALIGNED < visible.start <= max(0, span.start - margin)
    assert (covered == 1).all()


def test_without_its_halo_a_tile_would_be_wrong(vgg):
    layer, image = "conv4_1", load_image("horses", size=160)
    whole = vgg(image, [layer])[layer]
    error = {}
    for around in (0, halo(vgg, [layer])):
        t = tiles((image.shape[2], image.shape[3]), 64, around)[1]
        (F,) = read(vgg, t.visible(image), [(layer, lambda F: F)], t.interior)
        error[around] = (F - t.part(whole, layer)).norm() / t.part(whole, layer).norm()
    assert error.pop(0) > 0.05 and max(error.values()) < 1e-4


def test_no_pixel_beyond_the_halo_reaches_a_response():
    vgg, layer = VGG(weights="random"), "conv5_1"
    image = torch.rand(1, 3, 272, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    place = vgg(image, [layer])[layer][..., 8, 0].sum()  # the place of rows 128 to 143
    rows = torch.autograd.grad(place, image)[0].abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[0] >= 128 - halo(vgg, [layer]) and rows[-1] < 144 + halo(vgg, [layer])


def test_stylize_takes_a_tile_and_gives_the_same_picture(vgg):
    whole, tiled = (
        stylize("horses", "great_wave", size=96, steps=2, coarse_to_fine=False, vgg=vgg, tile=tile)
        for tile in (None, 48)
    )
    torch.testing.assert_close(tiled.image, whole.image, atol=1e-3, rtol=0)


@pytest.mark.parametrize("tile", [0, 8, 100, -16, "all"])
def test_a_tile_off_the_grid_is_refused(vgg, tile):
    with pytest.raises(ValueError, match="multiple of 16"):
        plan(style_transfer_objective(vgg, torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), tile=tile))


def test_a_term_that_needs_the_whole_image_is_refused_by_name(vgg):
    term = Term(lambda image, F: F["conv1_1"].max(), ("conv1_1",))
    with pytest.raises(ValueError, match="peak"):
        evaluate(Objective({"peak": term}, {"peak": 1.0}, (64, 64), vgg, tile=32), torch.rand(1, 3, 64, 64))


def test_the_tile_chosen_is_the_largest_that_fits(vgg):
    size = (2048, 3072)
    assert fitting_tile(vgg, LAYERS, size, run_memory(vgg, LAYERS, size)) is None
    memory = run_memory(vgg, LAYERS, size) // 2
    tile = fitting_tile(vgg, LAYERS, size, memory)
    assert run_memory(vgg, LAYERS, size, tile) <= memory < run_memory(vgg, LAYERS, size, tile + ALIGNED)
    assert fitting_tile(vgg, LAYERS, size, 0) == 256


def test_bfloat16_is_planned_with_half_the_memory(vgg):
    short, exact = (evaluation_memory(vgg, LAYERS, (512, 512), None, p) - WORKSPACE for p in ("bfloat16", "float32"))
    assert 2 * short == pytest.approx(exact, abs=2)


def test_max_pooling_is_planned_with_more():
    least, more = (evaluation_memory(VGG(pooling=p), LAYERS, (512, 512)) for p in ("avg", "max"))
    assert least < more < 1.4 * least


def test_float16_is_planned_with_a_wide_copy_of_what_is_read(vgg):
    half, wide = (evaluation_memory(vgg, LAYERS, (512, 512), None, p) - WORKSPACE for p in ("bfloat16", "float16"))
    copies = sum(vgg.convolution(layer).out_channels * places_of(layer, (512, 512)) * 4 for layer in LAYERS)
    assert wide / PEAK_FLOAT16 - half / PEAK["avg"] == pytest.approx(copies, abs=2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory_for_filters_is_planned_until_they_are_prepared(precision):
    vgg, image = VGG(), torch.rand(1, 3, 64, 64)
    before = run_memory(vgg, LAYERS, (64, 64), None, precision)
    read(vgg, image, [(layer, torch.Tensor.sum) for layer in LAYERS], precision=precision)
    layers = [kept.layer for kept in KEPT[vgg].values()]
    made = sum(layer.U.nbytes for layer in layers if layer.U is not None)
    made += sum(layer.weight.nbytes for layer in layers) if precision == "bfloat16" else 0
    assert before - run_memory(vgg, LAYERS, (64, 64), None, precision) == made > 5e7


def test_a_run_uses_tiles_if_memory_is_short(vgg, monkeypatch):
    read(vgg, torch.rand(1, 3, 64, 64), [(layer, torch.Tensor.sum) for layer in LAYERS])  # prepares the filters
    smallest = run_memory(vgg, LAYERS, (320, 320), 256)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": smallest}))
    run = stylize_run("horses", "great_wave", size=320, steps=0, vgg=vgg, precision="float32", coarse_to_fine=False)
    assert len(plan(run.objectives[-1]).tiles) > 1


def test_the_unused_part_of_the_buffer_counts_as_free_memory(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": 5}))
    monkeypatch.setattr(buffers, "free_bytes", lambda: 7)
    assert free_memory(torch.device("cpu")) == 12


def test_what_pytorch_keeps_unused_on_a_gpu_counts_as_free_memory(monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10, 100))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 7)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: 4)
    assert free_memory(torch.device("cuda")) == 13
