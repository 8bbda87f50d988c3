"""Learning rates that follow from the number of the step: Keras 3's schedules, and PyTorch's one-cycle policy.

A schedule is given to an optimizer in the place of a learning rate, and evaluated in float64 inside the compiled
loop. To add one: write its class, whose ``compiled`` says which curve of ``curves.py`` it is and with which numbers.

Formulas, names and defaults are those of keras/src/optimizers/schedules/learning_rate_schedule.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import check_count, check_flag, finite_number
from .curves import COSINE, CYCLES, EXPONENTIAL, INVERSE_TIME, RESTARTS, SEGMENTS, scheduled_rate


@dataclass(frozen=True)
class LearningRateSchedule:
    """A learning rate for every step; what all schedules have in common.

    Called with the number of a step, from 0, it returns the rate of that step. An optimizer counts batches, over all
    epochs and calls of ``fit``, as its ``batches``.
    """

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        kind, numbers = self.compiled()
        return float(scheduled_rate(kind, np.array(numbers, np.float64), float(step)))

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and the numbers that :func:`scheduled_rate` reads."""
        raise NotImplementedError(
            f"{type(self).__name__} must override compiled(self): a schedule is evaluated by compiled code, for which "
            "it is a curve of fastmlp.optimizers.curves and its numbers"
        )


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
        _check_rates(self, "initial_learning_rate", "decay_rate")
        _check_positive(self, "decay_steps")
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
        _check_rates(self, "initial_learning_rate", "decay_rate")
        _check_positive(self, "decay_steps")
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
        _check_rates(self, "initial_learning_rate", "end_learning_rate", "power")
        _check_positive(self, "decay_steps")
        check_flag("cycle", self.cycle)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        ends = self.initial_learning_rate, self.end_learning_rate
        return CYCLES if self.cycle else SEGMENTS, (math.inf, 0, self.decay_steps, *ends, self.power)


@dataclass(frozen=True)
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines, each ``t_mul`` times as long and ``m_mul`` times as high as the one before.

    Source: Loshchilov & Hutter, arXiv 1608.03983.

    Parameters
    ----------
    initial_learning_rate : float
        Rate of step 0.
    first_decay_steps : float
        Steps of the first period, more than 0.
    t_mul : float
        From 1.
    m_mul : float
        From 0.
    alpha : float
        The lowest rate as a part of the initial one.
    name : str
        A name, which is not used.
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = "SGDRDecay"

    def __post_init__(self) -> None:
        _check_rates(self, "initial_learning_rate", "m_mul", "alpha")
        _check_positive(self, "first_decay_steps")
        finite_number("t_mul", self.t_mul, at_least=1)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        ends = self.initial_learning_rate, self.initial_learning_rate * self.alpha
        return RESTARTS, (math.inf, 0, self.first_decay_steps, *ends, COSINE, self.t_mul, self.m_mul)


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


@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """A half cosine, after a warm-up on a line where one is asked for.

    Source: Loshchilov & Hutter, arXiv 1608.03983; Goyal et al., arXiv 1706.02677, for the warm-up.

    Parameters
    ----------
    initial_learning_rate : float
        Rate of step 0.
    decay_steps : float
        Steps of the cosine, after those of the warm-up, more than 0.
    alpha : float
        The lowest rate as a part of the highest one.
    name : str
        A name, which is not used.
    warmup_target : float, optional
        The rate from which the cosine falls; None for no warm-up, and the initial rate.
    warmup_steps : float
        Steps from the initial rate to ``warmup_target``.
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        _check_rates(self, "initial_learning_rate", "alpha", "warmup_steps")
        _check_positive(self, "decay_steps")
        if self.warmup_target is not None:
            _check_rates(self, "warmup_target")

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        if self.warmup_target is None:
            top, begin = self.initial_learning_rate, 0.0
        else:
            top, begin = self.warmup_target, self.warmup_steps
        cosine = (math.inf, begin, self.decay_steps, top, top * self.alpha, COSINE)
        if begin == 0:
            return SEGMENTS, cosine
        return SEGMENTS, (begin, 0, begin, self.initial_learning_rate, top, 1, *cosine)


@dataclass(frozen=True)
class OneCycle(LearningRateSchedule):
    """The one-cycle policy: a half cosine up, and a longer one down to almost nothing (Smith & Topin, 1708.07120).

    As PyTorch's ``OneCycleLR`` with ``anneal_strategy="cos"`` and ``three_phase=False``. The momentum is not cycled
    with it, as it is there by default; and steps after the last one have its rate, where PyTorch raises.

    Parameters
    ----------
    max_lr : float
        The highest rate.
    total_steps : int
        Steps of the whole cycle.
    pct_start : float
        The part of the steps that goes up, from 0 to 1.
    div_factor : float
        The highest rate over the first one, more than 0.
    final_div_factor : float
        The first rate over the last one, more than 0.
    name : str
        A name, which is not used.
    """

    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    name: str = "OneCycle"

    def __post_init__(self) -> None:
        _check_rates(self, "max_lr")
        check_count("total_steps", self.total_steps)
        finite_number("pct_start", self.pct_start, at_least=0, at_most=1)
        _check_positive(self, "div_factor", "final_div_factor")

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        first = self.max_lr / self.div_factor
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        # a rise that ends with step 0 has the highest rate there, and a fall of no steps the lowest one after it
        rise = (top, 0, top, first, self.max_lr, COSINE) if top > 0 else (top, top - 1, 1, first, self.max_lr, COSINE)
        fall = (math.inf, top, max(last - top, 1e-9), self.max_lr, first / self.final_div_factor, COSINE)
        return SEGMENTS, (*rise, *fall)


def _check_rates(schedule: Any, *names: str) -> None:
    """Raise unless these arguments are finite numbers from 0."""
    for name in names:
        finite_number(name, getattr(schedule, name), at_least=0)


def _check_positive(schedule: Any, *names: str) -> None:
    """Raise unless these arguments are finite numbers above 0."""
    for name in names:
        value = getattr(schedule, name)
        if finite_number(name, value) <= 0:
            raise ValueError(f"{name} must be greater than 0, got {value!r}")


TABLE: dict[str, type[LearningRateSchedule]] = {
    schedule.__name__: schedule
    for schedule in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts,
        OneCycle,
    )
}  # fmt: skip
