"""The activations of the NumPy baseline: in place, float32, no temporaries."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

NAMES = ("relu", "sigmoid", "tanh", "elu", "gelu")
# NumPy has no error function. For x >= 0, erf(x) = 1 - (A1 t + ... + A5 t^5) exp(-x^2) with t = 1 / (1 + P x),
# to 1.5e-7 (Abramowitz & Stegun, 7.1.26).
P = 0.3275911
A1, A2, A3, A4, A5 = 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429


class Workspace:
    """The arrays beside the values of one hidden layer and one batch size."""

    def __init__(self, name: str, shape: tuple[int, int]) -> None:
        self.scratch: Float32 = np.empty(shape, np.float32)
        if name == "relu":
            self.mask = np.empty(shape, np.bool_)
        elif name == "gelu":
            self.t: Float32 = np.empty(shape, np.float32)
            self.series: Float32 = np.empty(shape, np.float32)


def activate(name: str, z: Float32, work: Workspace) -> None:
    """Replace z by the activation of z."""
    if name == "relu":
        np.maximum(z, 0, out=z)
    elif name == "sigmoid":
        sigmoid(z)
    elif name == "tanh":
        np.tanh(z, out=z)
    elif name == "elu":
        s = work.scratch
        np.minimum(z, 0, out=s)
        np.exp(s, out=s)  # vectorised for float32, which expm1 is not
        np.subtract(s, 1, out=s)
        np.maximum(z, 0, out=z)
        np.add(z, s, out=z)
    else:
        _gelu(z, work)


def multiply_by_slope(name: str, a: Float32, d: Float32, work: Workspace) -> None:
    """Multiply d by the derivative, which follows from the value a; that of gelu was written beside it."""
    s = work.scratch
    if name == "relu":
        np.greater(a, 0, out=work.mask)
        np.multiply(d, work.mask, out=d)
        return
    if name == "sigmoid":
        np.subtract(1, a, out=s)
        np.multiply(s, a, out=s)
    elif name == "tanh":
        np.multiply(a, a, out=s)
        np.subtract(1, s, out=s)
    elif name == "elu":
        np.minimum(a, 0, out=s)
        np.add(s, 1, out=s)
    np.multiply(d, s, out=d)


def _gelu(z: Float32, work: Workspace) -> None:
    """Replace z by z F(z), F being the normal distribution, and write the slope F(z) + z F'(z) to the scratch."""
    s, t, series = work.scratch, work.t, work.series
    np.abs(z, out=t)
    np.multiply(t, P * 0.5**0.5, out=t)
    np.add(t, 1, out=t)
    np.divide(1, t, out=t)
    np.multiply(t, A5, out=series)
    for coefficient in (A4, A3, A2, A1):
        np.add(series, coefficient, out=series)
        np.multiply(series, t, out=series)
    np.multiply(z, z, out=s)
    np.multiply(s, -0.5, out=s)
    np.exp(s, out=s)
    np.multiply(series, s, out=series)
    np.subtract(1, series, out=series)
    np.copysign(series, z, out=series)  # erf(z / sqrt 2)
    np.add(series, 1, out=series)
    np.multiply(series, 0.5, out=series)
    np.multiply(s, (2 * np.pi) ** -0.5, out=s)
    np.multiply(s, z, out=s)
    np.add(s, series, out=s)
    np.multiply(z, series, out=z)


def sigmoid(z: Float32) -> None:
    """Replace z by its sigmoid, (1 + tanh(z / 2)) / 2: no overflow, no temporary."""
    np.multiply(z, 0.5, out=z)
    np.tanh(z, out=z)
    np.add(z, 1, out=z)
    np.multiply(z, 0.5, out=z)


def subtract_row_maximum(z: Float32, row: Float32) -> None:
    """Subtract every row's maximum from it."""
    np.subtract(z, np.max(z, axis=1, keepdims=True, out=row), out=z)


def softmax(z: Float32, row: Any) -> None:
    """Replace every row by its softmax."""
    subtract_row_maximum(z, row)
    np.exp(z, out=z)
    np.divide(z, np.sum(z, axis=1, keepdims=True, out=row), out=z)
