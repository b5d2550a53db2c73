"""Everything about one GPU in five minutes: `make gpu`.

    python tests/benchmarks/gpu.py [--device cuda] [--sizes 512 1024 2048] [--quick]

Writes out/gpu.md, tables for a README, and out/gpu.json, the same numbers. A measurement that fails is a line that says
why, and the others go on. --quick rehearses everything once, with few steps: on a CPU at 64 px it takes some seconds.

Exits with 1 if a unit test or a notebook failed on the device, with 2 without a device.
"""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import gpu_parts
import torch
from gpu_device import Row, Setting, tried
from measuring import processor

from nstlab.base.numerics.devices import checked_device
from nstlab.base.version import __version__

OUT = Path("out")
LIMIT = 300  # seconds: no part begins later
PARTS = (
    "evaluations",
    "steps",
    "runs",
    "largest",
    "laplacian",
    "checks",
    "recorded",
)  # what may break the rest is last


def machine(device: torch.device) -> str:
    """The device and what drives it, in one line."""
    if device.type != "cuda":
        return f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, nstlab {__version__}"
    memory = torch.cuda.get_device_properties(device).total_memory
    return (
        f"{torch.cuda.get_device_name(device)}, {memory / 1e9:.0f} GB, driver {driver()}, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}, torch {torch.__version__}, nstlab {__version__}"
    )


def driver() -> str:
    """The version of NVIDIA's driver."""
    if not shutil.which("nvidia-smi"):
        return "unknown"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return answer[0] if answer else "unknown"


def rows_of(part: str, setting: Setting, left: float) -> list[Row]:
    """The rows of a part, and if it ends early, why."""
    rows: list[Row] = []

    def add_rows() -> Row:
        rows.extend(getattr(gpu_parts, part)(setting, left))
        return {}

    failure = tried(add_rows) if left > 0 else {"failed": f"left out, since {LIMIT} seconds were over"}
    return [*rows, failure] if failure else rows


def table(rows: Iterable[Row]) -> str:
    """Rows as Markdown, with a column for each key that any of them has.

    >>> print(table([{"size": 512, "share of peak": 0.617}, {"size": 1024, "failed": "out of memory"}]))
    | size | share of peak | failed |
    |---|---|---|
    | 512 | 62 % |  |
    | 1024 |  | out of memory |
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([cell(key, row.get(key)) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("---|---| ", "")


def cell(column: str, value: object) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0%}".replace("%", " %") if column.startswith("share") else f"{value:.3g}"
    return str(value).replace("|", "/")


def write(heading: str, tables: dict[str, list[Row]]) -> None:
    """Write what is known so far."""
    OUT.mkdir(exist_ok=True)
    parts = [f"{inspect.getdoc(getattr(gpu_parts, name))}\n\n{table(rows)}" for name, rows in tables.items()]
    (OUT / "gpu.md").write_text("\n\n".join([heading, *parts]) + "\n", encoding="utf-8")
    (OUT / "gpu.json").write_text(json.dumps({"machine": heading, **tables}, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048], help="longer sides in pixels")
    parser.add_argument("--quick", action="store_true", help="everything once, with few steps")
    asked = parser.parse_args(arguments)
    try:
        device = checked_device(asked.device)
    except ValueError as error:
        print(f"make gpu measures a CUDA device: {error}", file=sys.stderr)
        return 2
    setting = Setting(device, asked.sizes, asked.quick)
    heading, began, tables = f"{machine(device)}, {date.today()}", time.perf_counter(), {}
    print(heading, flush=True)
    for name in PARTS:
        tables[name] = rows_of(name, setting, LIMIT - (time.perf_counter() - began))
        print(f"\n{name}, {time.perf_counter() - began:.0f} s\n{table(tables[name])}", flush=True)
        write(heading, tables)
    print(f"\nwrote {OUT / 'gpu.md'} and {OUT / 'gpu.json'}")
    return int(any("failed" in row for row in tables["checks"]))


if __name__ == "__main__":
    sys.exit(main())
