"""The self-checks of notebook 04: right answers pass, and likely slips get the hint that names them."""

import torch
from verdicts import test_a_likely_slip_fails_with_the_hint_that_names_it, test_the_right_answer_passes  # noqa: F401

from nstlab.course.check import style as check


def gram(F):
    return torch.einsum("bihw,bkhw->bik", F, F)


def style(F, S, M=None, M_S=None, front=lambda N: 4 * N**2):
    M = F[0, 0].numel() if M is None else M
    M_S = S[0, 0].numel() if M_S is None else M_S
    return (gram(F) / M - gram(S) / M_S).square().sum() / front(F.shape[1])


def gradient_by_autograd(F, A):
    Z = torch.where(F > 0, F, -1.0).requires_grad_()
    E = (gram(Z.relu()) / F[0, 0].numel() - A).square().sum() / (4 * F.shape[1] ** 2)
    return torch.autograd.grad(E, Z)[0]


def gradient(F, A, M=20, masked=True, M_of_G=20):
    g = torch.einsum("bik,bkhw->bihw", gram(F) / M_of_G - A, F) / (9 * M)
    return g * (F > 0) if masked else g


def each_map_alone(F, order):
    """A shuffle per map: every filter has an order of its own."""
    return torch.stack([f.flatten()[torch.randperm(20)].view_as(f) for f in F[0]])[None]


RIGHT = [
    (check.gram_matrix, gram),
    (check.gram_matrix, lambda F: F.flatten(2) @ F.flatten(2).mT),
    (check.shuffled, lambda F, order: F.flatten(2).index_select(2, order).reshape(F.shape)),
    (check.layer_style_loss, style),
    (check.style_gradient, gradient),
]
WRONG = [
    (check.gram_matrix, lambda F: F.flatten(2).mT @ F.flatten(2), "transposed"),
    (check.gram_matrix, lambda F: gram(F) / 20, "divided by M"),
    (check.gram_matrix, lambda F: gram(F) / 60, "divided by N M"),
    (check.gram_matrix, lambda F: gram(F)[0], "first axis"),
    (check.gram_matrix, lambda F: F.square().sum((2, 3)), "diagonal"),
    (check.gram_matrix, lambda F: torch.stack([torch.cov(f.flatten(1)) * 19 for f in F]), "covariance"),
    (check.gram_matrix, lambda F: torch.einsum("bihw,bkhw->ik", F, F), "added up"),
    (check.gram_matrix, lambda F: torch.einsum("bihw,bkhw->ik", F, F)[None], "added up"),
    (check.gram_matrix, lambda F: F @ F.transpose(2, 3), "map by map"),
    (check.gram_matrix, lambda F: F.flatten(2) @ F.flatten(2), "must be transposed"),
    (check.shuffled, lambda F, order: F, "Nothing has moved"),
    (check.shuffled, lambda F, order: F.flatten(2)[:, :, order.argsort()].view_as(F), "from place order"),
    (check.shuffled, lambda F, order: F.flatten(2)[:, :, order], "shape of F"),
    (
        check.shuffled,
        lambda F, order: F[:, :1].flatten(2)[:, :, order].expand(1, 3, 20).view_as(F),
        "the first one",
    ),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: N**2), "factor of 4"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: 2 * N**2), "factor of 2"),
    (check.layer_style_loss, lambda F, S: style(F, S, 1, 1, lambda N: 1), "normalization is missing"),
    (check.layer_style_loss, lambda F, S: style(F, S, 1, 1, lambda N: 4), "N and M are missing"),
    (check.layer_style_loss, lambda F, S: style(F, S, 1, 1), "M is missing"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: 1), "the N of the fraction"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: 4), "N is missing"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: 4 * N), "squared"),
    (check.layer_style_loss, lambda F, S: style(F, S, 20, 20), "the pastiche's"),
    (check.layer_style_loss, lambda F, S: style(F, S, 42, 42), "the style image's"),
    (check.layer_style_loss, lambda F, S: style(F, S, 42, 20), "the other image's"),
    (check.layer_style_loss, lambda F, S: style(F, S, 400, 42**2), "One M too many"),
    (check.layer_style_loss, lambda F, S: style(F, S, 20**0.5, 42**0.5), "M must be squared"),
    (check.layer_style_loss, lambda F, S: style(F, S, 60, 126, lambda N: N**2), "tutorials"),
    (check.layer_style_loss, lambda F, S: (gram(F) / 20 - gram(S) / 42).abs().sum() / 36, "absolute"),
    (check.layer_style_loss, lambda F, S: F.flatten(2).mT @ F.flatten(2) - S.flatten(2).mT, "N x N"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False), "set to 0"),
    (check.style_gradient, lambda F, A: -gradient(F, A), "sign"),
    (check.style_gradient, lambda F, A: -gradient(F, A, masked=False), "sign"),
    (check.style_gradient, lambda F, A: gradient(F, A) / 4, "factor of 4"),
    (check.style_gradient, lambda F, A: gradient(F, A) / 2, "twice"),
    (check.style_gradient, lambda F, A: gradient(F, A, M=1), "One M is missing"),
    (check.style_gradient, lambda F, A: gradient(F, A, M=400), "One M too many"),
    (check.style_gradient, lambda F, A: gradient(F, A, M_of_G=1), "must still be divided"),
    (check.style_gradient, lambda F, A: 9 * gradient(F, A), "N is missing"),
    (check.style_gradient, lambda F, A: 3 * gradient(F, A), "squared"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False).flatten(2).mT, "transpose it"),
    (check.style_gradient, lambda F, A: gradient(F, A).flatten(2), "shape of F"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False).flatten(2), "second case"),
    (check.gram_matrix, lambda F: F.reshape(3, -1) @ F.reshape(3, -1).T, "laid into one row"),
    (check.gram_matrix, lambda F: F.flatten(1) @ F.flatten(1).T, "Each image is one row"),
    (check.gram_matrix, lambda F: F.reshape(2, 20, 3).mT @ F.reshape(2, 20, 3), "does not transpose"),
    (check.gram_matrix, lambda F: F.flatten(2) * F.flatten(2), "A matrix product is `@`"),
    (check.gram_matrix, lambda F: gram(F / F.flatten(2).norm(dim=2)[..., None, None]), "normalize the rows"),
    (check.gram_matrix, lambda F: F.flatten(2) @ F.flatten(2).T, "one of the two must be transposed"),
    (check.layer_style_loss, lambda F, S: style(F, S, 1, 1, lambda N: N**2), "undivided matrices"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: 4) * 9, "needs parentheses"),
    (check.layer_style_loss, lambda F, S: style(F, S, front=lambda N: (4 * N) ** 2), "the 4 is not"),
    (check.layer_style_loss, lambda F, S: style(F, S, 60, 126), "by M alone"),
    (check.layer_style_loss, lambda F, S: style(F, S, 1, 1) / (20 * 42), "before you subtract"),
    (check.layer_style_loss, lambda F, S: (gram(F) / 20 - gram(S) / 42).square() / 36, "Add them up"),
    (check.layer_style_loss, lambda F, S: (gram(F) / 20 - gram(S) / 42).sum() ** 2 / 36, "You square the sum"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False) * (F == 0), "mask is turned around"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False).relu(), "cuts the slopes below 0"),
    (check.style_gradient, lambda F, A: gradient(F, A) * F, "not F itself"),
    (check.style_gradient, lambda F, A: 4 * gradient(F, A), "cancel the 4"),
    (check.style_gradient, lambda F, A: (gram(F) / 20 - A) / 180, "Which F is it multiplied with"),
    (check.style_gradient, lambda F, A: (gram(F) / 20 - A).square().sum() / 36, "This is the loss"),
    (check.gram_matrix, lambda F: gram(F) / 3, "divided by N"),
    (check.gram_matrix, lambda F: gram(F) ** 2, "matrix is squared"),
    (check.gram_matrix, lambda F: gram(F).tril(), "G_ki is G_ik"),
    (check.gram_matrix, lambda F: gram(F) @ gram(F), "G times G"),
    (check.gram_matrix, lambda F: gram(F.mul_(1)) + 0 * F.zero_().sum(), "has changed"),
    (check.layer_style_loss, lambda F, S: (gram(F) / 20 + gram(S) / 42).square().sum() / 36, "add the two matrices"),
    (check.layer_style_loss, lambda F, S: (gram(F) / 20).square().sum() / 36, "The style image is missing"),
    (check.layer_style_loss, lambda F, S: (gram(S) / 42).square().sum() / 36, "The pastiche is missing"),
    (check.layer_style_loss, lambda F, S: style(F, 0 * S) - style(0 * F, S), "squared separately"),
    (check.layer_style_loss, lambda F, S: -style(F, S), "not negative"),
    (check.style_gradient, lambda F, A: gradient(F, A, masked=False) / 2, "set to 0? Besides, it is 0.5 times"),
    (check.shuffled, each_map_alone, "an order of its own"),
    (check.shuffled, lambda F, order: F.flatten(2)[:, :, order.flip(0)].view_as(F), "an order of your own"),
    (check.shuffled, lambda F, order: F.flatten(2)[:, :, torch.randperm(20)].view_as(F), "an order of your own"),
    (check.shuffled, lambda F, order: F.flatten()[torch.randperm(60)].view_as(F), "from one map to another"),
    (check.shuffled, lambda F, order: F.flatten(2).flip(2).view_as(F), "turned around"),
    (check.shuffled, lambda F, order: F.flatten(2).mT[:, order].reshape(F.shape), "transpose back"),
    (check.shuffled, lambda F, order: F[:, :, order], "lay each map out as a row"),
    (check.shuffled, lambda F, order: F[..., order], "lay each map out as a row"),
    (check.shuffled, lambda F, order: F[:, order], "lay each map out as a row"),
    (check.layer_style_loss, lambda F, S: (F - S).square().sum() / 36, "different numbers of places"),
    (check.layer_style_loss, lambda F, S: torch.bmm(F.flatten(2), F.flatten(2)), "last two axes"),
    (check.style_gradient, gradient_by_autograd, "You ask autograd"),
    (check.style_gradient, lambda F, A: (A - A) @ F.flatten(2).mT, "N rows of M places"),
]
