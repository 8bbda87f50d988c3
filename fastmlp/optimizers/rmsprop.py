"""RMSprop."""

from dataclasses import dataclass

import numpy as np

from ..errors import check_flag
from ..kernels.jit import kernel
from .base import ZERO, Buffer, Optimizer, check_epsilon, check_number

RMSPROP_KIND = 2


@kernel
def rmsprop_step(
    w: Buffer,
    g: Buffer,
    v: Buffer,
    velocity: Buffer,
    mean: Buffer,
    rate: np.float32,
    rest: np.float32,
    momentum: np.float32,
    epsilon: np.float32,
    centered: bool,
) -> None:
    """RMSprop (Tieleman & Hinton, 2012): ``v += (1 - rho)(g^2 - v); w -= rate g / sqrt(v + epsilon)``.

    ``rest`` is 1 - rho. Centered: the variance ``v - mean^2`` in place of ``v``; with momentum the step is
    accumulated first.
    """
    for i in range(w.size):
        v[i] += rest * (g[i] * g[i] - v[i])
    if centered:
        for i in range(w.size):
            mean[i] += rest * (g[i] - mean[i])
    for i in range(w.size):
        # v and mean^2 cancel where a gradient hardly changes, and rounding may leave less than nothing
        spread = max(v[i] - mean[i] * mean[i], ZERO) if centered else v[i]
        step = rate * g[i] / np.sqrt(spread + epsilon)
        if momentum != ZERO:
            velocity[i] = momentum * velocity[i] + step
            step = velocity[i]
        w[i] -= step


@dataclass
class RMSprop(Optimizer):
    """RMSprop, plain or centered, with optional momentum.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    rho : float
        How much of the mean of squared gradients is kept, from 0 to below 1.
    momentum : float
        How much of the last step is added to the next one, from 0 to 1.
    epsilon : float
        Added to that mean below the root, as in Keras; above 0.
    centered : bool
        Whether to divide by the root of the gradients' variance, and not of their mean square.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = RMSPROP_KIND
    name = "rmsprop"

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("rho", self.rho, 0, 1, below=True)
        check_number("momentum", self.momentum, 0, 1)
        check_epsilon(self.epsilon)
        check_flag("centered", self.centered)

    @property
    def own_slots(self) -> dict[str, float]:
        """Second moment, velocity and mean; the later ones only where an option needs them."""
        names = ("velocity", "momentum", "average_gradient")
        return dict.fromkeys(names[: 3 if self.centered else 2 if self.momentum else 1], 0.0)

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.momentum, self.rho, self.epsilon, self.centered
