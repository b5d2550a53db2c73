"""Figures of regions and photographs."""

import torch

from nstlab.control.photographs import STAGES, Photograph
from nstlab.notebook.region_figures import LINE, PALETTE, STRENGTH, outlined, rgb, show_photograph, show_regions, tinted
from nstlab.preparation.regions import Regions


def halves():
    masks = torch.zeros(2, 1, 32, 48)
    masks[0, ..., :24], masks[1, ..., 24:] = 1, 1
    return masks


def test_each_region_has_its_color_in_both_images_and_in_the_key():
    black, regions = torch.zeros(1, 3, 32, 48), Regions(halves(), halves().flip(3), ("sky", "<land>"))
    both = show_regions(black, torch.zeros(1, 3, 64, 96), regions)
    assert both.key == {"sky (50%)": PALETTE[0], "<land> (50%)": PALETTE[1]} and list(both.images) == [
        "content",
        "style",
    ]
    assert f'background:{PALETTE[1]}"></span> &lt;land&gt; (50%)' in both.html("two halves")
    shown = tinted(black, regions.content)
    first, second = (STRENGTH * torch.tensor(rgb(color)) for color in PALETTE[:2])
    assert torch.allclose(shown[0, :, 0, 0], first) and torch.allclose(shown[0, :, 0, 40], second)
    assert len(show_regions(black, torch.zeros(1, 3, 9, 9), Regions(halves())).images) == 1


def test_what_no_region_covers_stays_gray():
    image = torch.rand(1, 3, 32, 48)
    shown = tinted(image, halves()[:1])
    assert torch.allclose(shown[..., 24:], image.mean(1, keepdim=True).expand(1, 3, 32, 48)[..., 24:])


def test_a_chosen_region_gets_a_line_inside_its_border_black_then_white():
    image = torch.full((1, 3, 32, 48), 0.5)
    shown = outlined(image, halves(), [1])
    black, white = LINE // 2, LINE - LINE // 2
    assert shown[0, 0, 16, 24:].tolist() == [
        *[0.0] * black, *[1.0] * white, *[0.5] * (24 - 2 * LINE), *[1.0] * white, *[0.0] * black
    ]  # fmt: skip
    assert torch.equal(shown[..., :24], image[..., :24]) and torch.equal(outlined(image, halves(), []), image)


def test_what_no_region_covers_gets_no_line():
    image = torch.full((1, 3, 32, 48), 0.5)
    assert torch.equal(outlined(image, halves()[:1], [0])[..., 24:], image[..., 24:])


def test_a_strip_has_every_stage_with_its_seconds():
    stages = {stage: torch.rand(1, 3, 32, 48) for stage in STAGES}
    seconds = {stage: float(n) for n, stage in enumerate(STAGES)}
    result = Photograph(stages["photograph"], [], False, stages=stages, seconds=seconds)
    strip = show_photograph(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 64), result)
    assert list(strip.images) == ["content", "style", *(f"{stage}, {n} s" for n, stage in enumerate(STAGES))]
