"""The kernels floor: numbers, no networks. The only folder that imports Numba or llvmlite."""
