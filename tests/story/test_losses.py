"""Equations 1 to 3, against naive loops, autograd and the derivatives that the papers print."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab.laplacian import MattingLaplacian
from nstlab.losses import content_loss, equal_weights, gram_matrix, layer_style_loss, mean_gram_matrix, style_loss

LAYER = "conv1_1"


def responses(seed: int, n: int = 3, h: int = 4, w: int = 5, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """What convolutions give before the ReLU: negative about half of the time."""
    return torch.randn(1, n, h, w, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_content_loss_is_equation_1_by_naive_loop():
    F, P = responses(0), responses(1)
    naive = sum(0.5 * (F[0, i, y, x] - P[0, i, y, x]) ** 2 for i in range(3) for y in range(4) for x in range(5))
    torch.testing.assert_close(content_loss(F, P), naive)


def test_content_loss_compares_both_ways_and_takes_matrices_too():
    F, P = responses(0).requires_grad_(), responses(1).requires_grad_()
    by_F, by_P = torch.autograd.grad(content_loss(F, P), [F, P])
    torch.testing.assert_close((by_F, by_P), ((F - P).detach(), (P - F).detach()))
    torch.testing.assert_close(content_loss(F.flatten(2)[0], P.flatten(2)[0]), content_loss(F, P))


def test_gram_matrix_is_equation_2_by_naive_loop():
    F = responses(0)
    G = gram_matrix(F)
    for i in range(3):
        for k in range(3):
            naive = sum(F[0, i, y, x] * F[0, k, y, x] for y in range(4) for x in range(5))
            torch.testing.assert_close(G[0, i, k], naive)


def test_style_loss_is_equation_3_by_naive_loop():
    F, S = responses(0), responses(1)
    G, A = gram_matrix(F)[0], gram_matrix(S)[0]
    N, M = 3, 20
    naive = sum((G[i, j] - A[i, j]) ** 2 for i in range(N) for j in range(N)) / (4 * N**2 * M**2)
    torch.testing.assert_close(style_loss({LAYER: F}, {LAYER: S}), naive)


def test_content_derivative_is_the_papers_where_F_is_positive_and_zero_elsewhere():
    z, P = responses(0).requires_grad_(), responses(1).relu()
    F = z.relu()
    content_loss(F, P).backward()
    assert (F > 0).any() and (F == 0).any()
    torch.testing.assert_close(z.grad, torch.where(F > 0, F - P, torch.zeros_like(F)).detach())


def test_style_derivative_is_the_papers_where_F_is_positive_and_zero_elsewhere():
    z, S = responses(0).requires_grad_(), responses(1).relu()
    F = z.relu()
    style_loss({LAYER: F}, {LAYER: S}).backward()
    N, M = 3, 20
    G, A = gram_matrix(F)[0], gram_matrix(S)[0]
    paper = (F[0].flatten(1).T @ (G - A)).T.reshape(1, N, 4, 5) / (N**2 * M**2)
    torch.testing.assert_close(z.grad, torch.where(F > 0, paper, torch.zeros_like(F)).detach())


@pytest.mark.parametrize(
    "loss",
    [
        lambda F: content_loss(F, responses(1)),
        lambda F: gram_matrix(F).sum(),
        lambda F: style_loss({LAYER: F}, {LAYER: responses(1)}),
        lambda F: style_loss({LAYER: F}, {LAYER: responses(1, h=7, w=3)}),
    ],
    ids=["content", "gram", "style", "style of another size"],
)
def test_autograd_agrees_with_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, responses(0).requires_grad_())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 6), h=st.integers(1, 6), w=st.integers(1, 6))
def test_gram_matrix_is_symmetric_positive_semidefinite_and_blind_to_shuffled_places(seed, n, h, w):
    F = responses(seed, n, h, w)
    G = gram_matrix(F)
    torch.testing.assert_close(G, G.transpose(1, 2))
    assert torch.linalg.eigvalsh(G[0]).min() > -1e-9 * (1 + G.abs().max())
    places = torch.randperm(h * w, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(gram_matrix(F.flatten(2)[..., places].view_as(F)), G)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 6))
def test_losses_are_zero_at_the_target_and_positive_elsewhere(seed, n):
    F, other = responses(seed, n), responses(seed + 1, n)
    assert content_loss(F, F) == 0 and style_loss({LAYER: F}, {LAYER: F}) == 0
    assert content_loss(F, other) > 0 and style_loss({LAYER: F}, {LAYER: other}) > 0


def test_style_loss_of_a_tiled_image_is_zero_because_each_gram_matrix_is_divided_by_its_own_places():
    F = responses(0)
    torch.testing.assert_close(style_loss({LAYER: F.tile(1, 1, 2, 3)}, {LAYER: F}), torch.zeros((), dtype=F.dtype))


def test_layers_weigh_alike_unless_told_otherwise():
    F, S = ({"a": responses(k), "b": responses(k + 1)} for k in (0, 5))
    E = {layer: layer_style_loss(mean_gram_matrix(F[layer]), mean_gram_matrix(S[layer])) for layer in F}
    torch.testing.assert_close(style_loss(F, S), (E["a"] + E["b"]) / 2)
    torch.testing.assert_close(style_loss(F, S, {"a": 3.0}), 3 * E["a"])
    assert sum(equal_weights(tuple("abcde")).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: content_loss(responses(0), responses(0, h=2)), "same shape"),
        (lambda: gram_matrix(torch.zeros(3, 4)), "B, N, h, w"),
        (lambda: layer_style_loss(torch.zeros(1, 2, 2), torch.zeros(1, 3, 3)), "same layer"),
        (lambda: style_loss({LAYER: responses(0)}, {}), "needs the responses"),
        (lambda: style_loss({}, {}), "needs the responses"),
    ],
)
def test_mismatched_input_is_refused_by_name(call, says):
    with pytest.raises(ValueError, match=says):
        call()


M = MattingLaplacian(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0)), dtype=torch.float64)
P, S = responses(1), responses(1, h=7, w=3)
LOSSES = {
    "content": lambda F: content_loss(F, P),
    "gram": lambda F: gram_matrix(F).square().sum(),
    "style": lambda F: style_loss({LAYER: F}, {LAYER: S}),
    "photorealism": M.energy,
    "product with M": lambda F: (M @ F).square().sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_agree_with_finite_differences(name):
    assert torch.autograd.gradgradcheck(LOSSES[name], responses(0).requires_grad_())


@pytest.mark.parametrize("name", [name for name in LOSSES if "M" not in name and name != "photorealism"])
def test_losses_work_under_torch_func(name):
    loss, F = LOSSES[name], responses(0)
    x = F.clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(loss)(F), torch.autograd.grad(loss(x), x)[0])
    several = torch.stack([F, 2 * F, -F])
    torch.testing.assert_close(torch.func.vmap(loss)(several), torch.stack([loss(f) for f in several]))
    H = torch.func.hessian(loss)(F).reshape(F.numel(), F.numel())
    torch.testing.assert_close(H, H.T)
    assert H.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_losses_keep_the_type_of_their_responses(dtype):
    F, P = responses(0).to(dtype), responses(1).to(dtype)
    for loss in (content_loss(F, P), gram_matrix(F), style_loss({LAYER: F}, {LAYER: P})):
        assert loss.dtype == dtype and loss.isfinite().all()
