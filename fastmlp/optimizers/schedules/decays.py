"""Schedules that decay, or change from step to step as told."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import check_flag, finite_number
from .base import LearningRateSchedule, check_positive, check_rates
from .curves import CYCLES, EXPONENTIAL, INVERSE_TIME, SEGMENTS


@dataclass(frozen=True)
class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        Rate of step 0.
    decay_steps : float
        Steps in which the rate is multiplied with ``decay_rate``, more than 0.
    decay_rate : float
        A factor, from 0.
    staircase : bool
        Whether the exponent is rounded down to a whole number.
    name : str
        A name, which is not used.
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __post_init__(self) -> None:
        check_rates(self, "initial_learning_rate", "decay_rate")
        check_positive(self, "decay_steps")
        check_flag("staircase", self.staircase)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        segment = (math.inf, 0, self.decay_steps, self.initial_learning_rate, 0, 1)
        return EXPONENTIAL, (*segment, self.staircase, self.decay_rate)


@dataclass(frozen=True)
class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        Rate of step 0.
    decay_steps : float
        Steps that count as one, more than 0.
    decay_rate : float
        How quickly the rate sinks, from 0.
    staircase : bool
        Whether ``step / decay_steps`` is rounded down to a whole number.
    name : str
        A name, which is not used.
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def __post_init__(self) -> None:
        check_rates(self, "initial_learning_rate", "decay_rate")
        check_positive(self, "decay_steps")
        check_flag("staircase", self.staircase)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        segment = (math.inf, 0, self.decay_steps, self.initial_learning_rate, 0, 1)
        return INVERSE_TIME, (*segment, self.staircase, self.decay_rate)


@dataclass(frozen=True)
class PolynomialDecay(LearningRateSchedule):
    """``end + (initial - end) * (1 - step / decay_steps) ** power``, and the end's rate after ``decay_steps``.

    Parameters
    ----------
    initial_learning_rate : float
        Rate of step 0.
    decay_steps : float
        Steps until the end, more than 0.
    end_learning_rate : float
        Rate of the end.
    power : float
        From 0; 1 is a line.
    cycle : bool
        Whether the decay starts again, over as many times more steps, whenever it has reached its end.
    name : str
        A name, which is not used.
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = "PolynomialDecay"

    def __post_init__(self) -> None:
        check_rates(self, "initial_learning_rate", "end_learning_rate", "power")
        check_positive(self, "decay_steps")
        check_flag("cycle", self.cycle)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        ends = self.initial_learning_rate, self.end_learning_rate
        return CYCLES if self.cycle else SEGMENTS, (math.inf, 0, self.decay_steps, *ends, self.power)


@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and with step ``boundaries[i]``, then the last value.

    Parameters
    ----------
    boundaries : sequence of numbers
        The last steps of all values but the last one, increasing.
    values : sequence of float
        One more than boundaries.
    name : str
        A name, which is not used.
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str = "PiecewiseConstant"

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), (Sequence, np.ndarray)):
                raise TypeError(f"{name} must be a sequence of numbers, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                f"values must be one more than boundaries, got {len(self.values)} values and {len(self.boundaries)} "
                "boundaries"
            )
        before = -math.inf
        for boundary in self.boundaries:
            if not finite_number("boundaries", boundary) > before:
                raise ValueError(f"boundaries must increase, got {self.boundaries!r}")
            before = boundary
        for value in self.values:
            finite_number("values", value, at_least=0)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        numbers: list[float] = []
        for last, value in zip([*self.boundaries, math.inf], self.values, strict=True):
            numbers += [last, 0, 1, value, value, 1]
        return SEGMENTS, numbers
