"""The self-checks of notebook 10: right answers pass, and likely slips get the hint that names them."""

import torch
from torch.nn.functional import interpolate
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab import gram_matrix, luminance, mean_gram_matrix, on_grid
from nstlab.course.check import beyond as check
from nstlab.course.check.beyond import power


def region_gram(F, m, exponent=0.5, divisor=lambda grid, m: grid.sum()):
    grid = on_grid(m, tuple(F.shape[2:]))
    return gram_matrix(F * grid**exponent) / divisor(grid, m)


def one_sided(F, m):
    grid = on_grid(m, tuple(F.shape[2:]))
    return (F * grid).flatten(2) @ F.flatten(2).transpose(1, 2) / grid.sum()


def places_with_places(F, m):
    rows = (F * on_grid(m, tuple(F.shape[2:])).sqrt()).flatten(2)
    return rows.transpose(1, 2) @ rows / on_grid(m, tuple(F.shape[2:])).sum()


def nearest_pixel(F, m):
    grid = interpolate(m, F.shape[2:])
    return gram_matrix(F * grid.sqrt()) / grid.sum()


def recolored(x, y, C=None, minus=True, plus=True):
    K, L = torch.cov(x.T), torch.cov(y.T)
    root, back = power(K, 1 / 2), power(K, -1 / 2)
    C = back @ power(root @ L @ root, 1 / 2) @ back if C is None else C(K, L)
    return (x - x.mean(0) * minus) @ C.T + y.mean(0) * plus


def map_of(K, L):
    return power(K, -1 / 2) @ power(power(K, 1 / 2) @ L @ power(K, 1 / 2), 1 / 2) @ power(K, -1 / 2)


def content_colors(photo, Y):
    return photo + Y - luminance(photo)


def mixed(A, mix):
    return torch.einsum("k,kij->ij", mix, A)


def constant(A, mix):
    return mix @ A.square().sum((1, 2)) - mixed(A, mix).square().sum()


def apart(A, mix):
    return (A - mixed(A, mix)).square().sum((1, 2))


RIGHT = [
    (check.region_gram, region_gram),
    (check.region_gram, one_sided),
    (check.recolored, recolored),
    (check.content_colors, content_colors),
    (check.content_colors, lambda photo, Y: content_colors(photo, Y).clamp(0, 1)),
    (check.constant, constant),
    (check.constant, lambda A, mix: mix @ apart(A, mix)),
]
WRONG = [
    (check.region_gram, lambda F, m: gram_matrix(F * m.sqrt()) / m.sum(), "bring m to its grid"),
    (check.region_gram, lambda F, m: region_gram(F, m, 1), "twice"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: 1), "not divided"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: grid.numel()), "by all places"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: m.sum()), "sum over pixels"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: grid.mean()), "share of the area"),
    (check.region_gram, places_with_places, "transposed"),
    (check.region_gram, nearest_pixel, "one pixel"),
    (check.region_gram, lambda F, m: mean_gram_matrix(F), "not in it"),
    (check.region_gram, lambda F, m: region_gram(F, (m > 0.5).float()), "rounded to 0 and 1"),
    (check.region_gram, lambda F, m: region_gram(F, m)[0], "first axis"),
    (check.recolored, lambda x, y: x - x.mean(0) + y.mean(0), "still that of x"),
    (check.recolored, lambda x, y: recolored(x, y, minus=False), "Subtract the mean"),
    (check.recolored, lambda x, y: recolored(x, y, plus=False), "the mean is 0"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: map_of(L, K)), "from y to x"),
    (check.recolored, lambda x, y: recolored(y, x), "other way round"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: L @ torch.linalg.inv(K)), "take a root"),
    (check.recolored, lambda x, y: (x - x.mean(0)) / x.std(0) * y.std(0) + y.mean(0), "Each channel alone"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: power(L, 0.5) @ power(K, -0.5)), "not symmetric"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: L), "root in the middle"),
    (
        check.recolored,
        lambda x, y: (x - y.mean(0)) @ map_of(torch.cov(x.T), torch.cov(y.T)) + y.mean(0),
        "not that of y",
    ),
    (
        check.recolored,
        lambda x, y: (x - x.mean(0) + y.mean(0)) @ map_of(torch.cov(x.T), torch.cov(y.T)),
        "goes through C, too",
    ),
    (check.recolored, lambda x, y: (x - x.mean()) @ map_of(torch.cov(x.T), torch.cov(y.T)) + y.mean(0), "`x.mean(0)`"),
    (check.recolored, lambda x, y: x - x.mean(0), "where are C and"),
    (check.recolored, lambda x, y: map_of(torch.cov(x.T), torch.cov(y.T)), "This is C"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: map_of(K, L) @ power(K, 0.5)), "on both sides"),
    (check.recolored, lambda x, y: recolored(x, y).clamp(0, 1), "A clamp changes"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: grid.max()), "the largest value"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: grid.square().sum()), "not over its"),
    (check.region_gram, lambda F, m: region_gram(F, m, 1, lambda grid, m: grid.numel()), "divide by all places"),
    (check.region_gram, lambda F, m: region_gram(F.mul_(2), m), "has changed"),
    (check.content_colors, lambda photo, Y: photo + Y, "own luminance"),
    (check.content_colors, lambda photo, Y: photo + luminance(photo) - Y, "sign"),
    (check.content_colors, lambda photo, Y: photo + Y - photo.mean(1, keepdim=True), "green counts most"),
    (check.content_colors, lambda photo, Y: photo * Y / luminance(photo), "multiplies"),
    (check.content_colors, lambda photo, Y: Y.repeat(1, 3, 1, 1), "gray picture"),
    (check.content_colors, lambda photo, Y: photo + Y.mean() - luminance(photo).mean(), "needs its own"),
    (check.content_colors, lambda photo, Y: Y - luminance(photo), "To what"),
    (check.constant, lambda A, mix: 0, "the same"),
    (check.constant, lambda A, mix: -constant(A, mix), "sign is turned"),
    (check.constant, lambda A, mix: mix @ A.square().sum((1, 2)), "brings a constant"),
    (check.constant, lambda A, mix: apart(A, mix).sum(), "counts with its share"),
    (check.constant, lambda A, mix: mix.square() @ apart(A, mix), "squared"),
    (check.constant, lambda A, mix: mix @ (A - A.mean(0)).square().sum((1, 2)), "plain mean"),
    (check.constant, lambda A, mix: mix @ apart(A, mix).sqrt(), "distances"),
    (check.constant, mixed, "one number"),
    (check.constant, lambda A, mix: mix @ A.square().sum((1, 2)) + mixed(A, mix).square().sum(), "wrong sign"),
    (check.constant, lambda A, mix: apart(A, mix).mean(), "not with a third"),
    (check.content_colors, lambda photo, Y: photo, "has not changed"),
    (check.content_colors, lambda photo, Y: photo - luminance(photo), "comes in its place"),
    (check.region_gram, lambda F, m: gram_matrix(F) / on_grid(m, tuple(F.shape[2:])).sum(), "in the divisor alone"),
    (check.region_gram, lambda F, m: region_gram(F, 1 - m), "outside of the region"),
    (check.region_gram, lambda F, m: region_gram(F, m, divisor=lambda grid, m: grid.sqrt().sum()), "sum of the roots"),
    (check.recolored, lambda x, y: recolored(x, y, plus=-1), "not subtracted"),
    (check.recolored, lambda x, y: recolored(x, y, plus=0) + y.mean(), "is a color"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: power(K, -0.5)), "that of y come in"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: power(L, 0.5)), "K is missing in C"),
    (check.recolored, lambda x, y: recolored(x, y, lambda K, L: map_of(power(K, -1), L)), "roots are exchanged"),
    (check.content_colors, lambda photo, Y: photo + Y - luminance(photo).mean(), "luminance of its own"),
    (check.content_colors, lambda photo, Y: (photo + Y) / 2, "half of each"),
    (check.content_colors, lambda photo, Y: photo * Y, "This multiplies. The luminance"),
    (check.content_colors, lambda photo, Y: photo + Y - photo[:, 1:2], "takes the green away"),
    (check.constant, lambda A, mix: mix @ A.square().sum((1, 2)) - A.mean(0).square().sum(), "not the plain one"),
    (check.constant, lambda A, mix: 2 * constant(A, mix), "no factor of 2"),
    (check.constant, lambda A, mix: (mix * A).sum(), "two more axes"),
    (check.recolored, lambda x, y: x, "colors of x, unchanged"),
    (check.recolored, lambda x, y: y, "each to its own place"),
]


def test_the_color_map_of_the_check_moves_one_covariance_to_the_other():
    K, L = (B @ B.T + 0.1 * torch.eye(3).double() for B in torch.rand(2, 3, 3, dtype=torch.float64))
    C = map_of(K, L)
    assert torch.allclose(C, C.T) and torch.allclose(C @ K @ C, L)
