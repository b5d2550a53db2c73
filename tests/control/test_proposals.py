"""Regions without drawing: like meets like, borders follow edges."""

from itertools import permutations

import pytest
import torch
from torch import Tensor

from nstlab.base.files.sample_images import IMAGES
from nstlab.control.proposals import MANY, SMALL, joined, k_means, propose_regions
from nstlab.images import load_image
from nstlab.preparation.regions import Regions, load_regions, on_grid


def agreement(proposed: Regions, drawn: Regions) -> float:
    """The mean intersection over union of drawn regions and their proposals, paired as well as possible."""
    both = []
    for masks, hand in ((proposed.content, drawn.content), (proposed.style, drawn.style)):
        A, B = (one_hot(m) for m in (on_grid(hand, masks.shape[2:]), masks))
        common = torch.einsum("ahw,bhw->ab", A, B)
        both.append(common / (A.sum((1, 2))[:, None] + B.sum((1, 2))[None] - common))
    IoU = torch.stack(both).mean(0)
    R, K = IoU.shape
    return max(sum(float(IoU[r, p[r]]) for r in range(R) if p[r] < K) / R for p in permutations(range(max(R, K)), R))


def one_hot(masks: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(masks[:, 0].argmax(0), len(masks)).permute(2, 0, 1).float()


@pytest.mark.parametrize(
    "content, style, least",
    [("berlin_day", "berlin_dusk", 0.4), ("hills_summer", "hills_autumn", 0.6)],
)
def test_like_meets_like(content, style, least, vgg):
    drawn = load_regions(*(IMAGES / "labels" / f"{name}.png" for name in (content, style)))
    assert agreement(propose_regions(content, style, vgg=vgg), drawn) > least


def test_sky_meets_sky_and_the_masks_are_those_of_one_image(vgg):
    regions = propose_regions("hills_summer", "hills_autumn", k=3, vgg=vgg)
    assert len(regions) == 3 and max(regions.content.shape[2:]) == 320
    torch.testing.assert_close(regions.style.sum(0), torch.ones(1, *regions.style.shape[2:]))
    top = regions.content[:, :, :30].mean((1, 2, 3)).argmax()
    assert top == regions.style[:, :, :30].mean((1, 2, 3)).argmax()
    assert min(regions.content.mean((1, 2, 3)).min(), regions.style.mean((1, 2, 3)).min()) > SMALL / 2


def test_the_same_image_twice_gets_the_same_regions(vgg):
    berlin = load_image("berlin_day", size=160)
    regions = propose_regions(berlin, berlin, vgg=vgg)
    assert torch.equal(regions.content, regions.style) and len(regions) > 1


def test_k_means_finds_separate_clusters():
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(3).repeat_interleave(50)
    X = 10 * torch.eye(4)[:, :3][:, truth] + torch.randn(4, 150, generator=generator)
    labels = k_means(X, 3, seed=1)
    assert all(len(labels[truth == c].unique()) == 1 for c in range(3)) and len(labels.unique()) == 3


def test_a_cluster_in_one_image_alone_joins_its_nearest_neighbor():
    X = torch.tensor([[0.0] * 10 + [5.0] * 10 + [6.0] * 10])
    labels, side = torch.arange(3).repeat_interleave(10), torch.tensor(([0] * 5 + [1] * 5) * 2 + [0] * 10)
    assert joined(X, labels, side, k=3).tolist() == [0] * 10 + [1] * 20
    assert joined(X, labels, side, k=1).unique().tolist() == [0]


@pytest.mark.parametrize("k", [0, MANY + 1, 2.0, True, "many"])
def test_other_numbers_of_regions_are_refused(k):
    with pytest.raises(ValueError, match=r"a number of regions, or 'auto'.* must be a whole number from 1 to 10"):
        propose_regions("horses", "great_wave", k=k)


def test_one_color_is_one_region(vgg):
    assert len(propose_regions(torch.full((1, 3, 64, 64), 0.5), load_image("great_wave", size=96), vgg=vgg)) >= 1
