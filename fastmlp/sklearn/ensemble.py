"""What ensembles for classes and for numbers share: members that are trained at once, each on rows of its own."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..ensemble import Ensemble
from ..errors import check_count, check_flag, check_whole
from ..inputs import floats
from ..jobs import run_jobs, shown
from ..rows import is_sparse
from .bags import Bags, make_bags
from .data import Float32, checked_data, checked_weights
from .estimator import BaseMLP
from .parameters import check_parameters
from .stream import AUTO_BATCH

# what an ensemble decides for its members
NOT_A_MEMBERS = ("random_state", "warm_start", "verbose", "callbacks", "n_jobs")
# what the last fit with oob_score has left
OUT_OF_BAG = ("oob_score_", "oob_decision_function_", "oob_prediction_")
LARGEST_SEED = np.iinfo(np.int32).max


class Member:
    """An estimator to be trained with others; see :class:`fastmlp.jobs.Job`."""

    def __init__(self, number: int, total: int, estimator: BaseMLP) -> None:
        self.number, self.total, self.estimator = number, total, estimator

    def run(
        self,
        X: Any,
        y: NDArray[Any],
        encoded: Float32,
        weights: NDArray[np.float64] | None,
        bags: Bags,
    ) -> BaseMLP:
        """Train the estimator on its rows."""
        try:
            return self.estimator._fit_rows(X, y, encoded, weights, bags(self.estimator.random_state))
        except Exception as error:
            error.add_note(f"This was estimator {self.number + 1} of {self.total} in the ensemble.")
            raise

    def stop(self) -> None:
        """End the training with its step, if it goes on."""
        model = getattr(self.estimator, "model_", None)
        if model is not None:
            model.stop_training = True


# scikit-learn has no types, which the type: ignore of this folder are for
class BaseMLPEnsemble(BaseEstimator, ABC):  # type: ignore[misc]
    """Multi-layer perceptrons that are trained on rows of the same data; see the classes made from it."""

    # parameters that the code here uses, for the type checker
    n_estimators: int
    max_samples: Any
    bootstrap: bool
    oob_score: bool
    warm_start: bool
    n_jobs: int | None
    random_state: Any
    verbose: Any
    callbacks: Any
    n_features_in_: int
    n_outputs_: int
    estimators_: list[Any]
    _bags: list[Bags]
    # the estimator that there are several of
    _kind: ClassVar[type[BaseMLP]]

    @abstractmethod
    def _learn_from(self, pattern: BaseMLP, *, anew: bool) -> None:
        """Take over what an estimator has learned about all targets, or raise ValueError if it differs from before."""

    @abstractmethod
    def _outputs_of(self, member: BaseMLP, X: Any) -> Float32:
        """Return a member's predictions (n, columns) for checked data, with the columns of the ensemble."""

    @abstractmethod
    def _score_oob(self, y: Any, mean: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        """Keep the predictions (n, columns) for rows that members were not trained on, NaN where there is none."""

    def _member(self, number: int, seed: int | None) -> BaseMLP:
        """An estimator that is trained as part of this one."""
        own = [name for name in signature(self._kind).parameters if name not in NOT_A_MEMBERS]
        callbacks = None if self.callbacks is None or seed is None else self.callbacks(number)
        return self._kind(**{name: getattr(self, name) for name in own}, random_state=seed, callbacks=callbacks)

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for a parameter that is out of its range."""
        check_parameters(self._member(0, None).set_params(n_jobs=self.n_jobs))
        check_count("n_estimators", self.n_estimators)
        for name in ("oob_score", "warm_start"):
            check_flag(name, getattr(self, name))
        check_whole("verbose", int(self.verbose) if isinstance(self.verbose, (bool, np.bool_)) else self.verbose)
        if self.callbacks is not None and not callable(self.callbacks):
            raise TypeError(
                "callbacks must be a function that returns the list of callbacks for the number of an estimator, got "
                f"{self.callbacks!r}"
            )
        if self.oob_score and not self.bootstrap:
            raise ValueError("oob_score=True needs rows that are left out, as with bootstrap=True")
        if self.oob_score and self.warm_start:
            raise ValueError("oob_score=True needs the rows of all estimators, and warm_start=True may have others")

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._check_parameters()
        before = vars(self).copy()
        try:
            return self._fit_checked(X, y, sample_weight, anew=not (self.warm_start and hasattr(self, "estimators_")))
        except BaseException:
            # be what the last fit has made
            self.__dict__ = before
            raise

    def _fit_checked(self, X: Any, y: Any, sample_weight: Any, *, anew: bool) -> Self:
        """Train the members that are missing, of checked parameters, after a check of the data."""
        first = 0 if anew else len(self.estimators_)
        if self.n_estimators < first:
            raise ValueError(
                f"n_estimators must be at least the {first} estimators that there are with warm_start, got "
                f"{self.n_estimators}"
            )
        pattern = self._member(0, None)
        X, y = checked_data(self, X, y, numeric=not pattern._classifies, reset=anew)
        encoded = pattern._encode(y, anew=True, incremental=False)
        self._learn_from(pattern, anew=anew)
        weights = checked_weights(sample_weight, len(encoded))
        if self.n_estimators == first:
            warnings.warn("warm_start without more n_estimators trains nothing", stacklevel=4)
            return self
        # converted once, where it is needed
        X = X if is_sparse(X) else floats(X)
        bags = make_bags(
            X, encoded, weights, max_samples=self.max_samples, bootstrap=self.bootstrap, sort_below=AUTO_BATCH
        )
        # a member's seed does not depend on how many there are
        seeds = check_random_state(self.random_state).randint(LARGEST_SEED, size=self.n_estimators)
        members = [self._member(number, int(seeds[number])) for number in range(first, self.n_estimators)]
        jobs = [Member(number, self.n_estimators, one) for number, one in enumerate(members, first)]
        for name in OUT_OF_BAG:
            self.__dict__.pop(name, None)
        # drawn by, or handed over
        own_weights = None if bags.replace else weights
        with shown(min(int(self.verbose), 2), len(jobs), "Estimator") as show:
            trained = run_jobs(
                jobs, (X, y, encoded, own_weights, bags), self.n_jobs, lambda i, one: show(i, lambda: _told(one))
            )
        if hasattr(self, "feature_names_in_"):
            for one in trained:
                one.feature_names_in_ = self.feature_names_in_
        self.estimators_ = [*([] if anew else self.estimators_), *trained]
        self._bags = [*([] if anew else self._bags), *[bags] * len(trained)]
        if self.oob_score:
            self._score_oob(y, self._left_out(X), weights)
        return self

    def _left_out(self, X: Any) -> NDArray[np.float64]:
        """The mean of members' predictions (n, columns) for the rows that each was not trained on; NaN without any."""
        total = np.zeros((X.shape[0], self._outputs_of(self.estimators_[0], X[:1]).shape[1]))
        counts = np.zeros(X.shape[0], np.int64)
        for member, drawn in zip(self.estimators_, self._drawn(), strict=True):
            out = np.ones(X.shape[0], bool)
            out[drawn] = False
            if out.any():
                total[out] += self._outputs_of(member, X[out])
                counts += out
        if not counts.all():
            warnings.warn(
                "some rows were drawn by every estimator, and have no out-of-bag prediction: more n_estimators, or a "
                "lower max_samples, would do",
                stacklevel=5,
            )
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = total / counts[:, np.newaxis]
        return mean

    @property
    def estimators_samples_(self) -> list[NDArray[np.int64]]:
        """The rows that each estimator was trained on, in their order; drawn again whenever they are asked for."""
        check_is_fitted(self, "estimators_")
        return list(self._drawn())

    def _drawn(self) -> Iterator[NDArray[np.int64]]:
        """Draw the rows of each estimator."""
        for bags, member in zip(self._bags, self.estimators_, strict=True):
            rows = bags(member.random_state)
            yield np.arange(bags.rows) if rows is None else rows

    @property
    def n_iter_(self) -> int:
        """The epochs of the estimator that had the most."""
        check_is_fitted(self, "estimators_")
        return max(int(member.n_iter_) for member in self.estimators_)

    @property
    def ensemble_(self) -> Ensemble:
        """The networks as a :class:`fastmlp.Ensemble`, such as for one file with all of them.

        Raises
        ------
        ValueError
            Where the networks have different outputs, as some were trained on rows without some of the classes.
        """
        check_is_fitted(self, "estimators_")
        for member in self.estimators_:
            member._push()
        return Ensemble(member.model_ for member in self.estimators_)

    def _each(self, X: Any) -> Iterator[Float32]:
        """Each member's predictions for data that are checked here."""
        check_is_fitted(self, "estimators_")
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        return (self._outputs_of(member, X) for member in self.estimators_)

    def _mean(self, X: Any) -> NDArray[np.float64]:
        """The mean of the members' predictions (n, columns)."""
        mean: Any = 0.0
        for count, outputs in enumerate(self._each(X), 1):
            mean = mean + (outputs - mean) / count
        return np.asarray(mean, np.float64)

    def _mean_and_deviation(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the members' predictions, by Welford's updates (Technometrics 4, 1962)."""
        mean: Any = 0.0
        squares: Any = 0.0
        for count, outputs in enumerate(self._each(X), 1):
            change = outputs - mean
            mean = mean + change / count
            squares = squares + change * (outputs - mean)
        return mean, np.sqrt(squares / len(self.estimators_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _told(member: BaseMLP) -> str:
    return f"{member.n_iter_} iterations  loss: {member.loss_:.6g}"
