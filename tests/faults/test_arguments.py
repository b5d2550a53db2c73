"""What a user has is taken as an argument; anything else is told by the names of the function and the argument."""

import math
from concurrent.futures import Executor

import numpy as np
import pytest
import torch
from PIL import Image

import nstlab
from nstlab import (
    VGG,
    DivergenceError,
    MattingLaplacian,
    Objective,
    Regions,
    Term,
    load_image,
    measure,
    optimize,
    photograph,
    photorealize,
    photorealize_run,
    propose_regions,
    pyramid,
    resize,
    style_transfer_objective,
    stylize,
    stylize_run,
    sweep,
    targets,
    texture,
    texture_run,
    to_pil,
)

CONTENT = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(1, 3, 48, 36, generator=torch.Generator().manual_seed(2))
NAN = CONTENT.clone().fill_(math.nan)
INFINITE = CONTENT.clone().fill_(math.inf)
HALVES = torch.zeros(2, 1, 40, 48)
HALVES[0, ..., :24], HALVES[1, ..., 24:] = 1, 1
STYLE_HALVES = torch.zeros(2, 1, 48, 36)
STYLE_HALVES[0, ..., :18], STYLE_HALVES[1, ..., 18:] = 1, 1
REGIONS = Regions(HALVES, STYLE_HALVES)
FAST = {"size": 48, "coarse_to_fine": False, "precision": "float32"}


class Index:
    """A whole number of another library: all it has is `__index__`."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


def distance(image, F):
    return (image - 0.25).square().mean()


def plain_objective():
    return Objective({"distance": distance}, {"distance": 1.0}, size=(4, 4))


DOORS = {  # function: its valid arguments
    "stylize": (stylize, {"content": CONTENT, "style": STYLE, "steps": 1, **FAST}),
    "stylize_run": (stylize_run, {"content": CONTENT, "style": STYLE, "steps": 1, **FAST}),
    "photorealize": (photorealize, {"pastiche": CONTENT, "content": CONTENT, "steps": 1}),
    "photorealize_run": (photorealize_run, {"pastiche": CONTENT, "content": CONTENT, "steps": 1}),
    "photograph": (
        photograph,
        {"content": CONTENT, "style": STYLE, "regions": REGIONS, "size": 48, "steps": (0, 1), "precision": "float32"},
    ),
    "texture": (texture, {"style": STYLE, "size": 32, "steps": 1, "precision": "float32"}),
    "texture_run": (texture_run, {"style": STYLE, "size": 32, "steps": 1, "precision": "float32"}),
    "propose_regions": (propose_regions, {"content": CONTENT, "style": STYLE, "k": 2}),
    "measure": (measure, {"result": CONTENT, "content": CONTENT, "style": STYLE}),
    "sweep": (sweep, {"grid": {"content": [CONTENT], "style": [STYLE], "steps": 0, **FAST}, "progress": False}),
    "optimize": (optimize, {"objective": plain_objective(), "steps": 1}),
    "Objective": (Objective, {"terms": {"distance": distance}, "weights": {"distance": 1.0}, "size": (4, 4)}),
    "VGG": (VGG, {}),
    "MattingLaplacian": (MattingLaplacian, {"image": CONTENT}),
    "M.solve": (MattingLaplacian(CONTENT).solve, {"x": CONTENT, "weight": 1.0}),
    "style_transfer_objective": (style_transfer_objective, {"content": CONTENT, "style": STYLE}),
    "targets": (
        targets,
        {"content": CONTENT, "style": STYLE, "content_layer": "conv4_2", "style_layers": ["conv1_1"]},
    ),
    "pyramid": (pyramid, {"size": 512, "steps": 30}),
}
WITH_NETWORK = {
    "stylize", "stylize_run", "photograph", "texture", "texture_run", "propose_regions", "measure",
    "style_transfer_objective", "targets",
}  # fmt: skip


def call(name, network, /, **changes):
    function, valid = DOORS[name]
    return function(**{**valid, **({"vgg": network} if name in WITH_NETWORK else {}), **changes})


RUNS = ["stylize", "stylize_run", "photorealize", "photorealize_run", "texture", "texture_run", "optimize"]
NO_NUMBER = [-1.0, math.nan, math.inf, None, "1", True, [1.0], 1j, torch.ones(2), object()]
NO_WHOLE_NUMBER = [-1, 1.0, 2.5, "3", True, math.nan, [1], np.float32(1), torch.ones(2), object()]
NO_NAME = [None, "vgg", 3, ["style"], b"style"]
NO_DEVICE = ["gpu", "", "meta", 3.5, 99, -1, ["cpu"], object(), *([] if torch.cuda.is_available() else ["cuda", 0])]
NO_NETWORK = ["vgg19", 19, torch.nn.Conv2d(3, 3, 3), VGG, object()]
NO_PICTURE = [
    None, 3, NAN, INFINITE, 255 * CONTENT, CONTENT[:, :1], CONTENT[..., :0], CONTENT[..., 0], CONTENT.long(),
    "no such picture", b"no picture", np.ones((40, 48, 5)), {"image": CONTENT},
]  # fmt: skip
NO_TENSOR = [None, 3, "horses", NAN, INFINITE, 255 * CONTENT, CONTENT[0], CONTENT[:, :1], CONTENT.long(),
             CONTENT.numpy()]  # fmt: skip
NO_REGIONS = ["regions", 256, HALVES, [REGIONS], (HALVES, STYLE_HALVES)]
WATCHED = {"stylize": "size=256", "photorealize": "watch=256", "texture": "watch=256", "photograph": "watch=256"}
HUGE = [1e30, np.float32(1e30), 10**400]


def table():
    weights = {
        "content_weight": ["stylize", "stylize_run", "photorealize", "photograph", "style_transfer_objective"],
        "style_weight": ["stylize", "stylize_run", "photorealize", "style_transfer_objective"],
        "photorealism_weight": ["stylize", "stylize_run", "style_transfer_objective"],
        "total_variation_weight": ["stylize", "stylize_run", "style_transfer_objective"],
        "content_factor": ["style_transfer_objective"],
        "weight": ["photorealize", "photorealize_run", "photograph", "M.solve"],
    }
    yield from ((f, a, v) for a, doors in weights.items() for f in doors for v in [*NO_NUMBER, *HUGE])
    yield from ((f, "style_scale", v) for f in ("stylize", "stylize_run") for v in NO_NUMBER)
    for name in RUNS:
        yield from ((name, "steps", v) for v in NO_WHOLE_NUMBER)
    yield from ((f, "steps", None) for f in ("stylize", "stylize_run", "texture", "optimize"))
    yield from (("photograph", "steps", v) for v in [3, None, "12", (1,), (1, 2, 3), (1, -1), (1.0, 1), (True, 1)])
    yield from (("pyramid", a, v) for a in ("size", "steps") for v in [*NO_WHOLE_NUMBER, None])
    for name in ("stylize", "stylize_run", "texture", "optimize", "propose_regions"):
        yield from ((name, "seed", v) for v in [0.5, None, "1", True, 2**64, -(2**70), np.float64(1), [1]])
    for name in ("stylize", "stylize_run", "photograph"):
        yield from ((name, "size", v) for v in [0, 16, None, (48, 48), *NO_WHOLE_NUMBER])
    yield from (("texture", "size", v) for v in [0, 16, None, (48,), (48, 48, 48), (48, 2.5), *NO_WHOLE_NUMBER])
    yield from (("Objective", "size", v) for v in [None, 4, (4,), (0, 4), (4.0, 4), (-4, 4), (True, 4), "44"])
    yield from (("propose_regions", "k", v) for v in [0, 11, 2.0, None, "many", True, [2]])
    for name in ("stylize", "photorealize", "photorealize_run", "photograph", "texture", "propose_regions"):
        yield from ((name, "device", v) for v in NO_DEVICE)
    for name in ("stylize", "stylize_run", "photograph", "texture", "propose_regions", "measure"):
        yield from ((name, "vgg", v) for v in NO_NETWORK)
    for name in ("style_transfer_objective", "targets"):
        yield from ((name, "vgg", v) for v in [None, *NO_NETWORK])
    yield from (("Objective", "vgg", v) for v in NO_NETWORK)
    for name in ("stylize", "stylize_run", "photograph", "texture", "style_transfer_objective"):
        yield from ((name, "precision", v) for v in [*NO_NAME, torch.float32])
        yield from ((name, "tile", v) for v in [0, -16, 15, 33, 64.0, "64", "big", True, [64], math.nan])
    for name in ("stylize", "stylize_run", "texture", "optimize"):
        yield from ((name, "optimizer", v) for v in [*NO_NAME, torch.optim.Adam])
    yield from (("stylize", "color", v) for v in NO_NAME)
    yield from (("photorealize", "method", v) for v in NO_NAME)
    yield from (("photorealize", "step", v) for v in [0, 0.1, -1, "1", math.nan])
    yield from (("VGG", a, v) for a in ("network", "pooling", "padding") for v in NO_NAME)
    yield from (("VGG", "weights", v) for v in [3, b"random", "no such file", ["random"]])
    yield from (("VGG", "seed", v) for v in [None, "1", 0.5, True, 2**64])
    pictures = {"content": ["stylize", "photorealize", "photograph", "propose_regions", "measure"]}
    pictures |= {"style": ["stylize", "photograph", "texture", "propose_regions", "measure"]}
    pictures |= {"pastiche": ["photorealize", "photorealize_run"], "result": ["measure"], "start": ["stylize"]}
    yield from ((f, a, v) for a, doors in pictures.items() for f in doors for v in NO_PICTURE)
    yield from (("optimize", "start", v) for v in [*NO_PICTURE, "content"])
    yield from (("stylize", "style", v) for v in [[], [STYLE, NAN], [STYLE, None]])
    yield from ((f, a, v) for f in ("style_transfer_objective", "targets") for a in ("content", "style")
                for v in NO_TENSOR)  # fmt: skip
    yield from (("MattingLaplacian", "image", v) for v in NO_TENSOR)
    yield from (("MattingLaplacian", "epsilon", v) for v in [0, *NO_NUMBER])
    yield from (("MattingLaplacian", "dtype", v) for v in [None, "float32", torch.float16, 32])
    yield from (("M.solve", "x", v) for v in [None, 3, "horses", NAN, CONTENT[0], CONTENT.double(), CONTENT.numpy()])
    yield from (("M.solve", "residual", v) for v in [0, *NO_NUMBER])
    yield from (("M.solve", "max_iterations", v) for v in [0, None, *NO_WHOLE_NUMBER])
    for name in ("stylize", "photograph", "measure", "style_transfer_objective"):
        yield from ((name, "regions", v) for v in NO_REGIONS)
    mixes = [0.5, "half", [1, 2], [math.nan], [-1], [None], ["1"], [0], [True], [math.inf], []]
    yield from ((f, "style_mix", v) for f in ("stylize", "style_transfer_objective") for v in mixes)
    yield from (("style_transfer_objective", "style_layers", v) for v in [{}, ["conv1_1"], {"conv9_9": 1.0}, 3,
                {"conv1_1": math.nan}, {"conv1_1": -1}, {"conv1_1": "1"}])  # fmt: skip
    yield from (("style_transfer_objective", "content_layer", v) for v in ["conv9_9", None, 4])
    yield from (("Objective", "weights", {"distance": v}) for v in [*NO_NUMBER[1:], *HUGE])
    yield from (("Objective", "weights", v) for v in [None, [1.0], {}, {"distances": 1.0}])
    yield from (("Objective", "terms", v) for v in [None, {}, {"distance": 3}, [distance]])
    yield from (("optimize", "objective", v) for v in [None, [], distance, [plain_objective()], {"distance": distance}])
    yield from (("sweep", "grid", v) for v in [None, {}, [1], {"content": []}, {"contents": "horses"}, {3: 4}])
    yield from (("sweep", "executor", v) for v in [4, "threads", Executor])
    yield from (("sweep", "run", v) for v in [None, "stylize", 3])
    yield from ((f, "watch", v) for f in ("stylize", "photorealize", "texture", "photograph") for v in [256, "size"])
    yield from (("photograph", "preview", v) for v in [True, "yes"])


def shown(value):
    return f"{type(value).__name__}-{value}" if isinstance(value, (int, float, str)) else type(value).__name__


@pytest.mark.parametrize(("name", "argument", "value"), list(table()), ids=shown)
def test_what_no_door_takes_is_told_by_the_names_of_function_and_argument(vgg, name, argument, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(name, vgg, **{argument: value})
    message = str(caught.value)
    assert name.removesuffix("_run") in message, message
    assert argument in message, message
    assert len(message) < 400, message


@pytest.mark.parametrize(
    ("argument", "plain", "alike"),
    [  # a plain number, and what a user has
        ("steps", 2, [np.int64(2), Index(2), torch.tensor(2)]),
        ("seed", 3, [np.uint8(3), Index(3)]),
        ("seed", -3, [np.int64(-3)]),
        ("size", 44, [np.int32(44), Index(44)]),
        ("tile", 32, [np.int64(32), Index(32)]),
        ("content_weight", 0.5, [np.float32(0.5), torch.tensor(0.5)]),
        ("content_weight", 1.0, [np.int64(1)]),
        ("style_mix", [0.25, 0.75], [np.array([0.25, 0.75])]),
        ("style_scale", 1.5, [np.float64(1.5)]),
        ("device", "cpu", [torch.device("cpu")]),
    ],
)
def test_numbers_of_other_libraries_are_taken_as_python_s(vgg, argument, plain, alike):
    style = [STYLE, STYLE.flip(2)] if argument == "style_mix" else STYLE
    valid = {"steps": 1, "style": style, "photorealism_weight": np.float32(0.5)}
    expected = call("stylize", vgg, **{**valid, argument: plain})
    for given in alike:
        found = call("stylize", vgg, **{**valid, argument: given})
        assert torch.equal(found.image, expected.image), type(given)
        assert len(found.history) == len(expected.history)
        assert all(type(weight) is float for weight in found.history[-1].weights.values())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("texture", {"size": np.int64(40), "steps": np.int64(1), "seed": Index(0)}),
        ("texture", {"size": (Index(32), np.int64(48)), "steps": Index(1)}),
        ("photograph", {"size": np.int64(48), "steps": (np.int64(0), Index(1)), "weight": np.float32(10)}),
        ("photograph", {"steps": [0, 0]}),
        ("photorealize", {"steps": np.int64(2), "weight": np.float32(10), "method": "lbfgs"}),
        ("photorealize", {"method": "descent", "step": np.float32(1e-5)}),
        ("propose_regions", {"k": np.int64(2), "seed": np.int64(1)}),
        ("optimize", {"steps": np.int64(1), "seed": Index(1)}),
        ("Objective", {"size": torch.Size((4, 4)), "weights": {"distance": np.float32(-1.0)}}),
        ("Objective", {"size": (np.int64(4), Index(4)), "tile": np.int64(32)}),
        ("M.solve", {"weight": np.float32(1), "residual": np.float64(0.1), "max_iterations": np.int64(5)}),
        ("MattingLaplacian", {"epsilon": np.float32(1e-5)}),
        ("VGG", {"weights": "random", "seed": np.int64(2)}),
        ("style_transfer_objective", {"style_layers": {"conv1_1": np.float32(1)}, "content_factor": np.int64(2)}),
        ("sweep", {"grid": {"content": CONTENT, "style": STYLE, "steps": 0, "seed": [np.int64(1)], **FAST}}),
    ],
)
def test_every_door_takes_numbers_of_other_libraries(vgg, name, arguments):
    found = call(name, vgg, **arguments)
    if name == "sweep":
        assert [entry.error for entry in found.entries] == [None]


def test_pyramid_counts_in_python_s_numbers():
    levels = pyramid(np.int64(128), Index(30))
    assert levels == [(64, 30), (128, 30)]
    assert all(type(number) is int for level in levels for number in level)


def test_a_table_of_a_sweep_shows_numpy_s_numbers_as_numbers(vgg):
    grid = {"content": CONTENT, "style": STYLE, "vgg": vgg, "content_weight": [np.float64(0.5), np.float64(1)], **FAST}
    assert [row["content_weight"] for row in sweep({**grid, "steps": 0}, progress=False).table()] == [0.5, 1.0]


PICTURE = load_image("horses", size=64)


@pytest.mark.parametrize("kind", ["sample", "path", "Path", "bytes", "PIL", "array", "floats", "tensor", "3 axes"])
def test_a_start_is_whatever_load_image_takes(vgg, tmp_path, kind):
    to_pil(PICTURE).save(tmp_path / "start.png")
    starts = {
        "sample": "horses",
        "path": str(tmp_path / "start.png"),
        "Path": tmp_path / "start.png",
        "bytes": (tmp_path / "start.png").read_bytes(),
        "PIL": to_pil(PICTURE),
        "array": np.asarray(to_pil(PICTURE)),
        "floats": PICTURE[0].permute(1, 2, 0).double().numpy(),
        "tensor": PICTURE.half(),
        "3 axes": PICTURE[0],
    }
    result = call("stylize", vgg, start=starts[kind], steps=0)
    expected = resize(load_image("horses") if kind == "sample" else PICTURE, (40, 48))
    torch.testing.assert_close(result.image, expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("start", [Image.fromarray(np.zeros((40, 48, 3), np.uint8)), "great_wave"])
def test_a_run_from_a_picture_is_kept_in_a_checkpoint(vgg, tmp_path, start):
    arguments = {"start": start, "steps": np.int64(2), "seed": np.int64(1), "content_weight": np.float32(0.5)}
    first = call("stylize", vgg, checkpoint=tmp_path / "run", **arguments)
    again = call("stylize", vgg, checkpoint=tmp_path / "run", resume=True, **{**arguments, "steps": 2, "seed": 1})
    assert torch.equal(first.image, again.image)


def test_a_start_that_is_no_picture_is_told_with_the_names_there_are(vgg):
    with pytest.raises(nstlab.ImageError, match=r"stylize: start='noize' \(noise, content, style or a picture\)"):
        call("stylize", vgg, start="noize")


@pytest.mark.parametrize("method", ["solve", "lbfgs", "descent"])
def test_sizes_a_pixel_or_two_apart_are_brought_together(method):
    for size in [(39, 47), (42, 50), (40, 46)]:
        result = photorealize(resize(CONTENT, size), CONTENT, method=method, steps=2)
        assert result.image.shape == CONTENT.shape


def test_the_advice_for_two_sizes_works():
    pastiche = resize(CONTENT, (61, 77))
    with pytest.raises(ValueError, match=r"photorealize: pastiche: .* resize\(load_image\(content\), \(61, 77\)\)"):
        photorealize(pastiche, CONTENT)
    assert photorealize(pastiche, resize(load_image(CONTENT), (61, 77)), steps=1).image.shape == pastiche.shape
    with pytest.raises(ValueError, match=r"measure: .* resize\(load_image\(content\), \(61, 77\)\)"):
        measure(pastiche, CONTENT, STYLE)
    measure(pastiche, resize(load_image(CONTENT), (61, 77)), STYLE)


def test_stage_one_and_two_fit_at_every_size(vgg):
    content = load_image("horses", size=101)
    for size in (100, 101, 102):
        stage_1 = stylize(content, STYLE, size=size, steps=0, vgg=vgg).image
        assert photorealize(stage_1, content, steps=1).image.shape == content.shape


@pytest.mark.parametrize(("name", "given"), [("stylize", 256), ("photorealize", 1e3)])
def test_a_setting_given_by_position_is_told_so(name, given):
    with pytest.raises(
        TypeError, match=rf"{name}: watch={given} must be a function; give settings by name, such as size"
    ):
        getattr(nstlab, name)(CONTENT, STYLE, given)
    with pytest.raises(TypeError, match=f"{name}_run"):
        getattr(nstlab, f"{name}_run")(CONTENT, STYLE, given)


FLAT = torch.full((1, 3, 40, 48), 0.5)
ODD_PICTURES = {
    "identical": (CONTENT, CONTENT),
    "constant content": (FLAT, STYLE),
    "constant style": (CONTENT, FLAT),
    "both constant": (FLAT, FLAT),
    "black": (0 * CONTENT, STYLE),
    "white style": (CONTENT, torch.ones_like(STYLE)),
    "one pixel off": (FLAT, FLAT + torch.zeros(1, 3, 40, 48).index_fill(3, torch.tensor([7]), 0.1)),
}
VARIANTS = [
    {},
    {"optimizer": "adam"},
    {"optimizer": "adam", "start": "content"},  # whose gradient may be 0
    {"color": "content"},
    {"color": "match"},
    {"exact": True},
    {"start": "content"},
    {"photorealism_weight": 1, "total_variation_weight": 1},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.parametrize("pictures", ODD_PICTURES)
def test_odd_pictures_give_finite_pastiches_no_worse_than_the_start(vgg, pictures, settings):
    content, style = ODD_PICTURES[pictures]
    result = call("stylize", vgg, content=content, style=style, steps=2, **settings)
    totals = [record.total for record in result.history]
    assert torch.isfinite(result.image).all()
    assert all(map(math.isfinite, totals))
    assert totals[result.epoch] <= totals[0]


@pytest.mark.parametrize("pictures", ODD_PICTURES)
def test_odd_pictures_through_everything_else(vgg, pictures):
    content, style = ODD_PICTURES[pictures]
    for method in ("solve", "lbfgs", "descent"):
        assert torch.isfinite(photorealize(CONTENT, content, method=method, steps=3).image).all()
    regions = propose_regions(content, style, vgg=vgg)
    assert len(regions) == len(regions.content) == len(regions.style) >= 1
    halves = Regions(HALVES, torch.ones(2, 1, *style.shape[2:]))
    image = photograph(content, style, halves, size=48, steps=(0, 1), vgg=vgg, precision="float32").image
    assert torch.isfinite(image).all()
    assert torch.isfinite(texture(style, 48, steps=1, vgg=vgg, precision="float32").image).all()
    found = measure(image, content, style, vgg=vgg)
    assert all(map(math.isfinite, [found.energy_per_pixel, found.ssim, *found.gram_distance.values()]))


def test_long_and_narrow_pictures(vgg):
    long = torch.rand(1, 3, 32, 4000, generator=torch.Generator().manual_seed(3))
    narrow = torch.rand(1, 3, 400, 40, generator=torch.Generator().manual_seed(4))
    with pytest.raises(nstlab.ImageError, match=r"stylize: content: .* Take size=4000 or more"):
        call("stylize", vgg, content=long, size=512)
    with pytest.raises(nstlab.ImageError, match=r"stylize: style: .* Take size=320 or more"):
        call("stylize", vgg, style=narrow, size=256)
    assert call("stylize", vgg, style=narrow, size=320).image.shape == CONTENT.shape
    result = call("stylize", vgg, content=long, style=narrow, size=4000, steps=1, start="content")
    assert result.image.shape == long.shape
    assert result.history[-1].total < result.history[0].total
    assert torch.isfinite(photorealize(long.flip(3), long, steps=2).image).all()
    assert torch.isfinite(texture(narrow, 64, steps=1, vgg=vgg, precision="float32").image).all()


WEIGHTS = ["content_weight", "style_weight", "photorealism_weight", "total_variation_weight"]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_huge_weight_leaves_its_term_alone(vgg, weight, optimizer):
    result = call("stylize", vgg, steps=3, optimizer=optimizer, **{weight: 1e12})
    totals = [record.total for record in result.history]
    assert torch.isfinite(result.image).all()
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("weight", ["content_weight", "style_weight"])
def test_a_weight_too_huge_for_float32_is_told_not_ignored(vgg, weight, optimizer):
    with pytest.raises((OverflowError, DivergenceError), match=r"[Ll]ower (them|the weights)"):
        call("stylize", vgg, steps=3, optimizer=optimizer, exact=True, **{weight: 1e12})


@pytest.mark.parametrize("zero", [["content_weight"], ["style_weight"], ["content_weight", "style_weight"]])
def test_weights_of_0(vgg, zero):
    result = call("stylize", vgg, steps=2, **dict.fromkeys(zero, 0))
    assert torch.isfinite(result.image).all()
    assert all(result.history[-1].weights[name.removesuffix("_weight")] == 0.0 for name in zero)


@pytest.mark.parametrize("weight", [0, 1e12])
@pytest.mark.parametrize("method", ["solve", "lbfgs", "descent"])
def test_weights_of_photorealism(weight, method):
    result = photorealize(CONTENT.flip(3), CONTENT, weight=weight, method=method, steps=5)
    totals = [record.total for record in result.history]
    assert torch.isfinite(result.image).all()
    assert totals[result.epoch] <= totals[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "1", 1e30])
def test_a_run_refuses_a_weight_that_is_none_and_keeps_its_own(value):
    run = optimize(plain_objective(), steps=3)
    next(run)
    with pytest.raises(ValueError, match=r"weigh: .*distance"):
        run.weigh(distance=value)
    assert next(run).weights == {"distance": 1.0}


@pytest.mark.parametrize("engine", ["", "plain"])
def test_the_content_is_seen_as_often_for_three_styles_as_for_one(monkeypatch, engine):
    monkeypatch.setenv("NSTLAB_ENGINE", engine)

    class Counting(VGG):
        def prepared(self, image, wanted):
            self.seen = [*getattr(self, "seen", []), image.data_ptr()]
            return super().prepared(image, wanted)

    counts = []
    for styles in ([STYLE], [STYLE, STYLE.flip(2), STYLE.flip(3)]):
        network = Counting()
        style_transfer_objective(network, CONTENT, styles)
        counts.append(network.seen.count(CONTENT.data_ptr()))
    assert counts[0] == counts[1] <= 2


def test_a_tileable_texture_in_tiles_is_refused_before_the_run(vgg, with_engine):
    with pytest.raises(ValueError, match=r"texture: tile: .*Use tile=None"):
        texture_run(STYLE, 64, tileable=True, tile=32, vgg=vgg, precision="float32")


def test_an_error_inside_of_watch_is_the_user_s_own(vgg):
    def fail(step):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        call("stylize", vgg, watch=fail)
    with pytest.raises(ValueError, match=r"^mine$"):
        optimize(Objective({"mine": lambda image, F: fail(None)}, {"mine": 1.0}, size=(4, 4))).finish()


def test_an_own_term_is_taken_with_layers_and_without(vgg):
    own = Term(lambda image, F: F["conv1_1"].mean(), layers=("conv1_1",))
    objective = Objective({"own": own, "plain": distance}, {"own": 1, "plain": np.float32(2)}, (32, 32), vgg)
    assert objective.weights == {"own": 1.0, "plain": 2.0}
    assert len(optimize(objective, steps=1).finish().history) == 2
