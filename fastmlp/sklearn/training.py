"""What an estimator does between epochs, and how its rows are weighted: scikit-learn's rules."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingDivergedError
from ..hooks import Callback, Logs
from ..losses import Loss
from ..optimizers import LBFGS, SGD, Adam, Optimizer
from ..rows import is_sparse

# "adaptive" divides the learning rate by this, and ends where it is as small as that
DIVISOR, SMALLEST_RATE = 5.0, 1e-6


def make_optimizer(estimator: Any) -> Optimizer | LBFGS:
    """Return the optimizer of an estimator's ``solver``."""
    rate = estimator.learning_rate_init if estimator.schedule is None else estimator.schedule
    if estimator.solver == "lbfgs":
        return LBFGS(gtol=estimator.tol, maxfun=estimator.max_fun)
    if estimator.solver == "adam":
        return Adam(rate, beta_1=estimator.beta_1, beta_2=estimator.beta_2, epsilon=estimator.epsilon)
    # without momentum there is nothing of Nesterov's
    nesterov = estimator.nesterovs_momentum and estimator.momentum > 0
    return SGD(rate, momentum=estimator.momentum, nesterov=nesterov)


class Order:
    """The order of rows in each epoch, drawn as scikit-learn draws it, and their weights there.

    A loss is the mean by weights of each batch alone, ``sum w loss / sum w``, while the engine divides by the rows: so
    each weight is multiplied by its batch's rows and divided by its batch's sum.

    Parameters
    ----------
    generator : RandomState, optional
        Shuffles the rows; without it they stay in their order.
    given : int
        How many rows scikit-learn would shuffle. Where they are one batch the generator draws an order for whoever
        uses it next, and no row moves: the order means nothing.
    weights : float32 (n,) or (0,)
        What the engine reads; written before each epoch where there are sample weights.
    sample_weight : float64 (rows,), optional
        The rows' own.
    chosen : int64 array (rows,), optional
        Where each row is among the n; by default there are no others. With sample weights, none comes twice.
    batch : int
        Rows of a batch.
    scale : float
        What all weights are multiplied with besides.
    """

    def __init__(
        self,
        generator: np.random.RandomState | None,
        given: int,
        weights: NDArray[np.float32],
        sample_weight: NDArray[np.float64] | None,
        chosen: NDArray[np.int64] | None,
        batch: int,
        scale: float,
    ) -> None:
        self._generator, self._rows, self._weights, self._given = generator, given, weights, sample_weight
        self._chosen, self._batch, self._scale = chosen, batch, scale
        self._order: NDArray[np.int64] | None = None

    def __call__(self, rows: int) -> NDArray[np.int64]:
        """Return the order of the next epoch."""
        if self._order is None:
            self._order = np.arange(rows)
        if self._generator is not None:
            # an order of the last order, of which there is one generator's state for each epoch
            change = np.arange(self._rows)
            self._generator.shuffle(change)
            if self._batch < self._rows:
                self._order = self._order[change]
        if self._given is not None:
            starts = np.arange(0, rows, self._batch)
            counts = np.diff(starts, append=rows)
            weights = self._given[self._order]
            sums = np.add.reduceat(weights, starts)
            factors = np.divide(counts, sums, out=np.zeros(len(sums)), where=sums > 0)
            places = self._order if self._chosen is None else self._chosen[self._order]
            self._weights[places] = self._scale * weights * np.repeat(factors, counts)
        return self._order


class Iterations(Callback):
    """Keeps an estimator's curves, and ends its training as scikit-learn does.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its curves, counts and best values are written.
    reported : callable
        Turns the logs of rows (prefixed or not) into the loss that the estimator reports.
    score : callable, optional
        Gives the validation score; without it the training loss counts.
    best_weights : list of ndarray, optional
        Those that the best validation score so far is of.
    rows : int
        Rows of an epoch.
    single : bool
        Whether this is one pass of ``partial_fit``.
    """

    # whoever stops the training is heard first
    order = 1

    def __init__(
        self,
        estimator: Any,
        reported: Callable[[Logs, str], float],
        score: Callable[[], float] | None,
        best_weights: list[NDArray[np.float32]] | None,
        rows: int,
        *,
        single: bool,
    ) -> None:
        super().__init__()
        self._estimator, self._reported, self._score = estimator, reported, score
        self._rows, self._single = rows, single
        self.best_weights = best_weights
        self.finished = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Record an epoch, and decide what follows."""
        estimator, logs = self._estimator, logs or {}
        estimator.n_iter_ += 1
        estimator.loss_ = self._reported(logs, "")
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if "val_loss" in logs:
            estimator.validation_loss_curve_.append(self._reported(logs, "val_"))
        if self._score is None:
            estimator.best_loss_ = improve(estimator, -estimator.loss_, estimator.best_loss_, -1.0)
        else:
            score = self._score()
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}")
            before = estimator.best_validation_score_
            estimator.best_validation_score_ = improve(estimator, score, before, 1.0)
            if self.best_weights is None or score > before:
                self.best_weights = self.model.get_weights()
        if not isinstance(self.model.optimizer, LBFGS):
            estimator.t_ += self._rows
            adjust(estimator, self.model, "Training loss" if self._score is None else "Validation score")
        if self._single or self.model.stop_training:
            self.model.stop_training = self.finished = True

    def diverged(self) -> None:
        """Record an epoch of which nothing but NaN came."""
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = math.nan
        for curve in (estimator.loss_curve_, estimator.validation_scores_, estimator.validation_loss_curve_):
            curve.append(math.nan)


def improve(estimator: Any, value: float, best: float, sign: float) -> float:
    """Count an epoch without improvement by more than tol; return the best value so far, whose sign is given."""
    improved = value >= sign * best + estimator.tol
    estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
    return sign * value if value > sign * best else best


def adjust(estimator: Any, model: Any, what: str) -> None:
    """Change the learning rate, or stop, as counts say; ``what`` has not improved where they say so."""
    optimizer = model.optimizer
    scheduled = estimator.optimizer is None and estimator.solver == "sgd" and estimator.schedule is None
    if scheduled and estimator.learning_rate == "invscaling":
        optimizer.learning_rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
    if estimator._no_improvement_count <= estimator.n_iter_no_change:
        return
    if scheduled and estimator.learning_rate == "adaptive":
        if optimizer.learning_rate > SMALLEST_RATE:
            estimator._no_improvement_count = 0
            optimizer.learning_rate = optimizer.learning_rate / DIVISOR
            ending = f"Setting learning rate to {optimizer.learning_rate:f}"
        else:
            model.stop_training, ending = True, "Learning rate too small. Stopping."
    else:
        model.stop_training, ending = True, "Stopping."
    if estimator.verbose:
        print(
            f"{what} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} "
            f"consecutive epochs. {ending}"
        )


def record_step(estimator: Any, loss: float, rows: int) -> None:
    """Keep the curves after one step, as :class:`Iterations` does in a training, in a third of the time."""
    model = estimator.model_
    estimator.n_iter_ = 1
    estimator.loss_ = loss
    estimator.loss_curve_.append(loss)
    estimator.best_loss_ = improve(estimator, -loss, estimator.best_loss_, -1.0)
    estimator.t_ += rows
    if estimator.solver == "sgd":
        # nothing else has a learning rate that is changed
        adjust(estimator, model, "Training loss")
    model.stop_training = True


def diverged(error: TrainingDivergedError) -> ValueError:
    """Return scikit-learn's error for a training that has diverged."""
    return ValueError(
        "Solver produced non-finite parameter weights. The input data may contain large values and need to "
        f"be preprocessed; or try a smaller learning_rate_init. ({error})"
    )


def as_a_set(
    X: Any, targets: NDArray[np.float32], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64] | None]:
    """Return rows that make one batch as a set: sorted, and each once with the sum of its weights.

    The order of such rows means nothing, and weights mean as much as repetitions. This way neither changes a bit.
    """
    features = np.asarray(X.toarray() if is_sparse(X) else X, np.float32)
    rows = np.ascontiguousarray(np.hstack([features, targets]))
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.bincount(number, weights=np.ones(len(rows)) if weights is None else weights)
    first, sums = first[sums > 0], sums[sums > 0]
    weights = None if (sums == 1).all() else np.asarray(sums, np.float64)
    return np.ascontiguousarray(features[first]), targets[first], weights


def constant_of_poisson(targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what scikit-learn's Poisson loss has above ``a - y log a``, for each row: ``sum(y log y - y)``."""
    y = targets.astype(np.float64)
    logarithms = np.log(y, out=np.zeros_like(y), where=y > 0)
    constants: NDArray[np.float64] = (y * logarithms - y).sum(axis=1)
    return constants


def scale_of(loss: Loss, name: object, outputs: int) -> float:
    """Return what a loss, a mean over outputs, is multiplied with to have scikit-learn's gradient.

    Its losses are sums over outputs, and half of the squared error.
    """
    if name == "squared_error":
        return outputs / 2
    if name == "poisson" or (name == "log_loss" and loss.name == "binary_crossentropy"):
        return float(outputs)
    return 1.0
