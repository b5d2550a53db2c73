"""The measures are the published ones: the same numbers as other people's code, and the right ones where one knows."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from nstlab.base.records import Result
from nstlab.control.measures import STYLE_LAYERS, edges, frechet_distance, gram_distance, measure, ssim
from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.losses import equal_weights
from nstlab.preparation.regions import Regions
from nstlab.preparation.style_transfer import style_transfer_objective


@pytest.fixture(scope="module")
def images():
    """A content image, a result that is nearer to the style, and the style image, all with 96 pixels."""
    content, style = load_image("horses", 96), load_image("great_wave", 96)
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    return content, 0.7 * content + 0.3 * noise, style


def halves(content, style) -> Regions:
    """A left region of a third of the content image, and a right one; the two halves of the style image."""
    left, upper = torch.zeros(1, 1, *content.shape[2:]), torch.zeros(1, 1, *style.shape[2:])
    left[..., : left.shape[3] // 3], upper[..., : upper.shape[2] // 2, :] = 1, 1
    return Regions(torch.cat([left, 1 - left]), torch.cat([upper, 1 - upper]), ("left", "right"))


@pytest.mark.parametrize("data_range", [1.0, 0.25])
def test_ssim_is_that_of_scikit_image(images, data_range):
    content, result, _ = images
    x, y = edges(result), edges(content)
    theirs = structural_similarity(
        x[0, 0].double().numpy(),
        y[0, 0].double().numpy(),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert theirs < 0.9
    assert ssim(x, y, data_range).item() == pytest.approx(theirs, abs=1e-12)


def test_edges_are_those_of_scikit_image(images):
    content = images[0]
    Y = (content * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)[0].double()
    assert np.abs(edges(content)[0, 0].numpy() - sobel(Y.numpy())).max() < 1e-6


@pytest.mark.parametrize("x, y", [((1, 1, 20, 20), (1, 1, 20, 21)), ((1, 3, 20, 20),) * 2, ((1, 1, 10, 20),) * 2])
def test_ssim_names_the_shapes_that_it_refuses(x, y):
    with pytest.raises(ValueError, match=r"ssim: x is \(1, ") as error:
        ssim(torch.rand(x), torch.rand(y))
    assert str(y) in str(error.value)


def test_the_content_image_itself_keeps_everything_and_reaches_nothing(images, vgg):
    content, _, style = images
    found = measure(content, content, style, vgg=vgg)
    assert 0 <= found.energy_per_pixel < 1e-5 and found.ssim == pytest.approx(1)
    assert found.gram_distance == pytest.approx(dict.fromkeys(STYLE_LAYERS, 1.0))


def test_the_style_image_itself_reaches_the_style(images, vgg):
    style = images[2]
    found = measure(style, style.flip(3), style, vgg=vgg)
    assert found.color_distance == pytest.approx({"all": 0.0}, abs=1e-6)
    assert max(found.gram_distance.values()) < 1e-6


def test_energy_is_equation_5_per_pixel(images, vgg):
    content, result, style = images
    dense = MattingLaplacian(content, dtype=torch.float64).to_sparse().to_dense()
    x = result[0].double().flatten(1)
    energy = torch.einsum("cp,pq,cq->", x, dense, x).item() / x.shape[1]
    assert measure(result, content, style, vgg=vgg).energy_per_pixel == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize("with_regions", [False, True])
def test_gram_distances_are_the_style_loss_of_the_objective(images, vgg, with_regions):
    content, result, style = images
    regions = halves(content, style) if with_regions else None
    objective = style_transfer_objective(vgg, content, style, regions=regions)
    found = measure(result, content, style, regions, vgg).gram_distance
    assert tuple(found) == STYLE_LAYERS
    loss = sum(w * found[layer] for layer, w in equal_weights(STYLE_LAYERS).items())
    assert loss == pytest.approx(objective(result)[0]["style"].item(), rel=1e-3)


def test_gram_distance_divides_by_no_zero():
    one, zero = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    assert gram_distance(zero, zero, zero, torch.ones(1)) == 0
    assert gram_distance(2 * one, one, one, torch.ones(1)) == pytest.approx(1000)  # 1 / BOUND


def test_frechet_distance_is_the_formula_with_matrix_roots():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(3, 3, generator=generator).double() for _ in range(2))
    m, n = (torch.rand(3, generator=generator).double() for _ in range(2))
    K, L = a @ a.T, b @ b.T
    root = sqrtm(K.numpy())
    cross = np.trace(sqrtm(root @ L.numpy() @ root)).real
    square = (m - n).square().sum().item() + (K + L).trace().item() - 2 * cross
    assert frechet_distance(m, K, n, L) == pytest.approx(math.sqrt(square), rel=1e-9)
    flat = torch.diag(torch.tensor([1.0, 0.0, 0.0]).double())  # one color direction: the covariance is singular
    assert frechet_distance(m, flat, m, 4 * flat) == pytest.approx(1)


def test_color_distance_compares_each_region_with_its_own_part_of_the_style(images, vgg):
    content, _, style = images
    regions = halves(content, style)
    colors = torch.tensor([0.2, 0.9]).view(2, 1, 1, 1)  # left and right, upper and lower half
    result, painted = ((masks * colors).sum(0, keepdim=True).repeat(1, 3, 1, 1) for _, masks in regions.sides())
    found = measure(result, content, painted, regions, vgg).color_distance
    assert found == pytest.approx({"left": 0.0, "right": 0.0}, abs=1e-6)
    swapped = Regions(regions.content, regions.style.flip(0), regions.names)
    found = measure(result, content, painted, swapped, vgg).color_distance
    assert found == pytest.approx(dict.fromkeys(("left", "right"), 0.7 * math.sqrt(3)), rel=1e-5)


def test_regions_without_masks_of_the_style_take_a_style_image_each(images, vgg):
    content, result, style = images
    regions = Regions(halves(content, style).content, names=("left", "right"))
    styles = [style, load_image("night_cafe", 96)]
    both = measure(result, content, styles, regions, vgg)
    assert measure(result, content, styles[::-1], regions, vgg).color_distance != both.color_distance
    with pytest.raises(ValueError, match="style images is 1, expected 2"):
        measure(result, content, style, regions, vgg)
    with pytest.raises(ValueError, match="style images is 2, expected 1"):
        measure(result, content, styles, vgg=vgg)


def test_a_result_object_and_a_large_style_image_are_taken_as_stylize_takes_them(images, vgg):
    content, result, _ = images
    of_files = measure(Result(result, []), content, "great_wave", vgg=vgg)
    assert of_files == measure(result, content, load_image("great_wave", 96), vgg=vgg)


def test_two_sizes_are_named_with_the_way_out(images, vgg):
    content, _, style = images
    small = load_image("horses", 64)
    with pytest.raises(ValueError, match=r"64 x \d+ pixels, the content image 96 x \d+.*resize\(.*, \(\d+, 64\)\)"):
        measure(small, content, style, vgg=vgg)


def test_masks_of_another_shape_are_refused(images, vgg):
    content, result, style = images
    with pytest.raises(ValueError, match="aspect ratio"):
        measure(result, content, style, halves(content.transpose(2, 3), style), vgg)


def test_the_table_is_aligned(images, vgg):
    content, result, style = images
    lines = str(measure(result, content, style, vgg=vgg)).splitlines()
    assert len(lines) == 2 + len(STYLE_LAYERS) + 1
    assert len({len(line) for line in lines}) == 1 and "nan" not in "".join(lines)
