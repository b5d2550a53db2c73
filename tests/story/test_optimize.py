"""The stream of steps: it goes down, stays in range, survives interruptions and says when it diverges."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from nstlab.base.numerics.color_curvature import color_scale
from nstlab.base.records import DivergenceError
from nstlab.coarse_to_fine import enlarged, optimize
from nstlab.images import load_image, resize
from nstlab.losses import content_loss, equal_weights, style_loss
from nstlab.objective import Objective
from nstlab.optimizers import LBFGS, Adam, Descent
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.preparation.targets import targets
from nstlab.preparation.weights import relative_weights
from nstlab.runs import Run
from nstlab.terms import StyleTerm, Term
from nstlab.transfer import stylize
from nstlab.vgg import CONTENT_LAYER, STYLE_LAYERS, VGG


def bowl(size: tuple[int, int] = (6, 5), center: float = 0.3, weight: float = 1.0) -> Objective:
    """A badly scaled quadratic: every pixel pulls to `center`, some a hundred times as hard."""
    pull = torch.linspace(1, 100, size[0] * size[1] * 3).view(1, 3, *size)
    return Objective({"pull": Term(lambda x, _: (pull * (x - center) ** 2).sum())}, {"pull": weight}, size)


@pytest.fixture(scope="module")
def transfer(vgg: VGG) -> Objective:
    content, style = load_image("horses", size=64), load_image("great_wave", size=96)
    return style_transfer_objective(vgg, content, style)


class Counting:
    """An objective that counts its evaluations and sees where they were."""

    def __init__(self, objective: Objective):
        self.objective, self.images = objective, []

    def __getattr__(self, name: str):
        return getattr(self.objective, name)

    def at(self, image: Tensor):
        self.images.append(image.clone())
        return self.objective.at(image)


@pytest.mark.parametrize("start", ["noise", "content", "style"])
def test_lbfgs_falls_below_a_tenth_within_30_evaluations_and_never_rises(transfer, start):
    counting = Counting(transfer)
    noise = torch.rand(1, 3, *transfer.size, generator=torch.Generator().manual_seed(0))
    image = next(iter(optimize(transfer, noise if start == "noise" else start, steps=0))).image
    totals = [
        point.total for point in itertools.takewhile(lambda _: len(counting.images) <= 30, LBFGS(counting, image))
    ]
    assert totals[-1] < 0.1 * totals[0] or start == "style"  # which is at the style's target already
    assert all(later < earlier for earlier, later in itertools.pairwise(totals))


def test_lbfgs_moves_visibly_with_its_first_step_at_every_size():
    for size in ((4, 4), (64, 64), (300, 300)):
        first, second = itertools.islice(optimize(bowl(size), steps=1), 2)
        assert (second.image - first.image).abs().max() > 1 / 255 and second.total < first.total


def test_lbfgs_evaluates_no_point_twice_and_every_point_lies_in_the_range(transfer):
    counting = Counting(transfer)
    for _ in itertools.islice(LBFGS(counting, torch.rand(1, 3, *transfer.size)), 12):
        pass
    assert len(counting.images) <= 16
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(counting.images, 2))
    assert all(x.min() >= 0 and x.max() <= 1 for x in counting.images)


def test_the_color_scale_takes_changes_of_the_gradient_to_steps():
    S, Y = (A @ A.mT for A in torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    C = color_scale(S, Y)
    torch.testing.assert_close(C @ Y @ C, S, rtol=0, atol=0.02 * S.norm().item())
    assert torch.linalg.eigvalsh(C).min() > 0


def test_the_color_scale_is_positive_where_a_color_never_moves():
    red = torch.diag(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert 0 < torch.linalg.eigvalsh(color_scale(red, 4 * red)).min() < 1


@pytest.mark.parametrize("tint", [1.0, 0.0])
def test_lbfgs_finds_out_that_brightness_is_curved_more_than_tint(tint):
    mixing = tint * torch.eye(3) + 100  # without tint: a color's share does not matter, only the sum
    rough = torch.linspace(1, 30, 400).view(1, 1, 20, 20)

    def loss(x: Tensor, _: object) -> Tensor:
        d = rough * (x - 0.3)
        return (d * torch.einsum("cd,bdhw->bchw", mixing, d)).sum()

    counting = Counting(Objective({"colors": Term(loss)}, {"colors": 1.0}, (20, 20)))
    start = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    totals = [point.total for point in itertools.islice(LBFGS(counting, start), 75)]
    assert totals[-1] < 5e-6 * totals[0] and len(counting.images) <= 85


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_optimizers_find_the_minimum_inside_and_at_the_border(optimizer):
    for center in (0.3, 1.5):
        *_, last = optimize(bowl(center=center), steps=400, optimizer=optimizer)
        torch.testing.assert_close(last.image, torch.full_like(last.image, min(center, 1.0)), atol=2e-2, rtol=0)


def test_lbfgs_ends_by_itself_where_there_is_no_way_down():
    assert len(list(optimize(bowl(), start=torch.full((1, 3, 6, 5), 0.3), steps=50))) < 10


def test_the_same_seed_gives_the_same_image_and_another_seed_another():
    one, same, other = (list(optimize(bowl(), steps=3, seed=s))[-1].image for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_epochs_are_counted_from_the_start_on_and_the_total_is_the_weighted_sum():
    run = optimize(bowl(weight=0.5), steps=4)
    steps = list(run)
    assert [s.index for s in steps] == [r.index for r in run.history] == [0, 1, 2, 3, 4]
    assert all(s.total == pytest.approx(0.5 * s.losses["pull"]) for s in steps)
    assert [s.seconds for s in steps] == sorted(s.seconds for s in steps)
    assert not any(hasattr(r, "image") for r in run.history)


def test_coarse_to_fine_goes_through_the_sizes_and_carries_the_image_up():
    run = optimize([(bowl((8, 6)), 2), (bowl((16, 12)), 3)], steps=0)
    assert [r.size for r in run] == [(8, 6)] * 3 + [(16, 12)] * 3
    before, after = run.history[2], run.history[3]
    assert after.total < 16 * before.total


@pytest.mark.parametrize("steps", [(30, 30), (3, 1), (0, 0), (0, 2)])
def test_a_run_ends_at_full_size_also_where_nothing_is_left_to_gain(steps):
    stages = [(bowl(size, center=0.5), n) for size, n in zip(((4, 4), (8, 8)), steps, strict=True)]
    run = optimize(stages, start=torch.full((1, 3, 4, 4), 0.5))
    *_, last = run
    assert last.size == (8, 8) and torch.allclose(run.image, torch.full((1, 3, 8, 8), 0.5), atol=1e-5)
    assert len(run.history) <= 1 + sum(steps)


def test_an_enlarged_image_has_the_details_of_the_content_and_the_colors_of_the_coarse_one(transfer):
    content = transfer.images["content"]
    coarse = resize(content, 32)
    torch.testing.assert_close(enlarged(coarse, transfer), content, atol=1e-2, rtol=0)
    x = enlarged(torch.full_like(coarse, 0.5), transfer)
    assert x.var() > 1e-5 and (resize(x, 32).mean() - 0.5).abs() < 1e-2


def test_without_details_of_its_own_an_objective_gets_the_image_enlarged_and_nothing_else():
    coarse, images = torch.rand(1, 3, 8, 6), {"content": torch.rand(1, 3, 16, 12)}
    plain = Objective({"mean": Term(lambda x, _: x.mean())}, {"mean": 1.0}, (16, 12), images=images)
    assert torch.equal(enlarged(coarse, plain), resize(coarse, (16, 12)))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_interrupt_inside_an_evaluation_changes_nothing(optimizer, monkeypatch):
    objective, straight = bowl(), optimize(bowl(), steps=6, optimizer=optimizer)
    run, at = optimize(objective, steps=6, optimizer=optimizer), objective.at
    list(itertools.islice(run, 3))
    monkeypatch.setattr(objective, "at", lambda image: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        next(run)
    monkeypatch.setattr(objective, "at", at)
    assert torch.equal(list(run)[-1].image, list(straight)[-1].image)


def test_adam_is_pytorchs_while_no_pixel_meets_the_border():
    objective = bowl()
    x = torch.full((1, 3, 6, 5), 0.5, requires_grad=True)
    theirs = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
    for point in itertools.islice(Adam(objective, x.detach().clone()), 6):
        torch.testing.assert_close(point.image, x.detach())
        x.grad = objective.at(x.detach()).gradient
        theirs.step()


def test_an_exception_in_the_consumer_loses_nothing_and_the_run_goes_on():
    run = optimize(bowl(), steps=10)
    with pytest.raises(ZeroDivisionError):
        for step in run:
            1 / (3 - step.index)
    assert run.history[-1].index == 3 and run.image is not None
    straight = optimize(bowl(), steps=10)
    assert torch.equal(list(run)[-1].image, list(straight)[-1].image)


def test_ctrl_c_in_the_middle_of_a_step_loses_nothing_and_the_run_goes_on(monkeypatch):
    objective = bowl()
    run, at = optimize(objective, steps=10), objective.at
    steps = list(itertools.islice(run, 4))

    def interrupted(image: Tensor):
        raise KeyboardInterrupt

    monkeypatch.setattr(objective, "at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert torch.equal(run.image, steps[-1].image) and len(run.history) == 4
    monkeypatch.setattr(objective, "at", at)
    assert torch.equal(list(run)[-1].image, list(optimize(bowl(), steps=10))[-1].image)


@pytest.mark.parametrize("where", ["in the enlargement", "in the first evaluation"])
def test_ctrl_c_between_two_sizes_loses_nothing_and_the_run_goes_on(where, monkeypatch, interrupting):
    def stages() -> list[tuple[Objective, int]]:
        return [(bowl((8, 6)), 2), (bowl((16, 12)), 3)]

    ours = stages()
    run, fine = optimize(ours), ours[1][0]
    list(itertools.islice(run, 3))
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        if where == "in the enlargement":
            broken.setattr(fine, "details", interrupting)
        else:
            broken.setattr(fine, "at", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        next(run)
    rest, straight = list(run), list(optimize(stages()))
    assert [step.size for step in rest] == [(16, 12)] * 3
    assert torch.equal(rest[-1].image, straight[-1].image)


def test_a_closed_run_keeps_its_image_and_history():
    run = optimize(bowl(), steps=10)
    next(run)
    run.close()
    assert list(run) == [] and run.image is not None and len(run.history) == 1


def test_weights_changed_in_a_pause_count_from_the_next_step_on():
    run = optimize(bowl(weight=1.0), steps=6)
    before = list(itertools.islice(run, 3))[-1]
    run.weigh(pull=10.0)
    after = next(run)
    assert after.weights == {"pull": 10.0} and before.weights == {"pull": 1.0}
    assert after.total == pytest.approx(10 * after.losses["pull"]) and after.losses["pull"] < before.losses["pull"]
    with pytest.raises(ValueError, match="push"):
        run.weigh(push=1.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"start": 255 * torch.rand(1, 3, 6, 5)}, r"start=.*got values from .*, expected"),
        ({"start": torch.full((1, 3, 6, 5), math.nan)}, r"start=.*NaN or infinity"),
        ({"seed": 2**70}, "seed=1180591620717411303424"),
        ({"seed": None}, "seed=None"),
        ({"objective": []}, r"objective=\[\] must be an Objective"),
    ],
)
def test_what_a_run_cannot_begin_with_is_refused_by_name(settings, says):
    with pytest.raises(ValueError, match=says):
        optimize(**{"objective": bowl(), **settings})


def test_a_start_in_half_precision_is_widened():
    assert next(optimize(bowl(), start=torch.full((1, 3, 6, 5), 0.5).half())).image.dtype == torch.float32


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_derivatives_are_had_under_no_grad_and_in_inference_mode(mode):
    objective = bowl()
    with mode():
        assert objective.at(torch.rand(1, 3, 6, 5)).gradient.abs().sum() > 0


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_nan_and_inf_stop_with_the_last_good_image(poison):
    calls = itertools.count()
    term = Term(lambda x, _: (x**2).sum() if next(calls) < 3 else (x * poison).sum())
    objective = Objective({"x": term}, {"x": 1.0}, (4, 4))
    run = Run(Descent(objective, torch.ones(1, 3, 4, 4), rate=0.1), 10, [objective])
    with pytest.raises(DivergenceError, match="epoch 3") as error:
        list(run)
    torch.testing.assert_close(error.value.image, torch.full((1, 3, 4, 4), 0.64))
    assert len(error.value.history) == 3 and list(run) == []


def test_growth_without_bound_stops_with_the_cause():
    objective = bowl()
    run = Run(Descent(objective, torch.rand(1, 3, 6, 5), rate=0.02), 500, [objective], blame="The step is too long.")
    with pytest.raises(DivergenceError, match="The step is too long") as error:
        list(run)
    assert error.value.image is not None and len(error.value.history) < 100


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"start": "nose"}, "'nose'"),
        ({"start": torch.zeros(2, 6, 5)}, r"\(2, 6, 5\)"),
        ({"steps": -1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"optimizer": "sgd"}, "lbfgs, adam"),
    ],
)
def test_bad_arguments_are_refused_by_name(settings, says):
    with pytest.raises(ValueError, match=says):
        optimize(bowl(), **settings)


def test_an_objective_needs_one_weight_a_term():
    with pytest.raises(ValueError, match="one weight"):
        Objective({}, {}, (4, 4))


def by_layer(objective: Objective) -> Objective:
    """The same objective with a style term for every layer."""
    style = objective.terms["style"]
    terms = {"content": objective.terms["content"]}
    terms |= {f"style {layer}": StyleTerm(style.A, {layer: w}) for layer, w in style.w.items()}
    weights = {name: objective.weights[name.split()[0]] for name in terms}
    return Objective(terms, weights, objective.size, objective.vgg, objective.images)


def test_terms_by_layer_add_up_to_the_style_term(transfer):
    parts = by_layer(transfer)
    assert [name for name in parts.terms if name.startswith("style")] == [f"style conv{b}_1" for b in range(1, 6)]
    x = torch.rand(1, 3, *transfer.size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(transfer(x)[1], parts(x)[1])


def test_exact_takes_the_equations_as_printed_which_are_the_relative_ones_in_their_units(vgg):
    content, style = load_image("horses", size=64), load_image("great_wave", size=64)
    x = (content + 0.1).clamp(0, 1)
    relative, printed = (
        by_layer(style_transfer_objective(vgg, content, style, exact=exact))(x)[0] for exact in (False, True)
    )
    alpha, w = relative_weights(*targets(vgg, content, style, CONTENT_LAYER, STYLE_LAYERS), equal_weights(STYLE_LAYERS))
    units = {"content": alpha} | {f"style {layer}": 5 * w[layer] for layer in w}
    for name, loss in printed.items():
        torch.testing.assert_close(relative[name], units[name] * loss, rtol=1e-4, atol=0)
    F, P, S = (vgg(picture, (CONTENT_LAYER, *STYLE_LAYERS)) for picture in (x, content, style))
    torch.testing.assert_close(printed["content"], content_loss(F[CONTENT_LAYER], P[CONTENT_LAYER]), rtol=1e-4, atol=0)
    of_style = style_loss({layer: F[layer] for layer in STYLE_LAYERS}, S)
    torch.testing.assert_close(sum(printed[f"style {layer}"] for layer in STYLE_LAYERS), of_style, rtol=1e-4, atol=0)


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_relative_losses_are_1_where_there_is_no_content_and_where_the_content_has_nothing_of_the_style(network):
    vgg = VGG(network)
    content, style = load_image("horses", size=64), load_image("great_wave", size=64)
    at_content = by_layer(style_transfer_objective(vgg, content, style))(content)[0]
    assert at_content.pop("content") < 1e-9
    assert list(at_content.values()) == pytest.approx([0.2] * 5, rel=1e-4)
    P, G_p, A = targets(vgg, content, style, CONTENT_LAYER, STYLE_LAYERS)
    assert relative_weights(P, G_p, A, {})[0] * content_loss(torch.zeros_like(P), P) == pytest.approx(1)


@pytest.mark.parametrize("color", [0.0, 0.5])
def test_relative_losses_are_bounded_where_the_content_has_the_style_already(vgg, color):
    picture, flat = load_image("horses", size=64), torch.full((1, 3, 48, 64), color)
    for content, style in ((picture, picture), (flat, flat), (picture, flat), (flat, picture)):
        point = style_transfer_objective(vgg, content, style).at(torch.rand_like(content))
        assert 0 <= point.total < 1e9 and point.gradient.isfinite().all()
        _, w = relative_weights(*targets(vgg, content, style, CONTENT_LAYER, STYLE_LAYERS), equal_weights(STYLE_LAYERS))
        assert all(0 < weight < float("inf") for weight in w.values())


def test_the_result_is_the_best_image_and_names_its_epoch():
    distance = Term(lambda image, F: (image - 0.25).square().sum())
    objective = Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4))
    run = optimize(objective, torch.full((1, 3, 4, 4), 0.26), steps=30, optimizer="adam")  # it swings around 0.25
    result = run.finish()
    totals = [record.total for record in result.history]
    assert totals[-1] > min(totals) and result.epoch == totals.index(min(totals))
    assert objective.at(result.image).total == min(totals)


def test_the_best_image_has_the_last_weights():
    distances = {f"to {x}": Term(lambda image, F, x=x: (image - x).square().sum()) for x in (0.2, 0.8)}
    objective = Objective(distances, {"to 0.2": 1.0, "to 0.8": 0.0}, size=(4, 4))
    run = optimize(objective, torch.full((1, 3, 4, 4), 0.2), steps=20)
    next(run)  # the total is 0
    run.weigh(**{"to 0.2": 0.0, "to 0.8": 1.0})
    result = run.finish()
    assert result.epoch > 0 and abs(result.image.mean().item() - 0.8) < 1e-3


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_run_from_the_best_image_stays_there(optimizer):
    image = load_image("horses", 96)
    result = stylize(image, image, size=96, steps=3, start="content", optimizer=optimizer)
    assert result.history[result.epoch].total < 1e-6 and (result.image - image).abs().max() < 1e-6
