"""fastmlp's side of a comparison, through its public API."""

from collections.abc import Sequence
from typing import Any

from ..layers import Dense, Input
from ..model import Sequential
from ..optimizers import Adam
from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32

LOSSES = {"mse": "mse", "bce": "binary_crossentropy", "ce": "sparse_categorical_crossentropy"}


class FastmlpSide:
    """A model that goes on training from one call of ``fit`` to the next."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        layers = [Dense(units, activation=case.activation) for units in case.sizes[1:-1]]
        output = Dense(case.sizes[-1], activation=case.output)
        self.model = Sequential([Input(shape=(case.sizes[0],)), *layers, output], seed=0)
        self.model.compile(Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON), loss=LOSSES[case.loss])
        self.model.set_weights(weights)
        self.x, self.y, self.batch = x, y, case.batch

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        history = self.model.fit(
            self.x, self.y, batch_size=self.batch, epochs=epochs, shuffle=False, verbose=0
        )  # fmt: skip
        return list(history.history["loss"])


make = FastmlpSide
