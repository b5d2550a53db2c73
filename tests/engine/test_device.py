"""The device of NSTLAB_DEVICE, or else the best there is, computes what a CPU computes: `make gpu` runs this."""

import pytest
import torch

from nstlab.base.numerics.devices import default_device
from nstlab.engine.precision import PRECISIONS
from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.objective import Objective, Point
from nstlab.photorealism import photorealize
from nstlab.preparation.regions import Regions
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize
from nstlab.vgg import VGG

# relative tolerance of losses and gradient, by precision; a device may round float32 products as TF32 does
WITHIN = {"float32": (1e-2, 3e-2), "bfloat16": (3e-2, 6e-2), "float16": (1e-2, 3e-2)}
CONTENT, STYLE = load_image("horses", size=96), load_image("great_wave", size=64)
IMAGE = (CONTENT + torch.rand(CONTENT.shape, generator=torch.Generator().manual_seed(0))) / 2
SOFT = torch.rand(2, 1, *CONTENT.shape[2:], generator=torch.Generator().manual_seed(1))
REGIONS = {"one": None, "two": Regions(SOFT / SOFT.sum(0), torch.ones(2, 1, *STYLE.shape[2:]) / 2)}


def objective_on(vgg: VGG, regions: Regions | None, **how) -> Objective:
    """An objective with every kind of term that the package has, in the network's type and on its device."""
    pictures = (x.to(vgg.mean) for x in (CONTENT, STYLE))
    return style_transfer_objective(
        vgg, *pictures, regions=regions, photorealism_weight=10.0, total_variation_weight=0.1, **how
    )


@pytest.fixture(scope="module", params=["avg", "max"])
def pooling(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def on_the_device(pooling) -> VGG:
    return VGG(pooling=pooling).to(default_device())


@pytest.fixture(scope="module", params=REGIONS)
def expected(request, pooling) -> tuple[Regions | None, Point]:
    """The regions, and what autograd finds on a CPU."""
    regions = REGIONS[request.param]
    return regions, objective_on(VGG(pooling=pooling), regions).textbook(IMAGE)


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_evaluation_equals_the_textbook_on_a_cpu(precision, tile, on_the_device, expected):
    regions, book = expected
    objective = objective_on(on_the_device, regions, precision=precision, tile=tile)
    point = objective.at(IMAGE.to(on_the_device.mean))
    losses, gradient = WITHIN[precision]
    assert point.gradient.device == on_the_device.mean.device
    assert point.losses == pytest.approx(book.losses, rel=losses)
    assert (point.gradient.cpu() - book.gradient).norm() < gradient * book.gradient.norm()


def test_the_matting_laplacian_and_its_solution_equal_those_in_float64_on_a_cpu():
    M, exact = MattingLaplacian(CONTENT.to(default_device())), MattingLaplacian(CONTENT, dtype=torch.float64)
    x = IMAGE.to(default_device())
    for got, true in ((M @ x, exact @ IMAGE.double()), (M.solve(x, 100.0), exact.solve(IMAGE.double(), 100.0, 1e-6))):
        assert got.device == x.device
        assert (got.cpu() - true).norm() < 2e-3 * true.norm()


def test_a_pastiche_becomes_the_same_photograph_as_on_a_cpu():
    there, here = photorealize(IMAGE, CONTENT, weight=100.0), photorealize(IMAGE, CONTENT, weight=100.0, device="cpu")
    assert (there.image - here.image).norm() < 2e-3 * here.image.norm()


def test_a_run_is_on_the_device_and_gives_its_image_on_the_cpu():
    result = stylize("horses", "great_wave", size=64, steps=3)
    assert result.image.device == torch.device("cpu")
    assert result.history[-1].total < result.history[0].total
