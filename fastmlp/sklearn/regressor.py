"""The regressor."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from ..inputs import check_finite
from ..losses import Loss, MeanSquaredError, Poisson
from .data import Float32
from .estimator import BaseMLP, iterates
from .parameters import keep


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron for numbers, one or several for each row.

    scikit-learn's ``MLPRegressor`` with its parameters, defaults, attributes and results, trained by fastmlp.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        Half of the squared error; "poisson", the deviance of counts, whose network ends with an exponential
        function; or any of :mod:`fastmlp.losses`.
    **parameters
        All others are those of :class:`MLPClassifier`, which has ``class_weight`` besides.

    Attributes
    ----------
    **attributes
        Those of :class:`MLPClassifier` but ``classes_``.

    Examples
    --------
    >>> from fastmlp.sklearn import MLPRegressor
    >>> estimator = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=1)
    >>> estimator.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(2)
    array([7.], dtype=float32)
    """

    _classifies = False
    _own = ("squared_error", "poisson")

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        batch_norm: bool = False,
        l1: float = 0.0,
        optimizer: Any = None,
        schedule: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        keep(vars())

    def _encode(self, y: NDArray[Any], *, anew: bool, incremental: bool) -> Float32:
        columns = 1 if y.ndim == 1 else y.shape[1]
        if not anew and columns != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} columns as before, got {columns}")
        check_finite("y", y)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y must not be negative for loss='poisson', got {y.min()}")
        self.n_outputs_ = columns
        return np.asarray(y, np.float32).reshape(len(y), columns)

    def _output(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _own_loss(self) -> Loss:
        return Poisson() if self.loss == "poisson" else MeanSquaredError()

    def _score_of(self, outputs: Float32, targets: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
        # squares of what diverges are too large for float32
        return float(r2_score(targets, outputs.astype(np.float64), sample_weight=weights))

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            The data; sparse ones become dense by the batch alone.
        y : array-like (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : array-like (n_samples,), optional
            The rows' weights in the loss, and in the validation score.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For parameters or data that do not fit; nothing is changed. ValueError where the training diverges.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(iterates)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network on the data once; see :meth:`fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: ArrayLike) -> Float32:
        """Return the predictions for data: (n_samples,), or (n_samples, n_outputs)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs
