"""Approach 2: what it promises of energies, of steps that explode, and of pictures that do not fit."""

import math
from itertools import islice, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nstlab import __main__ as cli
from nstlab.base.files.sample_images import samples
from nstlab.base.records import DivergenceError
from nstlab.images import load_image, save_image
from nstlab.laplacian import MattingLaplacian
from nstlab.photorealism import photorealize, photorealize_run
from nstlab.transfer import stylize

PHOTOS = [sample.name for sample in samples() if sample.kind != "style"]


@pytest.fixture(scope="module")
def content() -> torch.Tensor:
    return load_image("waterfront_day", size=64)


@pytest.fixture(scope="module")
def pastiche(content) -> torch.Tensor:
    """Not a pastiche, but as bad as one: a recolored photograph under noise."""
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    return (0.7 * content.flip(1) + 0.15 + 0.1 * noise).clamp(0, 1)


@pytest.mark.parametrize("method", ["solve", "lbfgs", "descent"])
def test_every_method_lowers_the_energy_and_records_it_by_epoch(content, pastiche, method):
    result = photorealize(pastiche, content, method=method, weight=100.0, steps=40)
    totals = [r.total for r in result.history]
    assert result.history[0].losses["photorealism"] == pytest.approx(MattingLaplacian(content).energy(pastiche).item())
    assert result.history[-1].losses["photorealism"] < 0.1 * result.history[0].losses["photorealism"]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(totals))
    assert result.image.shape == content.shape and result.image.min() >= 0 and result.image.max() <= 1


def test_solve_reaches_what_lbfgs_goes_towards(content, pastiche):
    solved, stepped = (
        photorealize(pastiche, content, method=method, weight=10.0, steps=steps).history[-1].total
        for method, steps in (("solve", 200), ("lbfgs", 150))
    )
    assert solved <= stepped * 1.001 and stepped < 1.05 * solved


def test_a_solve_that_was_interrupted_goes_on_as_if_nothing_had_happened(content, pastiche, monkeypatch, interrupting):
    run, straight = (photorealize_run(pastiche, content, weight=10.0) for _ in range(2))
    list(islice(run, 4))
    for target, name, broken in ((run.points.iterates, "planes", interrupting), (run.objectives[0], "at", interrupted)):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(target, name, broken)
            next(run)
    *_, last = run
    *_, wanted = straight
    assert last.index == wanted.index and torch.equal(last.image, wanted.image)


def test_a_solve_whose_weight_is_changed_ends_with_the_solution_for_the_new_one(content, pastiche):
    run = photorealize_run(pastiche, content, weight=100.0)
    list(islice(run, 5))
    run.weigh(photorealism=1.0)
    totals = [step.total for step in run]
    wanted = photorealize(pastiche, content, weight=1.0).history[-1]
    assert totals[-1] == pytest.approx(wanted.total, rel=1e-3)
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in pairwise(totals))
    run.weigh(distance=0.0)
    with pytest.raises(ValueError, match="weight=inf"):
        next(run)


def test_a_solve_beyond_what_float32_can_hold_ends_with_its_best_image(content, pastiche):
    result = photorealize(pastiche, content, weight=1e10)
    totals = [r.total for r in result.history]
    assert totals[-1] <= min(totals) * 1.01 and result.image.std() > 0.05


def interrupted(*_):
    raise KeyboardInterrupt


def test_in_equation_6_the_default_weight_holds_the_photograph(content, pastiche):
    M = MattingLaplacian(content)
    held, free = (
        photorealize(pastiche, content, method="lbfgs", style="waterfront_night", steps=10, **weight).image
        for weight in ({}, {"weight": 0.0})
    )
    assert M.energy(held) < M.energy(pastiche) / 5 < M.energy(free)


def test_without_a_style_a_run_is_on_the_device_of_the_content(content, pastiche):
    for method in ("solve", "lbfgs"):
        objective = photorealize_run(pastiche, content, method=method).objectives[0]
        assert torch.equal(objective.images["content"], content)


def test_lbfgs_with_a_style_minimizes_equation_6(content, pastiche):
    result = photorealize(pastiche, content, method="lbfgs", style="waterfront_night", weight=1.0, steps=4)
    assert set(result.history[0].losses) == {"content", "style", "photorealism"}
    assert result.history[-1].total < result.history[0].total


def test_stylize_with_a_photorealism_weight_is_equation_6_from_the_start(content):
    settings = {"size": 64, "steps": 10, "start": "content"}
    free = stylize(content, "waterfront_night", **settings).image
    held = stylize(content, "waterfront_night", photorealism_weight=1e3, **settings)
    M = MattingLaplacian(content)
    assert held.history[-1].losses["photorealism"] == pytest.approx(M.energy(held.image).item() / (64 * 43), rel=1e-2)
    assert M.energy(held.image) < 0.7 * M.energy(free)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    photo=st.sampled_from(PHOTOS),
    decade=st.floats(0, 6),
    noisy=st.booleans(),
)
def test_descent_with_the_default_step_never_rises(seed, photo, decade, noisy):
    generator = torch.Generator().manual_seed(seed)
    content = load_image(photo, size=64)
    y, x = (int(torch.randint(0, side - 31, (), generator=generator)) for side in content.shape[2:])
    content = content[..., y : y + 32, x : x + 32]
    pastiche = torch.rand(content.shape, generator=generator) if noisy else content.flip(3)
    run = photorealize_run(pastiche, content, method="descent", weight=10**decade, steps=30)
    totals = [step.total for step in run]
    assert all(later <= earlier for earlier, later in pairwise(totals))


@pytest.mark.parametrize("weight", [1.0, 1e4])
def test_descent_diverges_above_the_bound_and_not_below_it(content, pastiche, weight):
    bound = 1 / (weight * MattingLaplacian(content).largest_eigenvalue())
    calm = photorealize(pastiche, content, method="descent", weight=weight, step=0.95 * bound, steps=400)
    assert calm.history[-1].total < calm.history[0].total
    with pytest.raises(DivergenceError, match=r"largest eigenvalue\) = .* grew by 1\.1") as error:
        photorealize(pastiche, content, method="descent", weight=weight, step=1.05 * bound, steps=2000)
    assert error.value.image is not None and error.value.history[-1].total > error.value.history[0].total
    assert f"{bound:.4g}" in str(error.value)


def test_images_that_differ_in_size_are_refused_with_both_sizes(content):
    with pytest.raises(ValueError, match=r"64 x 43 .* 96 x 64.*load_image"):
        photorealize(content, load_image("waterfront_day", size=96))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "magic"}, "solve, lbfgs, descent"),
        ({"weight": -1.0}, "weight=-1.0"),
        ({"weight": math.nan}, "weight=nan"),
        ({"step": 0.1}, "descent"),
        ({"method": "descent", "step": -1.0}, "step=-1.0"),
        ({"style": "starry_night"}, "lbfgs"),
        ({"device": "abacus"}, "abacus"),
        ({"method": "descent", "steps": -1}, "steps=-1"),
        ({"method": "descent", "steps": 2.5}, "steps=2.5"),
        ({"method": "solve", "steps": True}, "steps=True"),
        ({"content_weight": -1.0}, "content_weight=-1.0"),
    ],
)
def test_bad_settings_are_refused_by_name(content, arguments, says):
    with pytest.raises(ValueError, match=says):
        photorealize(content, content, **arguments)


def test_the_command_line_does_both_approaches(tmp_path, capsys, content, pastiche):
    save_image(pastiche, tmp_path / "pastiche.png")
    out, table = tmp_path / "photo.png", tmp_path / "losses.csv"
    arguments = [str(tmp_path / "pastiche.png"), "waterfront_day", "-o", str(out), "--losses", str(table)]
    assert cli.main(["photorealize", *arguments, "--weight", "10", "--method", "solve"]) == 0
    assert load_image(out).shape == content.shape and "photorealism" in table.read_text()
    assert cli.main(["photorealize", *arguments, "--method", "descent", "--step", "1"]) == 1
    assert "largest eigenvalue" in capsys.readouterr().err
    assert cli.main(["photorealize", *arguments, "--method", "descent", "--step", "-1"]) == 2
    small = ["--size", "64", "--steps", "1", "--photorealism-weight", "1e4"]
    assert cli.main(["stylize", "horses", "hills_autumn", "-o", str(out), "--losses", str(table), *small]) == 0
    assert "photorealism weighted" in table.read_text()
