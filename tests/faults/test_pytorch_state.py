"""A user's PyTorch, in every state that it can be in: the same results, and the state is as before."""

import multiprocessing
import os
import random
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from nstlab import (
    VGG,
    MattingLaplacian,
    Objective,
    Regions,
    load_image,
    match_colors,
    measure,
    optimize,
    photograph,
    photorealize,
    propose_regions,
    style_transfer_objective,
    stylize,
    targets,
    texture,
)

CONTENT, STYLE = load_image("waterfront_day", size=64), load_image("waterfront_night", size=64)
ANOTHER = CONTENT.flip(3)
MASKS = torch.zeros(2, 1, *CONTENT.shape[2:])
MASKS[0, ..., :32], MASKS[1, ..., 32:] = 1, 1
REGIONS = Regions(MASKS, torch.ones(2, 1, *STYLE.shape[2:]))
NETWORK = VGG()


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


STATES = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default device meta": lambda: default_device("meta"),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "deterministic": deterministic,
    "one thread": one_thread,
    "warnings as errors": warnings_as_errors,
}


TASKS = {
    "stylize": lambda: (
        stylize(CONTENT, STYLE, size=64, steps=2, precision="float32", vgg=NETWORK, photorealism_weight=1.0).image
    ),
    "stylize with Adam": lambda: (
        stylize("horses", "great_wave", size=64, steps=1, precision="float32", optimizer="adam", vgg=NETWORK).image
    ),
    "stylize in colors": lambda: (
        stylize(
            CONTENT,
            STYLE,
            size=64,
            steps=1,
            precision="float32",
            vgg=NETWORK,
            color="content",
            total_variation_weight=1.0,
        ).image
    ),
    "stylize in regions": lambda: (
        stylize(
            CONTENT, STYLE, size=64, steps=1, precision="float32", vgg=NETWORK, color="match", regions=REGIONS
        ).image
    ),
    "stylize in bfloat16": lambda: (
        stylize(CONTENT, STYLE, size=64, steps=1, precision="bfloat16", vgg=NETWORK, coarse_to_fine=False).image
    ),
    "stylize from the content": lambda: (
        stylize(CONTENT, STYLE, size=64, steps=1, precision="float32", vgg=NETWORK, start="content", exact=True).image
    ),
    "texture": lambda: texture(STYLE, 48, steps=1, precision="float32", vgg=NETWORK, tileable=True).image,
    "photorealize": lambda: photorealize(ANOTHER, CONTENT, steps=20).image,
    "photorealize step by step": lambda: photorealize(ANOTHER, CONTENT, method="lbfgs", steps=5).image,
    "photorealize by descent": lambda: photorealize(ANOTHER, CONTENT, method="descent", steps=5).image,
    "photograph": lambda: (
        photograph(CONTENT, STYLE, REGIONS, size=64, steps=(1, 1), precision="float32", vgg=NETWORK).image
    ),
    "propose_regions": lambda: propose_regions(CONTENT, STYLE, 2, vgg=NETWORK).content,
    "measure": lambda: measured(),
    "optimize": lambda: optimize(style_transfer_objective(NETWORK, CONTENT, STYLE), steps=1).finish().image,
    "Objective": lambda: style_transfer_objective(NETWORK, CONTENT, STYLE).at(ANOTHER).gradient,
    "Objective by autograd": lambda: style_transfer_objective(NETWORK, CONTENT, STYLE).textbook(ANOTHER).gradient,
    "losses": lambda: style_transfer_objective(NETWORK, CONTENT, STYLE)(ANOTHER)[1].detach(),
    "targets": lambda: targets(NETWORK, CONTENT, STYLE, "conv4_2", ["conv3_1"])[2]["conv3_1"],
    "M.solve": lambda: MattingLaplacian(CONTENT).solve(ANOTHER, 100.0),
    "largest eigenvalue": lambda: torch.tensor(
        MattingLaplacian(CONTENT).largest_eigenvalue(), dtype=torch.float32, device="cpu"
    ),
    "match_colors": lambda: match_colors(CONTENT, STYLE),
    "random filters": lambda: VGG(weights="random", seed=3).conv2_1.weight,
    "normalized filters": lambda: VGG(normalized=True).conv2_1.weight,
    "load_image": lambda: load_image("night_cafe", size=100),
}


def measured():
    found = measure(ANOTHER, CONTENT, STYLE, vgg=NETWORK)
    numbers = [found.energy_per_pixel, found.ssim, *found.gram_distance.values(), *found.color_distance.values()]
    return torch.tensor(numbers, dtype=torch.float32, device="cpu")


def state():
    """Everything global that a computation could change."""
    return {
        "random": torch.get_rng_state().tolist(),
        "random of NumPy": str(np.random.get_state()),
        "random of Python": random.getstate(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "filters": list(warnings.filters),
    }


@pytest.fixture(scope="module")
def plain():
    """What every task gives in a PyTorch as it starts; the state, of random numbers too, is as before."""
    before = state()
    found = {name: task().detach().cpu() for name, task in TASKS.items()}
    assert state() == before
    return found


@pytest.mark.parametrize("mode", STATES)
@pytest.mark.parametrize("name", TASKS)
def test_in_every_state_of_pytorch_a_result_is_the_plain_one_and_the_state_is_as_before(plain, name, mode):
    with STATES[mode]():
        before = state()
        found = TASKS[name]()
        assert state() == before
    tolerance = 1 / 255 if mode == "one thread" else 1e-6  # sums in another order: less than one gray level
    assert found.dtype == plain[name].dtype and found.device == plain[name].device
    torch.testing.assert_close(found.detach().clone(), plain[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("mode", STATES)
def test_an_error_leaves_the_state_as_it_was(mode):
    calls = [
        lambda: stylize(CONTENT, STYLE, steps=-1),
        lambda: VGG(weights="no such file"),
        lambda: photorealize(CONTENT, CONTENT, weight=float("nan")),
        lambda: Objective({}, {}, (4, 4)),
    ]
    with STATES[mode]():
        before = state()
        for call in calls:
            with pytest.raises(ValueError):
                call()
        assert state() == before


def test_a_watch_that_fails_leaves_the_state_as_it_was():
    def fail(step):
        raise RuntimeError("stop")

    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        before = state()
        with pytest.raises(RuntimeError, match="stop"):
            stylize(CONTENT, STYLE, fail, size=64, steps=1, vgg=NETWORK, precision="float32")
        assert state() == before


def test_a_user_keeps_autocast_for_computations_of_their_own():
    seen = []
    with torch.autocast("cpu", torch.bfloat16):
        stylize(
            CONTENT,
            STYLE,
            lambda step: seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype),
            size=64,
            steps=1,
            vgg=NETWORK,
            precision="float32",
        )
        assert NETWORK(CONTENT, ["conv1_1"])["conv1_1"].dtype == torch.bfloat16
    assert set(seen) == {torch.bfloat16}


def test_what_was_made_in_inference_mode_serves_outside_of_it(plain):
    with torch.inference_mode():
        network, content = VGG(), CONTENT.clone()
        objective = style_transfer_objective(network, content, STYLE)
        M = MattingLaplacian(content)
        start = torch.full_like(content, 0.5)
    assert torch.equal(objective.at(ANOTHER).gradient, plain["Objective"])
    assert torch.equal(M.solve(ANOTHER, 100.0), plain["M.solve"])
    result = stylize(content, STYLE, size=64, steps=1, vgg=network, start=start, precision="float32")
    expected = stylize(CONTENT, STYLE, size=64, steps=1, start=start.clone(), precision="float32")
    assert torch.equal(result.image, expected.image)


def short_run(_=None):
    """A run whose tensors are large enough for several threads, as an array that travels between processes."""
    return stylize(CONTENT, STYLE, size=64, steps=2, vgg=NETWORK, precision="float32").image.numpy()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_process_gives_the_same_result(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} on this system")
    expected = short_run()
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.map_async(short_run, [None]).get(120)
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


FORKED = """
import os, torch
import nstlab
content = torch.rand(1, 3, 96, 96)
nstlab.photorealize(content.flip(3), content, steps=2)  # starts PyTorch's threads
torch.rand(1000, 1000) + 1
read, write = os.pipe()
if os.fork() == 0:
    nstlab.photorealize(content.flip(3), content, steps=2)
    torch.rand(1000, 1000) + 1
    os.write(write, b"done")
    os._exit(0)
os.wait()
print(os.read(read, 4).decode(), torch.get_num_threads())
"""


@pytest.mark.posix
def test_a_forked_process_does_not_wait_for_the_threads_of_its_parent():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    assert done.stdout == "done 2\n"


def test_a_thread_gives_the_same_result_and_is_in_its_own_state():
    expected, found = short_run(), []
    with torch.autocast("cpu", torch.bfloat16):
        thread = threading.Thread(target=lambda: found.append(short_run()))
        thread.start()
        assert np.array_equal(short_run(), expected)
        thread.join()
        assert torch.is_autocast_enabled("cpu")
    assert np.array_equal(found[0], expected)
