"""Metrics over whole epochs: compiled running sums, and plain functions on arrays.

To add one: write its branch in :func:`metric_update` (adds a batch to its sums), its class with ``result``
(from the sums) and a line in :data:`TABLE`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .configs import Configured
from .errors import finite_number, unknown_name
from .kernels.jit import kernel
from .rows import paired_rows

Buffer = NDArray[np.float32]
Sums = NDArray[np.float64]

BINARY, CATEGORICAL, SPARSE, TOP_K, SPARSE_TOP_K, SQUARED, ABSOLUTE, R2_KIND = range(8)


@kernel
def _top_k_hits(outputs: Buffer, targets: Buffer, rows: int, columns: int, sparse: bool, k: int, argmax: bool) -> int:
    """Count the rows whose true class has fewer than k classes above it.

    An equal output is not above (Keras' in_top_k), but with ``argmax`` it is where its index is lower.
    """
    hits = 0
    for row in range(rows):
        start = row * columns
        if sparse:
            label = int(targets[row])
        else:
            label = 0
            for j in range(1, columns):
                if targets[start + j] > targets[start + label]:
                    label = j
        own = outputs[start + label]
        above = 0
        for j in range(columns):
            other = outputs[start + j]
            if other > own or (argmax and other == own and j < label):
                above += 1
        if above < k and own == own:
            hits += 1
    return hits


@kernel
def metric_update(
    kind: int,
    parameter: float,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    sums: Sums,
    first: int,
) -> None:
    """Add a batch to a metric's sums.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    parameter : float
        A threshold, or k.
    outputs, targets : flat buffers
        (``rows``, ``columns``) without gaps; sparse targets (``rows``,).
    sums : flat float64 buffer
        The sums begin at ``first``: total and count; R2 has three for every column and a count.
    """
    size = rows * columns
    total = np.float64(0)
    if kind == BINARY:
        for i in range(size):
            decision = np.float32(1) if outputs[i] > parameter else np.float32(0)
            if decision == targets[i]:
                total += 1
        sums[first] += total
        sums[first + 1] += size
    elif kind == SQUARED or kind == ABSOLUTE:
        for i in range(size):
            difference = np.float64(outputs[i]) - np.float64(targets[i])
            total += difference * difference if kind == SQUARED else abs(difference)
        sums[first] += total
        sums[first + 1] += size
    elif kind == R2_KIND:
        sums[first] += rows
        for row in range(rows):
            for j in range(columns):
                y = np.float64(targets[row * columns + j])
                difference = y - np.float64(outputs[row * columns + j])
                at = first + 1 + 3 * j
                sums[at] += y
                sums[at + 1] += y * y
                sums[at + 2] += difference * difference
    else:
        sparse = kind == SPARSE or kind == SPARSE_TOP_K
        argmax = kind == CATEGORICAL or kind == SPARSE
        k = 1 if argmax else int(parameter)
        sums[first] += _top_k_hits(outputs, targets, rows, columns, sparse, k, argmax)
        sums[first + 1] += rows


@dataclass(frozen=True)
class Metric(Configured):
    """A figure over all rows of an epoch; ``name`` is its key in the history, unless it was given by another one."""

    kind: ClassVar[int]
    name: ClassVar[str]
    # what its targets must be: class numbers, or an array of the outputs' shape
    sparse: ClassVar[bool] = False

    @property
    def parameter(self) -> float:
        """The one number that the compiled update takes."""
        return 0.0

    def sums_needed(self, columns: int) -> int:
        """How many float64 sums the metric keeps for outputs of ``columns`` columns."""
        return 2

    def result(self, sums: Sums) -> float:
        """The figure from the sums."""
        return float(sums[0] / sums[1])

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """The figure for arrays of targets and outputs."""
        targets, outputs = paired_rows(y_true, y_pred, sparse=self.sparse)
        rows, columns = outputs.shape
        sums = np.zeros(self.sums_needed(columns))
        metric_update(
            self.kind, float(self.parameter), outputs.reshape(-1), targets.reshape(-1), rows, columns, sums, 0
        )
        return self.result(sums)


@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """Share of targets that equal 1 where the output is above ``threshold``, else 0."""

    kind = BINARY
    name = "binary_accuracy"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        finite_number("threshold", self.threshold)

    @property
    def parameter(self) -> float:
        """``threshold``."""
        return self.threshold


@dataclass(frozen=True)
class CategoricalAccuracy(Metric):
    """Share of rows whose largest output is at the largest target."""

    kind = CATEGORICAL
    name = "categorical_accuracy"


@dataclass(frozen=True)
class SparseCategoricalAccuracy(Metric):
    """Share of rows whose largest output is at the target's class number."""

    kind = SPARSE
    name = "sparse_categorical_accuracy"
    sparse = True


def _positive(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be a positive integer, got {k!r}")


@dataclass(frozen=True)
class TopKCategoricalAccuracy(Metric):
    """Share of rows whose true class is among the ``k`` largest outputs; all that tie with the k-th are."""

    kind = TOP_K
    name = "top_k_categorical_accuracy"
    k: int = 5

    def __post_init__(self) -> None:
        _positive(self.k)

    @property
    def parameter(self) -> float:
        """``k``."""
        return float(self.k)


@dataclass(frozen=True)
class SparseTopKCategoricalAccuracy(Metric):
    """As :class:`TopKCategoricalAccuracy`, for class numbers."""

    kind = SPARSE_TOP_K
    name = "sparse_top_k_categorical_accuracy"
    sparse = True
    k: int = 5

    def __post_init__(self) -> None:
        _positive(self.k)

    @property
    def parameter(self) -> float:
        """``k``."""
        return float(self.k)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean of ``(p - y)^2`` over all outputs."""

    kind = SQUARED
    name = "mean_squared_error"


@dataclass(frozen=True)
class RootMeanSquaredError(Metric):
    """Root of the mean of ``(p - y)^2`` over all outputs."""

    kind = SQUARED
    name = "root_mean_squared_error"

    def result(self, sums: Sums) -> float:
        """Return the root of the mean."""
        return float(np.sqrt(sums[0] / sums[1]))


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean of ``|p - y|`` over all outputs."""

    kind = ABSOLUTE
    name = "mean_absolute_error"


@dataclass(frozen=True)
class R2Score(Metric):
    """``1 - sum (y - p)^2 / sum (y - mean y)^2``, the mean over the columns."""

    kind = R2_KIND
    name = "r2_score"

    def sums_needed(self, columns: int) -> int:
        """A count, and the sums of y, y^2 and (y - p)^2 of every column."""
        return 1 + 3 * columns

    def result(self, sums: Sums) -> float:
        """Return the mean score; a constant column scores 1 if it is met exactly, else 0 (as scikit-learn's)."""
        y, squares, residual = sums[1::3], sums[2::3], sums[3::3]
        spread = squares - y * y / sums[0]
        scores = np.where(residual == 0, 1.0, 0.0)
        varied = spread > 1e-12 * squares
        scores[varied] = 1 - residual[varied] / spread[varied]
        return float(scores.mean())


ACCURACIES = ("accuracy", "acc")
TOP_K_NAMES = ("top_k_accuracy",)
ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "rmse": "root_mean_squared_error",
    "r2": "r2_score",
}

TABLE: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, R2Score,
    )
}  # fmt: skip


def check(identifier: str | Metric) -> str | Metric:
    """Return ``identifier`` if it names a metric or is one; raise as :func:`resolve` would otherwise."""
    if isinstance(identifier, Metric):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"metrics must be names or metrics such as BinaryAccuracy(threshold=0.3), got {identifier!r}")
    if identifier not in (*ACCURACIES, *TOP_K_NAMES, *ALIASES, *TABLE):
        raise unknown_name("metric", identifier, [*ACCURACIES, *TOP_K_NAMES, *ALIASES, *TABLE])
    return identifier


def resolve(identifier: str | Metric, *, sparse: bool, columns: int) -> tuple[str, Metric]:
    """Return the history key and the metric for a name, given targets and the number of outputs.

    ``accuracy`` is sparse for class numbers, else binary for one output, else categorical, as in Keras;
    ``top_k_accuracy`` is sparse or categorical.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        For anything that is no name and no metric.
    """
    identifier = check(identifier)
    if isinstance(identifier, Metric):
        return identifier.name, identifier
    if identifier in ACCURACIES:
        if sparse:
            return identifier, SparseCategoricalAccuracy()
        return identifier, BinaryAccuracy() if columns == 1 else CategoricalAccuracy()
    if identifier in TOP_K_NAMES:
        return identifier, SparseTopKCategoricalAccuracy() if sparse else TopKCategoricalAccuracy()
    return identifier, TABLE[ALIASES.get(identifier, identifier)]()


def _pair(y_true: Any, y_pred: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64 arrays of one shape; (n,) and (n, 1) fit, as the outputs of a model do."""
    true, predicted = np.atleast_1d(np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64))
    if true.ndim + predicted.ndim == 3 and true.shape[0] == predicted.shape[0] and true.size == predicted.size:
        true, predicted = true.reshape(-1), predicted.reshape(-1)
    if true.shape != predicted.shape:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {predicted.shape}; they must be the same, or (n,) and (n, 1)"
        )
    if true.size == 0:
        raise ValueError("y_true is empty; a mean needs at least one number")
    return true, predicted


def mean_squared_error(y_true: Any, y_pred: Any) -> float:
    """Return the mean of ``(y_true - y_pred)^2`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like
        Numbers of one shape; (n,) and (n, 1) fit.

    Raises
    ------
    ValueError
        When the shapes differ, or there is nothing to average.

    Examples
    --------
    >>> mean_squared_error([1, 2, 3], [1, 2, 5])
    1.3333333333333333
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean((true - predicted) ** 2))


def root_mean_squared_error(y_true: Any, y_pred: Any) -> float:
    """Return the root of the mean squared error; for (B, N) arrays the mean of the columns' roots.

    This is scikit-learn's definition for several outputs. The arguments and errors are those of
    :func:`mean_squared_error`.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(np.sqrt(np.mean((true - predicted) ** 2, axis=0))))
