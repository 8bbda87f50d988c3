"""Layers that change each number by itself: an activation, a scale, another shape."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from .. import activations
from ..errors import finite_number
from .base import Layer, Shape, Weight, one_row

if TYPE_CHECKING:
    from ..engine.chain import Chain


class Activation(Layer):
    """An activation function as a layer; right after a layer without one it costs the same as inside it.

    Parameters
    ----------
    activation : str or fastmlp.activations.Activation
        A name, or a configured one.
    name : str, optional
        A name, unique in the model.
    """

    def __init__(self, activation: str | activations.Activation, name: str | None = None) -> None:
        self.activation = activations.get(activation)
        super().__init__(name)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the inputs."""
        if isinstance(self.activation, activations.Softmax):
            one_row("Activation('softmax')", shape)
        return shape

    def lay(self, chain: "Chain") -> None:
        """Add the function to the stage before, or a stage."""
        chain.activation(self.activation)


class Flatten(Layer):
    """Make one row of each sample, such as 784 features of an image of 28 x 28; it costs nothing."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return ``(features,)``."""
        return (prod(shape),)


class Rescaling(Layer):
    """``x * scale + offset``, such as ``Rescaling(1 / 255)`` for pixels.

    Parameters
    ----------
    scale, offset : float
        The same for all features.
    name : str, optional
        A name, unique in the model.
    """

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None) -> None:
        self.scale = finite_number("scale", scale)
        self.offset = finite_number("offset", offset)
        super().__init__(name)

    def lay(self, chain: "Chain") -> None:
        """Add one stage with constants."""
        scale, offset = (np.full(chain.width, number, np.float32) for number in (self.scale, self.offset))
        chain.affine(chain.variable(Weight(scale), False), chain.variable(Weight(offset), False))
