"""Make the pictures of the web book's page "Try it here", and `choices.js`, which says what there is: `make book`.

    python tools/make_try_page.py DIR

Some minutes on two cores. The page only shows these files, so that it needs neither a server nor Python.
"""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import matplotlib
from PIL import Image
from torch import Tensor

from nstlab import (
    STYLE_LAYERS,
    VGG,
    ContentTerm,
    Objective,
    StyleTerm,
    load_image,
    mean_gram_matrix,
    optimize,
    relative_weights,
    resize,
    samples,
    stylize_run,
    targets,
    to_pil,
)

CONTENTS = ("chenonceau_river", "red_panda")
STYLES = ("starry_night", "great_wave", "composition_viii")
SIZE = 192  # pixels: longer side of every picture
CONTENT_WEIGHTS = (0.004, 0.04, 0.4, 4, 40)
STEPS = (0, 1, 2, 4, 8, 16, 32, 64)  # that are shown
LEVELS = ((SIZE // 2, 60), (SIZE, 20))  # longer side and steps of what begins as noise, as in notebook 04
FILTERS = 64  # of each Gram matrix, the first ones: as many as conv1_1 has


def save(image: Tensor, path: Path) -> None:
    to_pil(image.clamp(0, 1)).save(path, quality=75, method=6)


def transfer(content: str, style: str, weight: float, vgg: VGG, out: Path) -> list[list[float]]:
    """Save some steps of a run from the content image itself, at one size; gives both losses of each."""
    run = stylize_run(
        content,
        style,
        size=SIZE,
        steps=STEPS[-1],
        content_weight=weight,
        vgg=vgg,
        start="content",
        coarse_to_fine=False,
    )
    shown = [step for step in run if step.index in STEPS]
    for step in shown:
        save(step.image, out / f"{content}-{style}-{weight}-{step.index}.webp")
    return [[round(step.losses[term], 4) for term in ("content", "style")] for step in shown]


def from_noise(picture: str, objective: Callable[..., Objective], vgg: VGG, layers: Sequence[str]) -> Tensor:
    """What one loss alone makes of noise, coarse to fine."""
    image = load_image(picture, SIZE)
    stages = [(objective(resize(image, side), vgg, layers), steps) for side, steps in LEVELS]
    return optimize(stages, "noise").finish().image


def content_objective(photo: Tensor, vgg: VGG, layers: Sequence[str]) -> Objective:
    """Equation 1 at the deepest of these layers."""
    layer = layers[-1]
    P, G, A = targets(vgg, photo, photo, layer, [layer])
    alpha, _ = relative_weights(P, G, A, {})
    return Objective({"content": ContentTerm(layer, P, alpha)}, {"content": 1.0}, tuple(photo.shape[2:]), vgg)


def style_objective(painting: Tensor, vgg: VGG, layers: Sequence[str]) -> Objective:
    """Equation 3 of these layers, each with half the weight of the one before, so that the colors stay."""
    P, _, A = targets(vgg, painting, painting, layers[0], layers)
    nothing = {layer: 0 * A_l for layer, A_l in A.items()}
    _, w = relative_weights(P, nothing, A, {layer: 2.0**-k for k, layer in enumerate(layers)})
    size, images = tuple(painting.shape[2:]), {"style": painting}
    return Objective({"style": StyleTerm(A, w)}, {"style": 1.0}, size, vgg, images)


def gram_picture(painting: str, layer: str) -> Image.Image:
    """Equation 2 per place as a picture, on a log scale from 0.1 to 32, as in notebook 04."""
    vgg = VGG(normalized=True)
    G = mean_gram_matrix(vgg(load_image(painting, SIZE), [layer])[layer])[0, :FILTERS, :FILTERS]
    shade = (G.clamp(min=0.1).log10() + 1) / 2.5
    return Image.fromarray(matplotlib.colormaps["magma"](shade.numpy(), bytes=True)).convert("RGB")


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    vgg = VGG()
    for name in (*CONTENTS, *STYLES):
        save(load_image(name, SIZE), out / f"{name}.webp")
    for k, layer in enumerate(STYLE_LAYERS, 1):
        for content in CONTENTS:
            image = from_noise(content, content_objective, vgg, STYLE_LAYERS[:k])
            save(image, out / f"{content}-{layer}.webp")
        for style in STYLES:
            image = from_noise(style, style_objective, vgg, STYLE_LAYERS[:k])
            save(image, out / f"{style}-{layer}.webp")
            gram_picture(style, layer).save(out / f"{style}-{layer}-gram.webp", lossless=True)
    losses = {
        f"{content}-{style}-{weight}": transfer(content, style, weight, vgg, out)
        for content, style, weight in product(CONTENTS, STYLES, CONTENT_WEIGHTS)
    }
    titles = {sample.name: sample.title for sample in samples()}
    choices = {
        "contents": {name: titles[name] for name in CONTENTS},
        "styles": {name: titles[name] for name in STYLES},
        "weights": CONTENT_WEIGHTS,
        "steps": STEPS,
        "layers": STYLE_LAYERS,
        "losses": losses,
    }
    (out / "choices.js").write_text(f"const CHOICES = {json.dumps(choices)};\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
