"""NumPy's side of a comparison."""

from collections.abc import Sequence
from typing import Any

from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32
from .numpy_baseline import NumpyMLP


class NumpySide:
    """The baseline with the data of a case."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        self.model = NumpyMLP(
            case.sizes, case.activation, case.output, case.loss, LEARNING_RATE, BETA_1, BETA_2, EPSILON
        )
        self.model.set_weights(weights)
        self.x, self.y, self.batch = x, y, case.batch

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        return [self.model.train_epoch(self.x, self.y, self.batch) for _ in range(epochs)]


make = NumpySide
