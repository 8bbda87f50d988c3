"""The fully connected layer."""

from typing import TYPE_CHECKING

import numpy as np

from .. import activations, constraints, initializers, regularizers
from ..errors import check_count, check_flag
from .base import Layer, Shape, Weight, one_row

if TYPE_CHECKING:
    from ..engine.chain import Chain


class Dense(Layer):
    """A fully connected layer: ``a = activation(x w + b)``, x (B,K), w (K,N), b (N,).

    Parameters
    ----------
    units : int
        N, the number of outputs.
    activation : str or Activation, optional
        A name, or a configured one such as ``fastmlp.activations.ELU(alpha=0.5)``; None is linear.
    use_bias : bool
        Whether there is a ``b``.
    kernel_initializer, bias_initializer : str or Initializer
        Where the weights start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        The penalty that is added to the loss.
    name : str, optional
        A name, unique in the model; by default ``dense``, ``dense_1``, ...
    kernel_constraint : str or Constraint, optional
        What ``w`` fulfils after every step.

    Raises
    ------
    ValueError
        For a number or name out of range; the message has the nearest valid names.
    TypeError
        For an argument of another type.
    """

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
        *,
        kernel_constraint: str | constraints.Constraint | None = None,
    ) -> None:
        self.units = check_count("units", units)
        self.activation = activations.get(activation)
        self.use_bias = check_flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        super().__init__(name)

    def __repr__(self) -> str:
        return f"Dense({self.units}, activation={self.activation.name!r}, name={self.name!r})"

    def output_shape(self, shape: Shape) -> Shape:
        """Return ``(units,)``."""
        one_row("Dense", shape)
        return (self.units,)

    def _make_weights(self, shape: Shape, generator: np.random.Generator) -> list[Weight]:
        weights = [Weight(self.kernel_initializer((*shape, self.units), generator))]
        if self.use_bias:
            weights.append(Weight(self.bias_initializer((self.units,), generator)))
        return weights

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Return those of the kernel (K, N) and, where there is one, the bias (N,)."""
        return {"kernel": (*shape, self.units), **({"bias": (self.units,)} if self.use_bias else {})}

    def lay(self, chain: "Chain") -> None:
        """Add one stage."""
        kernel, *bias = self._weights
        chain.dense(
            self.units,
            chain.variable(
                kernel, self._trainable, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint
            ),
            chain.variable(bias[0], self._trainable, regularizer=self.bias_regularizer) if bias else None,
            self.activation,
        )
