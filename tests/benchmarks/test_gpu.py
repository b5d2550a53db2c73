"""`make gpu`: rehearsed on a CPU, and what only a CUDA device does with PyTorch's calls replaced."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import gpu
import gpu_parts
import pytest
import torch
from gpu_device import Setting, tf32
from measuring import operations
from torch.utils.flop_counter import FlopCounterMode

from nstlab.engine import evaluate
from nstlab.objective import Objective
from nstlab.terms import StyleTerm
from nstlab.vgg import STYLE_LAYERS, VGG

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the measurements read /proc")
SCRIPT = Path(gpu.__file__)
GPU = Setting(torch.device("cuda"), [64], quick=False)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), **environment}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_rehearsal_measures_everything_and_writes_it_twice(tmp_path):
    done = run(tmp_path, "--device", "cpu", "--sizes", "64", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    report = (tmp_path / "out" / "gpu.md").read_text()
    assert torch.__version__ in found["machine"] and report.startswith(found["machine"])
    assert list(found)[1:] == list(gpu.PARTS) and all(gpu.table(found[part]) in report for part in gpu.PARTS)
    for row, error in zip(found["evaluations"], (5e-3, 5e-3, 3e-2, 1e-1), strict=True):
        assert row["error of gradient"] < error and row["times as fast"] > 0 and row["share of peak"] > 0
    assert [row["one"] for row in found["steps"]] == ["evaluation", "step of lbfgs", "step of adam"]
    assert (
        found["largest"][0]["px"] == 64 and found["laplacian"][0]["iterations"] > 0 and found["runs"][0]["seconds"] > 0
    )
    assert all("passed" in row["result"] and "failed" not in row for row in found["checks"])
    at_once, recorded = found["recorded"][:3], found["recorded"][3:]
    assert all(row["error of gradient"] < 1e-3 for row in at_once)
    assert all("CUDA graph" in row["evaluation"] and row["failed"] for row in recorded)  # there are none on a CPU


def test_without_a_device_one_line_says_so(tmp_path):
    done = run(tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2 and not done.stdout and not list(tmp_path.iterdir())
    assert done.stderr.startswith("make gpu measures a CUDA device: ") and done.stderr.count("\n") == 1


def test_a_part_that_ends_early_keeps_its_rows_and_says_why(monkeypatch):
    def part(s, left):
        yield {"px": 64}
        raise RuntimeError("CUDA error: an illegal address\nwith more lines")

    monkeypatch.setattr(gpu_parts, "runs", part)
    assert gpu.rows_of("runs", GPU, 1.0) == [{"px": 64}, {"failed": "RuntimeError: CUDA error: an illegal address"}]
    assert gpu.rows_of("runs", GPU, 0.0) == [{"failed": f"left out, since {gpu.LIMIT} seconds were over"}]


def test_operations_are_those_that_pytorch_counts():
    size, vgg = (1536, 2048), VGG().to("meta")
    N = {layer: vgg.convolution(layer).weight.shape[0] for layer in STYLE_LAYERS}
    term = StyleTerm({layer: torch.zeros(1, n, n, device="meta") for layer, n in N.items()}, dict.fromkeys(N, 0.2))
    image = torch.zeros(1, 3, *size, device="meta")
    objective = Objective({"style": term}, {"style": 1.0}, size, vgg, {"content": image})
    with FlopCounterMode(display=False) as counter:
        evaluate(objective, image)
    assert operations(vgg, size) == pytest.approx(counter.get_total_flops(), rel=0.02)  # which counts borders, too


def test_tf32_is_allowed_in_all_products_or_in_none_and_afterwards_is_as_before():
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    for allowed in (True, False):
        with tf32(allowed):
            assert [place.allow_tf32 for place in places] == [allowed, allowed]
        assert [place.allow_tf32 for place in places] == before


def test_memory_is_what_a_call_adds_at_its_peak(monkeypatch):
    used = SimpleNamespace(now=3e9, peak=9e9)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: vars(used).update(peak=used.now))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: used.now)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: used.peak)
    assert GPU.timed(lambda: vars(used).update(peak=5e9))["GB"] == 2.0


def test_waits_are_counted_by_the_line_that_waits(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def step() -> None:
        warnings.warn("something else", stacklevel=1)
        if modes == ["warn"]:
            warnings.warn("called a synchronizing CUDA operation (Triggered internally at c10.cpp:1.)", stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = gpu_parts.traffic(GPU, step)
    line = step.__code__.co_firstlineno + 3
    assert modes == ["warn", "default"]
    assert (row["waits"], row["where"]) == (1.0, f"test_gpu.py:{line} x 1")


def test_the_heading_names_the_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=150e9))
    assert gpu.machine(GPU.device).startswith("NVIDIA H200, 150 GB, driver ")


def test_the_heading_names_the_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.driver() == "unknown"
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 570.86.15\necho 570.86.15\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpu.driver() == "570.86.15"
