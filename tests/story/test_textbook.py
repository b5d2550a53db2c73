"""The one page in plain PyTorch: the pages that are easier to use, and faster, are equal to it."""

import pytest
import torch

from nstlab import textbook
from nstlab.images import load_image
from nstlab.losses import content_loss, gram_matrix, style_loss
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.vgg import VGG


def test_its_equations_are_those_of_losses():
    F, P = torch.rand(2, 1, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(textbook.content_loss(F, P), content_loss(F, P))
    torch.testing.assert_close(textbook.gram_matrix(F), gram_matrix(F)[0])
    S = torch.rand(1, 3, 7, 2, dtype=torch.float64)
    torch.testing.assert_close(textbook.layer_style_loss(F, S), style_loss({"a": F}, {"a": S}))


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_its_loss_and_gradient_are_those_of_the_exact_objective(pooling):
    vgg, content, style = VGG(pooling=pooling), load_image("horses", size=96), load_image("great_wave", size=64)
    loss = textbook.loss_function(vgg, content, style, alpha=2.0, beta=3e4)
    image = ((content + content.flip(3)) / 2).requires_grad_()
    total = loss(image)
    (gradient,) = torch.autograd.grad(total, image)
    objective = style_transfer_objective(vgg, content, style, 2.0, 3e4, exact=True)
    for point in (objective.textbook(image), objective.at(image)):
        assert point.total == pytest.approx(total.item(), rel=1e-4)
        assert (point.gradient - gradient).norm() < 1e-3 * gradient.norm()


def test_it_paints():
    content, style = load_image("horses", size=64), load_image("great_wave", size=64)
    vgg = VGG()
    loss = textbook.loss_function(vgg, content, style)
    noise = textbook.transfer(vgg, content, style, steps=0)
    pastiche = textbook.transfer(vgg, content, style, steps=1)
    with torch.no_grad():
        assert loss(pastiche) < loss(noise) / 10
    assert pastiche.shape == content.shape and pastiche.min() >= 0 and pastiche.max() <= 1
