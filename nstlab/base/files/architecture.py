"""The architecture of the two networks: the names of their convolutions and the shapes of their filters.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556, 2014,
table 1. Layer `conv4_2` is the second convolution of block 4 with the ReLU after it.
"""

from __future__ import annotations

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # number of convolutions in each block
MAPS = (64, 128, 256, 512, 512)  # feature maps of each convolution, by block


def layer_names(network: str) -> list[str]:
    """The convolutions of a network in order, `conv{block}_{number}`. Raises ValueError for an unknown network.

    >>> layer_names("vgg16")[:3], len(layer_names("vgg16")), len(layer_names("vgg19"))
    (['conv1_1', 'conv1_2', 'conv2_1'], 13, 16)
    """
    if network not in CONVOLUTIONS:
        raise ValueError(f"network={network!r} is not known; choose one of {', '.join(CONVOLUTIONS)}.")
    return [f"conv{b}_{i}" for b, n in enumerate(CONVOLUTIONS[network], 1) for i in range(1, n + 1)]


def block(layer: str) -> int:
    """The block of a layer, 1 to 5.

    >>> block("conv4_2")
    4
    """
    return int(layer[4])


def starts_a_block(layer: str) -> bool:
    """Whether the layer comes directly after a pooling.

    >>> starts_a_block("conv1_1"), starts_a_block("conv2_1"), starts_a_block("conv2_2")
    (False, True, False)
    """
    return layer.endswith("_1") and block(layer) > 1


def stride(layer: str) -> int:
    """The distance in pixels between neighboring places of a layer: each pooling doubles it.

    >>> stride("conv1_2"), stride("conv4_2")
    (1, 8)
    """
    return 1 << (block(layer) - 1)


def shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights, (N_l, N_(l-1), 3, 3), and the biases, (N_l,), of a network, by key.

    >>> shapes("vgg16")["conv2_1.weight"]
    (128, 64, 3, 3)
    """
    table: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for name in layer_names(network):
        outputs = MAPS[block(name) - 1]
        table |= {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}
        inputs = outputs
    return table


def places_of(layer: str, size: tuple[int, int]) -> int:
    """M_l, the number of places of a layer, for an image of size (H, W) in pixels.

    >>> places_of("conv4_2", (64, 48))
    48
    """
    return (size[0] // stride(layer)) * (size[1] // stride(layer))
