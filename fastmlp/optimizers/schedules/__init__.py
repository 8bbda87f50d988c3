"""Learning rates that follow from the number of the step: Keras 3's schedules, and PyTorch's one-cycle policy.

A schedule is given to an optimizer in the place of a learning rate, and evaluated in float64 inside the compiled
loop. To add one: write its class, whose ``compiled`` says which curve of ``curves.py`` it is and with which numbers,
and a line in :data:`TABLE`.

Formulas, names and defaults are those of keras/src/optimizers/schedules/learning_rate_schedule.py.
"""

from .base import LearningRateSchedule
from .cosine import CosineDecay, CosineDecayRestarts, OneCycle
from .decays import ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay

TABLE: dict[str, type[LearningRateSchedule]] = {
    schedule.__name__: schedule
    for schedule in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay, CosineDecayRestarts,
        OneCycle,
    )
}  # fmt: skip

__all__ = [
    "TABLE",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]
