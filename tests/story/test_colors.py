"""Colors: what is kept, what is matched, several styles and their scale."""

import pytest
import torch

from nstlab.images import load_image, resize
from nstlab.notebook.run_display import seconds_left
from nstlab.preparation.colors import GAIN, color_statistics, luminance, match_colors, match_luminance, with_luminance
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize, stylize_run


def test_color_match_gives_the_targets_mean_and_covariance():
    generator = torch.Generator().manual_seed(0)
    image, target = (0.4 + 0.2 * torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    target = target * torch.tensor([1.0, 0.8, 0.6]).view(1, 3, 1, 1)
    matched = match_colors(image, target)
    (mean, K), (target_mean, L) = color_statistics(matched), color_statistics(target)
    torch.testing.assert_close(mean, target_mean, rtol=0, atol=1e-5)
    torch.testing.assert_close(K, L, rtol=0, atol=2e-2 * L.trace().item())  # color_scale adds 1e-3 to the diagonals


def test_color_match_of_a_region_measures_only_its_pixels():
    image = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    image[..., 32:] = image[..., 32:] / 8
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., :32] = 1
    left = match_colors(image, image / 2, mask, mask)[..., :32]
    torch.testing.assert_close(left, image[..., :32] / 2, rtol=0, atol=0.01)


def test_color_match_never_stretches_more_than_its_gain():
    gray = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)).repeat(1, 3, 1, 1) * 0.1 + 0.45
    image = gray + 1e-3 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    matched = match_colors(image, load_image("night_cafe", size=64))
    tint = matched - matched.mean(1, keepdim=True)
    before = image - image.mean(1, keepdim=True)
    assert (tint - tint.mean((2, 3), keepdim=True)).std() < 1.01 * GAIN * before.std()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_color_stays_finite(value):
    flat, target = torch.full((1, 3, 32, 32), value), load_image("great_wave", size=64)
    for image in (match_colors(flat, target), match_colors(target, flat), match_luminance(flat, target)):
        assert bool(torch.isfinite(image).all())


def test_content_colors_keep_chroma_where_nothing_is_clipped():
    content = load_image("neuschwanstein", size=96)
    run = stylize_run("neuschwanstein", "starry_night", size=96, steps=3, color="content")
    for step in run:
        unclipped = ((step.image > 0) & (step.image < 1)).all(1)
        photograph = resize(content, step.size)
        for of_channel in (0, 2):  # R - Y and B - Y
            before, after = ((x[:, of_channel] - luminance(x)[:, 0])[unclipped] for x in (photograph, step.image))
            torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert (luminance(run.image) - luminance(content)).abs().mean() > 0.02
    assert unclipped.float().mean() > 0.5


def test_matched_colors_come_from_the_content():
    content = load_image("horses", size=64)
    own, matched = (
        stylize("horses", "great_wave", size=64, steps=4, color=color).image for color in ("style", "match")
    )
    (mean, _), (of_own, _), (of_matched, _) = map(color_statistics, (content, own, matched))
    assert (of_matched - mean).norm() < 0.6 * (of_own - mean).norm()


def test_with_luminance_enlarges_the_colors():
    small, Y = torch.rand(1, 3, 8, 8), torch.full((1, 1, 16, 16), 0.5)
    assert with_luminance(small, Y).shape == (1, 3, 16, 16)


def test_unknown_colors_and_scales_are_refused():
    with pytest.raises(ValueError, match="color='Content' is not known; choose"):
        stylize_run("horses", "great_wave", size=64, steps=1, color="Content")
    for scale in (0, -1, 11, float("nan")):
        with pytest.raises(ValueError, match=r"style_scale=.* must be a finite number from 0.1 to 10"):
            stylize_run("horses", "great_wave", size=64, steps=1, style_scale=scale)


def test_a_mixture_is_the_mean_of_the_gram_matrices_and_falls_like_the_sum_of_both_losses(vgg):
    content, *styles = (load_image(name, size=64) for name in ("horses", "great_wave", "night_cafe"))
    mixed = style_transfer_objective(vgg, content, styles, style_mix=[3, 1], exact=True)
    one, other = (style_transfer_objective(vgg, content, S, exact=True) for S in styles)
    a, b = (torch.rand(content.shape, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    sums = [0.75 * one(x)[0]["style"] + 0.25 * other(x)[0]["style"] for x in (a, b)]
    assert (mixed(a)[0]["style"] - mixed(b)[0]["style"]).item() == pytest.approx((sums[0] - sums[1]).item(), rel=1e-3)
    only = style_transfer_objective(vgg, content, styles, style_mix=[1, 0], exact=True)
    assert only(a)[0]["style"].item() == pytest.approx(one(a)[0]["style"].item(), rel=1e-5)


@pytest.mark.parametrize("mix", [[1], [1, 1, 1], [-1, 2], [0, 0], [float("nan"), 1]])
def test_shares_that_do_not_fit_are_refused(mix):
    with pytest.raises(
        ValueError, match=r"style_mix=.* must be (one share from 0 up for each of the 2|a finite number)"
    ):
        stylize_run("horses", ["great_wave", "night_cafe"], size=64, steps=1, style_mix=mix)


def test_style_scale_changes_the_size_of_the_style_image_at_every_size():
    run = stylize_run("horses", "great_wave", size=128, steps=1, style_scale=0.5)
    assert [max(objective.images["style"].shape[2:]) for objective in run.objectives] == [32, 64]
    run = stylize_run("horses", "great_wave", size=64, steps=1, style_scale=1.5)
    assert max(run.objectives[-1].images["style"].shape[2:]) == 96


def test_total_variation_is_the_equation_and_makes_a_pastiche_smoother():
    smooth, rough = (
        stylize("horses", "great_wave", size=64, steps=6, total_variation_weight=weight).image for weight in (10.0, 0.0)
    )

    def variation(x):
        return (x[..., 1:] - x[..., :-1]).square().sum() + (x[..., 1:, :] - x[..., :-1, :]).square().sum()

    assert variation(smooth) < 0.7 * variation(rough)
    run = stylize_run("neuschwanstein", "great_wave", size=64, steps=0, total_variation_weight=1.0)
    image = next(run).image
    assert run.history[0].losses["total_variation"] == pytest.approx(
        variation(image).item() / image[0, 0].numel(), rel=1e-4
    )


def grain(image):
    """Standard deviation of the tint of a pixel from the mean of its 3 x 3 neighbors."""
    tint = image - image.mean(1, keepdim=True)
    around = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(tint, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (tint - around).std().item()


@pytest.mark.parametrize("style", ["starry_night", "great_wave"])
def test_a_flat_area_has_little_more_color_grain_than_the_style(style):
    """From noise in all colors it has 3.4 and 3.6 times the style's."""
    sky = torch.linspace(0.45, 0.75, 96).view(1, 1, 96, 1) * torch.tensor([0.8, 0.9, 1.0]).view(1, 3, 1, 1)
    result = stylize(sky.expand(1, 3, 96, 96), style, size=96)
    assert grain(result.image) < 1.6 * grain(load_image(style, size=96))


def test_noise_has_the_mean_color_of_the_style_image():
    run = stylize_run("horses", "night_cafe", size=64, steps=0)
    (mean, K), (style_mean, L) = color_statistics(next(run).image), color_statistics(load_image("night_cafe", size=64))
    assert (mean - style_mean).norm() < 0.03 and (K - L).norm() < 0.3 * L.norm()


def test_a_run_in_the_contents_colors_still_knows_the_sizes_to_come():
    colored, plain = (stylize_run("horses", "great_wave", size=96, steps=2, color=c) for c in ("content", "style"))
    next(plain)
    next(colored)
    assert seconds_left(colored, plain.history) == seconds_left(plain, plain.history)
