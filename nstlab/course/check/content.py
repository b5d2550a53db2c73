"""The self-checks of notebook 03: equation 1, its derivative, and its weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, relu

from nstlab import content_loss as right_content_loss
from nstlab.course.check.verdict import AUTOGRAD, Slip, Verdict, by_hand, called, compare


def examples() -> tuple[Tensor, Tensor]:
    """Responses F and P of one small layer, (1, 3, 4, 5), zero and not zero in every combination.

    >>> F, P = examples()
    >>> [bool((a & b).any()) for a in (F > 0, F == 0) for b in (P > 0, P == 0)]
    [True, True, True, True]
    """
    generator = torch.Generator().manual_seed(3)
    F, P = relu(torch.randn(2, 1, 3, 4, 5, generator=generator))
    return F, P


def content_loss(mine: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 1: equation 1.

        L_content = 1/2 sum_ij (F_ij - P_ij)^2

    >>> content_loss(lambda F, P: (F - P).square().sum() / 2).passed
    True
    """
    F, P = examples()
    right, count = right_content_loss(F, P), F.numel()
    return compare(
        lambda: called(mine, F, P),
        right,
        [
            Slip(2 * right, "Too large by a factor of 2: look again at the factor in front of the sum."),
            Slip(
                2 * right / count,
                "This is the mean of the squares. Equation 1 has half of a sum.",
            ),
            Slip(right / count, "This is a mean over maps and places. Equation 1 as printed has a sum."),
            Slip((F - P).sum() / 2, "Differences of both signs cancel: what does the equation do to each one first?"),
            Slip((F - P).abs().sum() / 2, "These are absolute differences: what does the equation do to each one?"),
            Slip((F - P).sum().square() / 2, "You square the sum. The equation sums the squares."),
            Slip((F + P).square().sum() / 2, "A difference is squared, not a sum: where is the minus?"),
            Slip(
                ((F - P).square() * (F > 0)).sum() / 2,
                "You leave out the silent responses. They count in the loss; only their gradient is 0.",
            ),
            Slip(
                ((F - P).square() * (P > 0)).sum() / 2,
                "You leave out where P is silent. Every response counts in the loss.",
            ),
            Slip(relu(F - P).square().sum() / 2, "Where F is below P, the difference is lost. Its square counts, too."),
            Slip(P.square().sum() / 2, "F is missing: how far is it from P?"),
            Slip(F.square().sum() / 2, "P is missing: how far is F from it?"),
            Slip((F - P).square().max() / 2, "This is the largest square. The equation adds up all of them."),
            Slip((F - P).pow(3).sum() / 2, "This is the cube: look at the exponent."),
            Slip((F - P.square()).sum() / 2, "`F - P ** 2` squares P alone: it needs parentheses."),
            Slip(2 * right // 2, "`//` drops what is behind the point: divide with `/`."),
            Slip(-right, "A loss is not negative: where does the minus come from?"),
            Slip(2 * right / P.square().sum(), "You divide by the content. Equation 1 does not."),
            Slip(right / 3, "You divide by the number of maps. Equation 1 sums over all of them."),
            Slip(right / 20, "You divide by the number of places. Equation 1 sums over all of them."),
            Slip(right / 2, "The half is in it twice: does it stand inside of the square, too?"),
            Slip((2 * right).sqrt(), "You take a square root. The equation has none."),
            Slip(
                (F.square() - P.square()).sum() / 2,
                "F and P are squared separately. The equation squares their difference.",
            ),
            Slip((F - P).square() / 2, "This is one number for each response: what does the sum sign mean?"),
        ],
        "Half of the sum of squares, as equation 1 says.",
    )


def content_gradient(mine: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 2: the derivative of equation 1 and of the ReLU before it.

        dL/dF_ij = (F - P)_ij  if F_ij > 0,  else 0

    >>> content_gradient(lambda F, P: (F - P) * (F > 0)).passed
    True
    """
    F, P = examples()
    right = (F - P) * (F > 0)
    return compare(
        lambda: by_hand(mine, F, P),
        right,
        [
            Slip(AUTOGRAD, "You ask autograd. Write the two cases of the formula yourself."),
            Slip(F - P, "This is the first case, everywhere. What about the responses that the ReLU has set to 0?"),
            Slip(-right, "The sign is wrong: if F is larger than P, a larger F makes the loss larger."),
            Slip(P - F, "The sign is wrong, and the second case, F = 0, is missing."),
            Slip(
                2 * right,
                "Too large by a factor of 2: the square gives a 2, and a factor in equation 1 cancels it.",
            ),
            Slip(2 * (F - P), "Too large by a factor of 2, and the second case, F = 0, is missing."),
            Slip((F - P) * (F == 0), "Your mask is turned around: the ReLU lets a slope through where F is above 0."),
            Slip((F - P) * (F > 0) * (P > 0), "One mask too many: only the ReLU that F came out of is on the way."),
            Slip((F - P).abs() * (F > 0), "The sign is lost: F below P must rise, F above P must fall."),
            Slip(right / 2, "Too small by a factor of 2: the square gives a 2, and it cancels the half."),
            Slip((F - P).sign() * (F > 0), "This is the sign of the slope. How large is it?"),
            Slip((F + P) * (F > 0), "A slope is a difference here: where is the minus?"),
            Slip((F - P) * F, "The mask is F > 0, ones and zeros, not F itself."),
            Slip(P * (F > 0), "This is P. The slope is the distance of F from it."),
            Slip(torch.where(F > 0, F - P, 1.0), "In the second case there is no slope: it is 0, not 1."),
            Slip(F * (F > 0), "This is F. The slope is its distance from P."),
            Slip(right.sum(), "This is one number. The derivative has one number for each response."),
            Slip((F - P)[F > 0], "Only some responses are left. Keep all, with a 0 where there is no slope."),
            Slip((F - P) * (P > 0), "Your mask is P > 0. The ReLU between the loss and the pixels is that of F."),
            Slip(relu(F - P), "Your mask is F - P > 0. A response that is too weak has a gradient, too."),
            Slip(right / F.numel(), "This is the derivative of the mean. Equation 1 as printed has a sum."),
            Slip(right.square() / 2, "These are the parts of the loss. A derivative has no square."),
            Slip((F > 0).to(F.dtype), "This is the mask. What is the derivative in the first case?"),
            Slip(mse_loss(F, P), "This is a loss, one number. The derivative has one number for each response."),
        ],
        "Both cases are right.",
    )


def silent_share(mine: Callable[[Tensor, Tensor], Tensor | float]) -> Verdict:
    """Exercise 3: the share of equation 1 at F = 0, where its derivative is 0.

        sum_{ij: F_ij = 0} (F - P)_ij^2  /  sum_ij (F - P)_ij^2

    >>> silent_share(lambda F, P: right_content_loss(F * (F == 0), P * (F == 0)) / right_content_loss(F, P)).passed
    True
    """
    F, P = examples()
    squares, silent = (F - P).square(), F == 0
    right = squares[silent].sum() / squares.sum()
    return compare(
        lambda: called(mine, F, P),
        right,
        [
            Slip(silent.float().mean(), "This is the share of the responses. Which share of the loss is theirs?"),
            Slip(silent.sum(), "This is the number of silent responses. Which share of the loss is theirs?"),
            Slip(1 / right, "Upside down: the part is divided by the whole."),
            Slip(right / 2, "A half in one of the two sums alone: it stands in both, and cancels."),
            Slip(2 * right, "A half in one of the two sums alone: it stands in both, and cancels."),
            Slip(
                squares[silent].sum() / P.square().sum(),
                "You divide by the squares of P. The whole is the sum over F - P.",
            ),
            Slip((F - P)[silent].sum() / (F - P).sum(), "Differences of both signs cancel: square them first."),
            Slip(1 - right, "This is the share that has a derivative. Compute the other one."),
            Slip(squares[silent].sum(), "This is a part of the loss, not a share: divide by the whole."),
            Slip(squares[silent].sum() / 2, "This is a part of the loss, not a share: divide by the whole."),
            Slip(
                squares[P == 0].sum() / squares.sum(),
                "You look where P is silent. The derivative is 0 where F, the pastiche's response, is silent.",
            ),
            Slip(
                (F - P)[silent].abs().sum() / (F - P).abs().sum(),
                "These are absolute differences: what does equation 1 do to each one?",
            ),
            Slip(
                squares[silent].sum() / squares[~silent].sum(),
                "You divide by the rest. A share is divided by the whole, both parts together.",
            ),
            Slip(100 * right, "This is a percentage. A share lies between 0 and 1."),
            Slip(100 * silent.float().mean(), "This is the share of the responses. Which share of the loss is theirs?"),
            Slip(silent.sum() / (~silent).sum(), "Responses are counted. Which share of the loss do they have?"),
            Slip(right.sqrt(), "There is no root: these are squares, not lengths."),
            Slip(1 / right - 1, "Upside down, and without the silent part: divide it by the whole."),
            Slip(squares.sum(), "This is the whole. Divide the part at F = 0 by it."),
            Slip(squares.sum() / 2, "This is the whole. Divide the part at F = 0 by it."),
            Slip(squares[~silent].sum(), "This is the part with a derivative. Compute the share of the other one."),
            Slip(squares[silent].mean(), "This is a mean over the silent responses. Divide their sum by the whole."),
            Slip(squares[silent].sum() / F.numel(), "You divide by the number of responses, not by the whole loss."),
            Slip(squares[silent].mean() / squares.sum(), "A mean is divided by a sum: take two sums."),
            Slip(squares[silent].sum() / squares.mean(), "A sum is divided by a mean: take two sums."),
            Slip(squares[silent].sum() / F.square().sum(), "You divide by the squares of F. The whole is over F - P."),
            Slip(squares[silent].sum() * squares.sum(), "The part is divided by the whole, not multiplied."),
            Slip((P == 0).float().mean(), "This counts where P is silent. It is F, and its share of the loss."),
            Slip(
                squares[silent & (P == 0)].sum(),
                "It is 0: where both are silent, or of F alone, nothing is left. The part is F - P where F = 0.",
            ),
            Slip(squares[silent | (P == 0)].sum() / squares.sum(), "One condition too many: only F = 0 counts."),
            Slip(squares[F > P].sum() / squares.sum(), "F = 0 is the condition, not F above P."),
            Slip(squares[F < 0.5].sum() / squares.sum(), "The condition is F = 0, not F small."),
            Slip(
                (squares * silent).sum((2, 3)) / squares.sum((2, 3)),
                "This is a share for each map. One number is expected, for all maps.",
            ),
            Slip(squares * silent / squares.sum(), "These are the shares of each response. Add them up."),
            Slip(lambda share: float(abs(share - right)) < 0.05, "You round. Return the share as it is."),
            Slip(
                squares[silent].mean() / squares.mean(),
                "Two means over different numbers of responses: their ratio is not a share. Compare sums.",
            ),
        ],
        "This share of the loss has no gradient.",
    )


def weight_on_the_mean(mine: Callable[[float, Tensor], float]) -> Verdict:
    """Exercise 4: the weight of the mean that is equivalent to alpha as the weight of the sum.

        alpha sum  =  weight mean,   mean = sum / (N_l M_l)

    >>> weight_on_the_mean(lambda alpha, P: alpha * P.numel()).passed
    True
    """
    alpha, P = 1e-3, torch.zeros(1, 6, 5, 7)
    N, M = 6, 35
    halved = "Wrong by a factor of 2. The half of equation 1 is in both, in the sum and in the mean."
    return compare(
        lambda: called(mine, alpha, P),
        alpha * N * M,
        [
            Slip(alpha / (N * M), "The wrong way round: the mean is smaller, so which weight must be larger?"),
            Slip(alpha * M, "You count places. The mean is over maps, too."),
            Slip(alpha * N, "You count maps. The mean is over places, too."),
            Slip(N * M / alpha, "Alpha has got into the denominator: a larger alpha needs a larger weight."),
            Slip(alpha * (N + M), "A layer has N maps of M places each: how many responses are that?"),
            Slip(alpha * (N * M) ** 0.5, "There is no root: the mean is the sum divided by the number of responses."),
            Slip(alpha / M, "The wrong way round, and the mean is over maps, too."),
            Slip(alpha / N, "The wrong way round, and the mean is over places, too."),
            Slip(alpha * N * 5, "A map has rows and columns: its places are both, multiplied."),
            Slip(alpha * (N * M) ** 2, "The mean divides by the number of responses only once."),
            Slip(alpha * N * 7, "A map has rows and columns: its places are both, multiplied."),
            Slip(alpha * M / N, "A layer has N maps of M places: all of them are responses."),
            Slip(alpha * N / M, "A layer has N maps of M places: all of them are responses."),
            Slip(alpha * N**2 * M, "The number of maps is in it twice."),
            Slip(alpha * N * M**2, "The number of places is in it twice."),
            Slip(alpha * (N + 5 + 7), "The sides of a layer are multiplied, not added: how many responses are that?"),
            Slip(-alpha * N * M, "A weight is not negative: where does the minus come from?"),
            Slip(0.0, "The weight depends on the number of responses, not on their values."),
            Slip(alpha * N * M / 2, halved),
            Slip(alpha * N * M * 2, halved),
            Slip(float(N * M), "This is the factor between the two. What becomes of alpha?"),
            Slip(alpha, "With the same weight, the mean counts less than the sum. By which factor?"),
        ],
        "This factor is the difference between a tutorial that sums and one that averages.",
    )
