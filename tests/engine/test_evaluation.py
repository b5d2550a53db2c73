"""The engine gives what autograd gives: over every precision, tile, network, pooling, padding and term."""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from torch import Tensor

from nstlab.engine import evaluate
from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian
from nstlab.objective import Objective, Point, engine
from nstlab.preparation.region_style import RegionStyleTerm
from nstlab.preparation.regions import Regions
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.terms import ContentTerm, PhotorealismTerm, StyleTerm, Term, TotalVariationTerm
from nstlab.vgg import VGG

# relative tolerance of losses and gradient, by precision
WITHIN = {"float32": (1e-4, 2e-3), "bfloat16": (3e-2, 6e-2), "float16": (3e-3, 2e-2)}


EVERY_NETWORK = list(product(("vgg19", "vgg16"), ("avg", "max"), ("replicate", "zeros")))


@pytest.fixture(scope="module", params=EVERY_NETWORK, ids="-".join)
def network(request) -> VGG:
    """Every network, one after the other: what the engine prepares of each takes half a gigabyte."""
    return VGG(*request.param)


def image_like(content: Tensor) -> Tensor:
    """The mean of content and noise, at which no term is near 0."""
    noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
    return (content + noise) / 2


def agree(got: Point, expected: Point, losses: float, gradient: float) -> None:
    assert got.losses == pytest.approx(expected.losses, rel=losses, abs=0)
    assert got.total == pytest.approx(expected.total, rel=losses)
    assert (got.gradient - expected.gradient).norm() < gradient * expected.gradient.norm()
    assert got.gradient.dtype == expected.gradient.dtype and torch.equal(got.image, expected.image)


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("precision", WITHIN)
def test_every_precision_tile_and_network_equals_the_textbook(precision, tile, network):
    content, style = load_image("horses", size=80), load_image("great_wave", size=64)
    objective = style_transfer_objective(
        network, content, style, photorealism_weight=10.0, tile=tile, precision=precision
    )
    image = image_like(content)
    agree(objective.point(image, evaluate), objective.textbook(image), *WITHIN[precision])


@pytest.fixture(scope="module", params=["avg", "max"])
def circular(request) -> VGG:
    return VGG(pooling=request.param, padding="circular")


@pytest.mark.parametrize("size", [96, 75])  # 75 is odd at every pooling
@pytest.mark.parametrize("precision", WITHIN)
def test_circular_padding_equals_the_textbook_and_takes_no_tiles(precision, size, circular, with_engine):
    content, style = load_image("horses", size=size), load_image("great_wave", size=64)
    options = {"precision": precision}
    objective = style_transfer_objective(circular, content, style, tile=96, **options)  # a tile for the whole image
    image = image_like(content)
    agree(objective.point(image, evaluate), objective.textbook(image), *WITHIN[precision])
    with pytest.raises(ValueError, match=r"tiles of 64 with padding='circular'.*tile=None"):
        style_transfer_objective(circular, content, style, tile=64, **options)
    with pytest.raises(ValueError, match=r"tiles of 64 with padding='circular'.*tile=None"):
        evaluate(Objective(objective.terms, objective.weights, objective.size, circular, tile=64), image)


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize("precision", WITHIN)
def test_regions_equal_the_textbook(precision, tile, vgg, monkeypatch):
    content, style = load_image("horses", size=96), load_image("great_wave", size=80)
    soft = torch.rand(3, 1, *content.shape[2:], generator=torch.Generator().manual_seed(0))
    regions = Regions(soft / soft.sum(0), torch.rand(3, 1, 30, 45, generator=torch.Generator().manual_seed(1)))
    objective = style_transfer_objective(vgg, content, style, regions=regions, tile=tile, precision=precision)
    image = image_like(content)
    agree(objective.point(image, evaluate), objective.textbook(image), *WITHIN[precision])
    monkeypatch.setenv("NSTLAB_ENGINE", "plain")
    plain = style_transfer_objective(vgg, content, style, regions=regions).terms["style"]
    for layer, A in objective.terms["style"].A.items():
        assert (A - plain.A[layer]).norm() < WITHIN[precision][0] * plain.A[layer].norm()


def of_my_own(image: Tensor, F: dict[str, Tensor]) -> Tensor:
    return (F["conv2_1"].mean() - image.mean()).square()


def without_layers(image: Tensor, F: dict[str, Tensor]) -> Tensor:
    return (image - 0.5).abs().mean()


class Doubled(ContentTerm):
    """A term that looks like one the engine knows, and is another."""

    def __call__(self, image: Tensor, F: dict[str, Tensor]) -> Tensor:
        return 2 * super().__call__(image, F)


CONTENT = load_image("horses", size=96)
P = 100 * torch.rand(1, 256, CONTENT.shape[2] // 4, 24, generator=torch.Generator().manual_seed(1))
A = {"conv1_1": torch.eye(64)[None], "conv2_1": torch.eye(128)[None]}
SIZES = {"conv1_1": (CONTENT.shape[2], 96), "conv2_1": (CONTENT.shape[2] // 2, 48)}
MASKS = {layer: torch.rand(2, 1, *SIZES[layer], generator=torch.Generator().manual_seed(2)) for layer in A}
for _masks in MASKS.values():
    _masks[0, :, : _masks.shape[2] // 2] = 0  # some rows and tiles without a region
BY_REGION = {layer: torch.cat([A_l, 2 * A_l]) for layer, A_l in A.items()}
WEIGHTS = {"conv1_1": torch.tensor([0.3, 0.6]), "conv2_1": torch.tensor([0.7, 0.1])}
TERMS = {
    "content": ContentTerm("conv3_1", P, 1e-6),
    "style": StyleTerm(A, {"conv1_1": 0.3, "conv2_1": 0.7}),
    "regions": RegionStyleTerm(BY_REGION, WEIGHTS, MASKS),
    "photorealism": PhotorealismTerm(MattingLaplacian(CONTENT), 100),
    "variation": TotalVariationTerm(),
    "own": Term(of_my_own, ("conv2_1",)),
    "function": without_layers,
    "subclass": Doubled("conv3_1", P, 1e-6),
}
CHOICES = [[name] for name in TERMS] + [["content", "style", "function"], list(TERMS)]


@pytest.mark.parametrize("tile", [None, 48])
@pytest.mark.parametrize("names", CHOICES, ids="+".join)
def test_every_term_alone_and_together_equals_the_textbook(names, tile, vgg):
    terms = {name: TERMS[name] for name in names}
    weights = {name: 1.0 + k for k, name in enumerate(names)}
    size = (CONTENT.shape[2], CONTENT.shape[3])
    objective, image = Objective(terms, weights, size, vgg, tile=tile), image_like(CONTENT)
    undivided = sorted({"own", "subclass"} & set(names))
    if tile and undivided:
        with pytest.raises(ValueError, match=f"{undivided[0]}.*needs the responses to the whole image"):
            evaluate(objective, image)
    else:
        agree(objective.point(image, evaluate), objective.textbook(image), 1e-4, 1e-3)


def test_at_uses_the_engine_unless_the_environment_says_plain(monkeypatch, vgg):
    monkeypatch.delenv("NSTLAB_ENGINE", raising=False)
    assert engine() is not None and engine().evaluate is evaluate
    monkeypatch.setenv("NSTLAB_ENGINE", "plain")
    assert engine() is None
    objective = style_transfer_objective(vgg, CONTENT, CONTENT.flip(3), precision="bfloat16")
    image = image_like(CONTENT)
    got, expected = objective.at(image), objective.textbook(image)
    assert got.losses == expected.losses and torch.equal(got.gradient, expected.gradient)


def test_another_name_of_an_engine_is_refused(monkeypatch):
    monkeypatch.setenv("NSTLAB_ENGINE", "Plain")
    with pytest.raises(ValueError, match="NSTLAB_ENGINE='Plain' is not known; set it to 'plain'"):
        engine()


def test_something_that_the_engine_needs_and_lacks_is_told():
    code = "import sys; sys.modules['psutil'] = None; from nstlab.objective import engine; engine()"
    environment = {name: value for name, value in os.environ.items() if name != "NSTLAB_ENGINE"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode and "ModuleNotFoundError" in done.stderr and "psutil" in done.stderr


WITHOUT_THE_ENGINE = """
import sys
sys.modules["nstlab.engine"] = None  # as if the folder were not there
import nstlab
result = nstlab.stylize("horses", "great_wave", size=64, steps=2)
assert result.history[-1].total < result.history[0].total
assert not any(name.startswith("nstlab.engine.") for name in sys.modules)
"""


def test_without_the_folder_everything_still_runs():
    environment = {name: value for name, value in os.environ.items() if name != "NSTLAB_ENGINE"}
    subprocess.run([sys.executable, "-c", WITHOUT_THE_ENGINE], check=True, env=environment)


def test_targets_are_computed_once():
    vgg, calls = VGG(), []
    vgg.prepared = lambda *a: calls.append(1) or VGG.prepared(vgg, *a)
    objective = style_transfer_objective(vgg, CONTENT, CONTENT)
    before = len(calls)
    objective.at(CONTENT)
    assert 2 <= before <= 3 and len(calls) == before + 1
