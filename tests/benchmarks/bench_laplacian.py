"""The Matting Laplacian against pymatting and SciPy, as ratios within one run: `make bench`.

python tests/benchmarks/bench_laplacian.py
"""

import pymatting
import torch
from measuring import painted, seconds, solve_time, square

from nstlab.laplacian import MattingLaplacian

ROUNDS = 3


def against_scipy(size: int) -> None:
    """Build, product and memory beside pymatting's CSR matrix."""
    image = square(size)
    array, x = image[0].permute(1, 2, 0).double().numpy(), square(size).flip(3)
    theirs, ours = pymatting.cf_laplacian(array), MattingLaplacian(image)
    vectors = x[0].flatten(1).T.contiguous().numpy()
    build = seconds(lambda: pymatting.cf_laplacian(array), ROUNDS) / seconds(lambda: MattingLaplacian(image), ROUNDS)
    product = seconds(lambda: theirs @ vectors, ROUNDS) / seconds(lambda: ours @ x, ROUNDS)
    memory = ours.nbytes / (theirs.data.nbytes + theirs.indices.nbytes + theirs.indptr.nbytes)
    print(f"{size:>5} px | build {build:5.2f} x as fast | M @ x {product:5.2f} x as fast | memory {memory:.3f} of CSR")


def per_pixel(size: int) -> None:
    """Nanoseconds per pixel of build and product, which should not grow with the picture."""
    image = square(size)
    M, x = MattingLaplacian(image), image.flip(3)
    build, product = seconds(lambda: MattingLaplacian(image), ROUNDS), seconds(lambda: M @ x, ROUNDS)
    print(f"{size:>5} px | build {1e9 * build / size**2:6.0f} ns/pixel | M @ x {1e9 * product / size**2:6.1f} ns/pixel")


def solve(size: int, weight: float) -> None:
    """The exact solve to a residual of 1e-3."""
    image = square(size)
    took, iterations = solve_time(MattingLaplacian(image), painted(image), weight)
    cost = f"{took:5.1f} s | {1e6 * took / size**2:.2f} µs/pixel"
    print(f"{size:>5} px | weight {weight:>5g} | {cost} | {iterations} iterations")


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for size in (512, 1024):
        against_scipy(size)
    for size in (512, 1024, 2048):
        per_pixel(size)
    for size, weight in ((1024, 1.0), (512, 100.0), (1024, 100.0), (2048, 100.0), (1024, 1000.0)):
        solve(size, weight)
