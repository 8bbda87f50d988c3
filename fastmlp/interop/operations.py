"""What a model computes in a prediction, as a list of few kinds of operations, for writers of other formats.

Layers that do nothing in a prediction (noise) have no operations, and a batch normalization is one of its moving
averages. A new layer needs a branch in :func:`_operations` and, if no operation here serves, one in each writer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import activations, layers
from ..errors import TrainingDivergedError
from ..saving.model import paused

if TYPE_CHECKING:
    from ..model import Sequential

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """``x kernel + bias``; kernel (K,N), bias (N,) or None."""

    kernel: Float32
    bias: Float32 | None


@dataclass(frozen=True)
class Scale:
    """``(x - centre) factor + offset`` with arrays () or (K,); None leaves a term out.

    The centre is not folded into the offset: where it is large beside the spread, the difference would be lost.
    """

    centre: Float32 | None
    factor: Float32
    offset: Float32 | None


@dataclass(frozen=True)
class NormaliseRows:
    """``(x - mean) / sqrt(variance + epsilon)`` of each row, then ``gamma x + beta``; None leaves one out."""

    epsilon: float
    gamma: Float32 | None
    beta: Float32 | None


@dataclass(frozen=True)
class Function:
    """An activation of this package's, and not a linear one."""

    activation: activations.Activation


@dataclass(frozen=True)
class Flat:
    """One row of each sample."""


@dataclass(frozen=True)
class Skip:
    """``x + parts(x)``."""

    parts: "tuple[Part, ...]"


Operation = Product | Scale | NormaliseRows | Function | Flat | Skip


@dataclass(frozen=True)
class Part:
    """A layer: its name, its class, the shape of one sample's outputs, and its operations in order."""

    name: str
    kind: str
    shape: layers.Shape
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Prediction:
    """All layers, from samples of a shape to rows of so many outputs."""

    inputs: layers.Shape
    outputs: int
    parts: tuple[Part, ...]


def prediction(model: "Sequential", target: str) -> Prediction:
    """Return what a model computes, with its weights as they are between two steps of a training.

    Parameters
    ----------
    model : Sequential
        With weights.
    target : str
        What is to be written, for messages, such as ``"ONNX"``.

    Raises
    ------
    TypeError
        When `model` is no model, or has a layer or an activation that is not this package's own.
    NotBuiltError
        When it has no weights yet.
    TrainingDivergedError
        When a weight is not finite.
    """
    # the model's module is large, and nobody can have a model without it
    from ..model import Sequential

    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a fastmlp.Sequential, got {model!r} of type {type(model).__name__}")
    model._ready()
    with paused(model):
        weights = model.get_weights()
        if not all(np.isfinite(weight).all() for weight in weights):
            raise TrainingDivergedError("the model has a weight that is not finite, so it predicts nothing of use")
        shape = model._inputs
        assert shape is not None
        parts = tuple(_parts(model.layers, shape, target))
    return Prediction(shape, parts[-1].shape[0], parts)


def _parts(stack: list[layers.Layer], shape: layers.Shape, target: str) -> Iterator[Part]:
    for layer in stack:
        operations = tuple(_operations(layer, shape, target))
        shape = layer.output_shape(shape)
        assert layer.name is not None
        yield Part(layer.name, type(layer).__name__, shape, operations)


def _operations(layer: layers.Layer, shape: layers.Shape, target: str) -> Iterator[Operation]:
    if type(layer) is not layers.TABLE.get(type(layer).__name__):
        raise TypeError(f"layer {layer.name!r} is of the class {type(layer).__name__}, which {target} knows nothing of")
    weights = {name: weight.read() for name, weight in layer.own_weights().items()}
    if isinstance(layer, layers.Dense):
        yield Product(weights["kernel"], weights.get("bias"))
        yield from _function(layer.activation, layer, target)
    elif isinstance(layer, layers.Activation):
        yield from _function(layer.activation, layer, target)
    elif isinstance(layer, layers.Rescaling):
        yield Scale(None, np.array(layer.scale, np.float32), np.array(layer.offset, np.float32))
    elif isinstance(layer, layers.Normalization):
        mean, variance = layer._stored()
        yield Scale(mean, _inverse_root(variance, 0.0), None)
    elif isinstance(layer, layers.BatchNormalization):
        factor = _inverse_root(weights["moving_variance"], layer.epsilon, weights.get("gamma"))
        yield Scale(weights["moving_mean"], factor, weights.get("beta"))
    elif isinstance(layer, layers.LayerNormalization):
        yield NormaliseRows(layer.epsilon, weights.get("gamma"), weights.get("beta"))
    elif isinstance(layer, layers.Flatten):
        yield Flat()
    elif isinstance(layer, layers.Residual):
        yield Skip(tuple(_parts(layer.layers, shape, target)))
    elif not isinstance(layer, (layers.Dropout, layers.GaussianNoise)):
        raise TypeError(f"layer {layer.name!r} of the class {type(layer).__name__} has no counterpart in {target}")


def _function(activation: activations.Activation, layer: layers.Layer, target: str) -> Iterator[Function]:
    if type(activation) is not activations.TABLE.get(activation.name):
        raise TypeError(
            f"layer {layer.name!r} has the custom activation {activation.name!r}, which cannot be written to {target}; "
            f"these can: {', '.join(activations.TABLE)}"
        )
    if not isinstance(activation, activations.Linear):
        yield Function(activation)


def _inverse_root(variance: Float32, epsilon: float, factor: Float32 | None = None) -> Float32:
    """``factor / sqrt(variance + epsilon)``, rounded once."""
    numerator = np.float64(1) if factor is None else factor.astype(np.float64)
    return (numerator / np.sqrt(variance.astype(np.float64) + np.float32(epsilon))).astype(np.float32)
