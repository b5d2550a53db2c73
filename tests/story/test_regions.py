"""Regions: label pictures, masks, and the style loss of each region."""

import numpy as np
import pytest
import torch
from PIL import Image

from nstlab.images import ImageError, load_image
from nstlab.losses import mean_gram_matrix
from nstlab.objective import Objective
from nstlab.preparation.region_style import region_gram_matrices
from nstlab.preparation.regions import Regions, load_regions, on_grid
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize, stylize_run
from nstlab.vgg import STYLE_LAYERS

HALVES = torch.zeros(2, 1, 48, 64)
HALVES[0, ..., :32], HALVES[1, ..., 32:] = 1, 1


def picture(*colors, size=(90, 60), mode="RGB"):
    """A label picture of vertical stripes."""
    stripes = np.zeros((40, 10 * len(colors), 3), np.uint8)
    for k, color in enumerate(colors):
        stripes[:, 10 * k : 10 * k + 10] = color
    return Image.fromarray(stripes).resize(size, Image.Resampling.NEAREST).convert(mode)


RED, GREEN, BLUE, GRAY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def test_one_color_is_one_region_in_both_pictures():
    regions = load_regions(picture(RED, GREEN, GREEN), picture(GREEN, RED, size=(40, 80)))
    assert sorted(regions.names) == ["green", "red"]
    red = regions.names.index("red")
    assert regions.content.shape == (2, 1, 60, 90) and regions.style.shape == (2, 1, 80, 40)
    assert torch.equal(regions.content.sum(0), torch.ones(1, 60, 90))
    assert bool(regions.content[red, :, :, :30].all()) and not regions.content[red, :, :, 30:].any()
    assert bool(regions.style[red, :, :, 20:].all()) and regions.shares[red].item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colors_that_are_a_little_off_and_stray_pixels_join(mode):
    sharp = picture(RED, GREEN, BLUE, size=(900, 400))
    blurred = sharp.resize((171, 93), Image.Resampling.BICUBIC)  # colors between the stripes, and overshoot
    noisy = np.asarray(blurred).astype(int) + np.random.default_rng(0).integers(-9, 10, (93, 171, 3))
    noisy[5:8, 5:8] = (255, 255, 0)  # a stray label on one side
    noisy = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    regions = load_regions(noisy.quantize(200) if mode == "P" else noisy.convert(mode), sharp)
    assert sorted(regions.names) == ["blue", "green", "red"]
    assert regions.shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
    red = regions.content[regions.names.index("red")]
    assert bool(red[:, :, :50].all())


def test_numbers_and_shades_of_gray_are_told_apart_by_any_difference():
    numbers = np.array([[0, 0, 1, 2]] * 3).repeat(12, 0).repeat(12, 1)
    for source in (numbers, numbers.astype(np.uint8), torch.from_numpy(numbers), Image.fromarray(numbers.astype("u1"))):
        regions = load_regions(source, source)
        assert regions.names == ("0", "1", "2") and regions.shares.tolist() == [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    "content, style, message",
    [
        (picture(RED, GREEN), picture(RED, RED), r"green \(50.0%\) of the first picture has no partner"),
        (picture(RED, RED), picture(RED, BLUE), r"blue \(50.0%\) of the second picture has no partner"),
        ("red_panda", picture(RED), "the first picture is a photograph"),
        (picture(RED), "horses", "the second picture is a photograph"),
        (
            np.arange(40 * 40).reshape(40, 40),
            np.arange(1600).reshape(40, 40),
            "there are 1600 labels, expected at most",
        ),
        (picture(RED), "no_such_file.png", "no sample has this name"),
        (picture(RED), 5, "this type cannot hold a picture"),
    ],
)
def test_wrong_label_pictures_are_named(content, style, message):
    with pytest.raises(ImageError, match=message):
        load_regions(content, style)


@pytest.mark.parametrize(
    "content, style, names, message",
    [
        (HALVES, torch.ones(1, 1, 9, 9), (), "1 masks of the style image for 2 regions"),
        (HALVES[:, 0], torch.ones(2, 1, 9, 9), (), r"the content image are \(2, 48, 64\)"),
        (HALVES.bool(), torch.ones(2, 1, 9, 9), (), "torch.bool; give floats"),
        (HALVES, 2 * torch.ones(2, 1, 9, 9), (), "values outside"),
        (HALVES * torch.nan, torch.ones(2, 1, 9, 9), (), "values outside"),
        (HALVES, torch.ones(2, 1, 9, 9), ("sky",), "masks of the content image for 1 regions"),
        (HALVES, torch.stack([torch.ones(1, 9, 9), torch.zeros(1, 9, 9)]), ("a", "b"), "b is empty in the style image"),
        (HALVES[:1], torch.ones(1, 1, 9, 9), (), r"leave gaps on 50.0% of the content image"),
        (HALVES.clamp(min=0.5), torch.ones(2, 1, 9, 9), (), r"overlap on 100.0% of the content image"),
    ],
)
def test_wrong_masks_are_named(content, style, names, message):
    with pytest.raises(ValueError, match=message):
        Regions(content, style, names)


def test_a_mask_of_ones_gives_the_plain_loss(vgg):
    content, style = load_image("horses", size=64), load_image("great_wave", size=80)
    regions = Regions(torch.ones(1, 1, 5, 7), torch.ones(1, 1, 3, 3))
    for exact in (False, True):
        plain = style_transfer_objective(vgg, content, style, exact=exact)
        masked = style_transfer_objective(vgg, content, style, exact=exact, regions=regions)
        image = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        expected, got = plain.at(image), masked.at(image)
        assert got.losses == pytest.approx(expected.losses, rel=1e-5)
        assert (got.gradient - expected.gradient).norm() < 1e-4 * expected.gradient.norm()


def test_a_rectangle_gives_the_gram_matrix_of_its_crop(vgg):
    """Inside the margin that the receptive field of conv2_1 needs: the crop's responses are those of the image."""
    image = load_image("red_panda", size=96)
    inner = image[:, :, 16:56, 24:80]
    F, F_crop = vgg(image, ["conv2_1"])["conv2_1"], vgg(inner, ["conv2_1"])["conv2_1"]
    mask = torch.zeros(1, 1, *image.shape[2:])
    mask[..., 24:48, 32:72] = 1
    G = region_gram_matrices(F, on_grid(mask, F.shape[2:]))
    torch.testing.assert_close(G, mean_gram_matrix(F_crop[:, :, 4:16, 4:24]), rtol=1e-4, atol=1e-2)


def test_masks_on_a_grid_keep_their_area():
    masks = torch.rand(3, 1, 96, 64)
    for size in ((48, 32), (24, 16), (6, 4), (37, 21)):
        torch.testing.assert_close(on_grid(masks, size).mean((2, 3)), masks.mean((2, 3)), rtol=0.05, atol=0)


def test_every_region_is_in_units_of_its_own_and_counts_by_its_area(vgg):
    content, style = load_image("horses", size=64), load_image("great_wave", size=64)
    masks = HALVES.clone()
    masks[0, ..., :48], masks[1, ..., :48] = 1, 0
    regions = Regions(masks, HALVES)
    objective = style_transfer_objective(vgg, content, style, regions=regions)
    assert objective(content)[0]["style"].item() == pytest.approx(1, rel=1e-4)
    term = objective.terms["style"]
    first = type(term)(term.A, {layer: w * torch.tensor([1.0, 0.0]) for layer, w in term.w.items()}, term.masks)
    losses = Objective({"style": first}, {"style": 1.0}, (48, 64), vgg)(content)[0]
    assert losses["style"].item() == pytest.approx(0.75, rel=1e-4)


def test_one_style_image_for_each_region(vgg):
    content, styles = (
        load_image("horses", size=64),
        [load_image(name, size=64) for name in ("great_wave", "night_cafe")],
    )
    regions = Regions(HALVES)
    term = style_transfer_objective(vgg, content, styles, regions=regions).terms["style"]
    for r, S in enumerate(styles):
        plain = style_transfer_objective(vgg, content, S).terms["style"]
        for layer in STYLE_LAYERS:
            torch.testing.assert_close(term.A[layer][r : r + 1], plain.A[layer])
    with pytest.raises(ValueError, match="1 style images for 2 regions without masks"):
        style_transfer_objective(vgg, content, styles[:1], regions=regions)
    with pytest.raises(ValueError, match="without style_mix"):
        style_transfer_objective(vgg, content, styles, regions=regions, style_mix=[1, 1])


def test_a_run_with_regions_goes_from_coarse_to_fine_and_each_half_gets_its_style():
    blue, red = (
        torch.tensor(color).view(1, 3, 1, 1) * torch.rand(1, 3, 64, 64) for color in ([0.1, 0.1, 1], [1, 0.1, 0.1])
    )
    result = stylize("chenonceau_river", [blue, red], size=96, steps=12, regions=Regions(HALVES), content_weight=0.0)
    left, right = (half.mean((0, 2, 3)) for half in result.image.chunk(2, 3))
    assert left[2] > left[0] + 0.1 and right[0] > right[2] + 0.1


def test_masks_that_do_not_fit_the_images_are_told_before_the_run():
    square = Regions(torch.ones(1, 1, 20, 20), torch.ones(1, 1, 20, 20))
    with pytest.raises(ValueError, match="masks of the content image have 20 x 20 pixels, the image 64 x 48"):
        stylize_run("chenonceau_river", "great_wave", size=64, steps=1, regions=square)
    small = torch.zeros(2, 1, 48, 64)
    small[0, :, :8, :8] = 1
    small[1] = 1 - small[0]
    with pytest.raises(ValueError, match=r"sky \(64\) has fewer than 256 pixels of the content image"):
        stylize_run(
            "chenonceau_river",
            "great_wave",
            size=64,
            steps=1,
            regions=Regions(small, torch.ones(2, 1, 43, 64), ("sky", "rest")),
        )


def test_masks_that_are_none_and_an_empty_list_of_styles_are_told(vgg):
    with pytest.raises(ValueError, match="the masks of the content image are NoneType"):
        Regions(None)
    with pytest.raises(ValueError, match="the list of style images is empty"):
        stylize_run("chenonceau_river", [], size=64, steps=1)
    image, narrow = torch.rand(1, 3, 48, 64), torch.rand(1, 3, 48, 96)
    with pytest.raises(ValueError, match="masks of the style image have 64 x 48 pixels, the image 96 x 48"):
        stylize_run(image, [image, narrow], size=96, steps=1, regions=Regions(HALVES, HALVES))
