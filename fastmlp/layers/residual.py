"""The wide skip: layers beside which their input passes."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured
from .base import Layer, Shape, Weight, Weights, one_row

if TYPE_CHECKING:
    from ..engine.chain import Chain


# how often one may be inside another; much deeper, Python's stack would end before they are built or written down
MOST_NESTED = 50


class Residual(Layer):
    """``x + layers(x)`` (He et al., arXiv 1512.03385): gradients reach what is below through the sum undiminished.

    Parameters
    ----------
    layers : iterable of Layer
        At least one; together they give as many outputs as they get inputs.
    name : str, optional
        A name, unique in the model.

    Examples
    --------
    >>> Residual([Dense(16, activation="relu"), Dense(16)]).output_shape((16,))
    (16,)
    """

    def __init__(self, layers: Any, name: str | None = None) -> None:
        if not isinstance(layers, Iterable) or isinstance(layers, (str, bytes)):
            raise TypeError(f"layers must be a list such as [Dense(16), Dense(16)], got {layers!r}")
        self.layers = list(layers)
        if not self.layers:
            raise ValueError("layers must hold at least one layer, got none")
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"layers must hold layers, got {layer!r}")
            if layer.taken or self.layers.count(layer) > 1:
                raise ValueError(
                    f"layer {layer.name or layer!r} already belongs to a model or this one; make a new one"
                )
        self.depth: int = 1 + max((layer.depth for layer in self.layers if isinstance(layer, Residual)), default=0)
        if self.depth > MOST_NESTED:
            raise ValueError(f"layers must not be nested more deeply than {MOST_NESTED} times")
        super().__init__(name)
        for layer in self.layers:
            layer.taken = True

    def __repr__(self) -> str:
        return f"Residual({self.layers!r}, name={self.name!r})"

    @property
    def inner(self) -> list[Layer]:
        """The layers beside the skip."""
        return self.layers

    @property
    def trainable(self) -> bool:
        """Whether training changes any of the weights; setting it sets all layers inside."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = value

    def get_config(self) -> dict[str, Any]:
        """Return the layers inside and the name; the layers say themselves whether they are trained."""
        return Configured.get_config(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the inputs, which is also that of the last layer's outputs."""
        one_row("Residual", shape)
        inner = shape
        for layer in self.layers:
            inner = layer.output_shape(inner)
        if inner != shape:
            raise ValueError(
                f"the layers of a Residual must give as many outputs as they get inputs, but {shape[0]} features "
                f"become {inner[0]}"
            )
        return shape

    def build(self, shape: Shape, generator: np.random.Generator) -> None:
        """Draw initial weights of all layers inside."""
        inner = shape
        for layer in self.layers:
            layer.check_inputs(inner)
            if not layer.built:
                layer.build(inner, generator)
            inner = layer.output_shape(inner)
        self._input_shape, self.built = shape, True

    def check_inputs(self, shape: Shape) -> None:
        """Raise ValueError if a layer inside cannot take its inputs."""
        self.output_shape(shape)
        for layer in self.layers:
            layer.check_inputs(shape)
            shape = layer.output_shape(shape)

    def _write(self, arrays: Weights) -> None:
        """Replace the weights of all layers inside by arrays that have been checked."""
        given = iter(arrays)
        for layer in self.layers:
            layer._write([next(given) for _ in layer.weights_of_parts()])

    def _check_values(self, weights: Sequence[NDArray[Any]]) -> None:
        given = iter(weights)
        for layer in self.layers:
            layer._check_values([next(given) for _ in layer.weights_of_parts()])

    def weights_of_parts(self) -> list[tuple[Weight, bool]]:
        """Return every weight of the layers inside, and whether it is trained."""
        return [part for layer in self.layers for part in layer.weights_of_parts()]

    def lay(self, chain: "Chain") -> None:
        """Add the fork, the stages inside, and the sum."""
        entrance = chain.fork()
        for layer in self.layers:
            layer.lay(chain)
        chain.join(entrance)
