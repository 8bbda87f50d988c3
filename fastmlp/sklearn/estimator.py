"""What classifier and regressor share: parameters, fitting, and the network's weights as scikit-learn's."""

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import display, losses, optimizers
from ..callbacks import History
from ..engine.feed import Feed
from ..errors import TrainingDivergedError
from ..fitting import Callbacks, TrainingData
from ..hooks import Logs
from ..inputs import check_y, floats
from ..jobs import as_threads
from ..losses import Custom, Loss
from ..model import Sequential, check_deterministic
from ..optimizers import LBFGS
from ..rows import is_sparse
from ..threads import limited
from .data import (
    Chosen,
    Float32,
    as_feed_rows,
    check_weights,
    checked_data,
    checked_weights,
    constant_weights,
    placed,
    surely_fits,
    worth,
)
from .network import copy_weights, dense_layers, draw_weights, make_network
from .parameters import check_parameters, hidden_layers
from .stream import AUTO_BATCH, Settled, goes_on, settle
from .training import Iterations, Order, as_a_set, constant_of_poisson, diverged, make_optimizer, scale_of
from .views import Views

# rows of a batch where batch_size is "auto", at most


def iterates(estimator: "BaseMLP") -> bool:
    """Say whether the solver takes batches, as ``partial_fit`` needs; scikit-learn raises this error too."""
    if estimator.optimizer is None and estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs a solver that takes batches, such as 'adam'; lbfgs takes all rows")
    return True


# scikit-learn has no types, which the type: ignore of this folder are for
class BaseMLP(BaseEstimator, ABC):  # type: ignore[misc]
    """A multi-layer perceptron as an estimator; see the classes made from it."""

    # parameters that classifier and regressor have in common, for the type checker
    hidden_layer_sizes: Any
    activation: Any
    solver: str
    batch_size: Any
    max_iter: int
    loss: Any
    shuffle: bool
    random_state: Any
    warm_start: bool
    early_stopping: bool
    validation_fraction: float
    alpha: float
    l1: float
    dropout: float
    batch_norm: bool
    optimizer: Any
    schedule: Any
    callbacks: Any
    n_jobs: int | None
    n_outputs_: int
    verbose: Any
    class_weight: Any = None
    # what the last call of partial_fit has left for the next one
    _settled: Settled | None
    # whether targets are classes, and the names of losses that are scikit-learn's own
    _classifies: bool
    _own: tuple[str, ...]

    @abstractmethod
    def _encode(self, y: NDArray[Any], *, anew: bool, incremental: bool) -> Float32:
        """Learn about the targets if ``anew``, and return them as the loss takes them (n, columns)."""

    @abstractmethod
    def _output(self) -> str:
        """Return scikit-learn's name of the output's activation."""

    @abstractmethod
    def _own_loss(self) -> Loss:
        """Return the loss that scikit-learn's name of one stands for."""

    @abstractmethod
    def _score_of(self, outputs: Float32, targets: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
        """Return the score of outputs on encoded targets, as ``score`` would."""

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Self:
        settled = getattr(self, "_settled", None)
        if incremental and settled is not None and sample_weight is None and goes_on(self, settled, X, y):
            return self
        self._settled = None
        check_parameters(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        anew = not hasattr(self, "model_") or not (self.warm_start or incremental)
        before = vars(self).copy()
        try:
            return self._fit_checked(X, y, sample_weight, anew=anew, incremental=incremental)
        except BaseException:
            if anew:
                # be what the last fit has made
                self.__dict__ = before
            raise

    def _fit_checked(self, X: Any, y: Any, sample_weight: Any, *, anew: bool, incremental: bool) -> Self:
        """Train a network, of checked parameters, after a check of the data."""
        X, y = checked_data(self, X, y, numeric=not self._classifies, reset=anew)
        targets = self._encode(y, anew=anew, incremental=incremental)
        weights = self._weights(sample_weight, y, len(targets))
        return self._learn(X, targets, weights, None, anew=anew, incremental=incremental)

    def _fit_rows(self, X: Any, y: NDArray[Any], encoded: Float32, sample_weight: Any, rows: Chosen) -> Self:
        """Be what ``fit`` makes of some rows of data that :func:`checked_data` has checked, and that are not copied.

        Parameters
        ----------
        X, y, sample_weight : array or sparse matrix
            All rows.
        encoded : float32 (n, columns)
            What an estimator of all rows makes of y.
        rows : int64 array, optional
            Those to train on, of which some may come often; by default all.
        """
        self.n_features_in_ = X.shape[1]
        labels = y if rows is None else y[rows]
        targets = self._encode(labels, anew=True, incremental=False)
        given = sample_weight if sample_weight is None or rows is None else sample_weight[rows]
        weights = self._weights(given, labels, len(targets))
        if np.array_equal(targets, encoded if rows is None else encoded[rows]):
            targets = encoded
        elif rows is not None:
            # there are classes that these rows do not have
            targets = placed(targets, rows, len(y))
        return self._learn(X, targets, weights, rows, anew=True, incremental=False)

    def _learn(
        self,
        X: Any,
        targets: Float32,
        weights: NDArray[np.float64] | None,
        chosen: Chosen,
        *,
        anew: bool,
        incremental: bool,
    ) -> Self:
        """Train a network on rows chosen from checked data, which have these weights."""
        generator = check_random_state(self.random_state)
        if anew:
            self._begin(generator)
        else:
            self._push()
            changed = self._follow()
        if anew or changed or not incremental:
            self._compile()
        self._check_loss(targets, weights)
        if anew or self._validates() != (self.validation_scores_ is not None):
            self._count_anew()
        self._train(X, targets, weights, chosen, generator, incremental=incremental)
        if self._views is not None:
            self._views.pull()
        self._settled = settle(self) if incremental else None
        return self

    def _weights(self, sample_weight: Any, y: NDArray[Any], rows: int) -> NDArray[np.float64] | None:
        """The rows' weights, by sample and by class; None where all count alike."""
        weights = checked_weights(sample_weight, rows)
        if self.class_weight is not None:
            from sklearn.utils.class_weight import compute_sample_weight

            by_class = compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
            check_weights("class_weight", weights)
        return weights

    def _begin(self, generator: np.random.RandomState) -> None:
        """Make a network with initial weights."""
        hidden = hidden_layers(self)
        self.out_activation_ = self._output()
        self.n_layers_ = len(hidden) + 2
        self._views: Views | None = None
        # scikit-learn's generator draws nothing here
        self._network(int(generator.randint(2**31 - 1)) if self.dropout else 0)
        names = [name for _, name in hidden]
        draw_weights(self.model_, [*names, names[-1] if names else self.activation], generator)

    def _network(self, seed: int) -> None:
        """Make a network of the present parameters."""
        self._made_of = self._parts()
        self.model_: Sequential = make_network(
            self.n_features_in_, hidden_layers(self), (self.n_outputs_, self.out_activation_), alpha=self.alpha,
            l1=self.l1, dropout=self.dropout, batch_norm=self.batch_norm, seed=seed,
        )  # fmt: skip

    def _parts(self) -> tuple[Any, ...]:
        """The parameters that a network is made of."""
        return hidden_layers(self), self.alpha, self.l1, self.dropout, self.batch_norm

    def _follow(self) -> bool:
        """Have a network of the present parameters with the weights of the one there is; say whether it is new."""
        if self._parts() == self._made_of:
            return False
        old, sizes = self.model_, [units for units, _ in hidden_layers(self)]
        if sizes != [layer.units for layer in dense_layers(old)[:-1]]:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} is not what the weights are for, with which "
                "warm_start and partial_fit go on"
            )
        self._network(old.seed)
        copy_weights(old, self.model_)
        if self._views is not None:
            self._views.layers = dense_layers(self.model_)
        return True

    def _validates(self) -> bool:
        """Whether rows are kept out; L-BFGS takes all, as in scikit-learn."""
        return self.early_stopping and not isinstance(self.model_.optimizer, LBFGS)

    def _count_anew(self) -> None:
        """Start all that is counted, and the curves."""
        self.n_iter_ = self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        early = self._validates()
        self.validation_scores_: list[float] | None = [] if early else None
        self.validation_loss_curve_: list[float] | None = [] if early else None
        self.best_validation_score_: float | None = -np.inf if early else None
        self.best_loss_: float | None = None if early else np.inf

    def _compile(self) -> None:
        """Give the network its loss, and an optimizer that begins anew."""
        chosen = make_optimizer(self) if self.optimizer is None else copy.deepcopy(optimizers.get(self.optimizer))
        loss = self._own_loss() if self._has_own_loss() else losses.get(self.loss)
        # what is reported differs from what is minimised there
        metrics = ["mse"] if self.loss == "squared_error" and self.n_outputs_ > 1 else []
        self.model_.compile(chosen, loss, weighted_metrics=metrics)

    def _has_own_loss(self) -> bool:
        """Whether the loss is one of scikit-learn's."""
        return isinstance(self.loss, str) and self.loss in self._own

    def _check_loss(self, targets: Float32, weights: NDArray[np.float64] | None) -> None:
        """Raise ValueError for what another loss than scikit-learn's does not take."""
        loss = self.model_.loss
        if self._has_own_loss() or loss is None:
            return
        check_y(targets, len(targets), self.n_outputs_, loss)
        if weights is not None and isinstance(loss, Custom):
            raise ValueError(
                "sample_weight and class_weight cannot be used with a loss of one's own, which gets the whole batch "
                "and returns one number"
            )

    def _train(
        self,
        X: Any,
        targets: Float32,
        weights: NDArray[np.float64] | None,
        chosen: Chosen,
        generator: np.random.RandomState,
        *,
        incremental: bool,
    ) -> None:
        """Train the network on rows chosen from X and targets, by default all, which have these weights."""
        model, loss = self.model_, self.model_.loss
        assert loss is not None
        scale = scale_of(loss, self.loss, self.n_outputs_)
        validation, score, best = None, None, None
        if self._validates():
            if self.best_validation_score_ != -np.inf:
                best = model.get_weights()
            train, kept = self._split(targets if chosen is None else targets[chosen], generator)
            kept_weights = None if weights is None else weights[kept]
            weights = None if weights is None else weights[train]
            chosen, kept = (train, kept) if chosen is None else (chosen[train], chosen[kept])
            kept_X, kept_targets = X[kept], targets[kept]
            validation = Feed(
                as_feed_rows(kept_X),
                kept_targets,
                constant_weights(kept_weights, len(kept), scale),
                worth(kept_weights),
            )

            def score() -> float:
                return self._score_of(model(kept_X), kept_targets, kept_weights)

        full, given = isinstance(model.optimizer, LBFGS), len(targets if chosen is None else chosen)
        batch = given if full else self._batch(given)
        # a loss of one's own takes no weights
        set_of_rows = given == batch <= AUTO_BATCH and not (incremental or isinstance(loss, Custom))
        if chosen is not None and (set_of_rows or (weights is not None and len(np.unique(chosen)) < given)):
            # a row that comes often would need the weights of several batches
            X, targets, chosen = X[chosen], targets[chosen], None
        if set_of_rows:
            X, targets, weights = as_a_set(X, targets, weights)
        rows = len(targets if chosen is None else chosen)
        own_weights = constant_weights(weights, rows, scale)
        row_weights = placed(own_weights, chosen, len(targets)) if own_weights.size else own_weights
        if full:
            check_deterministic(model.layers)
            X = X if is_sparse(X) else floats(X)
        drawn = generator if self.shuffle and not full else None
        order = Order(drawn, given, row_weights, weights, chosen, batch, scale)
        constants = None
        if self.loss == "poisson":
            constants = constant_of_poisson(targets if chosen is None else targets[chosen])

        def reported(logs: Logs, prefix: str) -> float:
            value = logs[f"{prefix}loss"]
            if constants is not None and not prefix:
                own = row_weights if chosen is None or not row_weights.size else row_weights[chosen]
                shares = own / scale if own.size else 1.0
                value += float(np.mean(shares * constants))
            name = f"{prefix}mse"
            return value - 0.5 * (self.n_outputs_ - 1) * logs[name] if name in logs else value

        iterations = Iterations(self, reported, score, best, given, single=incremental)
        called = Callbacks([*_listed(self.callbacks), iterations])
        self.n_iter_ = 0
        feed = Feed(as_feed_rows(X), targets, row_weights, worth(weights), chosen)
        data = TrainingData(feed, None, min(batch, rows), -(-rows // batch))
        try:
            with limited(None if self.n_jobs is None else as_threads(self.n_jobs)):
                model._run(
                    data, validation, called, display.progress(0), shuffle=order,
                    validation_batch=AUTO_BATCH, validation_freq=1, first=0, last=self.max_iter, verbose=0,
                )  # fmt: skip
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
        except TrainingDivergedError as error:
            if iterations.best_weights is None:
                raise diverged(error) from error
            iterations.diverged()
            warnings.warn(f"{error} The best weights are kept.", ConvergenceWarning, stacklevel=6)
        else:
            ending = ""
            if isinstance(model.optimizer, LBFGS) and "maxfun" in model.optimizer.status:
                ending = model.optimizer.status
            elif not (iterations.finished or self.n_iter_ < self.max_iter):
                ending = f"Maximum iterations ({self.max_iter}) reached"
            if ending:
                text = f"{ending} and the optimization hasn't converged yet."
                warnings.warn(text, ConvergenceWarning, stacklevel=6)
        self.history_: History = called.history
        if iterations.best_weights is not None:
            model.set_weights(iterations.best_weights)

    def _split(self, targets: Float32, generator: np.random.RandomState) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of rows to train on, and of a share for validation, the same ones as scikit-learn's."""
        stratify = targets.astype(bool) if self._classifies and self.n_outputs_ == 1 else None
        train, kept = train_test_split(
            np.arange(len(targets)), random_state=generator, test_size=self.validation_fraction, stratify=stratify
        )
        if len(kept) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return train, kept

    def _batch(self, rows: int) -> int:
        """Rows of a batch."""
        if isinstance(self.batch_size, str):
            return min(AUTO_BATCH, rows)
        if self.batch_size > rows:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {rows} rows to train on, which make one batch",
                stacklevel=7,
            )
        return min(int(self.batch_size), rows)

    def _outputs(self, X: Any) -> Float32:
        """The network's outputs (n, N) for data that are checked here."""
        if not hasattr(self, "model_"):
            check_is_fitted(self, "model_")
        if not surely_fits(self, X):
            X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        return self._outputs_of_checked(X)

    def _outputs_of_checked(self, X: Any) -> Float32:
        """The network's outputs (n, N) for an array or a sparse matrix of as many features."""
        self._push()
        # checks that the numbers are finite
        return self.model_(X)

    def _push(self) -> None:
        """Give the network what has been written to its weights."""
        if self._views is not None:
            self._views.push()

    def _shown(self) -> Views:
        """The weights as the user may write to them."""
        check_is_fitted(self, "model_")
        if self._views is None:
            self._views = Views(dense_layers(self.model_))
        return self._views

    @property
    def coefs_(self) -> list[Float32]:
        """The kernels (inputs, outputs) of each layer; what is written to them counts."""
        return self._shown().refreshed().coefs

    @coefs_.setter
    def coefs_(self, arrays: Any) -> None:
        self._shown().replace("coefs", arrays)

    @property
    def intercepts_(self) -> list[Float32]:
        """The biases (outputs,) of each layer; what is written to them counts."""
        return self._shown().refreshed().intercepts

    @intercepts_.setter
    def intercepts_(self, arrays: Any) -> None:
        self._shown().replace("intercepts", arrays)

    def __getstate__(self) -> dict[str, Any]:
        if hasattr(self, "_views"):
            self._push()
        state: dict[str, Any] = dict(super().__getstate__())
        for name in ("_views", "_settled"):
            if name in state:
                state[name] = None
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
