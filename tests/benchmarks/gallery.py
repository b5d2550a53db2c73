"""The figures of the README and of the gallery: python tests/benchmarks/gallery.py [PART ...]

strip: what `make demo` makes. photographs: three photographs in another light, from end to end. pairs: ten pairs of
samples at 512 px with default settings, beside a textbook's loop on the same network. networks: one default on three
networks, from 128 to 1024 px. All of them take most of an hour on two cores, and go to notebooks/figures.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from nstlab.base.files.sample_images import IMAGES
from nstlab.base.records import Record
from nstlab.control.photographs import photograph
from nstlab.course.conventions import CONVENTIONS
from nstlab.images import load_image, resize, to_pil
from nstlab.laplacian import MattingLaplacian
from nstlab.preparation.regions import load_regions
from nstlab.preparation.style_transfer import style_transfer_objective
from nstlab.transfer import stylize
from nstlab.vgg import VGG

FIGURES = Path("notebooks/figures")
PAIRS = (
    ("chenonceau_river", "starry_night"),
    ("red_panda", "composition_viii"),
    ("horses", "great_wave"),
    ("berlin_day", "church_at_auvers"),
    ("astronaut", "night_cafe"),
    ("neuschwanstein", "starry_night"),
    ("mont_saint_michel", "great_wave"),
    ("astronaut", "composition_viii"),
    ("red_panda", "texture_citrus"),
    ("neuschwanstein", "texture_facade"),
)
PHOTOGRAPHS = (
    ("waterfront_day", "waterfront_night"),
    ("berlin_day", "berlin_dusk"),
    ("hills_summer", "hills_autumn"),
)
EVALUATIONS = 100  # of the loop at one size: as many as a run of ours costs three times over
SIZES = (128, 256, 512, 1024)


def textbook(content: Tensor, style: Tensor) -> Tensor:
    """neural-style-pt's default weights, max pooling and zero padding, PyTorch's L-BFGS from noise at one size."""
    vgg = VGG(pooling="max", padding="zeros")
    size = (content.shape[2], content.shape[3])
    objective = style_transfer_objective(
        vgg, content, style, precision="auto", **CONVENTIONS["neural_style"].settings(size)
    )
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.LBFGS([image], max_iter=EVALUATIONS, max_eval=EVALUATIONS)

    def closure() -> Tensor:
        point = objective.at(image)
        image.grad = point.gradient.contiguous()
        return torch.tensor(point.total)

    optimizer.step(closure)
    return image.detach().clamp(0, 1)


def share_of_content(last: Record) -> float:
    """How much of the final loss is the content's."""
    return last.weights["content"] * last.losses["content"] / last.total


def sheet(rows: Sequence[Mapping[str, Tensor]], name: str, width: float = 2.6) -> None:
    """Write a table of pictures with their titles."""
    columns = len(rows[0])
    heights = [max(x.shape[2] / x.shape[3] for x in row.values()) for row in rows]
    figure = Figure(figsize=(width * columns, sum(width * h + 0.25 for h in heights)), layout="constrained")
    for line, row in zip(figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights), rows, strict=True):
        for axes, (title, picture) in zip(line, row.items(), strict=True):
            axes.imshow(to_pil(picture))
            axes.set_title(title, fontsize=8)
            axes.axis("off")
    figure.savefig(FIGURES / f"{name}.jpg", dpi=108, pil_kwargs={"quality": 72})


def strip() -> None:
    """Content, style and pastiche of `make demo`."""
    content, style = (load_image(name, size=512) for name in PAIRS[0])
    sheet([{"content": content, "style": style, "pastiche": stylize(content, style, size=512).image}], "strip", 4.0)


def photographs() -> None:
    """Paper [2] from end to end on three pairs of photographs, with the regions drawn for them."""
    rows = []
    for names in PHOTOGRAPHS:
        content, style = (load_image(name, size=512) for name in names)
        labels = (IMAGES / "labels" / f"{name}.png" for name in names)
        result = photograph(content, style, load_regions(*labels))
        M, row = MattingLaplacian(content), {"content": content, "style": style}
        for stage in ("preview", "approach 1", "photograph"):
            image = result.stages[stage]
            energy = M.energy(image).item() / image[0, 0].numel()
            row[f"{stage}, {result.seconds[stage]:.0f} s, L_m {energy:.1e}"] = image
            print(names[0], stage, f"{result.seconds[stage]:.1f} s, {energy:.2e}", flush=True)
        rows.append(row)
    sheet(rows, "photographs")


def pairs() -> None:
    """Ten pairs, beside the textbook."""
    rows = []
    for names in PAIRS:
        content, style = (load_image(name, size=512) for name in names)
        ours = stylize(content, style, size=512)
        print(*names, f"{ours.history[-1].seconds:.0f} s, content {share_of_content(ours.history[-1]):.2f}", flush=True)
        rows.append({names[0]: content, names[1]: style, "textbook": textbook(content, style), "nstlab": ours.image})
    sheet(rows, "pairs")


def networks() -> None:
    """One default on three networks."""
    found = {
        "VGG-19": VGG(),
        "VGG-16": VGG("vgg16"),
        "VGG-19, normalized": VGG(normalized=True),
    }
    rows = []
    for name, vgg in found.items():
        row = {}
        for size in SIZES:
            result = stylize("chenonceau_river", "starry_night", size=size, vgg=vgg)
            share = share_of_content(result.history[-1])
            row[f"{name}, {size} px: content {share:.0%}"] = resize(result.image, 512)
            print(name, size, f"content {share:.2f}", flush=True)
        rows.append(row)
    sheet(rows, "networks")


if __name__ == "__main__":
    parts = {"strip": strip, "photographs": photographs, "pairs": pairs, "networks": networks}
    for part in sys.argv[1:] or parts:
        parts[part]()
