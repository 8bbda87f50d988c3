"""Sums in float64 over long ranges, in a fixed order."""

import numpy as np
from numpy.typing import NDArray

from .jit import kernel

Buffer = NDArray[np.float32]

# An addition waits for the one before it, about four cycles; so many sums go on at a time.
LANES = 8


@kernel
def sum_of(values: Buffer, squared: bool) -> float:
    """Return the sum of the squares of all elements, or of their absolute values."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float64(0)
    whole = values.size // LANES * LANES
    if squared:
        for i in range(0, whole, LANES):
            part = values[i : i + LANES]
            s0 += np.float64(part[0]) * np.float64(part[0])
            s1 += np.float64(part[1]) * np.float64(part[1])
            s2 += np.float64(part[2]) * np.float64(part[2])
            s3 += np.float64(part[3]) * np.float64(part[3])
            s4 += np.float64(part[4]) * np.float64(part[4])
            s5 += np.float64(part[5]) * np.float64(part[5])
            s6 += np.float64(part[6]) * np.float64(part[6])
            s7 += np.float64(part[7]) * np.float64(part[7])
    else:
        for i in range(0, whole, LANES):
            part = values[i : i + LANES]
            s0 += abs(part[0])
            s1 += abs(part[1])
            s2 += abs(part[2])
            s3 += abs(part[3])
            s4 += abs(part[4])
            s5 += abs(part[5])
            s6 += abs(part[6])
            s7 += abs(part[7])
    for i in range(whole, values.size):
        value = np.float64(abs(values[i]))
        s0 += value * value if squared else value
    return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))
