"""Lion."""

from dataclasses import dataclass

import numpy as np

from ..kernels.jit import kernel
from .base import ZERO, Buffer, Optimizer, check_number

LION_KIND = 4

ONE = np.float32(1)


@kernel
def lion_step(w: Buffer, g: Buffer, m: Buffer, rate: np.float32, rest_1: np.float32, rest_2: np.float32) -> None:
    """Lion (Chen et al., arXiv 2302.06675): ``w -= rate sign(m + (1 - beta_1)(g - m)); m += (1 - beta_2)(g - m)``.

    ``rest_1`` and ``rest_2`` are 1 - beta_1 and 1 - beta_2. The sign of 0 is 0, so what has no gradient stays.
    """
    for i in range(w.size):
        change = g[i] - m[i]
        direction = m[i] + rest_1 * change
        m[i] += rest_2 * change
        w[i] -= rate * ((ONE if direction > ZERO else ZERO) - (ONE if direction < ZERO else ZERO))


@dataclass
class Lion(Optimizer):
    """Lion: every parameter takes a step of the learning rate's size, by the sign of a momentum.

    It wants a learning rate that is 3 to 10 times smaller than Adam's (section 5 of the paper).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    beta_1 : float
        How much the momentum counts beside the gradient in the step, above 0 and at most 1.
    beta_2 : float
        How much of the momentum is kept, from 0 to 1.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = LION_KIND
    name = "lion"

    beta_1: float = 0.9
    beta_2: float = 0.99

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("beta_1", self.beta_1, 0, 1)
        if self.beta_1 == 0:
            raise ValueError("beta_1 must be greater than 0, got 0: the momentum would have no effect")
        check_number("beta_2", self.beta_2, 0, 1)

    @property
    def own_slots(self) -> dict[str, float]:
        """The momentum."""
        return {"momentum": 0.0}

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return 1 - self.beta_1, self.beta_2, 0.0, False
