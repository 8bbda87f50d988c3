"""The network of an estimator: its layers and their initial weights."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import activations
from ..activations import Activation as Function
from ..layers import Activation, BatchNormalization, Dense, Dropout, Input, Layer
from ..model import Sequential
from ..regularizers import L1L2

# scikit-learn's names of functions where they are others than Keras'
FUNCTIONS = {"identity": "linear", "logistic": "sigmoid", "exp": "exponential"}


def function(name: "str | Function") -> Function:
    """Return an activation by scikit-learn's or by this package's name."""
    return activations.get(FUNCTIONS.get(name, name) if isinstance(name, str) else name)


def make_network(
    inputs: int,
    hidden: list[tuple[int, "str | Function"]],
    outputs: tuple[int, "str | Function"],
    *,
    alpha: float,
    l1: float,
    dropout: float,
    batch_norm: bool,
    seed: int,
) -> Sequential:
    """Return a model whose penalties are divided by the rows of a batch, as scikit-learn divides its own.

    Parameters
    ----------
    hidden, outputs : (units, activation)
        The layers' own.
    alpha, l1 : float
        ``alpha / 2 * sum w^2`` and ``l1 * sum |w|``.
    """
    penalty = L1L2(l1=l1, l2=alpha / 2, by_rows=True) if alpha or l1 else None
    layers: list[Input | Layer] = [Input(shape=(inputs,))]
    for units, name in hidden:
        if batch_norm:
            layers += [Dense(units, kernel_regularizer=penalty), BatchNormalization(), Activation(function(name))]
        else:
            layers.append(Dense(units, function(name), kernel_regularizer=penalty))
        if dropout:
            layers.append(Dropout(dropout))
    layers.append(Dense(outputs[0], function(outputs[1]), kernel_regularizer=penalty))
    return Sequential(layers, seed=seed)


def dense_layers(model: Sequential) -> list[Dense]:
    """The layers that have an estimator's coefficients."""
    return [layer for layer in model.layers if isinstance(layer, Dense)]


def copy_weights(source: Sequential, target: Sequential) -> None:
    """Give a network the weights of another one, with layers of the same sizes where both have them."""
    for kind in (Dense, BatchNormalization):
        of_kind = [[layer for layer in model.layers if isinstance(layer, kind)] for model in (source, target)]
        for old, new in zip(*of_kind, strict=False):
            new.set_weights(old.get_weights())


def draw_weights(model: Sequential, names: list[Any], generator: np.random.RandomState) -> None:
    """Draw initial weights as scikit-learn does: the same ones from the same state of a generator.

    Kernel and intercepts are uniform within sqrt(6 / (inputs + outputs)), and within sqrt(2 / ...) for the logistic
    function (Glorot & Bengio, AISTATS 2010, equation 16, and its remark on the sigmoid's slope of 1/4).

    Parameters
    ----------
    names : list
        What each dense layer's function is called; the last one counts as the one before.
    """
    for layer, name in zip(dense_layers(model), names, strict=True):
        inputs, outputs = layer.get_weights()[0].shape
        bound = math.sqrt((2.0 if name == "logistic" else 6.0) / (inputs + outputs))
        kernel: NDArray[np.float64] = generator.uniform(-bound, bound, (inputs, outputs))
        layer.set_weights([kernel, generator.uniform(-bound, bound, outputs)])
