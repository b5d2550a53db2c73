"""The self-checks of notebook 02: right answers pass, and likely slips get the hint that names them."""

import math

import pytest
import torch
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import network as check


def shape(layer, height, width, first=1, double=512):
    times = 2 ** (int(layer[4]) - first)
    return min(64 * 2 ** (int(layer[4]) - 1), double), height // times, width // times


def divided(layer, height, width, rounded=lambda side: side):
    stride = 2 ** (int(layer[4]) - 1)
    return shape(layer, height, width)[0], rounded(height / stride), rounded(width / stride)


def by(height, width, stride):
    return height // stride, width // stride


def field(layer, layers, pool=1, stride=2, kernel=3, start=1, late=False, after=False, once=False):
    r, j = start, 1
    for name in layers[: layers.index(layer) + 1]:
        old = j
        if name.endswith("_1") and name != "conv1_1":
            r, j = r + pool * (1 if once else j) * (stride if late else 1), j * stride
        r += (kernel - 1) * (old if after else j)
    return r


def before(layer, layers):
    return field(layers[layers.index(layer) - 1], layers) if layers.index(layer) else 1


def rescaled(weight, bias, s_before, s):
    return weight * s_before.view(1, -1, 1, 1) / s.view(-1, 1, 1, 1), bias / s


def box(layer, row, column, layers):
    reach = sum(check.field_of_view(name)[1] for name in layers[: layers.index(layer) + 1])
    r, j = check.field_of_view(layer)
    return row * j - reach, column * j - reach, row * j - reach + r, column * j - reach + r


def box_at(first, stride=None):
    def answer(layer, row, column, layers):
        r, j = check.field_of_view(layer)
        j = stride or j
        top, left = row * j + first(layer), column * j + first(layer)
        return top, left, top + r, left + r

    return answer


RIGHT = [
    (check.response_shape, shape),
    (check.response_shape, lambda *a: list(shape(*a))),
    (check.response_shape, lambda *a: torch.tensor(shape(*a))),
    (check.receptive_field, field),
    (check.receptive_field, lambda layer, layers: check.field_of_view(layer)[0]),
    (check.rescaled, rescaled),
    (check.seen_pixels, box),
    (check.seen_pixels, check.seen_box),
]
WRONG = [
    (check.response_shape, lambda *a: shape(*a, first=0), "One halving too many"),
    (check.response_shape, lambda *a: shape(*a, double=9999), "does not double in every block"),
    (check.response_shape, lambda layer, h, w: (64 * int(layer[4]), *shape(layer, h, w)[1:]), "maps double from"),
    (check.response_shape, lambda layer, h, w: (3, *shape(layer, h, w)[1:]), "colors of the picture"),
    (check.response_shape, lambda layer, h, w: shape(layer, w, h), "Height and width"),
    (check.response_shape, lambda *a: (*shape(*a)[1:], shape(*a)[0]), "maps come first"),
    (check.response_shape, lambda layer, h, w: divided(layer, h, w), "no parts of a response"),
    (check.response_shape, lambda layer, h, w: divided(layer, h, w, math.ceil), "has no partner and is dropped"),
    (check.response_shape, lambda layer, h, w: divided(layer, h, w, round), "round to the nearest"),
    (check.response_shape, lambda layer, h, w: (shape(layer, h, w)[0], h, w), "Nothing is halved"),
    (check.response_shape, lambda layer, h, w: (shape(layer, h, w)[0], *by(h, w, 2 * int(layer[4]))), "not a sixth"),
    (
        check.response_shape,
        lambda layer, h, w: (shape(layer, h, w)[0], *by(h, w, 2 ** (int(layer[-1]) - 1))),
        "number in",
    ),
    (
        check.response_shape,
        lambda layer, h, w: (shape(layer, h, w)[0], *by(h, w, 4 ** (int(layer[4]) - 1))),
        "a quarter",
    ),
    (check.response_shape, lambda layer, h, w: (*shape(layer, h, w)[:2], w), "The width is halved, too"),
    (check.response_shape, lambda *a: (1, *shape(*a)), "Without the number of images"),
    (check.response_shape, lambda *a: shape(*a)[1:], "number of maps N is missing"),
    (check.response_shape, lambda *a: (shape(*a)[0], a[1], shape(*a)[2]), "The height is halved, too"),
    (check.response_shape, lambda *a: (*shape(*a)[:2], shape(*a)[1]), "need not be square"),
    (check.response_shape, lambda *a: (shape(*a)[0], shape(*a)[1] * shape(*a)[2]), "not their product M"),
    (check.response_shape, lambda *a: math.prod(shape(*a)), "how many responses there are"),
    (check.response_shape, lambda n, h, w: (shape(n, h, w)[0], *by(h, w, 2 ** max(0, int(n[4]) - 2))), "too few"),
    (check.response_shape, lambda *a: (shape(*a)[0], *by(*a[1:], 2)), "are halved once"),
    (check.response_shape, lambda *a: (shape(*a)[0], *by(*a[1:], 16)), "These are all poolings"),
    (check.response_shape, lambda *a: (shape(*a)[0], *by(*a[1:], 3 ** (int(a[0][4]) - 1))), "not 3 x 3"),
    (check.response_shape, lambda *a: (shape(*a)[0], *by(*a[1:], 2 ** check.LAYERS.index(a[0]))), "keeps the sides"),
    (check.response_shape, lambda *a: (64, *shape(*a)[1:]), "block 1's number of maps"),
    (check.response_shape, lambda *a: (512, *shape(*a)[1:]), "the deepest block's number"),
    (check.response_shape, lambda *a: (128 * 2 ** (int(a[0][4]) - 1), *shape(*a)[1:]), "does not double in every"),
    (check.response_shape, lambda *a: (shape("conv" + a[0][-1], 1, 1)[0], *shape(*a)[1:]), "for the maps"),
    (
        check.response_shape,
        lambda n, h, w: (shape(n, h, w)[0], h % 2 ** (int(n[4]) - 1), w % 2 ** (int(n[4]) - 1)),
        "`//`",
    ),
    (check.receptive_field, lambda *a: field(*a, kernel=5), "both sides together"),
    (check.receptive_field, lambda *a: field(*a, stride=3), "it doubles j"),
    (check.receptive_field, lambda *a: field(*a, stride=4), "along one side"),
    (check.receptive_field, lambda *a: field(*a) // 2, "how far it reaches to one side"),
    (check.receptive_field, lambda *a: field(*a) + check.field_of_view(a[0])[1], "One step j too many"),
    (check.receptive_field, lambda layer, layers: 3 * (layers.index(layer) + 1), "The kernels overlap"),
    (check.receptive_field, lambda layer, layers: 3 ** (layers.index(layer) + 1), "added, not multiplied"),
    (check.receptive_field, lambda layer, layers: 3, "`return` indented too far"),
    (check.receptive_field, lambda layer, layers: 1 + 2 * int(layer[-1]), "Begin at the pixels"),
    (check.seen_pixels, lambda layer, row, column, layers: (row, column, row + 1, column + 1), "not its pixels"),
    (check.seen_pixels, box_at(lambda layer: -check.field_of_view(layer)[0]), "a whole field before"),
    (check.seen_pixels, lambda layer, row, column, layers: box(layer, 0, 0, layers), "this is the first box"),
    (check.seen_pixels, lambda *a: tuple(n + 1 for n in box(*a)), "counted from 0"),
    (check.seen_pixels, lambda *a: box(*a)[:2], "one corner"),
    (check.seen_pixels, lambda *a: tuple(n + (k > 1) for k, n in enumerate(box(*a))), "too many at the end"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b.mul_(2), s0, s), "has changed"),
    (check.rescaled, lambda W, b, s0, s: (W, None), "`return weight, bias`"),
    (check.rescaled, lambda W, b, s0, s: (W, b.tolist()), "`return weight, bias`"),
    (check.rescaled, lambda W, b, s0, s: (W, b), "Nothing is scaled"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, 1 / s0, 1 / s)[0], b), "upside down, and the bias"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, torch.ones(4))[0], b), "and the bias, by `s`"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, torch.ones(3), 1 / s), "divided by it"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, 1 / s0, torch.ones(4))[0], b / s), "not scaled yet"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, torch.ones(3), s)[0], b * s), "The bias, too, must"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0], b / s**2), "once, not twice"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0], b - s), "nothing is subtracted"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0], torch.zeros(4)), "bias has become 0"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0].relu(), b / s), "acts on responses"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, s0.mean().expand(3), s), "not its mean"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0.sqrt(), s.sqrt())[0], b / s), "There is no root"),
    (check.receptive_field, lambda *a: field(*a, stride=1), "one step after it is two"),
    (check.receptive_field, lambda *a: field(*a, pool=0), "poolings are missing: a pooling takes"),
    (check.receptive_field, lambda *a: field(*a, pool=0, stride=1), "missing altogether"),
    (check.receptive_field, lambda *a: field(*a, late=True), "In which order"),
    (check.receptive_field, lambda *a: field(*a, kernel=4), "adds too much"),
    (check.receptive_field, lambda *a: field(*a, kernel=2), "on both sides"),
    (check.receptive_field, lambda *a: field(*a, pool=2), "j, not 2 j. In which order"),
    (check.receptive_field, lambda *a: field(*a, after=True), "before the first convolution of its block"),
    (check.receptive_field, lambda *a: field(*a, once=True), "1 only before the first one"),
    (check.receptive_field, lambda *a: field(*a, start=2), "One too many"),
    (check.receptive_field, lambda *a: field(*a, start=0), "One too few"),
    (check.receptive_field, lambda *a: field(*a) + 0.5, "no parts of a pixel"),
    (check.receptive_field, before, "You stop before the given layer"),
    (check.receptive_field, lambda layer, layers: before(layers[layers.index(layer) + 2], layers), "layer too many"),
    (check.receptive_field, lambda layer, layers: field(layers[-1], layers), "You never stop"),
    (check.receptive_field, lambda layer, layers: check.field_of_view(layer)[1], "the stride j"),
    (check.receptive_field, lambda *a: field(*a) ** 2, "pixels in the square"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, torch.ones(3), s), "where is that undone"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, torch.ones(4))[0], b / s), "divides the outputs"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0], b), "bias is part of the response"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, s)[0], b * s), "not multiplied"),
    (check.rescaled, lambda W, b, s0, s: (W / s.view(-1, 1, 1, 1), b), "Neither the inputs nor the bias"),
    (check.rescaled, lambda W, b, s0, s: (W, b / s), "The weight must be scaled, too"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, 1 / s0, 1 / s), "Upside down"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, 1 / s0, s), "must be undone"),
    (check.rescaled, lambda W, b, s0, s: (rescaled(W, b, s0, 1 / s)[0], b / s), "You multiply the weight by `s`"),
    (check.rescaled, lambda W, b, s0, s: (W * s0 / s.view(-1, 1, 1, 1), b / s), "along the columns"),
    (check.rescaled, lambda W, b, s0, s: (W * s0[:, None] / s.view(-1, 1, 1, 1), b / s), "along the rows"),
    (check.rescaled, lambda W, b, s0, s: (W * s0 / s, b / s), "axis 0 of the weight"),
    (check.rescaled, lambda W, b, s0, s: (W * s0.view(-1, 1, 1, 1) / s.view(1, -1, 1, 1), b), "axis 0 of the weight"),
    (check.rescaled, lambda W, b, s0, s: rescaled(W, b, s0, s)[::-1], "Which axis of the weight"),
    (check.rescaled, lambda W, b, s0, s: W, "`return weight, bias`"),
    (check.seen_pixels, box_at(lambda layer: 0), "the position is not"),
    (check.seen_pixels, box_at(lambda layer: -(check.field_of_view(layer)[0] // 2)), "not centered"),
    (check.seen_pixels, box_at(lambda layer: -1 - check.LAYERS.index(layer)), "more than one pixel"),
    (check.seen_pixels, lambda *a: tuple(n - (k > 1) for k, n in enumerate(box(*a))), "are excluded"),
    (check.seen_pixels, lambda *a: tuple(max(0, n) for n in box(*a)), "cut the box off"),
    (check.seen_pixels, lambda layer, row, column, layers: box(layer, column, row, layers), "are swapped"),
    (check.seen_pixels, lambda *a: (*box(*a)[:2], box(*a)[2] - box(*a)[0], box(*a)[2] - box(*a)[0]), "not the size"),
    (check.seen_pixels, lambda *a: (box(*a)[0], box(*a)[2], box(*a)[1], box(*a)[3]), "first the one corner"),
    (check.seen_pixels, box_at(lambda layer: box(layer, 0, 0, check.LAYERS)[0], stride=1), "a step of j pixels"),
    (check.seen_pixels, lambda *a: tuple(n + 0.5 for n in box(*a)), "no parts of a pixel"),
]


@pytest.mark.parametrize(
    ("layer", "row", "column"), [("conv1_2", 50, 60), ("conv2_2", 30, 20), ("conv3_3", 18, 20), ("conv4_2", 9, 10)]
)
def test_seen_box_is_where_the_gradient_of_a_response_is_not_zero(vgg, layer, row, column):
    x = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0)).requires_grad_()
    F = vgg(x, [layer])[layer]
    (gradient,) = torch.autograd.grad(F[0, :, row, column].sum(), x)
    rows, columns = ((gradient != 0).any(dim=d).any(dim=0).any(dim=0).nonzero().flatten() for d in (3, 2))
    measured = (rows[0].item(), columns[0].item(), rows[-1].item() + 1, columns[-1].item() + 1)
    assert measured == check.seen_box(layer, row, column)
