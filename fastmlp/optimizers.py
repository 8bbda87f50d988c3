"""Optimizers: configuration and the compiled update of a flat range of parameters.

To add one: write its step kernel, its class (which says how many slots a parameter has), a line in
:data:`TABLE` and a branch in :func:`optimizer_step`. Formulas, names and defaults are Keras 3's.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .configs import Configured
from .errors import FLOAT32_LARGEST as LARGEST
from .errors import check_flag
from .kernels.jit import kernel
from .names import find

Buffer = NDArray[np.float32]
Settings = NDArray[np.float64]

SGD_KIND, ADAM_KIND, RMSPROP_KIND = range(3)

# Columns of the settings row that the compiled step reads.
(
    LEARNING_RATE, WEIGHT_DECAY, CLIP_VALUE, CLIP_NORM, GLOBAL_CLIP_NORM, MOMENTUM, SECOND, EPSILON, VARIANT, SETTINGS,
) = range(10)  # fmt: skip

# What the settings come to in one step.
RATE, DECAY, FIRST, REST, SMALL, OPTION, FACTORS = range(7)

ZERO = np.float32(0)
# exp of it is below half a unit in the last place of 1
SMALLEST_EXPONENT = -40.0


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
    """
    if amsgrad:
        for i in range(w.size):
            m[i] += rest_1 * (g[i] - m[i])
            v[i] += rest_2 * (g[i] * g[i] - v[i])
            largest[i] = max(largest[i], v[i])
            w[i] -= alpha * m[i] / (np.sqrt(largest[i]) + epsilon)
    else:
        for i in range(w.size):
            first = m[i] + rest_1 * (g[i] - m[i])
            second = v[i] + rest_2 * (g[i] * g[i] - v[i])
            m[i] = first
            v[i] = second
            w[i] -= alpha * first / (np.sqrt(second) + epsilon)


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


@kernel
def rest_of_power(beta: float, iteration: int) -> float:
    """Return ``1 - beta^iteration``; the power is skipped where 1 is the nearest number, and slow near underflow."""
    if beta == 0:
        return 1.0
    exponent = iteration * math.log(beta)
    return 1.0 if exponent < SMALLEST_EXPONENT else -math.expm1(exponent)


@kernel
def step_factors(kind: int, settings: Settings, iteration: int, factors: Buffer) -> None:
    """Write what the settings come to in one step, for :func:`optimizer_step`.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    settings : float64 (SETTINGS,)
        The row that :meth:`Optimizer.settings` makes.
    iteration : int
        The number of the step, from 1.
    factors : float32 (FACTORS,)
        Overwritten.
    """
    rate = settings[LEARNING_RATE]
    factors[DECAY] = np.float32(rate * settings[WEIGHT_DECAY])
    if kind == ADAM_KIND:
        rate *= math.sqrt(rest_of_power(settings[SECOND], iteration)) / rest_of_power(settings[MOMENTUM], iteration)
        factors[FIRST] = np.float32(1 - settings[MOMENTUM])
    else:
        factors[FIRST] = np.float32(settings[MOMENTUM])
    factors[RATE] = np.float32(rate)
    factors[REST] = np.float32(1 - settings[SECOND])
    factors[SMALL] = np.float32(settings[EPSILON])
    factors[OPTION] = np.float32(settings[VARIANT])


@kernel
def optimizer_step(
    kind: int, factors: Buffer, parameters: Buffer, at: int, gradients: Buffer, first: int, slots: Buffer, count: int
) -> None:
    """Update ``parameters[at : at + count]`` from ``gradients[first : first + count]``.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    factors : float32 (FACTORS,)
        From :func:`step_factors`.
    slots : flat buffer
        Slot s of parameter i is at ``s * parameters.size + i``; an optimizer touches only the slots it has.
    """
    size = parameters.size
    decay, rate, small = factors[DECAY], factors[RATE], factors[SMALL]
    option = factors[OPTION] != ZERO
    # views, because an index that might be negative keeps a loop from being vectorised
    w, g = parameters[at : at + count], gradients[first : first + count]
    slot_0 = slots[at : at + count]
    slot_1 = slots[size + at : size + at + count]
    slot_2 = slots[2 * size + at : 2 * size + at + count]
    if decay != ZERO:
        for i in range(count):
            w[i] -= w[i] * decay
    if kind == ADAM_KIND:
        adam_step(w, g, slot_0, slot_1, slot_2, rate, factors[FIRST], factors[REST], small, option)
    elif kind == RMSPROP_KIND:
        rmsprop_step(w, g, slot_0, slot_1, slot_2, rate, factors[REST], factors[FIRST], small, option)
    else:
        sgd_step(w, g, slot_0, rate, factors[FIRST], option)


@kernel
def squared_norm(gradients: Buffer, first: int, count: int) -> float:
    """Return the sum of squares of a range, in float64 and in order."""
    g = gradients[first : first + count]
    total = np.float64(0)
    for i in range(count):
        total += np.float64(g[i]) * np.float64(g[i])
    return total


@kernel
def scale(gradients: Buffer, first: int, count: int, factor: np.float32) -> None:
    """``g *= factor`` over a range."""
    g = gradients[first : first + count]
    for i in range(count):
        g[i] *= factor


@kernel
def clip_by_value(gradients: Buffer, first: int, count: int, limit: np.float32) -> None:
    """``g = min(max(g, -limit), limit)`` over a range."""
    g = gradients[first : first + count]
    for i in range(count):
        g[i] = min(max(g[i], -limit), limit)


def _check(name: str, value: Any, low: float, high: float, *, below: bool = False) -> None:
    """Raise unless ``value`` is a number in [low, high], or [low, high) with ``below``."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not (low <= value < high if below else low <= value <= high):
        bounds = f"{low:g} <= {name} {'<' if below else '<='} {high:g}"
        raise ValueError(f"{name} must be a number with {bounds}, got {value!r}")


@dataclass
class Optimizer(Configured):
    """How gradients change parameters. ``learning_rate`` may be changed between calls of ``fit``.

    Parameters
    ----------
    learning_rate : float
        Step size, from 0.
    weight_decay : float, optional
        Decoupled decay: ``w -= w * weight_decay * learning_rate`` before each update.
    clipvalue, clipnorm, global_clipnorm : float, optional
        Limit for every gradient, for each variable's norm, or for the norm of all; at most one of them.
    """

    kind: ClassVar[int]
    name: ClassVar[str]

    learning_rate: float = 0.001
    weight_decay: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ValueError for a setting out of its range; run again before each fit."""
        _check("learning_rate", self.learning_rate, 0, LARGEST)
        if self.weight_decay is not None:
            _check("weight_decay", self.weight_decay, 0, LARGEST)
        clips = {name: getattr(self, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
        given = [name for name, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"only one of clipvalue, clipnorm and global_clipnorm can be set, got {given}")
        for name in given:
            if clips[name] == 0:
                raise ValueError(f"{name} must be greater than 0, got {clips[name]!r}; None switches it off")
            _check(name, clips[name], 0, LARGEST)

    @property
    def slots(self) -> int:
        """How many float32 numbers a parameter has beside itself."""
        raise NotImplementedError

    def _own_settings(self) -> tuple[float, float, float, bool]:
        """Momentum (or beta 1), second moment's factor, epsilon, variant."""
        raise NotImplementedError

    def settings(self) -> Settings:
        """The row that the compiled step reads."""
        self.check()
        row = np.zeros(SETTINGS)
        row[LEARNING_RATE] = self.learning_rate
        row[WEIGHT_DECAY] = self.weight_decay or 0.0
        row[CLIP_VALUE] = self.clipvalue or 0.0
        row[CLIP_NORM] = self.clipnorm or 0.0
        row[GLOBAL_CLIP_NORM] = self.global_clipnorm or 0.0
        row[MOMENTUM : VARIANT + 1] = self._own_settings()
        return row


@dataclass
class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's form of it."""

    kind = SGD_KIND
    name = "sgd"

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        _check("momentum", self.momentum, 0, 1)
        check_flag("nesterov", self.nesterov)

    @property
    def slots(self) -> int:
        """The velocity, where there is momentum."""
        return 1 if self.momentum else 0

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.momentum, 0.0, 0.0, self.nesterov


@dataclass
class Adam(Optimizer):
    """Adam, and AMSGrad.

    ``epsilon`` is added as in Keras, to the root of the uncorrected second moment ("epsilon hat" in the paper);
    PyTorch adds it after the correction of the bias, which is a smaller epsilon in the first steps.
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
        _check("beta_1", self.beta_1, 0, 1, below=True)
        _check("beta_2", self.beta_2, 0, 1, below=True)
        _check("epsilon", self.epsilon, 0, LARGEST)
        check_flag("amsgrad", self.amsgrad)

    @property
    def slots(self) -> int:
        """First and second moment; AMSGrad also keeps the largest second one."""
        return 3 if self.amsgrad else 2

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.beta_1, self.beta_2, self.epsilon, self.amsgrad


@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101)."""

    name = "adamw"

    weight_decay: float | None = 0.004  # the second argument, as in Keras


@dataclass
class RMSprop(Optimizer):
    """RMSprop, plain or centered, with optional momentum."""

    kind = RMSPROP_KIND
    name = "rmsprop"

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        super().check()
        _check("rho", self.rho, 0, 1, below=True)
        _check("momentum", self.momentum, 0, 1)
        _check("epsilon", self.epsilon, 0, LARGEST)
        check_flag("centered", self.centered)

    @property
    def slots(self) -> int:
        """Second moment, velocity and mean; the later ones only where an option needs them."""
        return 3 if self.centered else 2 if self.momentum else 1

    def _own_settings(self) -> tuple[float, float, float, bool]:
        return self.momentum, self.rho, self.epsilon, self.centered


TABLE: dict[str, type[Optimizer]] = {optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop)}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimizer that a name or an instance stands for.

    Raises
    ------
    ValueError
        For a name that is not in :data:`TABLE`.
    TypeError
        For anything else.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return find("optimizer", identifier, TABLE, Optimizer, "Adam(learning_rate=0.01)")
