"""The ensemble for classes."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.base import ClassifierMixin

from ..rows import is_sparse
from .classifier import MLPClassifier
from .data import Float32
from .ensemble import BaseMLPEnsemble
from .estimator import BaseMLP
from .parameters import keep


class MLPEnsembleClassifier(ClassifierMixin, BaseMLPEnsemble):  # type: ignore[misc]
    """Multi-layer perceptrons for classes, trained at once on rows drawn for each, whose probabilities are averaged.

    As ``BaggingClassifier(MLPClassifier(...))`` (Breiman, Machine Learning 24, 1996), with the networks' parameters as
    its own: one network a core, without a copy of the data for any, unless ``class_weight`` meets rows that are drawn
    often. Each has the bits of :class:`MLPClassifier` trained alone with its seed on its rows. ``bootstrap=False`` is a
    deep ensemble (Lakshminarayanan et al., NeurIPS 2017), whose members have all rows and differ by their seeds.

    Parameters
    ----------
    n_estimators : int, default=10
        How many networks.
    max_samples : float or int, default=1.0
        How many rows each has, or their share; with ``bootstrap`` and sample weights, the share of their sum.
    bootstrap : bool, default=True
        Whether rows are drawn with replacement, by their sample weights. Without, sample weights are the networks'.
    oob_score : bool, default=False
        Whether to score the predictions for each row by the networks that were not trained on it.
    callbacks : callable, optional
        Returns the list of callbacks for the number of a network.
    n_jobs : int, optional
        Networks at a time, -1 for as many as there are cores; by default :func:`fastmlp.get_num_threads`. Inside of
        ``joblib.parallel_config`` with processes or a cluster, they are trained there. It changes no bit.
    random_state : int, RandomState or None, default=None
        The networks' seeds follow from it, and from these the rows of each.
    verbose : bool or int, default=False
        Whether to show a bar over all networks (1), or a line for each (2).
    warm_start : bool, default=False
        Whether ``fit`` keeps the networks there are, and trains the further ones of a larger ``n_estimators``.
    **parameters
        All others are those of :class:`MLPClassifier`.

    Attributes
    ----------
    classes_ : ndarray
        The labels; for several labels at once, the numbers of their columns.
    estimators_ : list of MLPClassifier
        The networks, each of which knows the classes that its rows have.
    estimators_samples_ : list of ndarray of int64
        The rows of each, in their order.
    ensemble_ : fastmlp.Ensemble
        The networks as one, which can be saved to a file.
    oob_score_ : float
        With ``oob_score``: the accuracy of the rows that have an out-of-bag prediction.
    oob_decision_function_ : ndarray of float64 (n_samples, n_classes)
        With ``oob_score``: mean probabilities by the networks that were not trained on a row; NaN where there is none.
    n_outputs_, n_iter_ : int
        Outputs of a network that has all classes, and the most epochs of any.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Of the data; names where all columns had one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.sklearn import MLPEnsembleClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> ensemble = MLPEnsembleClassifier(5, hidden_layer_sizes=(8,), solver="lbfgs", oob_score=True, random_state=0)
    >>> len(ensemble.fit(X, X[:, 0] > X[:, 1]).estimators_)
    5
    >>> bool(ensemble.oob_score_ > 0.9)
    True
    """

    _kind = MLPClassifier
    classes_: NDArray[Any]
    _multilabel: bool
    _sparse_labels: bool

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
        loss: Any = "log_loss",
        class_weight: Any = None,
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
        y : array-like (n_samples,) or (n_samples, n_labels)
            Labels of any type, or 0 and 1 for several labels at once.
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
        assert isinstance(pattern, MLPClassifier)
        same = not anew and self._multilabel == pattern._multilabel and np.array_equal(self.classes_, pattern.classes_)
        if not (anew or same):
            raise ValueError(
                f"y must have the same classes as before with warm_start, {self.classes_}, got {pattern.classes_}"
            )
        self.classes_, self.n_outputs_ = pattern.classes_, pattern.n_outputs_
        self._multilabel, self._sparse_labels = pattern._multilabel, pattern._sparse_labels

    def _outputs_of(self, member: BaseMLP, X: Any) -> Float32:
        assert isinstance(member, MLPClassifier)
        outputs = member._probabilities(member._outputs_of_checked(X))
        if len(member.classes_) == len(self.classes_):
            return outputs
        all_classes = np.zeros((len(outputs), len(self.classes_)), np.float32)
        all_classes[:, np.searchsorted(self.classes_, member.classes_)] = outputs
        return all_classes

    def _score_oob(self, y: Any, mean: NDArray[np.float64], weights: NDArray[np.float64] | None) -> None:
        self.oob_decision_function_ = mean
        known = ~np.isnan(mean[:, 0])
        found = self._labels(mean[known])
        if self._multilabel:
            right = (found == (y.toarray() if is_sparse(y) else y)[known]).all(axis=1)
        else:
            right = found == y[known]
        counted = None if weights is None or not weights[known].any() else weights[known]
        self.oob_score_ = float(np.average(right, weights=counted)) if known.any() else float("nan")

    def _labels(self, probabilities: NDArray[np.float64]) -> NDArray[Any]:
        """The labels that probabilities stand for."""
        if self._multilabel:
            return (probabilities > 0.5).astype(int)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict(self, X: ArrayLike) -> Any:
        """Return the labels of data: (n_samples,), or 0 and 1 (n_samples, n_labels), sparse if those of fit were."""
        labels = self._labels(self._mean(X))
        return csr_matrix(labels) if self._sparse_labels else labels

    def predict_proba(self, X: ArrayLike, return_std: bool = False) -> Float32 | tuple[Float32, Float32]:
        """Return the mean of the networks' probabilities, by the order of ``classes_``.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            The data.
        return_std : bool, default=False
            Whether to return the standard deviation between the networks, too: how little they agree.

        Returns
        -------
        ndarray of float32 (n_samples, n_classes), or two of them
        """
        if not return_std:
            return self._mean(X).astype(np.float32)
        mean, deviation = self._mean_and_deviation(X)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def predict_log_proba(self, X: ArrayLike) -> Float32:
        """Return the logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            logarithms: Float32 = np.log(self._mean(X)).astype(np.float32)
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
