"""Measures: the numbers that papers publish about a result, so that results can be compared.

[2] is Luan, Paris, Shechtman, Bala, "Deep Photo Style Transfer", CVPR 2017.
[3] is Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE
Transactions on Image Processing 13 (4), 2004.
[4] is Dowson, Landau, "The Frechet Distance between Multivariate Normal Distributions", Journal of Multivariate
Analysis 12 (3), 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab import (
    STYLE_LAYERS,
    VGG,
    ImageSource,
    MattingLaplacian,
    Regions,
    Result,
    default_device,
    load_image,
    luminance,
    on_grid,
    region_gram_matrices,
)
from nstlab.base.numerics.arguments import naming
from nstlab.base.numerics.modes import entrance
from nstlab.preparation.colors import color_statistics
from nstlab.preparation.inputs import network_on
from nstlab.preparation.region_style import region_style_losses
from nstlab.preparation.regions import check_regions
from nstlab.preparation.weights import BOUND

WINDOW, SIGMA = 11, 1.5  # pixels: side and standard deviation of the Gaussian window of [3]
K1, K2 = 0.01, 0.03  # of [3]
Part = tuple[Tensor, Tensor]  # an image, (1, 3, H, W), and masks of it, (R, 1, h, w)


@dataclass(frozen=True)
class Measures:
    """What `measure` gives; see there. Printed, it is a table.

    >>> print(Measures(0.5, 0.25, {"conv1_1": 0.125}, {"sky": 1.0}))
    energy per pixel          0.5
    SSIM of edges            0.25
    Gram distance, conv1_1  0.125
    color distance, sky         1
    """

    energy_per_pixel: float
    ssim: float
    gram_distance: dict[str, float]
    color_distance: dict[str, float]

    def __str__(self) -> str:
        rows = {"energy per pixel": self.energy_per_pixel, "SSIM of edges": self.ssim}
        rows |= {f"Gram distance, {layer}": distance for layer, distance in self.gram_distance.items()}
        rows |= {f"color distance, {region}": distance for region, distance in self.color_distance.items()}
        numbers = {name: f"{value:.4g}" for name, value in rows.items()}
        left, right = max(map(len, numbers)), max(map(len, numbers.values()))
        return "\n".join(f"{name:<{left}}  {number:>{right}}" for name, number in numbers.items())


@entrance("measure")
def measure(
    result: ImageSource | Result,
    content: ImageSource,
    style: ImageSource | Sequence[ImageSource],
    regions: Regions | None = None,
    vgg: VGG | None = None,
) -> Measures:
    """How photorealistic a result is, how much of the content's structure it has, and how near to the style it is.

        energy_per_pixel   = 1/(H W) sum_c x_c^T M x_c                        equation 5, section 3 of [2]
        ssim               = SSIM(edges(x), edges(I))                         equation 13 of [3]
        gram_distance_l    = sum_r a_r E_l(x_r, S_r) / E_l(I_r, S_r)          E_l of equation 3
        color_distance_r   = W(x_r, S_r)                                      the distance of [4]

    energy_per_pixel: 0 for a recoloring of the content. ssim: 1 if all edges are the content's; see `edges`, `ssim`.
    gram_distance: 1 if x is no nearer to the style than the content image is, 0 if it reaches the style.
    color_distance: in units of pixel values, see `frechet_distance`.

    x, I, S: result, content image and style image; M: the Matting Laplacian of I; r: the regions, with their shares a_r
    of the content image. Without regions there is one, "all". gram_distance is by layer of STYLE_LAYERS; its
    denominators are bounded as in `relative_weights`.

    result: whatever `load_image` takes, or a `Result`. content: of the result's size. style: made smaller to the
    longer side of the result, as in `stylize`; a list of one image for each region if regions have no masks of the
    style image. vgg: as in `stylize`.

    Raises ImageError for images that `load_image` refuses; ValueError if result and content differ in size, and for
    regions that do not fit the images.

    >>> content = load_image("horses", size=64)
    >>> found = measure(content, content, "great_wave")
    >>> round(found.energy_per_pixel, 4), round(found.ssim, 4), round(found.gram_distance["conv3_1"], 4)
    (0.0, 1.0, 1.0)
    """
    with naming("result"):
        x = load_image(result.image if isinstance(result, Result) else result)
    with naming("content"):
        I = load_image(content)
    check_sizes(x, I)
    several = list(style) if isinstance(style, (list, tuple)) else [cast(ImageSource, style)]
    with naming("style"):
        styles = [load_image(source, max(I.shape[2:])) for source in several]
    check_regions(regions, I, styles)
    check_styles(regions, styles)
    names, shares = (regions.names, regions.shares) if regions else (("all",), I.new_ones(1))
    masks = regions.content if regions else I.new_ones(1, 1, *I.shape[2:])
    style_masks = regions.style if regions else None
    style_parts = [(S, S.new_ones(1, 1, *S.shape[2:]) if style_masks is None else style_masks) for S in styles]
    network = network_on(default_device(), vgg)
    G, G_p, A = (gram_matrices(network, parts) for parts in ([(x, masks)], [(I, masks)], style_parts))
    colors = zip(color_distributions([(x, masks)]), color_distributions(style_parts), strict=True)
    energy = MattingLaplacian(I, dtype=torch.float64).energy(x.double())  # float32 would hide small energies
    return Measures(
        energy_per_pixel=energy.item() / (I.shape[2] * I.shape[3]),
        ssim=ssim(edges(x), edges(I)).item(),
        gram_distance={layer: gram_distance(G[layer], G_p[layer], A[layer], shares) for layer in STYLE_LAYERS},
        color_distance={name: frechet_distance(*of_x, *of_S) for name, (of_x, of_S) in zip(names, colors, strict=True)},
    )


def check_sizes(x: Tensor, I: Tensor) -> None:
    """Raise ValueError unless result and content image have one size."""
    (h, w), (H, W) = x.shape[2:], I.shape[2:]
    if (h, w) != (H, W):
        raise ValueError(
            f"the result has {w} x {h} pixels, the content image {W} x {H}, but pixels are compared one by one. Bring "
            f"the content image to the result's size: resize(load_image(content), ({h}, {w}))."
        )


def check_styles(regions: Regions | None, styles: Sequence[Tensor]) -> None:
    """Raise ValueError unless there are as many style images as regions need."""
    expected = len(regions) if regions and regions.style is None else 1
    if len(styles) != expected:
        raise ValueError(
            f"the number of style images is {len(styles)}, expected {expected}. Give one, or for regions "
            f"without masks of the style image a list of one for each region."
        )


def gram_matrices(vgg: VGG, parts: Sequence[Part]) -> dict[str, Tensor]:
    """The mean Gram matrix of every masked part, {layer: (R, N_l, N_l)}, on the CPU."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in STYLE_LAYERS}
    for image, masks in parts:
        for layer, F in vgg(image.to(vgg.mean.device), STYLE_LAYERS).items():
            grid = on_grid(masks, (F.shape[2], F.shape[3])).to(F)
            # region by region: all at once would copy the responses R times
            found[layer] += [region_gram_matrices(F, mask).cpu() for mask in grid.split(1)]
    return {layer: torch.cat(matrices) for layer, matrices in found.items()}


def gram_distance(G: Tensor, G_p: Tensor, A: Tensor, shares: Tensor) -> float:
    """sum_r a_r E_l(G_r, A_r) / E_l(G_pr, A_r), from Gram matrices per place, (R, N, N), and the shares a_r, (R,).

    If the content image already has the style, its distance is replaced by BOUND E_l(0, A_r); if that is 0 too, by 1.

    >>> G, A = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    >>> gram_distance(G, 2 * G, A, torch.ones(1))
    0.25
    """
    unit = torch.maximum(region_style_losses(G_p, A), BOUND * region_style_losses(torch.zeros_like(A), A))
    return float(shares @ (region_style_losses(G, A) / torch.where(unit > 0, unit, 1)))


def color_distributions(parts: Sequence[Part]) -> list[tuple[Tensor, Tensor]]:
    """Mean and covariance of the colors of every masked part."""
    return [
        color_statistics(image, mask)
        for image, masks in parts
        for mask in on_grid(masks, (image.shape[2], image.shape[3])).split(1)
    ]


def frechet_distance(m: Tensor, K: Tensor, n: Tensor, L: Tensor) -> float:
    """The Frechet or 2-Wasserstein distance W of two normal distributions of colors: [4].

        W^2 = |m - n|^2 + tr(K + L - 2 (K^1/2 L K^1/2)^1/2)

    m, n: means, (3,); K, L: covariances, (3, 3). Gives W in the units of the means.

    >>> frechet_distance(torch.zeros(3), torch.eye(3), torch.tensor([3.0, 0.0, 4.0]), torch.eye(3))
    5.0
    """
    roots = torch.linalg.matrix_norm(square_root(K) @ square_root(L), "nuc")  # the trace of (K^1/2 L K^1/2)^1/2
    return float(((m - n).square().sum() + (K + L).trace() - 2 * roots).clamp(min=0).sqrt())


def square_root(K: Tensor) -> Tensor:
    """K^1/2 of a symmetric matrix with eigenvalues from 0 up; rounding may make them slightly negative."""
    values, vectors = torch.linalg.eigh(K)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def edges(image: Tensor) -> Tensor:
    """The edge map of an image: the magnitude of the Sobel gradient of its luminance Y.

        sqrt((g_x^2 + g_y^2) / 2),    g_x = 1/4 [1 2 1]^T [-1 0 1] * Y,    g_y likewise

    image: (1, 3, H, W) in [0, 1]; its border is repeated. Gives (1, 1, H, W), in [0, 1].

    >>> edges(torch.ones(1, 3, 4, 4)).max()
    tensor(0.)
    """
    Y = nnf.pad(luminance(image), (1, 1, 1, 1), mode="replicate")
    sobel = Y.new_tensor([1.0, 2.0, 1.0]).view(3, 1) @ Y.new_tensor([[-1.0, 0.0, 1.0]]) / 4
    g = nnf.conv2d(Y, torch.stack([sobel, sobel.T])[:, None])
    return g.square().mean(1, keepdim=True).sqrt()


def ssim(x: Tensor, y: Tensor, data_range: float = 1.0) -> Tensor:
    """The structural similarity of two gray images, equations 13 and 17 of [3], the mean over all windows.

        SSIM = (2 mu_x mu_y + C_1) (2 sigma_xy + C_2) / ((mu_x^2 + mu_y^2 + C_1) (sigma_x^2 + sigma_y^2 + C_2))
        C_1 = (0.01 range)^2,    C_2 = (0.03 range)^2

    The windows are Gaussian, 11 x 11 pixels, with a standard deviation of 1.5 pixels, and lie inside the image.

    x, y: (1, 1, H, W), at least 11 pixels a side. data_range: difference of the largest and the smallest value that a
    pixel may have. Gives a scalar from -1 to 1, float64. Raises ValueError for other shapes.

    >>> x = torch.rand(1, 1, 16, 16)
    >>> ssim(x, x)
    tensor(1., dtype=torch.float64)
    """
    if x.shape != y.shape or x.ndim != 4 or x.shape[:2] != (1, 1) or min(x.shape[2:]) < WINDOW:
        raise ValueError(
            f"ssim: x is {tuple(x.shape)} and y is {tuple(y.shape)}; both must be (1, 1, H, W), of one size, with at "
            f"least {WINDOW} pixels a side. Take the luminance of two images of one size."
        )
    x, y = x.double(), y.double()  # variances are differences of nearly equal numbers
    t = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = torch.softmax(-t.square() / (2 * SIGMA**2), 0)

    def mean(z: Tensor) -> Tensor:
        return nnf.conv2d(nnf.conv2d(z, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))

    C_1, C_2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mu_x, mu_y = mean(x), mean(y)
    variances = mean(x * x) - mu_x**2 + mean(y * y) - mu_y**2
    covariance = mean(x * y) - mu_x * mu_y
    similarity = (2 * mu_x * mu_y + C_1) * (2 * covariance + C_2)
    return (similarity / ((mu_x**2 + mu_y**2 + C_1) * (variances + C_2))).mean()
