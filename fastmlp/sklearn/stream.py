"""A stream of small batches for ``partial_fit``: one step each, without what a whole training makes around it."""

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.feed import NO_WEIGHTS, Feed
from ..errors import TrainingDivergedError
from ..history import History
from .data import constant_weights, surely_fits, surely_fits_targets
from .training import diverged, record_step, scale_of

# the rows of one batch, by default
AUTO_BATCH = 200


class Settled(NamedTuple):
    """What one call has found out, and the next one relies on as long as no parameter has changed.

    Attributes
    ----------
    read : callable
        Returns the parameters among an estimator's attributes.
    parameters : tuple
        What they were.
    rows : tuple of int
        The fewest and the most rows that are one batch, whatever is said about others.
    scale : float
        What the loss is multiplied with.
    """

    read: Callable[[Any], tuple[Any, ...]]
    parameters: tuple[Any, ...]
    rows: tuple[int, int]
    scale: float


def settle(estimator: Any) -> Settled | None:
    """Return what the next call of a trained estimator may rely on; None where each call is a whole training."""
    own = estimator.optimizer is None and estimator.schedule is None and estimator.loss != "poisson"
    more = estimator.callbacks is not None or estimator.verbose or estimator.n_jobs is not None
    # a list can be changed and stay the same one, and a generator is advanced by each training
    changing = any(isinstance(each, list) for each in (estimator.hidden_layer_sizes, estimator.activation))
    drawn = estimator.random_state is not None and not isinstance(estimator.random_state, int)
    # of several outputs' squared errors, what is reported is not what is minimised
    several = estimator.loss == "squared_error" and estimator.n_outputs_ > 1
    weighted = estimator.class_weight is not None
    # scikit-learn warns then
    named = hasattr(estimator, "feature_names_in_")
    if not own or not estimator._has_own_loss() or more or named or changing or drawn or several or weighted:
        return None
    automatic = isinstance(estimator.batch_size, str)
    read = itemgetter(*estimator._get_param_names())
    loss = estimator.model_.loss
    return Settled(
        read,
        read(vars(estimator)),
        (1, AUTO_BATCH) if automatic else (estimator.batch_size, estimator.batch_size),
        scale_of(loss, estimator.loss, estimator.n_outputs_),
    )


@lru_cache(16)
def _weights(rows: int, scale: float) -> NDArray[np.float32]:
    """Weights of rows that make one batch; the same object each time, so that a step knows them."""
    return constant_weights(None, rows, scale) if scale != 1 else NO_WEIGHTS


def goes_on(estimator: Any, settled: Settled, X: Any, y: Any) -> bool:
    """Make a step with rows, as ``partial_fit`` does; False, and nothing is done, where that needs a training.

    Raises
    ------
    ValueError
        For targets that do not fit, or a step that diverges.
    """
    fewest, most = settled.rows
    if (
        type(X) is not np.ndarray
        or type(y) is not np.ndarray
        or X.ndim != 2
        or X.dtype.kind != "f"
        or y.ndim != 1
        or not fewest <= len(X) <= most
        or estimator._views is not None
        or settled.read(vars(estimator)) != settled.parameters
    ):
        return False
    model, rows = estimator.model_, len(X)
    weights = _weights(rows, settled.scale)
    try:
        # classes are numbered first; numbers, and how many there are, are looked at on their way
        logs = None if estimator._classifies else model._step_again(X, y, weights)
        if logs is None:
            if not surely_fits(estimator, X) or not surely_fits_targets(y, rows, numeric=not estimator._classifies):
                return False
            targets = estimator._encode(y, anew=False, incremental=True)
            logs = model._step_again(X, targets, weights) or model._make_step(Feed(X, targets, weights))
    except TrainingDivergedError as error:
        raise diverged(error) from error
    record_step(estimator, logs["loss"], rows)
    # as after any training: a record of its own, without the parameters of a run
    estimator.history_ = model.history = History()
    estimator.history_.append(0, logs)
    return True
