"""Gradient descent."""

from dataclasses import dataclass

import numpy as np

from ..errors import check_flag
from ..kernels.jit import kernel
from .base import ZERO, Buffer, LearningRate, Optimizer, check_number

SGD_KIND = 0


@kernel
def sgd_step(w: Buffer, g: Buffer, velocity: Buffer, rate: np.float32, momentum: np.float32, nesterov: bool) -> None:
    """Gradient descent: ``v = momentum v - rate g; w += v``, or with Nesterov ``w += momentum v - rate g``."""
    if momentum == ZERO:
        for i in range(w.size):
            w[i] -= rate * g[i]
    elif nesterov:
        for i in range(w.size):
            velocity[i] = momentum * velocity[i] - rate * g[i]
            w[i] += momentum * velocity[i] - rate * g[i]
    else:
        for i in range(w.size):
            velocity[i] = momentum * velocity[i] - rate * g[i]
            w[i] += velocity[i]


@dataclass
class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's form of it.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    momentum : float
        How much of the last step is added to the next one, from 0 to 1.
    nesterov : bool
        Whether the gradient counts as if the momentum's step had been made already.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = SGD_KIND
    name = "sgd"

    learning_rate: LearningRate = LearningRate(0.01)  # noqa: RUF009, a descriptor belongs to the class
    momentum: float = 0.0
    nesterov: bool = False

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("momentum", self.momentum, 0, 1)
        check_flag("nesterov", self.nesterov)

    @property
    def own_slots(self) -> dict[str, float]:
        """The velocity, where there is momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.momentum, 0.0, 0.0, self.nesterov
