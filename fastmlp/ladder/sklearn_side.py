"""scikit-learn's side of a comparison: MLPClassifier and MLPRegressor with their Adam, which is that of Keras.

They draw their own initial weights. What their public parts allow: a first ``fit`` makes the arrays, then
``coefs_`` and ``intercepts_`` are overwritten in place, and with ``warm_start`` a second ``fit`` goes on from them
with a new Adam. From then on ``partial_fit`` is an epoch each.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .cases import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Case, Float32
from .sides import UnsupportedCaseError

ACTIVATIONS = {"relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}


class SklearnSide:
    """An estimator; its first epoch is a ``fit``, the others are ``partial_fit``."""

    def __init__(self, case: Case, x: Float32, y: Any, weights: Sequence[Float32]) -> None:
        if case.activation not in ACTIVATIONS:
            raise UnsupportedCaseError(f"scikit-learn has no {case.activation}")
        if case.loss == "ce" and len(np.unique(y)) < case.sizes[-1]:
            raise UnsupportedCaseError("scikit-learn's classifier has an output only for labels that occur")
        outputs = case.sizes[-1]
        # its gradient of the mean squared error is that of half the sum over the outputs; Adam forgets the factor
        # but for epsilon
        scale = outputs / 2 if case.loss == "mse" else 1.0
        estimator = MLPRegressor if case.loss == "mse" else MLPClassifier
        self.model = estimator(
            hidden_layer_sizes=case.sizes[1:-1],
            activation=ACTIVATIONS[case.activation],
            solver="adam",
            alpha=0.0,
            batch_size=case.batch,
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON * scale,
            max_iter=1,
            shuffle=False,
            tol=0.0,
            warm_start=True,
            random_state=0,
        )
        self.x = x
        self.y = y.reshape(len(y)) if outputs == 1 else y
        self.factor = 2.0 if case.loss == "mse" else 1.0  # it halves the squared error
        self.started = False
        self._fit()
        arrays = [*self.model.coefs_, *self.model.intercepts_]
        for array, start in zip(arrays, [*weights[::2], *weights[1::2]], strict=True):
            array[...] = start

    def _fit(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch is meant
            self.model.fit(self.x, self.y)

    def train(self, epochs: int) -> list[float]:
        """Train on all rows in their order, and return the mean loss of each epoch."""
        losses = []
        for _ in range(epochs):
            if self.started:
                self.model.partial_fit(self.x, self.y)
            else:
                self._fit()
                self.started = True
            losses.append(self.factor * float(self.model.loss_))
        return losses


make = SklearnSide
