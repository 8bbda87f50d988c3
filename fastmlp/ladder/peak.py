"""What the processor could do: the rate of multiply-adds between registers, measured.

The kernel is the register tile of the products with nothing around it. Its operands are a few numbers that stay
in the first-level cache, and its accumulators hide the latency of an FMA.
"""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..kernels.gemm import TALL_ROWS
from ..kernels.jit import JIT_DISABLED, SIMD_WIDTH, entry
from ..kernels.simd import TileShape, tile_fma, tile_store, tile_zeros

VECTORS = 2
TILE = TileShape(TALL_ROWS, VECTORS)
FLOPS = 2 * TALL_ROWS * VECTORS * SIMD_WIDTH  # of one turn of the loop
TURNS = 100 if JIT_DISABLED else 500_000


@entry
def multiply_add(turns: int, factors: NDArray[np.float32], row: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Add ``factors x row`` to a tile so many times."""
    tile = tile_zeros(TILE)
    for _ in range(turns):
        tile = tile_fma(tile, factors, 0, 1, row, 0)
    tile_store(tile, out, 0, VECTORS * SIMD_WIDTH)


def measure_peak(threads: int = 1, repeats: int = 7, turns: int = TURNS) -> float:
    """Return the highest rate of several, in floating-point operations a second of all threads together."""

    def work() -> None:
        factors = np.zeros(TALL_ROWS, np.float32)
        row = np.zeros(VECTORS * SIMD_WIDTH, np.float32)
        out = np.zeros(TALL_ROWS * VECTORS * SIMD_WIDTH, np.float32)
        multiply_add(turns, factors, row, out)

    work()  # compiled or loaded
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            begun = perf_counter()
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()
            best = max(best, threads * turns * FLOPS / (perf_counter() - begun))
    return best
