"""What happens to gradients before the optimizer's step: accumulated over batches, and clipped."""

import numpy as np

from ..kernels.jit import kernel
from .base import ZERO, Buffer


@kernel
def accumulate(gradients: Buffer, first: int, accumulated: Buffer, at: int, count: int, batches: np.float32) -> None:
    """Add a range of gradients to the accumulated ones, or take their mean over ``batches`` and start anew.

    Parameters
    ----------
    batches : float32
        How many batches the mean is of, this one included; 0 where there are more to come.
    """
    g, total = gradients[first : first + count], accumulated[at : at + count]
    if batches == ZERO:
        for i in range(count):
            total[i] += g[i]
    else:
        for i in range(count):
            g[i] = (g[i] + total[i]) / batches
            total[i] = ZERO


@kernel
def scale(gradients: Buffer, first: int, count: int, factor: np.float32) -> None:
    """``g *= factor`` over a range."""
    g = gradients[first : first + count]
    for i in range(count):
        g[i] *= factor


@kernel
def clip_by_value(gradients: Buffer, first: int, count: int, limit: np.float32) -> None:
    """``g = min(max(g, -limit), limit)`` over a range."""
    g = gradients[first : first + count]
    for i in range(count):
        g[i] = min(max(g[i], -limit), limit)
