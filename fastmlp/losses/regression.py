"""Losses of numbers: of the difference ``d = p - y``, and of counts. Formulas are Keras 3's."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import finite_number
from ..kernels import vmath
from ..kernels.jit import scalar
from .base import EPSILON, HALF, ONE, TWO, ZERO, Loss
from .kinds import ABSOLUTE, HUBER, LOG_COSH, POISSON, QUANTILE, SQUARED

LOG_TWO = np.float32(math.log(2))


@scalar
def squared(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """(p - y)^2."""
    d = p - y
    return d * d, TWO * d


@scalar
def absolute(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """|p - y|, with slope 0 at 0."""
    d = p - y
    sign = ONE if d > ZERO else -ONE
    return abs(d), ZERO if d == ZERO else sign


@scalar
def huber(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """d^2 / 2 for |d| <= c, else c |d| - c^2 / 2 (Huber, Ann. Math. Stat. 35, 1964)."""
    d = p - y
    size = abs(d)
    edge = c if d > ZERO else -c
    near = size <= c
    return (HALF * d * d if near else c * size - HALF * c * c), (d if near else edge)


@scalar
def log_cosh(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """log(cosh(d)) = |d| + log1p(exp(-2 |d|)) - log 2, which cannot overflow.

    Below 1/2 the three terms cancel; there log(cosh(d)) = log1p(2 sinh^2(d/2)) and
    2 sinh^2(d/2) = expm1(d)^2 / (2 exp(d)), whose terms are all small.
    """
    d = p - y
    size = abs(d)
    e = vmath.expm1(size)
    small = vmath.log1p(e * e / (TWO * (e + ONE)))
    large = size + vmath.log1p(vmath.exp(-TWO * size)) - LOG_TWO
    return (small if size < HALF else large), vmath.tanh(d)


@scalar
def poisson(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """Return p - y log(p + 1e-7)."""
    shifted = p + EPSILON
    return p - y * vmath.log(shifted), ONE - y / shifted


@scalar
def quantile(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """max(q (y - p), (q - 1) (y - p)), with slope 0 at 0 (Koenker & Bassett, Econometrica 46, 1978)."""
    d = y - p
    slope = -c if d > ZERO else ONE - c
    return -slope * d, ZERO if d == ZERO else slope


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of ``(p - y)^2``."""

    kind = SQUARED
    name = "mean_squared_error"


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean of ``|p - y|``."""

    kind = ABSOLUTE
    name = "mean_absolute_error"


@dataclass(frozen=True)
class Huber(Loss):
    """Squared near 0, absolute beyond ``delta``."""

    kind = HUBER
    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.float32(finite_number("delta", self.delta)) > 0:
            raise ValueError(f"delta must be a positive number in float32, got {self.delta!r}")

    @property
    def parameters(self) -> tuple[float, ...]:
        """``delta``."""
        return (self.delta,)


@dataclass(frozen=True)
class LogCosh(Loss):
    """Mean of ``log(cosh(p - y))``."""

    kind = LOG_COSH
    name = "log_cosh"


@dataclass(frozen=True)
class Poisson(Loss):
    """Mean of ``p - y log(p + 1e-7)``, for counts ``y >= 0`` and outputs ``p > 0``."""

    kind = POISSON
    name = "poisson"
    target_range = (0.0, math.inf)


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, mean of ``max(q (y - p), (q - 1) (y - p))``: least at the ``q``-quantile of the targets.

    Parameters
    ----------
    q : float
        Which quantile, with 0 < q < 1; 0.5, the median, is half the absolute error.
    """

    kind = QUANTILE
    name = "quantile"
    q: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < np.float32(finite_number("q", self.q)) < 1:
            raise ValueError(f"q must be a number with 0 < q < 1 in float32, got {self.q!r}")

    @property
    def parameters(self) -> tuple[float, ...]:
        """``q``."""
        return (self.q,)
