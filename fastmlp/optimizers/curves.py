"""The curves that schedules are made of, as one kernel: a kind and a row of numbers."""

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels.jit import shape_function

# Kinds of curves; CONSTANT is an optimizer's own learning rate.
CONSTANT, EXPONENTIAL, INVERSE_TIME, POLYNOMIAL, RESTARTS, SEGMENTS = range(6)

# Numbers of a segment: its last step, where it begins and how long it is (0: it is at its end), the rates at both
# ends, and whether it goes from one to the other on a half cosine or on a line.
LAST, BEGIN, LENGTH, START_RATE, END_RATE, COSINE, SEGMENT = range(7)

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
    if kind == SEGMENTS:
        at = 0
        while at + SEGMENT < numbers.size and step > numbers[at + LAST]:
            at += SEGMENT
        begin, length = float(numbers[at + BEGIN]), float(numbers[at + LENGTH])
        start, end = float(numbers[at + START_RATE]), float(numbers[at + END_RATE])
        done = min((step - begin) / length, 1.0) if length > 0 else 1.0
        left = (1 + math.cos(math.pi * done)) / 2 if numbers[at + COSINE] != 0 else 1 - done
        return end + (start - end) * left
    initial, done, option = float(numbers[0]), step / float(numbers[1]), numbers[2] != 0
    if kind == RESTARTS:
        t_mul, m_mul, alpha = float(numbers[3]), float(numbers[4]), float(numbers[5])
        if t_mul == 1:
            period = float(math.floor(done))
            done -= period
        else:
            # the periods before this one took 1 + t + ... + t^(period - 1) = (t^period - 1) / (t - 1) first ones
            period = float(math.floor(math.log(1 + done * (t_mul - 1)) / math.log(t_mul) + LOGARITHM_SLACK))
            done = (done - (t_mul**period - 1) / (t_mul - 1)) / t_mul**period
        return float(initial * (alpha + (1 - alpha) * m_mul**period * (1 + math.cos(math.pi * done)) / 2))
    if kind == POLYNOMIAL:
        end, power = float(numbers[3]), float(numbers[4])
        # with ``cycle`` the decay is stretched to the first multiple of its steps that reaches the step
        done = done / max(float(math.ceil(done)), 1.0) if option else min(done, 1.0)
        return float(end + (initial - end) * (1 - done) ** power)
    rate = float(numbers[3])
    if option:
        done = float(math.floor(done))
    return initial * rate**done if kind == EXPONENTIAL else initial / (1 + rate * done)
