"""The ladder of networks that fastmlp and the NumPy baseline are timed on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp import Dense, Input, Sequential
from fastmlp.numpy_baseline import NumpyMLP
from fastmlp.optimizers import Adam

LEARNING_RATE = 1e-3
LOSSES = {"mse": "mse", "bce": "binary_crossentropy", "ce": "sparse_categorical_crossentropy"}
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One rung: a network, and the rows of an epoch."""

    name: str
    sizes: tuple[int, ...]
    activation: str
    output: str
    loss: str
    batch: int
    rows: int

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return -(-self.rows // self.batch)

    @property
    def products(self) -> int:
        """Multiplications of an epoch's forward pass."""
        return self.rows * sum(K * N for K, N in zip(self.sizes[:-1], self.sizes[1:], strict=True))


CASES = (
    Case("coffee", (2, 25, 15, 1), "sigmoid", "sigmoid", "bce", 32, 6400),
    Case("chains", (4, 32, 16, 4), "tanh", "linear", "mse", 10000, 100000),
    Case("tabular", (20, 64, 64, 1), "relu", "linear", "mse", 32, 6400),
    Case("digits", (64, 128, 10), "relu", "softmax", "ce", 64, 6400),
    Case("mnist128", (784, 128, 10), "relu", "softmax", "ce", 128, 5120),
    Case("mnist512", (784, 512, 512, 10), "relu", "softmax", "ce", 128, 1280),
    Case("wide1024", (1024, 1024, 1024, 10), "relu", "softmax", "ce", 256, 1024),
)


def make_data(case: Case, seed: int = 0) -> tuple[Array, NDArray[np.generic]]:
    """Return x and y: the targets follow the features through a linear map with noise.

    The noise keeps the loss away from zero however long a benchmark trains.
    """
    rng = np.random.default_rng(seed)
    K, N = case.sizes[0], case.sizes[-1]
    x = rng.standard_normal((case.rows, K), np.float32)
    z = x @ (rng.standard_normal((K, N), np.float32) / np.float32(np.sqrt(K)))
    z += rng.standard_normal(z.shape, np.float32) / np.float32(2)
    if case.loss == "ce":
        return x, np.argmax(z, axis=1)
    if case.loss == "bce":
        return x, (z > 0).astype(np.float32)
    return x, z


def make_numpy(case: Case, seed: int = 0) -> NumpyMLP:
    """Return the baseline with its initial weights."""
    return NumpyMLP(case.sizes, case.activation, case.output, case.loss, learning_rate=LEARNING_RATE, seed=seed)


def make_fastmlp(case: Case, seed: int = 0) -> Sequential:
    """Return the compiled model, with the weights that :func:`make_numpy` starts from."""
    layers = [Dense(units, activation=case.activation) for units in case.sizes[1:-1]]
    model = Sequential(
        [Input(shape=(case.sizes[0],)), *layers, Dense(case.sizes[-1], activation=case.output)], seed=seed
    )
    model.compile(optimizer=Adam(learning_rate=LEARNING_RATE), loss=LOSSES[case.loss])
    model.set_weights(make_numpy(case, seed).get_weights())
    return model


class Trainers:
    """Both implementations of a case, with the same data and start weights."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.x, self.y = make_data(case)
        self._fastmlp = make_fastmlp(case)
        self._numpy = make_numpy(case)

    def fastmlp(self) -> float:
        """Train fastmlp for an epoch, the batches in order, and return the mean loss."""
        history = self._fastmlp.fit(self.x, self.y, batch_size=self.case.batch, shuffle=False, verbose=0)
        return history.history["loss"][0]

    def numpy(self) -> float:
        """Train the baseline for the same epoch and return the mean loss."""
        return self._numpy.train_epoch(self.x, self.y, self.case.batch)


def check_equal(trainers: Trainers, epochs: int = 2) -> None:
    """Train both and raise AssertionError unless the epochs' losses agree."""
    losses = [(trainers.fastmlp(), trainers.numpy()) for _ in range(epochs)]
    ours, baseline = zip(*losses, strict=True)
    np.testing.assert_allclose(ours, baseline, rtol=1e-3, err_msg=f"losses of {trainers.case.name}")
