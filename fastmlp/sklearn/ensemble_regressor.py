"""The ensemble for numbers."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from .data import Float32
from .ensemble import BaseMLPEnsemble
from .estimator import BaseMLP
from .parameters import keep
from .regressor import MLPRegressor


class MLPEnsembleRegressor(RegressorMixin, BaseMLPEnsemble):  # type: ignore[misc]
    """Multi-layer perceptrons for numbers, trained at once on rows drawn for each, whose predictions are averaged.

    As ``BaggingRegressor(MLPRegressor(...))``, with the networks' parameters as its own; see
    :class:`MLPEnsembleClassifier`.

    Parameters
    ----------
    n_estimators, max_samples, bootstrap, oob_score, callbacks, n_jobs, random_state, verbose, warm_start
        As for :class:`MLPEnsembleClassifier`.
    **parameters
        All others are those of :class:`MLPRegressor`.

    Attributes
    ----------
    estimators_ : list of MLPRegressor
        The networks.
    oob_score_ : float
        With ``oob_score``: R2 of the rows that have an out-of-bag prediction.
    oob_prediction_ : ndarray of float64 (n_samples,) or (n_samples, n_outputs)
        With ``oob_score``: mean predictions by the networks that were not trained on a row; NaN where there is none.
    **attributes
        All others are those of :class:`MLPEnsembleClassifier` but ``classes_``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.sklearn import MLPEnsembleRegressor
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> ensemble = MLPEnsembleRegressor(5, hidden_layer_sizes=(8,), solver="lbfgs", activation="tanh", random_state=0)
    >>> mean, deviation = ensemble.fit(X, X[:, 0] ** 2).predict([[0.0], [3.0]], return_std=True)
    >>> bool(deviation[1] > 10 * deviation[0])  # nobody has seen anything there
    True
    """

    _kind = MLPRegressor

    def __init__(
        self,
        n_estimators: int = 10,
        *,
        max_samples: float | int = 1.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        tol: float = 1e-4,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "squared_error",
        dropout: float = 0.0,
        batch_norm: bool = False,
        l1: float = 0.0,
        optimizer: Any = None,
        schedule: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: Any = False,
        warm_start: bool = False,
    ) -> None:
        keep(vars())

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            The data.
        y : array-like (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : array-like (n_samples,), optional
            With ``bootstrap``, the rows' weights in the draws; else, in each network's loss.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters or data that do not fit; nothing is changed. ValueError where a training diverges.
        """
        return self._fit(X, y, sample_weight)

    def _learn_from(self, pattern: BaseMLP, *, anew: bool) -> None:
        if not anew and self.n_outputs_ != pattern.n_outputs_:
            raise ValueError(
                f"y must have {self.n_outputs_} columns as before with warm_start, got {pattern.n_outputs_}"
            )
        self.n_outputs_ = pattern.n_outputs_

    def _outputs_of(self, member: BaseMLP, X: Any) -> Float32:
        return member._outputs_of_checked(X)

    def _score_oob(self, y: Any, mean: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        self.oob_prediction_ = self._shaped(mean)
        known = ~np.isnan(mean[:, 0])
        counted = None if weights is None else weights[known]
        enough = known.sum() > 1 and (counted is None or counted.any())
        found = self.oob_prediction_[known]
        self.oob_score_ = float(r2_score(y[known], found, sample_weight=counted)) if enough else float("nan")

    def _shaped(self, columns: NDArray[Any]) -> NDArray[Any]:
        return columns[:, 0] if self.n_outputs_ == 1 else columns

    def predict(self, X: ArrayLike, return_std: bool = False) -> Float32 | tuple[Float32, Float32]:
        """Return the mean of the networks' predictions.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            The data.
        return_std : bool, default=False
            Whether to return the standard deviation between the networks, too: how little they agree.

        Returns
        -------
        ndarray of float32 (n_samples,) or (n_samples, n_outputs), or two of them
        """
        if not return_std:
            return self._shaped(self._mean(X)).astype(np.float32)
        mean, deviation = self._mean_and_deviation(X)
        return self._shaped(mean).astype(np.float32), self._shaped(deviation).astype(np.float32)
