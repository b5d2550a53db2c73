"""Other tutorials' weights, carried over: their loss, computed as their code computes it, equals ours."""

import pytest
import torch
import torch.nn.functional as nnf

from nstlab.course.conventions import CONVENTIONS
from nstlab.images import load_image
from nstlab.losses import gram_matrix
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.vgg import VGG


def gatys(F, S):
    M, N = F.shape[2] * F.shape[3], F.shape[1]
    return 1e3 / N**2 * nnf.mse_loss(gram_matrix(F) / M, gram_matrix(S) / M)


def over_all(F, S, weight):
    size = F.shape[1] * F.shape[2] * F.shape[3]
    return weight * nnf.mse_loss(gram_matrix(F) / size, gram_matrix(S) / size)


THEIRS = {
    "gatys_code": (gatys, 1.0),
    "neural_style": (lambda F, S: over_all(F, S, 1e2), 5.0),
    "pytorch_tutorial": (lambda F, S: over_all(F, S, 1e6), 1.0),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_tutorials_loss_by_its_own_code_is_ours_with_its_convention(name):
    style_term, content_weight = THEIRS[name]
    convention, vgg = CONVENTIONS[name], VGG(pooling="max", padding="zeros")
    content, style, image = (load_image(n, size=64)[..., :48, :48] for n in ("horses", "great_wave", "red_panda"))
    content, style, image = (torch.nn.functional.interpolate(x, (48, 48)) for x in (content, style, image))
    layers = {convention.content_layer, *convention.style_layers}
    F, P, S = (vgg(x, layers) for x in (image, content, style))
    expected = content_weight * nnf.mse_loss(F[convention.content_layer], P[convention.content_layer])
    expected += sum(style_term(F[layer], S[layer]) for layer in convention.style_layers)
    objective = style_transfer_objective(vgg, content, style, **convention.settings((48, 48)))
    torch.testing.assert_close(objective(image)[1], expected, rtol=1e-4, atol=0)


def test_own_weights_replace_the_tutorials():
    ours = CONVENTIONS["pytorch_tutorial"]
    twice = ours.settings((48, 48), content_weight=2.0, style_weight=2e6)
    assert twice["content_weight"] == 2 * ours.settings((48, 48))["content_weight"]
    assert twice["style_layers"]["conv1_1"] == 2 * ours.settings((48, 48))["style_layers"]["conv1_1"]
