"""The Matting Laplacian: equal to pymatting's, with the spectrum that theory gives it, and solved exactly."""

import pymatting
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nstlab.images import load_image
from nstlab.laplacian import MattingLaplacian


def random_image(H: int, W: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(seed))


def checker(H: int, W: int) -> Tensor:
    return ((torch.arange(H)[:, None] + torch.arange(W)) % 2).float().expand(1, 3, -1, -1).contiguous()


def clipped(H: int, W: int, seed: int = 0) -> Tensor:
    """Mostly pure black and pure white, as in a photograph against the light."""
    return (4 * random_image(H, W, seed) - 1.5).clamp(0, 1)


def pictures(H: int, W: int, seed: int = 0) -> list[Tensor]:
    flat = torch.full((1, 3, H, W), 0.3)
    ramp = torch.linspace(0, 1, W).expand(1, 3, H, W).contiguous()
    return [random_image(H, W, seed), clipped(H, W, seed), flat, torch.ones_like(flat), ramp, checker(H, W)]


def dense(M: MattingLaplacian) -> Tensor:
    return M.to_sparse().to_dense().double()


@pytest.mark.parametrize(("H", "W"), [(3, 3), (3, 8), (7, 5), (13, 21)])
def test_it_equals_pymattings_on_noise_flat_clipped_and_white_images_of_odd_sizes(H, W):
    for image in pictures(H, W)[:4]:
        expected = torch.from_numpy(pymatting.cf_laplacian(image[0].permute(1, 2, 0).double().numpy()).todense())
        ours = dense(MattingLaplacian(image, dtype=torch.float64))
        assert (ours - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize("name", ["waterfront_day", "berlin_dusk"])
def test_it_equals_pymattings_on_photographs(name):
    image = load_image(name, size=56)
    expected = torch.from_numpy(pymatting.cf_laplacian(image[0].permute(1, 2, 0).double().numpy()).todense())
    assert (dense(MattingLaplacian(image)) - expected).abs().max() < 1e-6 * expected.abs().max()


def test_it_is_exact_where_all_colors_lie_on_one_line_and_a_covariance_has_no_inverse():
    ramp = pictures(3, 3)[4]  # gray 0, 1/2, 1: pymatting's inverse loses all but two digits here
    expected = 1 - (1 + 3 * 0.25 / (3 / 6 + 1e-7 / 9)) / 9
    assert dense(MattingLaplacian(ramp, dtype=torch.float64))[0, 0].item() == pytest.approx(expected, rel=1e-9)


@example(H=3, W=8, seed=8, kind=0)  # the start holds little of the last eigenvector
@settings(max_examples=25, deadline=None)
@given(H=st.integers(3, 12), W=st.integers(3, 12), seed=st.integers(0, 2**31), kind=st.integers(0, 5))
@example(H=12, W=6, seed=3037886, kind=1)  # the start is nearly orthogonal to the top eigenvector
def test_it_is_symmetric_its_rows_sum_to_0_and_its_eigenvalues_lie_between_0_and_9(H, W, seed, kind):
    M = MattingLaplacian(pictures(H, W, seed)[kind])
    matrix = dense(M)
    assert torch.equal(matrix, matrix.T)
    assert matrix.sum(1).abs().max() < 1e-5
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues[0] >= -1e-6 and eigenvalues[-1] <= 9 + 1e-6
    assert M.largest_eigenvalue() == pytest.approx(eigenvalues[-1].item(), rel=0.01)


@settings(max_examples=25, deadline=None)
@given(H=st.integers(3, 16), W=st.integers(3, 16), seed=st.integers(0, 2**31), kind=st.integers(0, 5))
def test_the_energy_of_any_image_is_not_below_0(H, W, seed, kind):
    M = MattingLaplacian(pictures(H, W, seed)[kind])
    for x in (random_image(H, W, seed + 1), M.image, torch.ones(1, 3, H, W)):
        assert M.energy(x) / (H * W) >= -1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_an_affine_recoloring_of_the_content_costs_nothing(seed):
    content = load_image("hills_summer", size=64)
    generator = torch.Generator().manual_seed(seed)
    A, b = torch.rand(3, 3, generator=generator) - 0.5, torch.rand(3, 1, 1, generator=generator)
    recolored = torch.einsum("ij,njhw->nihw", A, content) + b
    assert MattingLaplacian(content).energy(recolored) / content[0, 0].numel() < 1e-6


def test_another_picture_costs():
    content = load_image("hills_summer", size=64)
    assert MattingLaplacian(content).energy(content.flip(3)) / content[0, 0].numel() > 1e-3


@pytest.mark.parametrize("image", pictures(9, 7), ids=["noise", "clipped", "flat", "white", "ramp", "checker"])
def test_stencil_sparse_matrix_and_dense_matrix_are_one(image):
    M, x = MattingLaplacian(image), random_image(9, 7, seed=5)
    expected = (dense(M) @ x[0].flatten(1).T.double()).T.view_as(x[0])
    torch.testing.assert_close((M @ x)[0].double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(M.energy(x).double(), (x[0].double() * expected).sum(), atol=1e-5, rtol=1e-5)


def test_gradients_are_2_M_x_and_agree_with_finite_differences():
    M = MattingLaplacian(random_image(5, 6), dtype=torch.float64)
    x = random_image(5, 6, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(M.energy, x) and torch.autograd.gradcheck(lambda y: M @ y, x)
    (gradient,) = torch.autograd.grad(M.energy(x), x)
    torch.testing.assert_close(gradient, 2 * (M @ x))


def test_it_is_built_in_float64_whatever_comes():
    image = clipped(12, 10)
    single, double = MattingLaplacian(image), MattingLaplacian(image.double())
    assert torch.equal(single.planes, double.planes) and single.planes.dtype == torch.float32


def test_it_takes_13_numbers_a_pixel():
    assert MattingLaplacian(random_image(20, 30)).nbytes == 13 * 20 * 30 * 4


@pytest.mark.parametrize("weight", [0.0, 1.0, 100.0, 1e4])
def test_solve_is_the_exact_minimizer(weight):
    for image in pictures(11, 9):
        M, x = MattingLaplacian(image, dtype=torch.float64), random_image(11, 9, seed=3).double()
        system = torch.eye(99, dtype=torch.float64) + weight * dense(M)
        expected = torch.linalg.solve(system, x[0].flatten(1).T).T.view_as(x)
        torch.testing.assert_close(M.solve(x, weight, residual=1e-9), expected, atol=1e-6, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["waterfront_day", "berlin_day", "hills_summer", "astronaut"]),
    size=st.integers(64, 160),
    decade=st.floats(0, 5),
    seed=st.integers(0, 2**31),
)
def test_solve_converges_on_photographs_of_every_size_at_every_weight(name, size, decade, seed):
    content = load_image(name, size=size)
    x = 0.7 * content.flip(3) + 0.3 * random_image(*content.shape[2:], seed=seed)
    weight = 10**decade
    M = MattingLaplacian(content)
    y = M.solve(x, weight, residual=1e-3)
    assert (x - y - weight * (M @ y)).norm() < max(2e-3, 4e-6 * weight) * x.norm()  # what float32 can hold
    assert M.energy(y) < M.energy(x)


def test_solve_tells_of_every_iteration_and_warns_where_it_was_stopped_early():
    content = load_image("berlin_day", size=64)
    M, x = MattingLaplacian(content), content.flip(3)
    seen = list(M.solve_steps(x, 10.0))
    assert [s.iteration for s in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].residual <= 1e-3 < seen[0].residual and seen[0].image.shape == x.shape
    with pytest.warns(RuntimeWarning, match="after 2 iterations"):
        M.solve(x, 10.0, max_iterations=2)


def test_the_image_that_it_is_made_of_stays_as_it_was():
    image = random_image(3, 3).double()
    before = image.clone()
    MattingLaplacian(image, dtype=torch.float64)
    assert torch.equal(image, before)


def test_solve_begins_anywhere_and_comes_to_the_same_image():
    content = load_image("berlin_day", size=64).double()
    M, x = MattingLaplacian(content, dtype=torch.float64), content.flip(3)
    y = M.solve(x, 10.0, residual=1e-9)
    *_, last = M.solve_steps(x, 10.0, residual=1e-9, start=random_image(*content.shape[2:]).double())
    torch.testing.assert_close(last.image, y, atol=1e-6, rtol=0)
    assert list(M.solve_steps(x, 10.0, residual=1e-6, start=y)) == []


def test_solve_of_a_recoloring_is_the_recoloring():
    content = load_image("berlin_day", size=64)
    recolored = 0.5 * content + 0.2
    torch.testing.assert_close(MattingLaplacian(content).solve(recolored, 100.0), recolored, atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda M: MattingLaplacian(torch.rand(3, 8, 8)), r"\(3, 8, 8\)"),
        (lambda M: MattingLaplacian(torch.rand(1, 1, 8, 8)), r"1, 3, H, W"),
        (lambda M: MattingLaplacian(torch.rand(1, 3, 2, 8)), "3 x 3"),
        (lambda M: MattingLaplacian(torch.full((1, 3, 8, 8), float("nan"))), "NaN"),
        (lambda M: MattingLaplacian(255 * torch.rand(1, 3, 8, 8)), "255"),
        (lambda M: MattingLaplacian(torch.rand(1, 3, 8, 8), epsilon=0), "epsilon=0"),
        (lambda M: MattingLaplacian(torch.rand(1, 3, 8, 8), dtype=torch.float16), "float16"),
        (lambda M: M @ torch.rand(1, 3, 9, 8), "9"),
        (lambda M: M @ torch.rand(1, 3, 8, 8).double(), "float64"),
        (lambda M: M.energy(torch.rand(3, 8, 8)), "energy"),
        (lambda M: M.solve(torch.rand(1, 3, 8, 8), -1.0), "weight=-1.0"),
        (lambda M: M.solve(torch.full((1, 3, 8, 8), float("inf")), 1.0), "Inf"),
    ],
)
def test_bad_input_is_refused_by_name(call, says):
    with pytest.raises(ValueError, match=says):
        call(MattingLaplacian(random_image(8, 8)))
