"""Rebuild `vgg16_mean_responses.safetensors` and `vgg19_mean_responses.safetensors`: the mean response of every bundled
filter to the bundled photographs.

    python tools/rebuild_mean_responses.py

Run it again after a change of the filters, the photographs or the network's forward pass. A test compares the files
with newly computed means.
"""

import safetensors.torch

from nstlab.engine.pooling import POOLINGS
from nstlab.vgg import MEAN_RESPONSES, VGG, mean_responses, photographs

if __name__ == "__main__":
    for network, path in MEAN_RESPONSES.items():
        table = {
            f"{pooling}_{padding}.{layer}": s
            for pooling in POOLINGS
            for padding in ("replicate", "zeros")  # "circular" is for textures; its means are computed when asked for
            for layer, s in mean_responses(VGG(network, pooling, padding), photographs()).items()
        }
        safetensors.torch.save_file(table, path)
        print(f"wrote {path.name}: {len(table)} layers")
