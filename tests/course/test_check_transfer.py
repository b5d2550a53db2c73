"""The self-checks of notebook 05: right answers pass, and likely slips get the hint that names them."""

from torch.nn.functional import pad
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab import CONTENT_LAYER, STYLE_LAYERS, content_loss, gram_matrix, layer_style_loss, mean_gram_matrix
from nstlab.course.check import transfer as check


def answer(total, gram=mean_gram_matrix, layers=(CONTENT_LAYER, *STYLE_LAYERS)):
    """A total_loss made in some way of the content loss C and the style losses E_l."""

    def total_loss(image, vgg, P, A, alpha, beta):
        F = vgg(image, layers)
        C = content_loss(F[CONTENT_LAYER], P)
        return total(C, [layer_style_loss(gram(F[layer]), A[layer]) for layer in STYLE_LAYERS], alpha, beta, P)

    return total_loss


def variation(x):
    return x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()


RIGHT = [
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 5)),
    (check.alpha_of, lambda weight, P: 2 * weight / P.square().sum()),
    (check.roughness, variation),
]
WRONG = [
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C), "content term alone"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: beta * sum(E) / 5), "style term alone"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: C + sum(E) / 5), "not weighted"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: beta * C + alpha * sum(E) / 5), "are swapped"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C - beta * sum(E) / 5), "they are added"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E)), "what are the w_l"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C / P.numel() + beta * sum(E) / 5), "is a mean"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C * 2 + beta * sum(E) / 5), "by a factor of 2"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 5, gram_matrix), "per place"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * E[-1] / 5), "overwrites"),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 5, layers=STYLE_LAYERS),
        "CONTENT_LAYER and all",
    ),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).item()),
        "no gradient flows",
    ),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).detach()), "no gradient"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E) / 5).numpy()), "use tensors all"),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: alpha * C.item() + beta * sum(E) / 5),
        "content term has no",
    ),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(e.item() for e in E) / 5),
        "style term has no gradient",
    ),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: alpha * C + beta * (sum(E) - E[2] + E[2].item()) / 5),
        "loss of every layer a tensor",
    ),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: None), "returns nothing"),
    (
        check.total_loss,
        answer(lambda C, E, alpha, beta, P: (alpha * C + beta * sum(E)) / 5),
        "content's is alpha alone",
    ),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 4), "five style layers"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * sum(E) / 25), "by 5 twice"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: C + beta * sum(E) / 5), "Alpha is missing"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + sum(E) / 5), "Beta is missing"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: C + sum(E)), "among themselves"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C * beta * sum(E) / 5), "added, not multiplied"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C / 2 + beta * sum(E) / 5), "has its half already"),
    (check.total_loss, answer(lambda C, E, alpha, beta, P: alpha * C + beta * E[0]), "Only the first style layer"),
    (check.alpha_of, lambda weight, P: 4 * weight / P.square().sum(), "one half in front"),
    (check.alpha_of, lambda weight, P: 2 * weight / P.sum() ** 2, "The sum is squared"),
    (check.alpha_of, lambda weight, P: weight * P.square().mean(), "The other way round, and a mean"),
    (check.alpha_of, lambda weight, P: -2 * weight / P.square().sum(), "not negative"),
    (check.alpha_of, lambda weight, P: weight / content_loss(P, P), "L_content(P, P) is 0"),
    (check.roughness, lambda x: -variation(x), "not negative"),
    (check.roughness, lambda x: x.diff(dim=2).square().sum() * x.diff(dim=3).square().sum(), "not multiplied"),
    (check.roughness, lambda x: x.diff(dim=2).square().max() + x.diff(dim=3).square().max(), "the largest squares"),
    (check.roughness, lambda x: (x - x.mean()).square().sum(), "compares with the mean"),
    (
        check.roughness,
        lambda x: (x[:, :, 2:] - x[:, :, :-2]).square().sum() + (x[..., 2:] - x[..., :-2]).square().sum(),
        "one between them",
    ),
    (
        check.roughness,
        lambda x: x.diff(2, dim=2).square().sum() + x.diff(2, dim=3).square().sum(),
        "differences of differences",
    ),
    (check.roughness, lambda x: variation(x) / 3, "number of colors"),
    (check.roughness, lambda x: variation(x[:, :1]), "Only the first color"),
    (
        check.roughness,
        lambda x: (x[:, :, 1:] + x[:, :, :-1]).square().sum() + (x[..., 1:] + x[..., :-1]).square().sum(),
        "Neighbors are added",
    ),
    (check.roughness, lambda x: x.diff(dim=2).square().sum((2, 3)) + x.diff(dim=3).square().sum((2, 3)), "add them up"),
    (check.alpha_of, lambda weight, P: weight * P.square().sum() / 2, "other way round"),
    (check.alpha_of, lambda weight, P: weight / P.square().sum(), "has a half in front"),
    (check.alpha_of, lambda weight, P: weight / P.numel(), "makes a mean"),
    (check.alpha_of, lambda weight, P: 2 * weight / P.square().mean(), "not a mean"),
    (check.alpha_of, lambda weight, P: 2 * weight / P.sum(), "*squares*"),
    (check.alpha_of, lambda weight, P: weight / P.norm(), "No root"),
    (check.alpha_of, lambda weight, P: 2 / P.square().sum(), "multiply it by content_weight"),
    (check.alpha_of, lambda weight, P: P.square().sum() / (2 * weight), "Upside down"),
    (check.alpha_of, lambda weight, P: weight / P.square().mean(), "not their mean"),
    (check.alpha_of, lambda weight, P: weight / (2 * P.square().sum()), "below the line"),
    (check.alpha_of, lambda weight, P: weight, "is not one as well"),
    (check.balance, None, "yours to choose"),
    (check.balance, "0.14", "not '0.14'"),
    (check.balance, True, "not True"),
    (check.balance, -1.0, "A negative weight"),
    (check.balance, 0, "no say"),
    (check.balance, float("nan"), "nan is not a number"),
    (check.balance, 1e30, "next to no say"),
    (check.balance, 0.04, "most of the content is lost. It should have more weight"),
    (check.balance, 1.4, "most of the content is there. The style should have more"),
    (check.roughness, lambda x: x.diff(dim=2).square().sum(), "those side by side"),
    (check.roughness, lambda x: x.diff().square().sum(), "those above each other"),
    (check.roughness, lambda x: x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum(), "absolute"),
    (check.roughness, lambda x: x.diff(dim=2).sum() + x.diff(dim=3).sum(), "cancel"),
    (check.roughness, lambda x: (x.diff(dim=2).sum() + x.diff(dim=3).sum()) ** 2, "You square the sum"),
    (check.roughness, lambda x: x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean(), "These are means"),
    (
        check.roughness,
        lambda x: (x - x.roll(1, 2)).square().sum() + (x - x.roll(1, 3)).square().sum(),
        "last row is compared with the first",
    ),
    (check.roughness, lambda x: variation(pad(x, (0, 1, 0, 1))), "padded with zeros"),
    (check.roughness, lambda x: variation(pad(x, (1, 1, 1, 1))), "padded with zeros"),
    (check.roughness, lambda x: x.diff(dim=2).norm() + x.diff(dim=3).norm(), "no root"),
    (check.roughness, lambda x: variation(x) / x.numel(), "divide by the number of values"),
    (check.roughness, lambda x: x.diff(dim=2).square().sum() - x.diff(dim=3).square().sum(), "not subtracted"),
    (check.roughness, lambda x: variation(x.mean(1, keepdim=True)), "Each color counts by itself"),
    (
        check.roughness,
        lambda x: (x[..., 1:, 1:] - x[..., :-1, 1:]).square().sum() + (x[..., 1:, 1:] - x[..., 1:, :-1]).square().sum(),
        "first row or column are left out",
    ),
    (check.roughness, lambda x: variation(x) / 2, "no factor in front"),
    (check.roughness, lambda x: 2 * variation(x), "every pair once"),
    (check.roughness, lambda x: variation(x).sqrt(), "no root"),
    (check.roughness, lambda x: (x.diff(dim=2) + x.diff(dim=3)).square().sum(), "different shapes: sum each"),
    (check.roughness, lambda x: x.diff(dim=1).square().sum() + x.diff(dim=2).square().sum(), "rows are 2, columns 3"),
    (check.roughness, lambda x: variation(x) + x.diff(dim=1).square().sum(), "they are no neighbors"),
]
