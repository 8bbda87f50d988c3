"""What all schedules are: a function of the step, and data for the compiled loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...configs import Configured
from ...errors import finite_number
from .curves import scheduled_rate


@dataclass(frozen=True)
class LearningRateSchedule(Configured):
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
            "it is a curve of fastmlp.optimizers.schedules.curves and its numbers"
        )


def check_rates(schedule: Any, *names: str) -> None:
    """Raise unless these arguments are finite numbers from 0."""
    for name in names:
        finite_number(name, getattr(schedule, name), at_least=0)


def check_positive(schedule: Any, *names: str) -> None:
    """Raise unless these arguments are finite numbers above 0."""
    for name in names:
        value = getattr(schedule, name)
        if finite_number(name, value) <= 0:
            raise ValueError(f"{name} must be greater than 0, got {value!r}")
