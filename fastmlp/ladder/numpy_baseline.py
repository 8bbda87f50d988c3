"""A careful float32 NumPy multi-layer perceptron: the baseline that fastmlp is timed against."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numpy_activations import (
    NAMES,
    Workspace,
    activate,
    multiply_by_slope,
    sigmoid,
    softmax,
    subtract_row_maximum,
)

Float32 = NDArray[np.float32]
Shape = tuple[int, ...]

# The Adam update goes over the parameters in blocks whose five arrays stay in the second-level cache.
_BLOCK = 65536


class NumpyMLP:
    """A multi-layer perceptron trained with Adam, in NumPy and its BLAS.

    Everything is float32 and preallocated: the parameters, gradients and moments are one flat buffer each,
    the activations and their gradients are kept per batch size, and all operations write to ``out=``.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, of units in every hidden layer, and of outputs.
    activation : {"relu", "sigmoid", "tanh", "elu", "gelu"}
        Activation of the hidden layers.
    output : {"linear", "sigmoid", "softmax"}
        Activation of the last layer.
    loss : {"mse", "bce", "ce"}
        Mean squared error (of linear), binary crossentropy (of sigmoid) or categorical crossentropy with
        integer labels (of softmax).
    learning_rate, beta_1, beta_2, epsilon : float
        Adam's parameters, in the form that Keras uses.
    seed : int
        Seed of the initial weights (Glorot uniform; the biases are zero).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        output: str = "linear",
        loss: str = "mse",
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        seed: int = 0,
    ) -> None:
        if activation not in NAMES:
            raise ValueError(f"unknown activation {activation!r}")
        if (output, loss) not in {("linear", "mse"), ("sigmoid", "bce"), ("softmax", "ce")}:
            raise ValueError(f"output {output!r} does not go with loss {loss!r}")
        self.sizes = tuple(int(n) for n in sizes)
        self.activation = activation
        self.output = output
        self.loss = loss
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.iterations = 0

        shapes: list[Shape] = []
        for K, N in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            shapes += [(K, N), (N,)]
        count = sum(int(np.prod(shape)) for shape in shapes)
        flat = [np.zeros(count, dtype=np.float32) for _ in range(4)]
        scratch = np.empty(min(count, _BLOCK), dtype=np.float32)
        self._blocks = [
            (*(array[i : i + _BLOCK] for array in flat), scratch[: min(_BLOCK, count - i)])
            for i in range(0, count, _BLOCK)
        ]
        self._weights = _views(flat[0], shapes)
        self._gradients = _views(flat[1], shapes)
        self._moments = flat[2:]
        self._buffers: dict[int, _Buffers] = {}

        rng = np.random.default_rng(seed)
        for kernel in self._weights[::2]:
            limit = np.sqrt(6 / sum(kernel.shape))
            kernel[...] = rng.uniform(-limit, limit, kernel.shape)

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Set the weights and restart Adam.

        Parameters
        ----------
        weights : list of array_like
            Kernel (K, N) and bias (N,) of every layer in turn.
        """
        for own, given in zip(self._weights, weights, strict=True):
            if own.shape != np.shape(given):
                raise ValueError(f"expected the shape {own.shape}, got {np.shape(given)}")
            own[...] = given
        for moment in self._moments:
            moment.fill(0)
        self.iterations = 0

    def get_weights(self) -> list[Float32]:
        """Copy the weights.

        Returns
        -------
        list of ndarray
            Kernel (K, N) and bias (N,) of every layer in turn.
        """
        return [w.copy() for w in self._weights]

    def train_epoch(self, x: Any, y: Any, batch_size: int) -> float:
        """Train on the samples in their order.

        Parameters
        ----------
        x : array_like, shape (n, inputs)
            Samples.
        y : array_like, shape (n, outputs), or (n,) integers for the loss "ce"
            Targets.
        batch_size : int
            Samples per step; the last step takes those that remain.

        Returns
        -------
        float
            Mean loss over the samples, each under the weights of its own step.
        """
        x = np.ascontiguousarray(x, dtype=np.float32)
        if self.loss == "ce":
            y = np.ascontiguousarray(y, dtype=np.intp).reshape(-1)
        else:
            y = np.ascontiguousarray(y, dtype=np.float32).reshape(-1, self.sizes[-1])
        if len(x) != len(y):
            raise ValueError(f"{len(x)} samples, but {len(y)} targets")
        total = 0.0
        for i in range(0, len(x), batch_size):
            total += self._train_batch(x[i : i + batch_size], y[i : i + batch_size])
        return total / len(x)

    def predict(self, x: Any, batch_size: int = 1024) -> Float32:
        """Compute the outputs.

        Parameters
        ----------
        x : array_like, shape (n, inputs)
            Samples.
        batch_size : int
            Samples computed at once.

        Returns
        -------
        ndarray, shape (n, outputs)
            Outputs after the last activation.
        """
        x = np.ascontiguousarray(x, dtype=np.float32)
        result = np.empty((len(x), self.sizes[-1]), dtype=np.float32)
        for i in range(0, len(x), batch_size):
            rows = x[i : i + batch_size]
            buffers = self._buffers_for(len(rows))
            z = self._forward(rows, buffers)
            if self.output == "sigmoid":
                sigmoid(z)
            elif self.output == "softmax":
                softmax(z, buffers.row)
            result[i : i + len(rows)] = z
        return result

    def _buffers_for(self, B: int) -> "_Buffers":
        if B not in self._buffers:
            self._buffers[B] = _Buffers(B, self.sizes, self.activation)
        return self._buffers[B]

    def _forward(self, x: Float32, buffers: "_Buffers") -> Float32:
        """Compute all layers but the last activation, and return the last layer's buffer."""
        a = x
        last = len(buffers.activations) - 1
        for i, out in enumerate(buffers.activations):
            np.matmul(a, self._weights[2 * i], out=out)
            np.add(out, self._weights[2 * i + 1], out=out)
            a = out
            if i < last:
                activate(self.activation, a, buffers.workspaces[i])
        return a

    def _train_batch(self, x: Float32, y: NDArray[Any]) -> float:
        """Take one step and return the sum of the samples' losses."""
        buffers = self._buffers_for(len(x))
        d = self._forward(x, buffers)
        if self.loss == "mse":
            total = self._squared_error(d, y)
        elif self.loss == "bce":
            total = self._binary_crossentropy(d, y, buffers)
        else:
            total = self._categorical_crossentropy(d, y, buffers)
        for i in reversed(range(len(buffers.activations))):
            below = buffers.activations[i - 1] if i else x
            np.matmul(below.T, d, out=self._gradients[2 * i])
            np.dot(buffers.ones, d, out=self._gradients[2 * i + 1])
            if i:
                d = np.matmul(d, self._weights[2 * i].T, out=buffers.deltas[i - 1])
                multiply_by_slope(self.activation, below, d, buffers.workspaces[i - 1])
        self._adam()
        return total

    # The three losses turn the last z, in place, into the gradient of the batch's mean loss.

    def _squared_error(self, z: Float32, y: Float32) -> float:
        N: int = z.shape[1]
        np.subtract(z, y, out=z)
        total = float(np.vdot(z, z)) / N
        np.multiply(z, 2 / z.size, out=z)
        return total

    def _binary_crossentropy(self, z: Float32, y: Float32, buffers: "_Buffers") -> float:
        N: int = z.shape[1]
        s = buffers.scratch
        np.abs(z, out=s)
        np.negative(s, out=s)
        np.exp(s, out=s)
        np.log1p(s, out=s)
        total = float(np.sum(s)) - float(np.vdot(z, y))
        np.maximum(z, 0, out=s)
        total += float(np.sum(s))
        sigmoid(z)
        np.subtract(z, y, out=z)
        np.multiply(z, 1 / z.size, out=z)
        return total / N

    def _categorical_crossentropy(self, z: Float32, y: NDArray[np.intp], buffers: "_Buffers") -> float:
        B = len(z)
        subtract_row_maximum(z, buffers.row)
        np.add(buffers.offsets, y, out=buffers.indices)
        total = -float(np.sum(z.ravel()[buffers.indices]))
        np.exp(z, out=z)
        np.sum(z, axis=1, keepdims=True, out=buffers.row)
        np.divide(1 / B, buffers.row, out=buffers.row_scale)
        np.multiply(z, buffers.row_scale, out=z)
        z.ravel()[buffers.indices] -= 1 / B
        np.log(buffers.row, out=buffers.row)
        return total + float(np.sum(buffers.row))

    def _adam(self) -> None:
        self.iterations += 1
        t = self.iterations
        alpha = self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        for w, g, m, v, s in self._blocks:
            np.multiply(g, g, out=s)
            np.multiply(s, 1 - self.beta_2, out=s)
            np.multiply(v, self.beta_2, out=v)
            np.add(v, s, out=v)
            np.multiply(g, 1 - self.beta_1, out=g)
            np.multiply(m, self.beta_1, out=m)
            np.add(m, g, out=m)
            np.sqrt(v, out=s)
            np.add(s, self.epsilon, out=s)
            np.divide(m, s, out=s)
            np.multiply(s, alpha, out=s)
            np.subtract(w, s, out=w)


class _Buffers:
    """The arrays of one batch size."""

    def __init__(self, B: int, sizes: Shape, activation: str) -> None:
        self.activations = [np.empty((B, N), dtype=np.float32) for N in sizes[1:]]
        self.deltas = [np.empty((B, N), dtype=np.float32) for N in sizes[1:-1]]
        self.workspaces = [Workspace(activation, (B, N)) for N in sizes[1:-1]]
        self.scratch = np.empty((B, sizes[-1]), dtype=np.float32)
        self.ones = np.ones(B, dtype=np.float32)
        self.row = np.empty((B, 1), dtype=np.float32)
        self.row_scale = np.empty((B, 1), dtype=np.float32)
        self.offsets = np.arange(B, dtype=np.intp) * sizes[-1]
        self.indices = np.empty(B, dtype=np.intp)


def _views(flat: Float32, shapes: list[Shape]) -> list[Float32]:
    """Cut a flat buffer into arrays."""
    views: list[Float32] = []
    start = 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        views.append(flat[start:stop].reshape(shape))
        start = stop
    return views
