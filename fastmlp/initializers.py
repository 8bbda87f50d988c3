"""First values of weights and biases: the initializers of Keras 3, drawn from a NumPy generator.

The variance-scaling ones follow Glorot and Bengio (2010), He et al. (2015) and LeCun et al. (1998) in Keras'
wording: the variance is ``scale / fan``; a uniform one is bounded by ``sqrt(3 scale / fan)``, a normal one is
truncated at two standard deviations and widened so that the variance is right after truncation.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .configs import Configured
from .errors import finite_number
from .names import find

__all__ = [
    "TABLE",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "Zeros",
    "get",
]

# The standard deviation of a standard normal variable truncated to [-2, 2].
TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Configured, ABC):
    """What draws the first values of one array of weights."""

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw a new array.

        Parameters
        ----------
        shape : tuple of int
            ``(K, N)`` for weights from K inputs to N units, ``(N,)`` for biases.
        generator : numpy.random.Generator
            The only source of randomness: the same state gives the same array.

        Returns
        -------
        ndarray of float32, of that shape, C-contiguous
        """


def compute_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs a unit has and how many units an input feeds, as Keras counts them.

    Raises
    ------
    ValueError
        The shape has neither one nor two dimensions.
    """
    if len(shape) == 1:
        return shape[0], shape[0]
    if len(shape) == 2:
        return shape[0], shape[1]
    raise ValueError(f"shape must be (K, N) or (N,), got {shape}")


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw from the interval between `low` and `high`; rounding may reach both ends but cross neither."""
    values = generator.random(shape, dtype=np.float32)
    values *= np.float32(high - low)
    values += np.float32(low)
    return np.clip(values, np.float32(low), np.float32(high), out=values)


def _truncated_normal(shape: tuple[int, ...], stddev: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw normal values of the given standard deviation before truncation, none beyond twice of it."""
    values = generator.standard_normal(math.prod(shape), dtype=np.float32)
    outside = np.flatnonzero(np.abs(values) > 2)
    while outside.size:
        values[outside] = generator.standard_normal(outside.size, dtype=np.float32)
        outside = outside[np.abs(values[outside]) > 2]
    values *= np.float32(stddev)
    return values.reshape(shape)


@dataclass(frozen=True)
class _VarianceScaling(Initializer):
    scale: ClassVar[float]
    mode: ClassVar[Literal["fan_in", "fan_avg"]]
    distribution: ClassVar[Literal["uniform", "truncated_normal"]]

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        fan_in, fan_out = compute_fans(shape)
        fan = fan_in if self.mode == "fan_in" else (fan_in + fan_out) / 2
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _uniform(shape, -limit, limit, generator)
        return _truncated_normal(shape, math.sqrt(variance) / TRUNCATED_STDDEV, generator)


@dataclass(frozen=True)
class GlorotUniform(_VarianceScaling):
    """Uniform with variance 2 / (fan in + fan out): for tanh, sigmoid and softmax; the default of Dense."""

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


@dataclass(frozen=True)
class GlorotNormal(_VarianceScaling):
    """Truncated normal with variance 2 / (fan in + fan out)."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


@dataclass(frozen=True)
class HeUniform(_VarianceScaling):
    """Uniform with variance 2 / fan in: for the relu family."""

    scale, mode, distribution = 2.0, "fan_in", "uniform"


@dataclass(frozen=True)
class HeNormal(_VarianceScaling):
    """Truncated normal with variance 2 / fan in: for the relu family."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


@dataclass(frozen=True)
class LecunUniform(_VarianceScaling):
    """Uniform with variance 1 / fan in."""

    scale, mode, distribution = 1.0, "fan_in", "uniform"


@dataclass(frozen=True)
class LecunNormal(_VarianceScaling):
    """Truncated normal with variance 1 / fan in: for selu."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


class _Checked(Initializer):
    """An initializer whose arguments are all finite numbers, kept as floats."""

    def __post_init__(self) -> None:
        for name, value in self._arguments().items():
            low = 0.0 if name == "stddev" else -math.inf
            object.__setattr__(self, name, finite_number(name, value, at_least=low))


@dataclass(frozen=True)
class Constant(_Checked):
    """The same value everywhere."""

    value: float = 0.0

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Fill the array; the generator is not used."""
        return np.full(shape, self.value, dtype=np.float32)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros: the default for biases."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Fill the array; the generator is not used."""
        return np.zeros(shape, dtype=np.float32)


@dataclass(frozen=True)
class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Fill the array; the generator is not used."""
        return np.ones(shape, dtype=np.float32)


@dataclass(frozen=True)
class RandomNormal(_Checked):
    """Normal values, not truncated."""

    mean: float = 0.0
    stddev: float = 0.05

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw a new array: see :meth:`Initializer.__call__`."""
        values = generator.standard_normal(shape, dtype=np.float32)
        values *= np.float32(self.stddev)
        values += np.float32(self.mean)
        return values


@dataclass(frozen=True)
class RandomUniform(_Checked):
    """Uniform values between `minval` and `maxval`."""

    minval: float = -0.05
    maxval: float = 0.05

    def __post_init__(self) -> None:
        """Refuse an interval that is upside down."""
        super().__post_init__()
        if self.minval > self.maxval:
            raise ValueError(f"minval must be at most maxval, got minval={self.minval}, maxval={self.maxval}")

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw a new array: see :meth:`Initializer.__call__`."""
        return _uniform(shape, self.minval, self.maxval, generator)


@dataclass(frozen=True)
class Orthogonal(_Checked):
    """`gain` times a random matrix with orthonormal rows or columns, whichever are fewer (Saxe, 2014)."""

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
        """Draw a new matrix: see :meth:`Initializer.__call__`; ValueError if the shape is not (K, N)."""
        if len(shape) != 2:
            raise ValueError(f"shape must be (K, N) for an orthogonal initializer, got {shape}")
        factor, triangle = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
        # Without the signs, the distribution would depend on how LAPACK chooses them.
        factor *= np.where(np.diag(triangle) < 0, -self.gain, self.gain)
        return np.ascontiguousarray(factor if shape[0] >= shape[1] else factor.T, dtype=np.float32)


TABLE: dict[str, type[Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "orthogonal": Orthogonal,
}


def get(identifier: str | Initializer) -> Initializer:
    """Return the initializer of that name with its default arguments, or the given one itself.

    Raises
    ------
    ValueError
        No initializer has that name.
    TypeError
        Neither a name nor an initializer.
    """
    return find("initializer", identifier, TABLE, Initializer, "HeNormal()")
