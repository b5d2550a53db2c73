"""Photographs: every stage is its equation, and the result is a photograph in the other one's light."""

import pytest
import torch

from nstlab.base.files.sample_images import IMAGES
from nstlab.control import photographs
from nstlab.control.photographs import (
    STAGES,
    color_match,
    contrast_match,
    moments,
    photograph,
)
from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.preparation.colors import color_statistics
from nstlab.preparation.regions import Regions, load_regions

DAY, NIGHT = "waterfront_day", "waterfront_night"
SUMMER, AUTUMN = "hills_summer", "hills_autumn"


def drawn(content, style):
    return load_regions(*(IMAGES / "labels" / f"{name}.png" for name in (content, style)))


@pytest.fixture(scope="module")
def result():
    return photograph(DAY, NIGHT, drawn(DAY, NIGHT), size=192, steps=(3, 2))


def energy(image):
    return MattingLaplacian(load_image(DAY, size=192)).energy(image).item()


def test_every_stage_is_kept_in_order_with_its_time(result):
    assert tuple(result.stages) == STAGES == tuple(result.seconds)
    assert torch.equal(result.image, result.stages["photograph"])
    assert list(result.seconds.values()) == sorted(result.seconds.values())
    assert all(
        image.shape == (1, 3, 128, 192) and 0 <= image.min() <= image.max() <= 1 for image in result.stages.values()
    )
    assert len(result.history) == 6 and {record.size for record in result.history} == {(64, 96), (128, 192)}


def test_it_is_a_photograph_again_and_its_sky_is_night(result):
    assert energy(result.image) < energy(result.stages["approach 1"]) / 50
    assert energy(result.stages["preview"]) < energy(result.stages["color match"]) / 10
    sky = result.regions.names.index("blue")
    of_content, of_result, of_style = (
        color_statistics(image, photographs.masks_of(masks, image)[sky : sky + 1])[0]
        for image, masks in (
            (load_image(DAY, size=192), result.regions.content),
            (result.image, result.regions.content),
            (load_image(NIGHT), result.regions.style),
        )
    )
    assert (of_result - of_style).norm() < 0.2 * (of_content - of_style).norm()


def test_color_match_gives_every_region_the_colors_of_its_style():
    content, style, regions = load_image(DAY, size=192), load_image(NIGHT, size=192), drawn(DAY, NIGHT)
    matched = color_match(content, style, regions)
    for m, s in zip(photographs.masks_of(regions.content, content).split(1), regions.style.split(1), strict=True):
        inside = (m > 0.999).float()
        mean, target = color_statistics(matched, inside)[0], color_statistics(style, photographs.masks_of(s, style))[0]
        assert (mean - target).norm() < 0.06


def test_contrast_match_gives_mean_and_deviation_of_the_target():
    x, target = (0.3 + 0.3 * torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    halves = torch.zeros(2, 1, 32, 48)
    halves[0, ..., :20], halves[1, ..., 20:] = 1, 1
    target = target * torch.where(halves[0] > 0, 0.5, 1.2)
    matched = contrast_match(x, target, Regions(halves))
    for m in halves.split(1):
        for got, expected in zip(moments(matched, m), moments(target, m), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_preview_is_shown_before_the_first_step():
    seen = []
    photograph(
        SUMMER,
        AUTUMN,
        drawn(SUMMER, AUTUMN),
        seen.append,
        size=96,
        steps=(1, 0),
        preview=lambda image: seen.append("preview"),
    )
    assert seen[0] == "preview" and [step.index for step in seen[1:]] == [0, 1]


def test_after_ctrl_c_the_other_stages_follow():
    def stop(step):
        if step.index == 2:
            raise KeyboardInterrupt

    result = photograph(SUMMER, AUTUMN, drawn(SUMMER, AUTUMN), stop, size=96, steps=(5, 5))
    assert result.interrupted and len(result.history) == 3 and tuple(result.stages) == STAGES


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="no masks of the style image; it needs both"):
        photograph(SUMMER, AUTUMN, Regions(torch.ones(1, 1, 64, 96)), size=96)
    with pytest.raises(ValueError, match="content_weight=-1"):
        photograph(SUMMER, AUTUMN, size=96, content_weight=-1)
    with pytest.raises(ValueError, match="masks of the content image have 20 x 20 pixels"):
        photograph(SUMMER, AUTUMN, Regions(torch.ones(1, 1, 20, 20), torch.ones(1, 1, 20, 30)), size=96)
