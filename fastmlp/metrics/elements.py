"""Metrics that look at one output at a time: the sum of a row."""

import numpy as np

from ..kernels.jit import kernel
from .base import Buffer
from .kinds import BINARY, PERCENTAGE, SQUARED

# Keras' fuzz factor: a target counts as at least this large where it divides
EPSILON = 1e-7


@kernel
def row_total(kind: int, threshold: float, outputs: Buffer, targets: Buffer) -> float:
    """Return how many targets equal 1 where the output is above ``threshold`` and else 0, or the sum of differences.

    Differences are squared, absolute, or in percent of the target.
    """
    total = np.float64(0)
    for j in range(outputs.size):
        y, p = np.float64(targets[j]), np.float64(outputs[j])
        size = abs(p - y)
        if kind == BINARY:
            size = np.float64((p > threshold) == y)
        elif kind == SQUARED:
            size *= size
        elif kind == PERCENTAGE:
            size = 100 * size / max(abs(y), EPSILON)
        total += size
    return total
