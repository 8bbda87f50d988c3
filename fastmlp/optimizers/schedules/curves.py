"""The curves that schedules are made of, as one kernel: a kind and rows of numbers."""

import math

import numpy as np
from numpy.typing import NDArray

from ...kernels.jit import shape_function

# Kinds of curves; CONSTANT is an optimizer's own learning rate.
CONSTANT, SEGMENTS, CYCLES, RESTARTS, EXPONENTIAL, INVERSE_TIME = range(6)

# Numbers of a segment: its last step, where it begins, how long it is, the rates at both ends and the shape between
# them. Other curves are one segment with two more numbers.
LAST, BEGIN, LENGTH, START, END, SHAPE, SEGMENT = range(7)
# The shape of half a cosine; others are powers, 1 for a line.
COSINE = -1.0
# Of restarts: what each period's length and height are multiplied with. Of EXPONENTIAL and INVERSE_TIME: whether the
# curve is a staircase, and its rate.
LENGTHEN = STAIRCASE = SEGMENT
HEIGHTEN = DECAY_RATE = SEGMENT + 1

# What a whole logarithm may lack by rounding: log(243) / log(3) is a little less than 5.
LOGARITHM_SLACK = 1e-9

Numbers = NDArray[np.float64]


@shape_function
def scheduled_rate(kind: int, numbers: Numbers, step: float) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    kind : int
        One of this module's constants but ``CONSTANT``.
    numbers : float64 buffer
        From :meth:`LearningRateSchedule.compiled`.
    step : float
        The number of the step, a whole number from 0.
    """
    at = 0
    while step > numbers[at + LAST]:
        at += SEGMENT
    done = (step - numbers[at + BEGIN]) / numbers[at + LENGTH]
    start, end, shape = numbers[at + START], numbers[at + END], numbers[at + SHAPE]
    if kind >= EXPONENTIAL:
        if numbers[STAIRCASE] != 0:
            done = np.floor(done)
        rate = numbers[DECAY_RATE]
        left = rate**done if kind == EXPONENTIAL else 1 / (1 + rate * done)
    else:
        if kind == RESTARTS:
            t_mul = numbers[LENGTHEN]
            if t_mul == 1:
                period = np.floor(done)
                done -= period
            else:
                # the periods before this one took 1 + t + ... + t^(period - 1) = (t^period - 1) / (t - 1) first ones
                period = np.floor(math.log(1 + done * (t_mul - 1)) / math.log(t_mul) + LOGARITHM_SLACK)
                longer = t_mul**period
                done = (done - (longer - 1) / (t_mul - 1)) / longer
            start = end + (start - end) * numbers[HEIGHTEN] ** period
        elif kind == CYCLES:
            # the decay is stretched to the first multiple of its length that reaches the step
            done /= max(np.ceil(done), 1.0)
        else:
            done = min(done, 1.0)
        left = (1 + math.cos(math.pi * done)) / 2 if shape == COSINE else (1 - done) ** shape
    rate_now: float = end + (start - end) * left
    return rate_now
