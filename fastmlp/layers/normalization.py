"""Layers that bring features to mean 0 and variance 1: of the data, of the batch, or of the row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import initializers, regularizers
from ..errors import FLOAT32_LARGEST, check_flag, finite_number
from ..inputs import check_array, check_finite
from .base import Float32, Layer, Shape, Weight, Weights, one_row

if TYPE_CHECKING:
    from ..engine.chain import Chain, Variable

# Keras' fuzz factor: no standard deviation is taken to be less
SMALLEST_DEVIATION = 1e-7
# how many rows of the data are converted to float64 at a time
BLOCK_ROWS = 4096


class _Standardised(Layer):
    """A layer whose result is scaled and shifted by trained factors ``gamma`` and ``beta``."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: str | initializers.Initializer,
        gamma_initializer: str | initializers.Initializer,
        beta_regularizer: str | regularizers.Regularizer | None,
        gamma_regularizer: str | regularizers.Regularizer | None,
        name: str | None,
    ) -> None:
        self.epsilon = finite_number("epsilon", epsilon, at_least=0)
        if not np.float32(self.epsilon) > 0:
            raise ValueError(
                f"epsilon must be greater than 0 in float32, got {epsilon!r}: a constant feature has no deviation to "
                "divide by"
            )
        self.center = check_flag("center", center)
        self.scale = check_flag("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        super().__init__(name)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the inputs."""
        one_row(type(self).__name__, shape)
        return shape

    def _make_weights(self, shape: Shape, generator: np.random.Generator) -> list[Weight]:
        weights = [Weight(self.gamma_initializer(shape, generator))] if self.scale else []
        if self.center:
            weights.append(Weight(self.beta_initializer(shape, generator)))
        return weights

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return those of gamma and beta (K,), as far as there are any."""
        return {**({"gamma": shape} if self.scale else {}), **({"beta": shape} if self.center else {})}

    def _affine(self, chain: "Chain") -> "tuple[Variable, Variable]":
        """The scale and the offset of the stage: gamma and beta, or numbers that change nothing."""
        gamma = self._weights[0] if self.scale else Weight(np.ones(chain.width, np.float32))
        beta = self._weights[int(self.scale)] if self.center else Weight(np.zeros(chain.width, np.float32))
        return (
            chain.variable(gamma, self._trainable and self.scale, regularizer=self.gamma_regularizer),
            chain.variable(beta, self._trainable and self.center, regularizer=self.beta_regularizer),
        )


class BatchNormalization(_Standardised):
    """Standardise each feature over the batch, then ``gamma x + beta`` (Ioffe & Szegedy, arXiv 1502.03167).

    In training the mean and the (biased) variance are the batch's, and moving averages of them are kept; otherwise,
    and where the layer is frozen, the moving averages are used.

    Parameters
    ----------
    momentum : float
        Of the moving averages: ``m = momentum m + (1 - momentum) batch``.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there is a ``beta`` and a ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer
        Where they start.
    moving_mean_initializer, moving_variance_initializer : str or Initializer
        Where the averages start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        The penalty that is added to the loss.
    name : str, optional
        A name, unique in the model.

    Notes
    -----
    The weights are gamma, beta, the moving mean and the moving variance, each (K,).
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        moving_mean_initializer: str | initializers.Initializer = "zeros",
        moving_variance_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        self.momentum = finite_number("momentum", momentum, at_least=0, at_most=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, name
        )

    def _make_weights(self, shape: Shape, generator: np.random.Generator) -> list[Weight]:
        weights = super()._make_weights(shape, generator)
        weights.append(Weight(self.moving_mean_initializer(shape, generator)))
        weights.append(Weight(self.moving_variance_initializer(shape, generator)))
        return weights

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return those of gamma and beta, as far as there are any, and of both averages (K,)."""
        return {**super().weight_shapes(shape), "moving_mean": shape, "moving_variance": shape}

    def weights_of_parts(self) -> list[tuple[Weight, bool]]:
        """Return every weight, and whether it is trained; the averages are not."""
        last = len(self._weights) - 2
        return [(weight, self._trainable and index < last) for index, weight in enumerate(self._weights)]

    def _check_values(self, weights: Sequence[NDArray[Any]]) -> None:
        _check_variance(self.name, weights[-1])

    def lay(self, chain: "Chain") -> None:
        """Add one stage."""
        mean, variance = (chain.variable(weight, False) for weight in self._weights[-2:])
        chain.standardise_columns(
            mean, variance, *self._affine(chain), self.epsilon, self.momentum, by_batch=self._trainable
        )


class LayerNormalization(_Standardised):
    """Standardise each row over its features, then ``gamma x + beta`` (Ba et al., arXiv 1607.06450).

    Parameters
    ----------
    epsilon : float
        Added to the (biased) variance.
    center, scale : bool
        Whether there is a ``beta`` and a ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer
        Where they start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        The penalty that is added to the loss.
    name : str, optional
        A name, unique in the model.
    """

    def __init__(
        self,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, name
        )

    def lay(self, chain: "Chain") -> None:
        """Add one stage."""
        chain.standardise_rows(*self._affine(chain), self.epsilon)


class Normalization(Layer):
    """Standardise each feature by the mean and the variance of data: ``(x - mean) / sqrt(variance)``.

    Parameters
    ----------
    mean, variance : float or array_like (K,), optional
        Both, or neither and :meth:`adapt` finds them.
    name : str, optional
        A name, unique in the model.

    Notes
    -----
    As in Keras no standard deviation is taken to be less than 1e-7, and the weights after :meth:`adapt` are the mean
    (K,), the variance (K,) and the number of rows (); given ones are no weights.

    Examples
    --------
    >>> normalization = Normalization()
    >>> normalization.adapt([[1.0, 10.0], [3.0, 30.0]])
    >>> [float(number) for number in normalization.get_weights()[0]]
    [2.0, 20.0]
    """

    def __init__(self, mean: Any = None, variance: Any = None, name: str | None = None) -> None:
        if (mean is None) != (variance is None):
            raise ValueError("mean and variance must be given both, or neither")
        self._given = mean is not None
        self._mean: Float32 | None = None
        self._variance: Float32 | None = None
        if self._given:
            self._mean, self._variance = (
                _constants("mean", mean), _constants("variance", variance, at_least=0)
            )  # fmt: skip
        super().__init__(name)
        self._constants: tuple[Weight, Weight] | None = None

    def _arguments(self) -> dict[str, Any]:
        return {"mean": self._mean, "variance": self._variance, "name": self.name}

    def adapt(self, data: Any) -> None:
        """Take the mean and the variance of every feature of ``data`` (n, K), in float64.

        Raises
        ------
        ValueError, TypeError
            For data that are no finite numbers, of another number of features, or when both were given before.
        """
        if self._given:
            raise ValueError("this Normalization was given its mean and variance, so it cannot adapt")
        array = check_array("data", data)
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"data must have the shape (rows, features) with at least one of each, got {array.shape}")
        check_finite("data", array)
        if self.built and self._input_shape != array.shape[1:]:
            raise ValueError(f"data must have {self._input_shape} features a sample, got {array.shape[1:]}")
        mean, variance = _moments(array)
        if not (variance <= FLOAT32_LARGEST).all():
            feature = int(variance.argmax())
            raise ValueError(
                f"data must have variances that are finite in float32, got {variance[feature]:g} of feature {feature}; "
                "scale the numbers down, for float32 ends at 3.4e+38"
            )
        values = [mean.astype(np.float32), variance.astype(np.float32), np.float32(len(array))]
        if not self.built:
            self.build(array.shape[1:], np.random.default_rng(0))
        self.set_weights(values)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the inputs."""
        features = one_row("Normalization", shape)
        for name, values in (("mean", self._mean), ("variance", self._variance)):
            if values is not None and values.shape not in ((), (features,)):
                raise ValueError(f"{name} must be a number or have the shape ({features},), got {values.shape}")
        return shape

    def _make_weights(self, shape: Shape, generator: np.random.Generator) -> list[Weight]:
        if self._given:
            return []
        return [
            Weight(np.zeros(shape, np.float32)),
            Weight(np.ones(shape, np.float32)),
            Weight(np.zeros((), np.float32)),
        ]

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return those of mean and variance (K,) and of the count (); none where they were given."""
        return {} if self._given else {"mean": shape, "variance": shape, "count": ()}

    def weights_of_parts(self) -> list[tuple[Weight, bool]]:
        """Return every weight; none is trained."""
        return [(weight, False) for weight in self._weights]

    def _write(self, arrays: Weights) -> None:
        """Replace mean, variance and count, and what the compiled stage has of them."""
        super()._write(arrays)
        if self._constants is not None:
            for constant, value in zip(self._constants, self._stored(), strict=True):
                constant.write(value)

    def _check_values(self, weights: Sequence[NDArray[Any]]) -> None:
        if weights:
            _check_variance(self.name, weights[1])

    def _stored(self) -> tuple[Float32, Float32]:
        """Mean and variance as the compiled stage takes them."""
        assert self._input_shape is not None
        mean, variance = (
            (self._mean, self._variance) if self._given else (weight.read() for weight in self._weights[:2])
        )
        least = np.float32(SMALLEST_DEVIATION**2)
        return (
            np.broadcast_to(np.asarray(mean, np.float32), self._input_shape).copy(),
            np.maximum(np.broadcast_to(np.asarray(variance, np.float32), self._input_shape), least),
        )

    def lay(self, chain: "Chain") -> None:
        """Add one stage with constants."""
        mean, variance = (Weight(value) for value in self._stored())
        self._constants = mean, variance
        one, zero = Weight(np.ones(chain.width, np.float32)), Weight(np.zeros(chain.width, np.float32))
        chain.standardise_columns(
            chain.variable(mean, False), chain.variable(variance, False), chain.variable(one, False),
            chain.variable(zero, False), 0.0, 1.0, by_batch=False,
        )  # fmt: skip


def _check_variance(layer: str | None, variance: NDArray[Any]) -> None:
    """Raise ValueError if a variance among the weights of a layer is negative."""
    if (variance < 0).any():
        raise ValueError(f"a variance among the weights of layer {layer!r} must not be negative, got {variance.min()}")


def _constants(name: str, value: Any, at_least: float = -np.inf) -> Float32:
    array = check_array(name, value)
    check_finite(name, array, "give finite numbers")
    if array.ndim > 1 or not (array >= at_least).all():
        raise ValueError(f"{name} must be a number or one for each feature, at least {at_least:g}, got {value!r}")
    return np.array(array, np.float32)


def _moments(array: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and biased variance of the columns, by blocks (Chan, Golub & LeVeque, Am. Statistician 37, 1983)."""
    mean = np.zeros(array.shape[1])
    squares = np.zeros(array.shape[1])
    for start in range(0, len(array), BLOCK_ROWS):
        block = array[start : start + BLOCK_ROWS].astype(np.float64)
        own = block.mean(axis=0)
        distance = own - mean
        rows = start + len(block)
        mean += distance * (len(block) / rows)
        squares += ((block - own) ** 2).sum(axis=0) + distance**2 * (start * len(block) / rows)
    return mean, squares / len(array)
