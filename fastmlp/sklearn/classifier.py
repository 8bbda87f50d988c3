"""The classifier."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..losses import BinaryCrossentropy, Loss, SparseCategoricalCrossentropy, get
from ..rows import is_sparse
from .data import Float32
from .estimator import BaseMLP, iterates
from .parameters import keep


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron for classes: two, many, or several labels at once.

    scikit-learn's ``MLPClassifier`` with its parameters, defaults, attributes and results, trained by fastmlp.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(100,)
        The units of each hidden layer.
    activation : str, Activation, or list of these, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu" as in scikit-learn, or any of
        :mod:`fastmlp.activations`; a list has one for each layer.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        How the weights are optimized; see ``optimizer`` for others.
    alpha : float, default=0.0001
        The factor of the penalty ``alpha / 2 * sum w^2``, which is divided by the rows of a batch.
    batch_size : int or "auto", default="auto"
        Rows of a batch; "auto" is ``min(200, n_samples)``. L-BFGS takes all rows.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        What becomes of ``learning_rate_init`` with "sgd": it stays; is divided by ``(t_ + 1) ** power_t`` after each
        epoch; or is divided by 5 whenever the training stands still, until it is at most 1e-6.
    learning_rate_init : float, default=0.001
        The learning rate, of "sgd" and "adam".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        Epochs at most, or iterations of L-BFGS.
    shuffle : bool, default=True
        Whether every epoch has a new order of rows.
    random_state : int, RandomState or None, default=None
        Initial weights, the rows that are kept out, the order of rows and dropout follow from it; all but the last as
        in scikit-learn, where the same state gives the same numbers.
    tol : float, default=1e-4
        What the training loss (or the validation score) must improve by; the largest element of a gradient that
        ends L-BFGS.
    verbose : bool or int, default=False
        Whether to print a line for each epoch.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    momentum : float, default=0.9
        Of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether rows are kept out for validation, whose score decides when to stop and which weights are the best.
    validation_fraction : float, default=0.1
        The share of rows to keep out.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        Of "adam".
    n_iter_no_change : int or inf, default=10
        Epochs in a row without improvement before the training ends.
    max_fun : int, default=15000
        Evaluations of the loss by L-BFGS at most.
    loss : str, Loss or callable, default="log_loss"
        The cross-entropy, or any of :mod:`fastmlp.losses`.
    class_weight : dict, "balanced" or None, default=None
        Factors of the classes' rows, multiplied with sample weights; "balanced" gives all classes the same sum.
    dropout : float, default=0.0
        The share of a hidden layer's outputs that is set to zero in training.
    batch_norm : bool, default=False
        Whether each hidden layer has a batch normalization before its activation.
    l1 : float, default=0.0
        The factor of the penalty ``l1 * sum |w|``, which is divided by the rows of a batch.
    optimizer : str or Optimizer, optional
        Any of :mod:`fastmlp.optimizers`, in place of ``solver`` and all that belongs to one.
    schedule : Schedule, optional
        The learning rate of "sgd" and "adam" by step, such as ``fastmlp.optimizers.schedules.CosineDecay(...)``.
    callbacks : list of fastmlp.callbacks.Callback, optional
        What to call between epochs.
    n_jobs : int, optional
        Threads, -1 for as many as there are cores; by default :func:`fastmlp.get_num_threads`. It changes no bit.

    Attributes
    ----------
    classes_ : ndarray
        The labels; for several labels at once, the numbers of their columns.
    model_ : fastmlp.Sequential
        The network.
    coefs_, intercepts_ : list of ndarray of float32
        Kernels (inputs, outputs) and biases (outputs,) of each layer. They may be written to.
    loss_, best_loss_ : float
        The last epoch's loss with penalties, and the lowest (None with early stopping).
    loss_curve_ : list of float
        The loss of each epoch.
    validation_scores_, best_validation_score_, validation_loss_curve_ : list of float, float, list of float
        With early stopping; else None.
    history_ : fastmlp.History
        Loss and metrics of each epoch of the last ``fit``, as fastmlp reports them.
    n_iter_, t_ : int
        Epochs of the last ``fit``, and rows trained on by all.
    n_layers_, n_outputs_ : int
        Layers with input and output, and outputs.
    out_activation_ : str
        scikit-learn's name of the output's activation.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Of the data; names where all columns had one.

    Notes
    -----
    The sums of a batch are float32. docs/scikit-learn.md lists where results differ from scikit-learn's, and why.

    Examples
    --------
    >>> from fastmlp.sklearn import MLPClassifier
    >>> estimator = MLPClassifier((5,), solver="lbfgs", random_state=1)
    >>> estimator.fit([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["even", "odd", "odd", "even"]).n_outputs_
    1
    """

    _classifies = True
    _own = ("log_loss",)

    def __init__(
        self,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: float = 0.0,
        batch_norm: bool = False,
        l1: float = 0.0,
        optimizer: Any = None,
        schedule: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        keep(vars())

    def _encode(self, y: Any, *, anew: bool, incremental: bool) -> Float32:
        if anew and not incremental:
            self._learn_classes(y, y)
        elif self._multilabel != (y.ndim == 2):
            raise ValueError(f"y must be {'several labels' if self._multilabel else 'one label'} a row, as before")
        elif self._multilabel:
            if y.shape[1] != len(self.classes_):
                raise ValueError(f"y must have {len(self.classes_)} columns of labels as before, got {y.shape}")
        else:
            self._check_classes(y, incremental=incremental)
        if self._multilabel:
            self.n_outputs_ = len(self.classes_)
            labels: Float32 = np.asarray(y.toarray() if is_sparse(y) else y, np.float32)
            if not ((labels == 0) | (labels == 1)).all():
                raise ValueError("y must have labels of 0 and 1 where a row may have several")
            return labels
        codes: NDArray[np.intp] = np.searchsorted(self.classes_, y)
        self.n_outputs_ = len(self.classes_) if len(self.classes_) > 2 else 1
        if self.n_outputs_ > 1 and not (self.loss == "log_loss" or get(self.loss).sparse):
            return np.eye(self.n_outputs_, dtype=np.float32)[codes]
        return np.asarray(codes, np.float32).reshape(-1, 1)

    def _learn_classes(self, y: Any, classes: Any) -> None:
        """Take the labels from targets, or those given for all targets to come."""
        kind = type_of_target(y)
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            check_classification_targets(y)
        if kind == "multiclass-multioutput":
            raise ValueError("Multioutput target data is not supported: y must be one column, or labels of 0 and 1")
        self._multilabel, self._sparse_labels = kind.startswith("multilabel"), is_sparse(y)
        self.classes_ = np.arange(y.shape[1]) if self._multilabel else np.unique(classes)

    def _check_classes(self, y: NDArray[Any], *, incremental: bool) -> None:
        """Raise ValueError for labels that a network cannot go on with."""
        if incremental:
            places = np.searchsorted(self.classes_, y)
            places[places == len(self.classes_)] = 0
            if np.array_equal(self.classes_[places], y):
                return
        found = np.unique(y)
        if not incremental and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        if not np.isin(found, self.classes_).all():
            raise ValueError(f"`y` has classes not in `self.classes_`, which are {self.classes_}: `y` has {found}")

    def _output(self) -> str:
        return "logistic" if self._multilabel or self.n_outputs_ == 1 else "softmax"

    def _own_loss(self) -> Loss:
        return BinaryCrossentropy() if self.out_activation_ == "logistic" else SparseCategoricalCrossentropy()

    def _score_of(self, outputs: Float32, targets: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
        if self.out_activation_ == "logistic":
            right = ((outputs > 0.5) == targets).all(axis=1)
        else:
            codes = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
            right = outputs.argmax(axis=1) == codes
        return float(np.average(right, weights=weights))

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix (n_samples, n_features)
            The data; sparse ones become dense by the batch alone.
        y : array-like (n_samples,) or (n_samples, n_labels)
            Labels of any type, or 0 and 1 for several labels at once.
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
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train the network on the data once.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As for :meth:`fit`.
        classes : array-like (n_classes,), optional
            All labels that there will be; needed in the first call, and but for several labels at once.

        Returns
        -------
        self
        """
        if not hasattr(self, "classes_"):
            several = type_of_target(y).startswith("multilabel")
            if classes is None and not several:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._learn_classes(np.asarray(y) if several and not is_sparse(y) else y, classes)
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: ArrayLike) -> Any:
        """Return the labels of data: (n_samples,), or 0 and 1 (n_samples, n_labels), sparse if those of fit were."""
        outputs = self._outputs(X)
        if self._multilabel:
            labels = (outputs > 0.5).astype(int)
            return csr_matrix(labels) if self._sparse_labels else labels
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(outputs))
        codes = outputs[:, 0] > 0.5 if self.n_outputs_ == 1 else outputs.argmax(axis=1)
        return self.classes_[codes.astype(np.intp)]

    def predict_proba(self, X: ArrayLike) -> Float32:
        """Return the probability of each label (n_samples, n_classes), by the order of ``classes_``."""
        return self._probabilities(self._outputs(X))

    def _probabilities(self, outputs: Float32) -> Float32:
        """The probabilities that a network's outputs stand for."""
        if self._multilabel or self.n_outputs_ > 1:
            return outputs
        if len(self.classes_) == 1:
            return np.ones_like(outputs)
        return np.hstack([1 - outputs, outputs])

    def predict_log_proba(self, X: ArrayLike) -> Float32:
        """Return the logarithms of :meth:`predict_proba`."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
