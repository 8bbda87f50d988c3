"""Adam, AMSGrad, and Adam with decoupled weight decay."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import check_flag
from ..kernels.jit import SIMD_WIDTH, inlined, kernel
from ..kernels.lanes import (
    ONE_VECTOR,
    tile_add_scaled,
    tile_larger,
    tile_over_root,
    tile_product,
)
from ..kernels.simd import tile_load, tile_store
from .base import FIRST, MOMENTUM, RATE, SECOND, Buffer, Optimizer, Settings, check_epsilon, check_number

ADAM_KIND = 1
MINUS = np.float32(-1)

# exp of it is below half a unit in the last place of 1
SMALLEST_EXPONENT = -40.0


@kernel
def rest_of_power(beta: float, update: int) -> float:
    """Return ``1 - beta^update``; the power is skipped where 1 is the nearest number, and slow near underflow."""
    if beta == 0:
        return 1.0
    exponent = update * math.log(beta)
    return 1.0 if exponent < SMALLEST_EXPONENT else -math.expm1(exponent)


@kernel
def adam_factors(settings: Settings, rate: float, update: int, factors: Buffer) -> None:
    """Write the rate with the correction of both moments' bias, and 1 - beta_1."""
    rate *= math.sqrt(rest_of_power(settings[SECOND], update)) / rest_of_power(settings[MOMENTUM], update)
    factors[RATE] = rate
    factors[FIRST] = 1 - settings[MOMENTUM]


@inlined
def moved(moment: Any, to: Any, share: np.float32) -> Any:
    """A tile that has moved a share of the way to another one."""
    return tile_add_scaled(moment, tile_add_scaled(to, moment, MINUS), share)


@kernel
def adam_step(
    w: Buffer,
    g: Buffer,
    m: Buffer,
    v: Buffer,
    largest: Buffer,
    alpha: np.float32,
    rest_1: np.float32,
    rest_2: np.float32,
    epsilon: np.float32,
    amsgrad: bool,
) -> None:
    """Adam (Kingma & Ba, arXiv 1412.6980, the efficient form of section 2), AMSGrad (Reddi et al., 2018).

    ``m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v); w -= alpha m / (sqrt(v) + epsilon)``, where
    ``alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t)``; AMSGrad divides by the largest v so far. ``rest_1`` and
    ``rest_2`` are 1 - beta_1 and 1 - beta_2, rounded once: 1 - float32(0.999) would be off by 1e-5.

    All arrays are of whole vectors. The quotient is approximate, so every element must be made in the same way: a loop
    that LLVM makes vectors of would have other bits in its rest.
    """
    for i in range(0, w.size, SIMD_WIDTH):
        gradient = tile_load(ONE_VECTOR, g, i, 0)
        first = moved(tile_load(ONE_VECTOR, m, i, 0), gradient, rest_1)
        second = moved(tile_load(ONE_VECTOR, v, i, 0), tile_product(gradient, gradient), rest_2)
        tile_store(first, m, i, 0)
        tile_store(second, v, i, 0)
        if amsgrad:
            second = tile_larger(tile_load(ONE_VECTOR, largest, i, 0), second)
            tile_store(second, largest, i, 0)
        step = tile_over_root(first, second, epsilon)
        tile_store(tile_add_scaled(tile_load(ONE_VECTOR, w, i, 0), step, -alpha), w, i, 0)


@dataclass
class Adam(Optimizer):
    """Adam, and AMSGrad.

    ``epsilon`` is added as in Keras, to the root of the uncorrected second moment ("epsilon hat" in the paper);
    PyTorch adds it after the correction of the bias, which is a smaller epsilon in the first steps.

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
    amsgrad : bool
        Whether to divide by the root of the largest mean of squares so far.
    **settings
        All others are those of :class:`Optimizer`.
    """

    kind = ADAM_KIND
    name = "adam"

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        check_number("beta_1", self.beta_1, 0, 1, below=True)
        check_number("beta_2", self.beta_2, 0, 1, below=True)
        check_epsilon(self.epsilon)
        check_flag("amsgrad", self.amsgrad)

    @property
    def own_slots(self) -> dict[str, float]:
        """First and second moment; AMSGrad also keeps the largest second one."""
        slots = {"momentum": 0.0, "velocity": 0.0}
        if self.amsgrad:
            slots["velocity_hat"] = 0.0
        return slots

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.beta_1, self.beta_2, self.epsilon, self.amsgrad


@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size.
    weight_decay : float, optional
        ``w -= w * weight_decay * learning_rate`` before each update.
    beta_1, beta_2, epsilon, amsgrad
        As for :class:`Adam`.
    **settings
        All others are those of :class:`Optimizer`.
    """

    name = "adamw"

    weight_decay: float | None = 0.004  # the second argument, as in Keras
