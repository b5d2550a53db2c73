"""Style transfer as textbooks write it: the opponent of `bench_transfer`.

Plain float32 in PyTorch's default layout, modules in a row, autograd, one size, PyTorch's L-BFGS as its tutorial uses
it, clamp in the closure and all. The losses are the paper's, in the units and with the weights that nstlab has by
default, so that both minimize one function.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nstlab.base.files.architecture import layer_names
from nstlab.base.files.filter_files import load_filters

CONTENT_LAYER, CONTENT_WEIGHT = "conv4_2", 0.04
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


class Textbook:
    def __init__(self, content: Tensor, style: Tensor):
        filters = load_filters("vgg19")
        self.mean, self.std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (filters.mean, filters.std))
        self.modules: list[tuple[str, nn.Module]] = []
        names = layer_names("vgg19")
        for name in names[: 1 + names.index(STYLE_LAYERS[-1])]:
            if name.endswith("_1") and name != "conv1_1":
                self.modules.append(("", nn.AvgPool2d(2)))
            weight, bias = filters.tensors[f"{name}.weight"], filters.tensors[f"{name}.bias"]
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, padding_mode="replicate")
            convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
            self.modules += [("", convolution.requires_grad_(False)), (name, nn.ReLU())]
        with torch.no_grad():
            of_content, of_style = self.responses(content), self.responses(style)
            self.P = of_content[CONTENT_LAYER]
            self.A = {name: mean_gram(of_style[name]) for name in STYLE_LAYERS}
            self.content_unit = (self.P**2).sum()
            self.style_units = {
                name: len(STYLE_LAYERS) * ((mean_gram(of_content[name]) - self.A[name]) ** 2).sum()
                for name in STYLE_LAYERS
            }

    def responses(self, image: Tensor) -> dict[str, Tensor]:
        x, found = (image - self.mean) / self.std, {}
        for name, module in self.modules:
            x = module(x)
            if name:
                found[name] = x
        return found

    def loss(self, image: Tensor) -> Tensor:
        F = self.responses(image)
        total = CONTENT_WEIGHT * ((F[CONTENT_LAYER] - self.P) ** 2).sum() / self.content_unit
        for name in STYLE_LAYERS:
            total = total + ((mean_gram(F[name]) - self.A[name]) ** 2).sum() / self.style_units[name]
        return total

    def evaluate(self, image: Tensor) -> Tensor:
        """The gradient at an image: one evaluation."""
        x = image.clone().requires_grad_()
        self.loss(x).backward()
        assert x.grad is not None
        return x.grad

    def minimize(self, start: Tensor) -> Iterator[float]:
        """The loss of every evaluation."""
        image = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([image])
        losses: list[float] = []

        def closure() -> Tensor:
            with torch.no_grad():
                image.clamp_(0, 1)
            optimizer.zero_grad()
            loss = self.loss(image)
            loss.backward()
            losses.append(loss.item())
            return loss

        while True:
            optimizer.step(closure)
            yield from losses
            losses.clear()


def mean_gram(F: Tensor) -> Tensor:
    F = F.flatten(2)[0]
    return F @ F.t() / F.shape[1]
