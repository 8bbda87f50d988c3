"""Nadam: Adam with Nesterov's momentum."""

import math
from dataclasses import dataclass

import numpy as np

from ..kernels.jit import kernel
from .adam import rest_of_power
from .base import (
    EPSILON,
    FIRST,
    GRADIENT_RATE,
    MOMENTUM,
    RATE,
    SECOND,
    SMALL,
    Buffer,
    Optimizer,
    Settings,
    check_epsilon,
    check_number,
)

NADAM_KIND = 5

# the momentum of update t is beta_1 (1 - SCHEDULE_DECAY^t / 2)
SCHEDULE_DECAY = 0.96
# from here on the power changes no bit of 1 - power / 2
LAST_WARM_UPDATE = 900
# less changes no bit of 1 - product
SMALLEST_PRODUCT = 1e-17


@kernel
def nadam_factors(settings: Settings, rate: float, update: int, factors: Buffer) -> None:
    """Write what the first moment, the gradient and epsilon are multiplied with, and 1 - beta_1.

    Both moments' corrections are put into the rates, and the second's into epsilon too, so that the step divides by
    the uncorrected root as Adam does. The first's needs the product of the momenta of all updates: it is computed anew
    from the number of the update, so that nothing has to be kept for it, and only as long as it changes 1 - product,
    with the default beta_1 for 370 updates.
    """
    beta_1 = settings[MOMENTUM]
    product, power = beta_1**update, 1.0
    if product > SMALLEST_PRODUCT:
        for _ in range(min(update, LAST_WARM_UPDATE)):
            power *= SCHEDULE_DECAY
            product *= 1 - power / 2
    power = SCHEDULE_DECAY**update
    momentum, following = beta_1 * (1 - power / 2), beta_1 * (1 - power * SCHEDULE_DECAY / 2)
    root = math.sqrt(rest_of_power(settings[SECOND], update))
    factors[RATE] = rate * root * following / (1 - product * following)
    factors[GRADIENT_RATE] = rate * root * (1 - momentum) / (1 - product)
    factors[FIRST] = 1 - beta_1
    factors[SMALL] = settings[EPSILON] * root


@kernel
def nadam_step(
    w: Buffer,
    g: Buffer,
    m: Buffer,
    v: Buffer,
    alpha: np.float32,
    gradient_rate: np.float32,
    rest_1: np.float32,
    rest_2: np.float32,
    epsilon: np.float32,
) -> None:
    """Nadam (Dozat, 2016, algorithm 2, with the momentum's schedule of keras/src/optimizers/nadam.py).

    ``m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v); w -= (alpha m + gradient_rate g) / (sqrt(v) + epsilon)``;
    :func:`nadam_factors` has the rates.
    """
    for i in range(w.size):
        first = m[i] + rest_1 * (g[i] - m[i])
        second = v[i] + rest_2 * (g[i] * g[i] - v[i])
        m[i] = first
        v[i] = second
        w[i] -= (alpha * first + gradient_rate * g[i]) / (np.sqrt(second) + epsilon)


@dataclass
class Nadam(Optimizer):
    """Adam with Nesterov's momentum, which grows from half of ``beta_1`` to ``beta_1`` in the first updates.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    beta_1 : float
        How much of the mean of the gradients is kept, from 0 to below 1.
    beta_2 : float
        How much of the mean of their squares is kept, from 0 to below 1.
    epsilon : float
        What keeps a division by a small root small, above 0.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = NADAM_KIND
    name = "nadam"

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("beta_1", self.beta_1, 0, 1, below=True)
        check_number("beta_2", self.beta_2, 0, 1, below=True)
        check_epsilon(self.epsilon)

    @property
    def own_slots(self) -> dict[str, float]:
        """First and second moment."""
        return {"momentum": 0.0, "velocity": 0.0}

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.beta_1, self.beta_2, self.epsilon, False
