"""The network and the style images of a run, as it needs them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from nstlab.base.numerics.arguments import check_type, number
from nstlab.images import resize
from nstlab.vgg import VGG


def scaled(style: Tensor, style_scale: float) -> Tensor:
    """The style image at `style_scale` times its size. Raises ValueError for a scale that is not from 0.1 to 10."""
    scale = number("style_scale", style_scale, 0.1, 10)
    return style if scale == 1 else resize(style, max(1, round(scale * max(style.shape[2:]))))


def network_on(device: torch.device, vgg: VGG | None) -> VGG:
    """VGG-19 if no network is given; else the network given, or a copy of it if it is on another device."""
    check_type("vgg", vgg, (VGG, type(None)), "Give a VGG, for example VGG('vgg16'), or leave it out.")
    if vgg is None:
        return VGG().to(device)
    return vgg if vgg.mean.device == torch.empty(0, device=device).device else copy.deepcopy(vgg).to(device)
