"""Layers: what a user says of them, and their weights while no model holds them.

Once a model is built, its flat parameter buffer holds the weights and a layer reads and writes them there.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import activations, initializers, regularizers
from .errors import NotBuiltError, check_count, check_flag
from .inputs import check_array, check_finite

if TYPE_CHECKING:
    from .engine.plan import Plan

Weights = list[NDArray[np.float32]]


class Input:
    """The shape of one sample, as the first element of a model.

    Parameters
    ----------
    shape : tuple of int
        ``(features,)``.

    Raises
    ------
    ValueError
        When the shape is not one positive number.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) != 1:
            raise ValueError(f"shape must be a tuple of one number of features such as (20,), got {shape!r}")
        self.shape = (check_count("shape[0]", shape[0]),)

    def __repr__(self) -> str:
        return f"Input(shape={self.shape})"


class Dense:
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
    ) -> None:
        self.units = check_count("units", units)
        self.activation = activations.get(activation)
        self.use_bias = check_flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(f"name must be a text that is not empty, got {name!r}")
        self.name = name
        self._inputs: int | None = None
        self._own: Weights | None = None
        self._plan: Plan | None = None
        self._index = -1
        # whether a model has it in its stack
        self.taken = False

    def __repr__(self) -> str:
        return f"Dense({self.units}, activation={self.activation.name!r}, name={self.name!r})"

    @property
    def built(self) -> bool:
        """Whether the layer has weights."""
        return self._own is not None or self._plan is not None

    def build(self, inputs: int, generator: np.random.Generator) -> None:
        """Draw initial weights for ``inputs`` features."""
        weights = [self.kernel_initializer((inputs, self.units), generator)]
        if self.use_bias:
            weights.append(self.bias_initializer((self.units,), generator))
        self._inputs = inputs
        self._own = weights  # both or none, should an initializer raise

    def attach(self, plan: "Plan", index: int) -> None:
        """Move the weights into a plan's parameter buffer, as its dense layer ``index``."""
        weights = self.get_weights()
        self._own, self._plan, self._index = None, plan, index
        self.set_weights(weights)

    def detach(self) -> None:
        """Take the weights out of the plan."""
        self._own, self._plan = self.get_weights(), None

    def check_inputs(self, inputs: int) -> None:
        """Raise ValueError if the layer has weights for another number of inputs."""
        own = self._own[0].shape[0] if self._own else inputs
        if own != inputs:
            raise ValueError(f"layer {self.name!r} has weights for {own} inputs, but would get {inputs} features here")

    def get_weights(self) -> Weights:
        """Return copies of the weights: ``[w (K, N), b (N,)]``, or ``[w]`` without bias.

        Raises
        ------
        NotBuiltError
            When there are none yet.
        """
        if self._plan is not None:
            kernel, bias = self._plan.read_dense(self._index)
            return [kernel, bias] if self.use_bias else [kernel]
        if self._own is None:
            raise self._not_built()
        return [weight.copy() for weight in self._own]

    def _not_built(self) -> NotBuiltError:
        return NotBuiltError(f"layer {self.name!r} has no weights yet: build the model, or give it an Input")

    def set_weights(self, weights: Any) -> None:
        """Replace the weights.

        Parameters
        ----------
        weights : list of array_like
            In the order and shapes of :meth:`get_weights`; converted to float32.

        Raises
        ------
        ValueError, TypeError
            When the number of arrays or a shape is not right, or a number is not finite; nothing is changed.
        """
        shapes = [weight.shape for weight in self.get_weights()]
        if not isinstance(weights, Iterable):
            raise TypeError(f"weights of layer {self.name!r} must be a list of arrays, got {weights!r}")
        given = [check_array(f"weights of layer {self.name!r}", weight) for weight in weights]
        if [array.shape for array in given] != shapes:
            got = [array.shape for array in given]
            raise ValueError(f"weights of layer {self.name!r} must have the shapes {shapes}, got {got}")
        for array in given:
            check_finite(f"weights of layer {self.name!r}", array, "set finite numbers")
        arrays = [np.array(array, np.float32) for array in given]
        if self._plan is not None:
            self._plan.write_dense(self._index, arrays[0], arrays[1] if self.use_bias else None)
        else:
            self._own = arrays

    def count_params(self) -> int:
        """Return the number of weights.

        Raises
        ------
        NotBuiltError
            When there are none yet.
        """
        if self._inputs is None:
            raise self._not_built()
        return (self._inputs + self.use_bias) * self.units
