"""The precision of the network: chosen by the device, with results near those of float32."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nstlab.engine import evaluate
from nstlab.engine.precision import PRECISIONS, fastest_precision
from nstlab.images import load_image
from nstlab.objective import PRECISIONS as TAKEN
from nstlab.objective import Objective
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.terms import ContentTerm, StyleTerm
from nstlab.transfer import stylize
from nstlab.vgg import VGG


def test_the_engine_knows_every_precision_that_an_objective_takes():
    assert fastest_precision(torch.device("cpu")) in PRECISIONS
    assert {"auto", *PRECISIONS} == set(TAKEN)


@pytest.mark.parametrize(
    ("generation", "fastest"),
    [((6, 1), "float32"), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_a_gpu_gets_what_it_multiplies_natively(generation, fastest, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert fastest_precision(torch.device("cuda")) == fastest


class OneDevice(TorchDispatchMode):
    """Refuses whatever would mix devices. On the device "meta" a tensor has no numbers, so nothing can wait for one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        devices = {t.device.type for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.ndim}
        assert len(devices) < 2, f"{func} mixes {devices}"
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_an_evaluation_stays_on_its_device_and_waits_for_it_once(precision, pooling, tile, monkeypatch):
    waits = []
    monkeypatch.setattr(Tensor, "tolist", lambda numbers: waits.append(numbers) or [0.0] * len(numbers))
    vgg, layers = VGG(pooling=pooling).to("meta"), ("conv1_1", "conv3_1")
    A = {layer: torch.rand(1, N, N, device="meta") for layer, N in zip(layers, (64, 256), strict=True)}
    terms = {
        "content": ContentTerm("conv2_2", torch.rand(1, 128, 32, 24, device="meta")),
        "style": StyleTerm(A, dict.fromkeys(layers, 0.5)),
    }
    image = torch.rand(1, 3, 64, 48, device="meta")
    objective = Objective(
        terms, {"content": 1.0, "style": 1.0}, (64, 48), vgg, {"content": image}, tile=tile, precision=precision
    )
    with OneDevice():
        point = objective.point(image, evaluate)
    assert len(waits) == 1 and waits[0].device.type == "meta"
    assert point.gradient.device.type == "meta" and point.gradient.dtype == torch.float32
    assert point.gradient.shape == image.shape


@pytest.mark.parametrize(
    ("capabilities", "fastest"),
    [({}, "float32"), ({"avx512_bf16": True}, "float32"), ({"avx512_bf16": True, "amx_bf16": True}, "bfloat16")],
)
def test_a_cpu_computes_in_bfloat16_only_with_amx(capabilities, fastest):
    assert fastest_precision(torch.device("cpu"), capabilities) == fastest


def test_half_precision_ends_near_float32(vgg):
    content, style = load_image("horses", size=64), load_image("great_wave", size=64)
    exact = style_transfer_objective(vgg, content, style)
    one, *others = (
        exact.at(stylize(content, style, size=64, steps=15, precision=precision, vgg=vgg).image).total
        for precision in ("float32", "bfloat16", "float16")
    )
    assert others == pytest.approx([one, one], rel=0.1)
