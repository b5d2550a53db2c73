"""The limits of a container count as the machine's memory. The folders of the control groups are written here."""

import math

import pytest
import torch

from nstlab.engine.containers import container_memory
from nstlab.engine.memory import free_memory

GB = 1 << 30
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


@pytest.fixture
def group(tmp_path):
    """Writes a control group: its limit, its use and its cached files."""

    def write(folder, version, limit, used, cached=0):
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / version[0]).write_text(f"{limit}\n")
        (path / version[1]).write_text(f"{used}\n")
        (path / "memory.stat").write_text(f"anon {used - cached}\n{version[2]} {cached}\nactive_file 5\n")

    return write


@pytest.fixture
def left(tmp_path):
    """Gives what the groups leave to a process that belongs to those named."""

    def read(*lines):
        (tmp_path / "membership").write_text("".join(f"{line}\n" for line in lines))
        return container_memory(tmp_path, tmp_path / "membership")

    return read


def test_the_limit_of_version_2_counts_without_cached_files(group, left):
    group("box", V2, 4 * GB, 3 * GB, cached=GB)
    assert left("0::/box") == 2 * GB


def test_the_limit_of_version_1_counts_without_cached_files(group, left):
    group("memory/box", V1, 4 * GB, 3 * GB, cached=GB)
    assert left("5:cpu,cpuacct:/other", "4:memory:/box", "0::/") == 2 * GB


def test_the_tightest_of_nested_groups_counts(group, left):
    group("outer/inner", V2, "max", GB)
    group("outer", V2, 3 * GB, 2 * GB)
    group("", V2, 9 * GB, 2 * GB)
    assert left("0::/outer/inner") == GB


def test_memory_above_which_a_group_is_slowed_down_is_a_limit(group, left, tmp_path):
    group("box", V2, 4 * GB, GB)
    (tmp_path / "box" / "memory.high").write_text(f"{2 * GB}\n")
    assert left("0::/box") == GB


@pytest.mark.parametrize(
    ("line", "folder", "version"), [("0::/docker/1f", "", V2), ("4:memory:/docker/1f", "memory", V1)]
)
def test_a_group_that_is_mounted_as_the_root_is_found(group, left, line, folder, version):
    group(folder, version, 2 * GB, GB)
    assert left(line) == GB


def test_nothing_is_left_over_the_limit(group, left):
    group("box", V2, GB, 2 * GB)
    assert left("0::/box") == 0


@pytest.mark.parametrize("lines", [[], ["0::/"], ["0::/../outside"], ["3:cpuset:/box"]])
def test_without_a_limit_there_is_none(left, lines):
    assert left(*lines) == math.inf


def test_the_free_memory_is_what_machine_and_container_both_have(monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("memory", (), {"available": 8 * GB}))
    monkeypatch.setattr("nstlab.engine.buffers.free_bytes", lambda: 0)
    for in_container, free in ((math.inf, 8 * GB), (2.0 * GB, 2 * GB)):
        monkeypatch.setattr("nstlab.engine.memory.container_memory", lambda: in_container)  # noqa: B023
        assert free_memory(torch.device("cpu")) == free
