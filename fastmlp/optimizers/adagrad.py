"""Adagrad."""

from dataclasses import dataclass

import numpy as np

from ..errors import FLOAT32_LARGEST as LARGEST
from ..kernels.jit import kernel
from .base import Buffer, Optimizer, check_number

ADAGRAD_KIND = 3


@kernel
def adagrad_step(w: Buffer, g: Buffer, accumulator: Buffer, rate: np.float32, epsilon: np.float32) -> None:
    """Adagrad (Duchi, Hazan & Singer, 2011): ``a += g^2; w -= rate g / sqrt(a + epsilon)``."""
    for i in range(w.size):
        total = accumulator[i] + g[i] * g[i]
        accumulator[i] = total
        w[i] -= rate * g[i] / np.sqrt(total + epsilon)


@dataclass
class Adagrad(Optimizer):
    """Adagrad: the more a parameter has been changed, the smaller its steps.

    The sums of squared gradients start from ``initial_accumulator_value``. ``epsilon`` is added under the root, as in
    Keras; PyTorch adds it to the root, and starts from 0 by default.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    initial_accumulator_value, epsilon : float
        From 0; not both 0.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = ADAGRAD_KIND
    name = "adagrad"

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("initial_accumulator_value", self.initial_accumulator_value, 0, LARGEST)
        check_number("epsilon", self.epsilon, 0, LARGEST)
        if np.float32(max(self.initial_accumulator_value, self.epsilon)) == 0:
            raise ValueError(
                "initial_accumulator_value and epsilon must not both be 0, which divides a gradient of 0 by 0; got "
                f"{self.initial_accumulator_value!r} and {self.epsilon!r}"
            )

    @property
    def own_slots(self) -> dict[str, float]:
        """The sum of squared gradients."""
        return {"accumulator": self.initial_accumulator_value}

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return 0.0, 0.0, self.epsilon, False
