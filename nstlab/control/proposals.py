"""Regions without drawing: one clustering of the responses to both images, so that like meets like."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from nstlab import VGG, ImageSource, MattingLaplacian, Regions, load_image
from nstlab.base.numerics.arguments import SEEDS, check_type, naming, whole
from nstlab.base.numerics.devices import chosen_device
from nstlab.base.numerics.modes import entrance
from nstlab.coarse_to_fine import shrunk
from nstlab.preparation.inputs import network_on

LAYERS = ("conv3_1", "conv4_1", "conv5_1")  # from texture to things
CELL = 8  # pixels: the stride of conv4_1, on whose grid the responses are compared
SIDE = 320  # pixels: longer side at which the images are compared
ROW, COLOR = 1.0, 0.5  # how much the row and the color of a cell count beside its responses, which have norm 1
MANY = 10  # clusters before any are joined
SMALL = 0.02  # share of an image: a region is no smaller on either side
FAR = 0.03  # share of all variance: two clusters are joined if that loses less
EPSILON, WEIGHT = 1e-4, 100.0  # of the Matting Laplacian that moves borders to the edges of the image
RESTARTS, ROUNDS = 4, 50  # of k-means


@entrance("propose_regions")
@torch.no_grad()
def propose_regions(
    content: ImageSource,
    style: ImageSource,
    k: int | str = "auto",
    *,
    vgg: VGG | None = None,
    device: str | None = None,
    seed: int = 0,
) -> Regions:
    """Pairs of regions that look alike to the network: sky and sky, water and water, buildings and buildings.

    The responses of LAYERS to both images are clustered together by k-means; clusters that occur in one image only, and
    the most similar ones, are joined; the Matting Laplacian moves the borders to the edges of each image.

    content, style: whatever `load_image` takes. k: the number of regions, or "auto": as many as differ clearly, at most
    10. vgg, device: as in `stylize`. seed: of k-means. Raises ValueError for another k.

    >>> day, night = load_image("waterfront_day", size=96), load_image("waterfront_night", size=96)
    >>> regions = propose_regions(day, night, k=3)
    >>> len(regions), regions.content.shape
    (3, torch.Size([3, 1, 64, 96]))
    """
    if k != "auto":
        k = whole("k (a number of regions, or 'auto')", k, 1, MANY)
    seed = whole("seed", seed, *SEEDS)
    check_type("vgg", vgg, (VGG, type(None)), "Give a VGG, for example VGG('vgg16'), or leave it out.")
    place = vgg.mean.device if vgg and device is None else chosen_device(device)
    network = network_on(place, vgg)
    images = []
    for argument, source in (("content", content), ("style", style)):
        with naming(argument):
            images.append(shrunk(load_image(source).to(place), SIDE))
    features = [descriptors(network, image).cpu() for image in images]
    X = torch.cat([f.flatten(1) for f in features], 1)
    side = torch.cat([torch.full((f[0].numel(),), n, device=f.device) for n, f in enumerate(features)])
    labels = joined(X, k_means(X, MANY, seed), side, k)
    masks = []
    for n, (image, f) in enumerate(zip(images, features, strict=True)):
        masks.append(along_edges(image.cpu(), labels[side == n].view(f.shape[1:])))
    return Regions(masks[0], masks[1])


def descriptors(vgg: VGG, image: Tensor) -> Tensor:
    """What is seen at every cell of CELL x CELL pixels: (D, h, w).

    The square roots of each layer's responses, of norm 1 at every cell, less their mean over the image; the row, from
    -1 at the top to 1 at the bottom; and the color in standard deviations from the image's mean. So a cell is described
    by how it differs from the rest of its own image, by day as by night.
    """
    h, w = (max(1, side // CELL) for side in image.shape[2:])
    parts = []
    for F in vgg(image, LAYERS).values():
        at_cells = nnf.interpolate(F.sqrt(), (h, w), mode="area" if F.shape[2] > h else "bilinear")[0]
        at_cells = nnf.normalize(at_cells, dim=0)
        parts.append(at_cells - at_cells.mean((1, 2), keepdim=True))
    X = torch.cat(parts)
    X = X / X.square().sum(0).mean().sqrt()
    row = torch.linspace(-1, 1, h, dtype=X.dtype, device=X.device).view(1, h, 1).expand(1, h, w)
    color = nnf.interpolate(image, (h, w), mode="area")[0]
    color = (color - color.mean((1, 2), keepdim=True)) / color.std().clamp(min=1e-3)
    return torch.cat([X, ROW * row, COLOR * color])


def k_means(X: Tensor, k: int, seed: int) -> Tensor:
    """The cluster, 0 to k - 1, of every column of X, (D, P): the best of RESTARTS runs of Lloyd's algorithm.

    Each starts from centers that are drawn far from each other: Arthur and Vassilvitskii, "k-means++", 2007.
    """
    generator = torch.Generator().manual_seed(seed)
    best, least = torch.zeros(X.shape[1], dtype=torch.int64, device=X.device), float("inf")
    for _ in range(RESTARTS):
        first = torch.randint(X.shape[1], (1,), generator=generator, device=X.device)
        centers = X[:, first]
        while centers.shape[1] < k:
            nearest = squared_distances(X, centers).amin(0)
            centers = torch.cat([centers, X[:, torch.multinomial(nearest + 1e-12, 1, generator=generator)]], 1)
        for _ in range(ROUNDS):
            labels = squared_distances(X, centers).argmin(0)
            means, sizes = cluster_means(X, labels, k)
            moved = torch.where(sizes > 0, means, centers)
            if torch.equal(moved, centers):
                break
            centers = moved
        spread = squared_distances(X, centers).amin(0).sum().item()
        if spread < least:
            best, least = labels, spread
    return best


def squared_distances(X: Tensor, centers: Tensor) -> Tensor:
    """|x_p - c_k|^2 = |c_k|^2 - 2 c_k x_p + |x_p|^2, (K, P), of columns of X, (D, P), and centers, (D, K)."""
    distances = centers.square().sum(0)[:, None] - 2 * centers.T @ X + X.square().sum(0)
    return distances.clamp(min=0)  # rounding


def cluster_means(X: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The mean column of every cluster 0 to k - 1, (D, k), 0 for an empty one; and the number of its columns, (k,).

    >>> cluster_means(torch.tensor([[1.0, 3.0, 8.0]]), torch.tensor([0, 0, 2]), 3)
    (tensor([[2., 0., 8.]]), tensor([2., 0., 1.]))
    """
    belongs = nnf.one_hot(labels, k).to(X)
    sizes = belongs.sum(0)
    return X @ belongs / sizes.clamp(min=1), sizes


def joined(X: Tensor, labels: Tensor, side: Tensor, k: int | str) -> Tensor:
    """The clusters after joining: labels from 0 up, (P,), those of the first image first.

    Two clusters a, b are joined at the price  n_a n_b / (n_a + n_b) |c_a - c_b|^2,  by which the spread inside clusters
    grows (Ward 1963). First every cluster that is smaller than SMALL on a side joins its cheapest neighbor; then the
    cheapest two join, until k are left, or for "auto" until that costs more than FAR of all spread.
    """
    labels = labels.clone()
    total = (X - X.mean(1, keepdim=True)).square().sum().item()
    while True:
        names = labels.unique().tolist()
        least = {c: min((labels[side == n] == c).float().mean().item() for n in (0, 1)) for c in names}
        small = [c for c in names if least[c] < SMALL]
        means, sizes = cluster_means(X, labels, max(names) + 1)
        pairs = [(price(means, sizes, a, b), a, b) for a in names for b in names if a < b]
        if not pairs:
            break
        if small:
            smallest = min(small, key=lambda c: least[c])
            _, a, b = min(pair for pair in pairs if smallest in pair[1:])
        else:
            cost, a, b = min(pairs)
            if cost > FAR * total if k == "auto" else len(names) <= int(k):
                break
        labels[labels == b] = a
    return torch.searchsorted(labels.unique(), labels)


def price(means: Tensor, sizes: Tensor, a: int, b: int) -> float:
    """n_a n_b / (n_a + n_b) |c_a - c_b|^2 of two clusters; means, sizes: of all, as `cluster_means` gives them."""
    distance = (means[:, a] - means[:, b]).square().sum()
    return (sizes[a] * sizes[b] / (sizes[a] + sizes[b]) * distance).item()


def along_edges(image: Tensor, labels: Tensor) -> Tensor:
    """Labels on a coarse grid, (h, w), as masks of an image (1, 3, H, W), (R, 1, H, W), that follow its edges."""
    size = (image.shape[2], image.shape[3])
    one_hot = nnf.one_hot(labels).permute(2, 0, 1)[None].float()
    rough = nnf.interpolate(one_hot, size, mode="bilinear")
    masks = MattingLaplacian(image, EPSILON).solve(rough, WEIGHT).clamp(0, 1)
    return (masks / masks.sum(1, keepdim=True))[0][:, None]
