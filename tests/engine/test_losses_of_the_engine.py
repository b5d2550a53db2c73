"""The engine's losses equal the equations, in half precision and in parts, and refuse a second derivative."""

import pytest
import torch

from nstlab.engine.losses import SelfProduct, SquaredDistance
from nstlab.engine.network import read
from nstlab.losses import content_loss, gram_matrix
from nstlab.vgg import VGG


def responses(seed: int, n: int = 3, h: int = 4, w: int = 5, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(1, n, h, w, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_they_equal_the_equations():
    F, P = responses(0).requires_grad_(), responses(1)
    for mine, theirs in (
        (SquaredDistance.apply(F, P) / 2, content_loss(F, P)),
        (SelfProduct.apply(F).square().sum(), gram_matrix(F).square().sum()),
    ):
        torch.testing.assert_close(mine, theirs)
        got, expected = (torch.autograd.grad(loss, F)[0] for loss in (mine, theirs))
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_matrices_of_several_images_add_up_from_parts(dtype, layout):
    larger = torch.cat([responses(seed, h=9, w=7) for seed in range(2)]).to(dtype, memory_format=layout)
    F = larger[..., 1:8, 1:6].requires_grad_()
    flat = F.detach().double().flatten(2)
    wanted = torch.rand(2, 3, 3, dtype=torch.float64)
    G = SelfProduct.apply(F, 30)  # two rows of three maps and five places at a time
    (dF,) = torch.autograd.grad(G, F, wanted.to(G.dtype))
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    assert G.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
    torch.testing.assert_close(G.double(), flat @ flat.transpose(1, 2), rtol=1e-4, atol=1e-4)
    by_hand = ((wanted + wanted.transpose(1, 2)) @ flat).view_as(F)
    torch.testing.assert_close(dF.double(), by_hand, check_stride=False, **tolerance)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: SquaredDistance.apply(x, torch.zeros_like(x)),
        lambda x: SelfProduct.apply(x).square().sum(),
        lambda x: read(VGG(), x, [("conv1_1", torch.sum)])[0],
    ],
)
def test_a_second_derivative_is_refused_and_not_zero(loss):
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.functional.hvp(loss, x, torch.ones_like(x))


def test_two_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"F is .* and P is .* the same shape"):
        SquaredDistance.apply(responses(0), responses(0, h=2))
