"""Schedules made of half cosines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import check_count, finite_number
from .base import LearningRateSchedule, check_positive, check_rates
from .curves import COSINE, RESTARTS, SEGMENTS


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
        check_rates(self, "initial_learning_rate", "alpha", "warmup_steps")
        check_positive(self, "decay_steps")
        if self.warmup_target is not None:
            check_rates(self, "warmup_target")

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
        check_rates(self, "initial_learning_rate", "m_mul", "alpha")
        check_positive(self, "first_decay_steps")
        finite_number("t_mul", self.t_mul, at_least=1)

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        ends = self.initial_learning_rate, self.initial_learning_rate * self.alpha
        return RESTARTS, (math.inf, 0, self.first_decay_steps, *ends, COSINE, self.t_mul, self.m_mul)


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
        check_rates(self, "max_lr")
        check_count("total_steps", self.total_steps)
        finite_number("pct_start", self.pct_start, at_least=0, at_most=1)
        check_positive(self, "div_factor", "final_div_factor")

    def compiled(self) -> tuple[int, Sequence[float]]:
        """Return the kind of curve and its numbers."""
        first = self.max_lr / self.div_factor
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        # a rise that ends with step 0 has the highest rate there, and a fall of no steps the lowest one after it
        rise = (top, 0, top, first, self.max_lr, COSINE) if top > 0 else (top, top - 1, 1, first, self.max_lr, COSINE)
        fall = (math.inf, top, max(last - top, 1e-9), self.max_lr, first / self.final_div_factor, COSINE)
        return SEGMENTS, (*rise, *fall)
