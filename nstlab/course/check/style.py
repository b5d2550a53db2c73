"""The self-checks of notebook 04: equations 2 and 3, and the derivative of equation 3."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from nstlab import gram_matrix as right_gram_matrix
from nstlab import layer_style_loss as right_layer_style_loss
from nstlab import mean_gram_matrix
from nstlab.course.check.verdict import AUTOGRAD, Slip, Verdict, by_hand, called, compare, crash


def examples() -> tuple[Tensor, Tensor]:
    """Responses F to a pastiche, (1, 3, 4, 5), and S to a style image of another size, (1, 3, 6, 7); some are zero.

    >>> F, S = examples()
    >>> F.shape, S.shape, bool((F == 0).any())
    (torch.Size([1, 3, 4, 5]), torch.Size([1, 3, 6, 7]), True)
    """
    generator = torch.Generator().manual_seed(4)
    F = relu(torch.randn(1, 3, 4, 5, generator=generator))
    S = relu(torch.randn(1, 3, 6, 7, generator=generator) + 0.3)
    return F, S


def gram_matrix(mine: Callable[[Tensor], Tensor]) -> Verdict:
    """Exercise 1: equation 2.

        G_ik = sum_j F_ij F_kj

    >>> gram_matrix(lambda F: F.flatten(2) @ F.flatten(2).transpose(1, 2)).passed
    True
    """
    one, _ = examples()
    F = torch.cat([one, 2 * one.flip(3)])  # a batch of two, to find answers that mix the images of a batch
    right, M = right_gram_matrix(F), F.shape[2] * F.shape[3]
    rows = F.flatten(2)

    def gram(rows: Tensor) -> Tensor:
        return rows @ rows.mT

    return compare(
        lambda: called(mine, F),
        right,
        [
            Slip(
                crash("batch2|mat2|same reduction dim|must match the size"),
                "A product of F with itself does not fit: one of the two must be transposed, in its last two axes.",
            ),
            Slip(
                rows.transpose(1, 2) @ rows,
                "This is the transposed product, of places with places. Over which index does the sum run?",
            ),
            Slip(right / M, "This is divided by M. Equation 2 does not divide; equation 3 does."),
            Slip(right / (3 * M), "This is divided by N M. Equation 2 does not divide; equation 3 does."),
            Slip(right[0], "The numbers are right. Keep the first axis: one matrix for each image of the batch."),
            Slip(right.sum(0), "The images of the batch are added up. Each needs its own matrix."),
            Slip(right.sum(0, keepdim=True), "The images of the batch are added up. Each needs its own matrix."),
            Slip(gram(F.reshape(3, -1)), "The images of the batch are laid into one row. Each needs its own matrix."),
            Slip(F.flatten(1) @ F.flatten(1).T, "Each image is one row here. Each of its maps has to be a row."),
            Slip(gram(rows.reshape(2, M, 3).mT), "`reshape` does not transpose: it mixes the maps."),
            Slip(rows * rows, "Each response is multiplied by itself. A matrix product is `@`."),
            Slip(right.triu(), "Half of the matrix is missing: G_ki is G_ik."),
            Slip(right / 2, "There is no half in equation 2."),
            Slip(right / 3, "This is divided by N. Equation 2 does not divide."),
            Slip(right.square(), "The matrix is squared. Equation 2 is its one product."),
            Slip(right.tril(), "Half of the matrix is missing: G_ki is G_ik."),
            Slip(right @ right, "This is G times G. One product, of F with itself, is enough."),
            Slip(gram(normalize(rows, dim=2)), "You normalize the rows. Equation 2 takes the responses as they are."),
            Slip(gram(rows.sum(2, keepdim=True)), "You sum over the places before you multiply."),
            Slip(rows.square().sum(2), "This is the diagonal. The matrix also has the products of different filters."),
            Slip(
                gram(rows - rows.mean(2, keepdim=True)),
                "You subtract the means first: that is a covariance. Equation 2 takes the responses as they are.",
            ),
            Slip(F @ F.transpose(2, 3), "This works map by map. Make each map a row first: i counts maps, j places."),
        ],
        "It says which filters respond together, not where.",
    )


def shuffled(mine: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 2: all maps with their places in another order, the same for each map.

    order: a permutation of the M places; place j gets the value from place order[j].

    >>> shuffled(lambda F, order: F.flatten(2)[:, :, order].view_as(F)).passed
    True
    """
    F, _ = examples()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(5))
    rows = F.flatten(2)
    right = rows[:, :, order].view_as(F)
    back = torch.empty_like(rows)
    back[:, :, order] = rows

    def same_values(outcome: Tensor) -> bool:
        """Whether every map has kept its values, in some order."""
        return torch.equal(outcome.flatten(2).sort(2).values, rows.sort(2).values)

    def one_order(outcome: Tensor) -> bool:
        """Whether the places have kept the responses of all filters together, in some order."""
        places, given = (sorted(maps.flatten(2)[0].T.tolist()) for maps in (outcome, F))
        return places == given

    axes = "`order` counts the M = h w places: lay each map out as a row of M values before you use it."
    slips = [
        Slip(crash("IndexError|out of bounds|out of range"), axes),
        Slip(F, "Nothing has moved."),
        Slip(back.view_as(F), "You sent place j to order[j]. It should get the value from place order[j]."),
        Slip(rows[:, :, order], "The order is right. Return it in the shape of F, (1, N, h, w)."),
        Slip(F.flatten()[order.repeat(3)].view_as(F), "Every map has the values of the first one now."),
        Slip(rows.mT[:, order].reshape(F.shape), "The rows are places now: transpose back before you reshape."),
        Slip(rows.flip(2).view_as(F), "The places are turned around. Their new order is in `order`."),
        Slip(one_order, "All maps are shuffled alike, but in an order of your own. Use the one in `order`."),
        Slip(same_values, "Each map has got an order of its own, so the filters part. All maps have to share `order`."),
        Slip(
            lambda outcome: torch.equal(outcome.flatten().sort().values, F.flatten().sort().values),
            "Values have gone from one map to another. Shuffle the places within the maps.",
        ),
    ]
    praise = "The places have another order, and at each place the filters still belong together."
    return compare(lambda: called(mine, F, order), right, slips, praise)


def layer_style_loss(mine: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 3: the style term of one layer, each Gram matrix divided by the M of its own image.

        E_l = 1/(4 N_l^2) sum_ij (G_ij / M_G - A_ij / M_A)^2

    >>> layer_style_loss(lambda F, S: right_layer_style_loss(mean_gram_matrix(F), mean_gram_matrix(S))).passed
    True
    """
    F, S = examples()
    G, A = right_gram_matrix(F), right_gram_matrix(S)
    N, M, M_A = 3, 20, 42
    right = right_layer_style_loss(G / M, A / M_A)

    def sum_of_squares(divisor: float, style_divisor: float) -> Tensor:
        return (G / divisor - A / style_divisor).square().sum()

    same_M = "Both Gram matrices are divided by the same M, the {}'s. Divide each by the M of its own image."
    tutorial = sum_of_squares(N * M, N * M_A) / N**2
    return compare(
        lambda: called(mine, F, S),
        right,
        [
            Slip(
                crash("must match the size"),
                "F and S have different numbers of places: compare their Gram matrices, which are N x N.",
            ),
            Slip(
                crash("batch2|mat2|same reduction dim"),
                "The product of a Gram matrix does not fit: transpose one of the two, in its last two axes.",
            ),
            Slip(4 * right, "Too large by a factor of 4: look again at the fraction in front."),
            Slip(2 * right, "Too large by a factor of 2: look again at the fraction in front."),
            Slip(sum_of_squares(1, 1), "The normalization is missing: what is in the fraction in front?"),
            Slip(sum_of_squares(1, 1) / 4, "N and M are missing in the fraction in front."),
            Slip(sum_of_squares(1, 1) / (4 * N**2), "M is missing: a large picture has a large Gram matrix."),
            Slip(sum_of_squares(M, M_A), "M is there. The 4 and the N of the fraction in front are missing."),
            Slip(sum_of_squares(M, M_A) / 4, "N is missing in the fraction in front."),
            Slip(sum_of_squares(M, M_A) / (4 * N), "N must be squared."),
            Slip(sum_of_squares(M, M) / (4 * N**2), same_M.format("pastiche")),
            Slip(sum_of_squares(M_A, M_A) / (4 * N**2), same_M.format("style image")),
            Slip(sum_of_squares(M_A, M) / (4 * N**2), "Each Gram matrix is divided by the other image's M."),
            Slip(sum_of_squares(M**2, M_A**2) / (4 * N**2), "One M too many: G / M is squared, too."),
            Slip(sum_of_squares(M**0.5, M_A**0.5) / (4 * N**2), "M must be squared, as N is."),
            Slip(
                sum_of_squares(N, N) / N**2,
                "Many tutorials divide by N alone: M is missing, a large picture counts more.",
            ),
            Slip(
                sum_of_squares(1, 1) / N**2,
                "This is the mean of squares of undivided matrices: M and the 4 are missing.",
            ),
            Slip(
                sum_of_squares(M, M_A) / 4 * N**2,
                "`/ 4 * N**2` divides by 4 and multiplies by N²: it needs parentheses.",
            ),
            Slip(sum_of_squares(M, M_A) / (4 * N) ** 2, "Only N is squared in the fraction in front, the 4 is not."),
            Slip(
                sum_of_squares(N * M, N * M_A) / (4 * N**2), "N is in it twice too often: each G is divided by M alone."
            ),
            Slip(sum_of_squares(1, 1) / (4 * N**2 * M), "M must be squared, each Gram matrix has one of its own."),
            Slip(
                sum_of_squares(1, 1) / (4 * N**2 * M * M_A),
                "Divide each Gram matrix by its own M, before you subtract.",
            ),
            Slip(
                (G / M - A / M_A).square() / (4 * N**2),
                "These are the squares, one for each pair of filters. Add them up.",
            ),
            Slip((G / M - A / M_A).sum().square() / (4 * N**2), "You square the sum. The equation sums the squares."),
            Slip((G / M - A / M_A).norm() / (4 * N**2), "There is no root in the equation."),
            Slip(tutorial, "Many tutorials take this mean of squares, with G / (N M). Equation 3 divides differently."),
            Slip((G / M + A / M_A).square().sum() / (4 * N**2), "You add the two matrices: where is the minus?"),
            Slip((G / M).square().sum() / (4 * N**2), "The style image is missing: what is G compared with?"),
            Slip((A / M_A).square().sum() / (4 * N**2), "The pastiche is missing: what is A compared with?"),
            Slip(
                ((G / M).square() - (A / M_A).square()).sum() / (4 * N**2),
                "Both are squared separately. The equation squares their difference.",
            ),
            Slip(-right, "A loss is not negative: where does the minus come from?"),
            Slip((G / M - A / M_A).abs().sum() / (4 * N**2), "These are absolute differences: where is the square?"),
        ],
        "Equation 3 for one layer, and for images of any size.",
    )


def style_gradient(mine: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 4: the derivative of the style term of one layer and of the ReLU before it.

        dE_l/dF_ij = 1/(N_l^2 M_l) ((G/M_l - A) F)_ij  if F_ij > 0,  else 0

    F: (1, N, h, w); A: the style image's Gram matrix per place, (1, N, N).

    >>> style_gradient(lambda F, A: ((mean_gram_matrix(F) - A) @ F.flatten(2) / 180).view_as(F) * (F > 0)).passed
    True
    """
    F, S = examples()
    A, N, M = mean_gram_matrix(S), 3, 20
    difference = mean_gram_matrix(F) - A
    unmasked = (difference @ F.flatten(2)).view_as(F) / (N**2 * M)
    right = unmasked * (F > 0)
    undivided = ((right_gram_matrix(F) - A) @ F.flatten(2)).view_as(F) / (N**2 * M) * (F > 0)
    transposed = (F.flatten(2).transpose(1, 2) @ difference) / (N**2 * M)
    shape_hint = "Right so far, but its rows are places and its columns filters: transpose it before you reshape it."
    return compare(
        lambda: by_hand(mine, F, A),
        right,
        [
            Slip(AUTOGRAD, "You ask autograd. Write the product of the formula yourself."),
            Slip(
                crash("batch2|mat2|same reduction dim"),
                "G - A has N rows and columns: lay out F as N rows of M places, and multiply from the left.",
            ),
            Slip(unmasked, "This is the first case, everywhere. What about the responses that the ReLU has set to 0?"),
            Slip(-right, "The sign is wrong: which of G and A is the pastiche's?"),
            Slip(-unmasked, "The sign is wrong, and the second case, F = 0, is missing."),
            Slip(right / 4, "Too small by a factor of 4: the square gives a 2, and F is in G twice."),
            Slip(right / 2, "Too small by a factor of 2: F is in G twice, and the square gives a 2, too."),
            Slip(right * M, "One M is missing: G was divided by M, and so is its derivative."),
            Slip(right / M, "One M too many: A is a Gram matrix per place, and G must be one, too."),
            Slip(undivided, "You compare a Gram matrix with one per place: G must still be divided by its M."),
            Slip(right * N**2, "N is missing in the fraction in front."),
            Slip(right * N, "N must be squared."),
            Slip(unmasked * (F == 0), "Your mask is turned around: the ReLU lets a slope through where F is above 0."),
            Slip(unmasked.relu(), "Your mask cuts the slopes below 0. It is F that must be above 0."),
            Slip(right * F, "The mask is F > 0, ones and zeros, not F itself."),
            Slip(4 * right, "Too large by a factor of 4: the 2 of the square and the 2 of F F^T cancel the 4."),
            Slip(difference / (N**2 * M), "This is (G - A) in front of F. Which F is it multiplied with?"),
            Slip(
                difference.square().sum() / (4 * N**2),
                "This is the loss. The derivative has one number for each response.",
            ),
            Slip(transposed, shape_hint),
            Slip(transposed.reshape(F.shape), shape_hint),
            Slip(transposed.reshape(F.shape) * (F > 0), shape_hint),
            Slip(right.flatten(2), "The numbers are right. Return them in the shape of F, (1, N, h, w)."),
            Slip(unmasked.flatten(2), "Return it in the shape of F, (1, N, h, w), and add the second case, F = 0."),
        ],
        "Two small matrix products and a mask, without autograd.",
    )
