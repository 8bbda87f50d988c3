"""Exponential moving averages of the weights."""

from ..kernels.jit import kernel
from .base import OVERWRITE, REST_OF_AVERAGE, ZERO, Buffer


@kernel
def average_step(parameters: Buffer, averages: Buffer, at: int, count: int, factors: Buffer) -> None:
    """``average += (1 - momentum)(w - average)`` over a range; where ``OVERWRITE`` is set, w becomes the average.

    The first update's averages are the weights themselves, as in keras/src/optimizers/base_optimizer.py.
    """
    rest = factors[REST_OF_AVERAGE]
    w, average = parameters[at : at + count], averages[at : at + count]
    for i in range(count):
        average[i] += rest * (w[i] - average[i])
    if factors[OVERWRITE] != ZERO:
        for i in range(count):
            w[i] = average[i]
