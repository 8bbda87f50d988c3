"""Activation functions: configuration, value and slope, and the compiled loops over a layer's rows.

To add one: write its value and slope as scalar kernels, its class, a line in :data:`TABLE` and a branch in
:func:`elementwise`. ``slope(z, a, p)`` is the derivative at ``z``, where ``a`` is the value there and ``p``
the function's parameter: it may use whichever is cheaper.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .configs import Configured, custom_object, knowing
from .errors import check_flag, check_text, finite_number
from .kernels import vmath
from .kernels.callback import DONE, Callback, activation_callback, call_activation
from .kernels.jit import kernel, scalar, shape_function
from .kernels.softmax import softmax_forward
from .names import find

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "TABLE",
    "Activation",
    "Custom",
    "Exponential",
    "HardSigmoid",
    "LeakyReLU",
    "Linear",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "get",
]

Buffer = NDArray[np.float32]
Scalar = Callable[..., np.float32]

ZERO, HALF, ONE, TWO, SIX = (np.float32(value) for value in (0, 0.5, 1, 2, 6))

# The first four are the common ones, which the engine has inside.
(
    LINEAR, SIGMOID, TANH, RELU, ELU_KIND, SOFTPLUS, SOFTMAX, LEAKY_RELU, GELU_EXACT, GELU_TANH, SILU, SOFTSIGN,
    HARD_SIGMOID, EXPONENTIAL, MISH, SELU_KIND, CUSTOM,
) = range(17)  # fmt: skip


@scalar
def sigmoid(z: np.float32, p: np.float32) -> np.float32:
    """Return 1 / (1 + exp(-z))."""
    return vmath.sigmoid(z)


@scalar
def sigmoid_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return a (1 - a)."""
    return a * (ONE - a)


@scalar
def tanh(z: np.float32, p: np.float32) -> np.float32:
    """Return the hyperbolic tangent."""
    return vmath.tanh(z)


@scalar
def tanh_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1 - a^2."""
    return ONE - a * a


@scalar
def leaky_relu(z: np.float32, p: np.float32) -> np.float32:
    """Return z for z > 0, else p z; ReLU (p = 0) keeps a NaN, which ``max`` would hide."""
    return z if z > ZERO else p * z


@scalar
def leaky_relu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1 for z > 0, else p."""
    return ONE if z > ZERO else p


@scalar
def relu(z: np.float32, p: np.float32) -> np.float32:
    """Return z, or 0 for z <= 0; a NaN stays."""
    return ZERO if z <= ZERO else z


@scalar
def relu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1 for z > 0, else 0."""
    return ONE if z > ZERO else ZERO


@scalar
def elu(z: np.float32, p: np.float32) -> np.float32:
    """Return z for z > 0, else p (exp(z) - 1) (Clevert et al., arXiv 1511.07289)."""
    low = p * vmath.expm1(z)
    return z if z > ZERO else low


@scalar
def elu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1 for z > 0, else p exp(z) = a + p."""
    return ONE if z > ZERO else a + p


# The fixed point of Klambauer et al., arXiv 1706.02515: mean 0 and variance 1 map onto themselves.
SELU_ALPHA = np.float32(1.6732632423543772)
SELU_SCALE = np.float32(1.0507009873554805)


@scalar
def selu(z: np.float32, p: np.float32) -> np.float32:
    """Return scale * elu(z, alpha) with the constants of self-normalising networks."""
    low = SELU_ALPHA * vmath.expm1(z)
    return SELU_SCALE * (z if z > ZERO else low)


@scalar
def selu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return scale for z > 0, else scale alpha exp(z) = a + scale alpha."""
    return SELU_SCALE if z > ZERO else a + SELU_SCALE * SELU_ALPHA


@scalar
def softplus(z: np.float32, p: np.float32) -> np.float32:
    """Return log(1 + exp(z))."""
    return vmath.softplus(z)


@scalar
def softplus_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return sigmoid(z)."""
    return vmath.sigmoid(z)


@scalar
def gelu(z: np.float32, p: np.float32) -> np.float32:
    """Return z Phi(z), with the normal distribution function (Hendrycks & Gimpel, arXiv 1606.08415)."""
    return HALF * z * (ONE + vmath.erf(z * SQRT_HALF))


@scalar
def gelu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return Phi(z) + z phi(z)."""
    return HALF * (ONE + vmath.erf(z * SQRT_HALF)) + z * NORMAL_PEAK * vmath.exp(-HALF * z * z)


SQRT_HALF = np.float32(math.sqrt(0.5))
NORMAL_PEAK = np.float32(1 / math.sqrt(2 * math.pi))
GELU_INNER = np.float32(math.sqrt(2 / math.pi))
GELU_CUBE = np.float32(0.044715)
THREE = np.float32(3)
THIRTY = np.float32(30)


@scalar
def gelu_tanh(z: np.float32, p: np.float32) -> np.float32:
    """Return z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2, the approximation of the same paper."""
    return HALF * z * (ONE + vmath.tanh(GELU_INNER * (z + GELU_CUBE * z * z * z)))


@scalar
def gelu_tanh_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return the derivative of :func:`gelu_tanh` by the product rule; it is 1 above 30 and 0 below -30."""
    z = THIRTY if z > THIRTY else z  # z^2 must not overflow
    z = -THIRTY if z < -THIRTY else z
    t = vmath.tanh(GELU_INNER * (z + GELU_CUBE * z * z * z))
    inner = GELU_INNER * (ONE + THREE * GELU_CUBE * z * z)
    return HALF * (ONE + t) + HALF * z * (ONE - t * t) * inner


@scalar
def silu(z: np.float32, p: np.float32) -> np.float32:
    """Return z sigmoid(z)."""
    return z * vmath.sigmoid(z)


@scalar
def silu_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return s + a (1 - s) with s = sigmoid(z)."""
    s = vmath.sigmoid(z)
    return s + a * (ONE - s)


@scalar
def softsign(z: np.float32, p: np.float32) -> np.float32:
    """Return z / (1 + |z|)."""
    return z / (ONE + abs(z))


@scalar
def softsign_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1 / (1 + |z|)^2."""
    d = ONE + abs(z)
    return ONE / (d * d)


@scalar
def hard_sigmoid(z: np.float32, p: np.float32) -> np.float32:
    """Return min(max(z / 6 + 1/2, 0), 1), Keras 3's definition."""
    a = z / SIX + HALF
    a = ZERO if a < ZERO else a
    return ONE if a > ONE else a


@scalar
def hard_sigmoid_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return 1/6 strictly between the kinks, else 0."""
    return ONE / SIX if (a > ZERO) & (a < ONE) else ZERO


@scalar
def exponential(z: np.float32, p: np.float32) -> np.float32:
    """Return exp(z)."""
    return vmath.exp(z)


@scalar
def exponential_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return exp(z)."""
    return a


@scalar
def mish(z: np.float32, p: np.float32) -> np.float32:
    """Return z tanh(softplus(z)) (Misra, arXiv 1908.08681)."""
    return z * vmath.tanh(vmath.softplus(z))


@scalar
def mish_slope(z: np.float32, a: np.float32, p: np.float32) -> np.float32:
    """Return t + z (1 - t^2) sigmoid(z) with t = tanh(softplus(z))."""
    t = vmath.tanh(vmath.softplus(z))
    return t + z * (ONE - t * t) * vmath.sigmoid(z)


@kernel
def _map(
    value: Scalar,
    slope: Scalar,
    p: np.float32,
    z: Buffer,
    first: int,
    slopes: Buffer,
    slope_first: int,
    count: int,
    training: bool,
) -> None:
    # views, because an index that might be negative (first + i) keeps a loop from being vectorised
    z = z[first : first + count]
    if training:
        slopes = slopes[slope_first : slope_first + count]
        for i in range(count):
            before = z[i]
            after = value(before, p)
            slopes[i] = slope(before, after, p)
            z[i] = after
    else:
        for i in range(count):
            z[i] = value(z[i], p)


@kernel
def common_elementwise(
    kind: int,
    p: np.float32,
    z: Buffer,
    first: int,
    slopes: Buffer,
    slope_first: int,
    count: int,
    training: bool,
) -> None:
    """``a = f(z)`` in place and, in training, ``slopes = f'(z)``, for the common kinds.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    p : float32
        The function's parameter.
    z, slopes : flat buffers
        ``count`` elements from ``first`` and ``slope_first``; the ranges may not overlap.
    """
    if kind == RELU:
        _map(relu, relu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == SIGMOID:
        _map(sigmoid, sigmoid_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == TANH:
        _map(tanh, tanh_slope, p, z, first, slopes, slope_first, count, training)
    elif training:
        slopes[slope_first : slope_first + count] = ONE


@kernel
def elementwise(
    kind: int,
    p: np.float32,
    z: Buffer,
    first: int,
    slopes: Buffer,
    slope_first: int,
    count: int,
    training: bool,
) -> None:
    """``a = f(z)`` in place and, in training, ``slopes = f'(z)``, for every kind but softmax.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    p : float32
        The function's parameter.
    z, slopes : flat buffers
        ``count`` elements from ``first`` and ``slope_first``; the ranges may not overlap.
    """
    if kind == ELU_KIND:
        _map(elu, elu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == SELU_KIND:
        _map(selu, selu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == SOFTPLUS:
        _map(softplus, softplus_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == LEAKY_RELU:
        _map(leaky_relu, leaky_relu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == GELU_EXACT:
        _map(gelu, gelu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == GELU_TANH:
        _map(gelu_tanh, gelu_tanh_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == SILU:
        _map(silu, silu_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == SOFTSIGN:
        _map(softsign, softsign_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == HARD_SIGMOID:
        _map(hard_sigmoid, hard_sigmoid_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == EXPONENTIAL:
        _map(exponential, exponential_slope, p, z, first, slopes, slope_first, count, training)
    elif kind == MISH:
        _map(mish, mish_slope, p, z, first, slopes, slope_first, count, training)
    else:
        common_elementwise(kind, p, z, first, slopes, slope_first, count, training)


@kernel
def custom(
    address: int, z: Buffer, slopes: Buffer, first: int, stride: int, rows: int, columns: int, training: bool
) -> bool:
    """:func:`elementwise` by the function at ``address``, for :class:`Custom`; padding columns have the slope 0.

    Where the function raises, that row and all later ones become NaN. Return whether it has not raised.
    """
    done = True
    for row in range(rows):
        start = first + row * stride
        # NaN of a training that diverged would stay there
        slopes[start + columns : start + stride] = 0
        # once it has raised, it is not asked again, for each time is printed
        done = done and call_activation(address, z, slopes, start, columns, training) == DONE
        if not done:
            z[start : start + columns] = np.float32(np.nan)
    return done


@shape_function
def is_common(kind: int) -> bool:
    """Say whether an activation is one of the common kinds."""
    return kind <= RELU or kind == SOFTMAX


@dataclass(frozen=True)
class Activation(Configured):
    """A function applied to a layer's output ``z``; instances are given as ``activation=`` of a layer."""

    kind: ClassVar[int] = LINEAR
    name: ClassVar[str] = "linear"

    @property
    def parameter(self) -> float:
        """The one number that the compiled function takes."""
        return 0.0

    @property
    def compiled_kind(self) -> int:
        """Which compiled function serves this configuration."""
        return self.kind

    def __call__(self, z: Any) -> NDArray[np.float32]:
        """Apply the function to an array.

        Parameters
        ----------
        z : array_like
            Any shape; softmax runs over the last axis.

        Returns
        -------
        ndarray of float32
            The values, in the shape of ``z``.
        """
        values: NDArray[np.float32] = np.array(z, np.float32, ndmin=1, order="C")
        flat = values.reshape(-1)
        if self.compiled_kind == SOFTMAX:
            columns = values.shape[-1]
            if values.size:
                softmax_forward(flat, 0, columns, values.size // columns, columns, columns)
        else:
            elementwise(
                self.compiled_kind,
                np.float32(self.parameter),
                flat,
                0,
                np.empty(0, np.float32),
                0,
                flat.size,
                False,
            )
        return values.reshape(np.shape(z))


@dataclass(frozen=True)
class Linear(Activation):
    """``a = z``."""


@dataclass(frozen=True)
class Sigmoid(Activation):
    """``a = 1 / (1 + exp(-z))``, in (0, 1)."""

    kind = SIGMOID
    name = "sigmoid"


@dataclass(frozen=True)
class Tanh(Activation):
    """``a = tanh(z)``, in (-1, 1)."""

    kind = TANH
    name = "tanh"


@dataclass(frozen=True)
class ReLU(Activation):
    """``a = max(z, 0)``."""

    kind = RELU
    name = "relu"


@dataclass(frozen=True)
class ELU(Activation):
    """``a = z`` for z > 0, else ``alpha (exp(z) - 1)``."""

    kind = ELU_KIND
    name = "elu"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        finite_number("alpha", self.alpha)

    @property
    def parameter(self) -> float:
        """``alpha``."""
        return self.alpha


@dataclass(frozen=True)
class SELU(Activation):
    """``a = 1.0507 elu(z, 1.6733)``: self-normalising with ``lecun_normal`` initial weights."""

    kind = SELU_KIND
    name = "selu"


@dataclass(frozen=True)
class Softplus(Activation):
    """``a = log(1 + exp(z))``, the smooth ReLU; its slope is the sigmoid."""

    kind = SOFTPLUS
    name = "softplus"


@dataclass(frozen=True)
class Softmax(Activation):
    """``a = exp(z) / sum(exp(z))`` over the units of a row."""

    kind = SOFTMAX
    name = "softmax"


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """``a = z`` for z > 0, else ``negative_slope z``."""

    kind = LEAKY_RELU
    name = "leaky_relu"
    negative_slope: float = 0.2

    def __post_init__(self) -> None:
        finite_number("negative_slope", self.negative_slope)

    @property
    def parameter(self) -> float:
        """``negative_slope``."""
        return self.negative_slope


@dataclass(frozen=True)
class GELU(Activation):
    """``a = z Phi(z)``; with ``approximate`` the tanh form."""

    kind = GELU_EXACT
    name = "gelu"
    approximate: bool = False

    def __post_init__(self) -> None:
        check_flag("approximate", self.approximate)

    @property
    def compiled_kind(self) -> int:
        """The exact or the approximate function."""
        return GELU_TANH if self.approximate else GELU_EXACT


@dataclass(frozen=True)
class SiLU(Activation):
    """``a = z sigmoid(z)``, also known as swish."""

    kind = SILU
    name = "silu"


@dataclass(frozen=True)
class Softsign(Activation):
    """``a = z / (1 + |z|)``."""

    kind = SOFTSIGN
    name = "softsign"


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """``a = z / 6 + 1/2``, cut to [0, 1]."""

    kind = HARD_SIGMOID
    name = "hard_sigmoid"


@dataclass(frozen=True)
class Exponential(Activation):
    """``a = exp(z)``."""

    kind = EXPONENTIAL
    name = "exponential"


@dataclass(frozen=True)
class Mish(Activation):
    """``a = z tanh(log(1 + exp(z)))``."""

    kind = MISH
    name = "mish"


@dataclass(frozen=True)
class Custom(Activation):
    """Any function, as a pair of functions of one number.

    Parameters
    ----------
    value : callable
        ``value(z) -> a``, jitted by Numba or such that Numba can jit it.
    slope : callable
        ``slope(z, a) -> da / dz``, likewise; ``a`` is the value at ``z``.
    name : str
        What it is called.

    Notes
    -----
    Numba prints what a function raises, and forgets it; here a RuntimeError follows that names the function.

    Examples
    --------
    >>> square = Custom(lambda z: z * z, lambda z, a: 2 * z, name="square")
    >>> square([1.0, -3.0])
    array([1., 9.], dtype=float32)
    """

    kind = CUSTOM
    value: Callable[..., Any] | None = None
    slope: Callable[..., Any] | None = None
    name: str = field(default="custom", kw_only=True)  # type: ignore[misc]

    def __post_init__(self) -> None:
        for argument, function in (("value", self.value), ("slope", self.slope)):
            if not callable(function):
                raise TypeError(f"{argument} must be a function of numbers, got {function!r}")
        check_text("name", self.name)

    def get_config(self) -> dict[str, Any]:
        """Return the name alone."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return the activation that has the name; see :meth:`Configured.from_config`."""
        with knowing(custom_objects):
            found = custom_object("activation", config["name"])
        if not isinstance(found, cls):
            raise TypeError(f"custom_objects must have an activations.Custom for {config['name']!r}, got {found!r}")
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Return the arguments: the address of compiled code is this process' own."""
        return self._arguments()

    @cached_property
    def callback(self) -> Callback:
        """The functions as the compiled loop calls them."""
        assert self.value is not None
        assert self.slope is not None
        return activation_callback(self.value, self.slope)

    def error(self) -> RuntimeError:
        """Build the error for a function that has raised, which Numba prints and forgets."""
        return RuntimeError(f"the activation {self.callback.name} has raised an exception, which was printed")

    def __call__(self, z: Any) -> NDArray[np.float32]:
        """Apply the function to an array; see :meth:`Activation.__call__`."""
        values: NDArray[np.float32] = np.array(z, np.float32, ndmin=1, order="C")
        flat = values.reshape(-1)
        if not custom(self.callback.address, flat, flat, 0, flat.size, 1, flat.size, False):
            raise self.error()
        return values.reshape(np.shape(z))


TABLE: dict[str, type[Activation]] = {
    activation.name: activation
    for activation in (
        Linear, Sigmoid, Tanh, ReLU, ELU, SELU, Softplus, Softmax, LeakyReLU, GELU, SiLU, Softsign, HardSigmoid,
        Exponential, Mish,
    )
}  # fmt: skip


def get(identifier: str | Activation | None) -> Activation:
    """Return the activation that a name, an instance or None (linear) stands for.

    Raises
    ------
    ValueError
        For a name that is not in :data:`TABLE`; the message has the nearest ones.
    TypeError
        For anything else.
    """
    if identifier is None:
        return Linear()
    return find("activation", identifier, TABLE, Activation, "ELU(alpha=0.5)")
