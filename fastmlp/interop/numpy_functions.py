# mypy: disable-error-code="no-any-return"
"""Activations and layer normalization in plain NumPy.

:mod:`.numpy_file` copies the text of these functions into the files that it writes, so each may use NumPy and its own
arguments alone. They map float32 to float32; softmax and layer normalization run over the last axis.
"""

import numpy as np


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-z)), where exp cannot overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def tanh(z: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent."""
    return np.tanh(z)


def relu(z: np.ndarray) -> np.ndarray:
    """Return max(z, 0)."""
    return np.maximum(z, 0)


def elu(z: np.ndarray, alpha: float) -> np.ndarray:
    """Return z for z > 0, else alpha (exp(z) - 1)."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def selu(z: np.ndarray) -> np.ndarray:
    """Return the ELU scaled as in self-normalising networks (arXiv 1706.02515)."""
    return 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))


def softplus(z: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(z)), where exp cannot overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: np.ndarray) -> np.ndarray:
    """Return exp(z) / sum(exp(z)) of each row."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def leaky_relu(z: np.ndarray, negative_slope: float) -> np.ndarray:
    """Return z for z > 0, else negative_slope z."""
    return np.where(z > 0, z, negative_slope * z)


def gelu(z: np.ndarray) -> np.ndarray:
    """Return z Phi(z), with the normal distribution function to 1e-7 (Abramowitz & Stegun, 7.1.26)."""
    x = np.minimum(np.abs(z), 15) * 0.7071067811865476
    t = 1 / (1 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * series * np.exp(-x * x)
    return z * np.where(z > 0, 1 - tail, tail)


def gelu_tanh(z: np.ndarray) -> np.ndarray:
    """Return the approximation z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2."""
    x = np.clip(z, -30, 30)
    return 0.5 * z * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def silu(z: np.ndarray) -> np.ndarray:
    """Return z / (1 + exp(-z)), where exp cannot overflow."""
    e = np.exp(-np.abs(z))
    return z * np.where(z >= 0, 1, e) / (1 + e)


def softsign(z: np.ndarray) -> np.ndarray:
    """Return z / (1 + |z|)."""
    return z / (1 + np.abs(z))


def hard_sigmoid(z: np.ndarray) -> np.ndarray:
    """Return z / 6 + 1 / 2, cut to [0, 1]."""
    return np.clip(z / 6 + 0.5, 0, 1)


def exponential(z: np.ndarray) -> np.ndarray:
    """Return exp(z)."""
    return np.exp(z)


def mish(z: np.ndarray) -> np.ndarray:
    """Return z tanh(log(1 + exp(z))), where exp cannot overflow."""
    return z * np.tanh(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def normalise_rows(x: np.ndarray, epsilon: float) -> np.ndarray:
    """Return each row with mean 0 and variance 1."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)
