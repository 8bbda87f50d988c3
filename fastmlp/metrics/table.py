"""The table of metrics: which code belongs to which number, and which class to which name."""

import itertools
from collections.abc import Sequence

import numpy as np

from ..errors import unknown_name
from ..kernels.jit import kernel
from .accuracy import (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    top_k_hit,
)
from .area import AUC
from .base import Buffer, Metric, Sums
from .confusion import F1Score, Precision, Recall, counts
from .elements import row_total
from .kinds import (
    ABSOLUTE,
    BINARY,
    CATEGORICAL,
    PERCENTAGE,
    R2,
    SPARSE,
    SPARSE_TOP_K,
    SQUARED,
)
from .regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
    variations,
)


@kernel
def metric_update(
    kind: int,
    parameters: Sums,
    outputs: Buffer,
    targets: Buffer,
    weights: Buffer,
    rows: int,
    columns: int,
    sums: Sums,
    first: int,
) -> None:
    """Add a batch to a metric's sums.

    Parameters
    ----------
    kind : int
        One of the numbers in ``kinds``.
    parameters : flat float64 buffer
        A threshold, k, or whatever else the metric has; at least one.
    outputs, targets : flat buffers
        (``rows``, ``columns``) without gaps; sparse targets (``rows``,).
    weights : flat buffer
        (``rows``,), or of size 0 where every row counts 1.
    sums : flat float64 buffer
        The sums begin at ``first``; most metrics have two, total and count.
    """
    if kind < R2:
        common_update(kind, parameters[0], outputs, targets, weights, rows, columns, sums, first)
        return
    for row in range(rows):
        weight = np.float64(weights[row] if weights.size else 1)
        p, y = outputs[row * columns : (row + 1) * columns], targets[row * columns : (row + 1) * columns]
        if kind == R2:
            variations(parameters, p, y, weight, sums, first)
        else:
            counts(parameters, p, y, weight, sums, first)


@kernel
def common_update(
    kind: int,
    parameter: float,
    outputs: Buffer,
    targets: Buffer,
    weights: Buffer,
    rows: int,
    columns: int,
    sums: Sums,
    first: int,
) -> None:
    """:func:`metric_update` for metrics of one parameter and two sums, which the engine has inside."""
    sparse, argmax = kind == SPARSE or kind == SPARSE_TOP_K, kind == CATEGORICAL or kind == SPARSE
    alone = kind == BINARY or kind == SQUARED or kind == ABSOLUTE or kind == PERCENTAGE
    labels, parts = 1 if sparse else columns, columns if alone else 1
    for row in range(rows):
        weight = np.float64(weights[row] if weights.size else 1)
        p, y = outputs[row * columns : (row + 1) * columns], targets[row * labels : (row + 1) * labels]
        if alone:
            part = row_total(kind, parameter, p, y)
        else:
            part = np.float64(top_k_hit(sparse, argmax, int(parameter), p, y))
        sums[first] += weight * part
        sums[first + 1] += weight * parts


ACCURACIES = ("accuracy", "acc")
TOP_K_NAMES = ("top_k_accuracy",)
ALIASES = {
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "mae": "mean_absolute_error",
    "MAE": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "MAPE": "mean_absolute_percentage_error",
    "rmse": "root_mean_squared_error",
    "r2": "r2_score",
}

TABLE: dict[str, type[Metric]] = {
    metric.name: metric
    for metric in (
        BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, Precision, Recall, F1Score, AUC, MeanSquaredError, RootMeanSquaredError,
        MeanAbsoluteError, MeanAbsolutePercentageError, R2Score,
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

    ``accuracy`` is sparse for class numbers, else binary for one output, else categorical: Keras 3 goes by shapes
    alone, so several outputs that are each a label of their own want ``binary_accuracy`` by its name.
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


def keys(metrics: Sequence[tuple[str, Metric]], weighted: Sequence[tuple[str, Metric]]) -> list[str]:
    """Return the keys of metrics in the logs, then those of the weighted ones; equal names are told apart as in Keras.

    A name that is taken gets ``_1``, ``_2``, ... behind it, and that of a weighted metric ``weighted_`` in front first.

    Raises
    ------
    ValueError
        When the same metric is asked for twice.
    """
    for chosen in (metrics, weighted):
        for index, entry in enumerate(chosen):
            if entry in chosen[:index]:
                raise ValueError(f"metrics must be different, got {entry[0]!r} twice")
    # the loss is in the logs too
    found = ["loss"]
    for place, (name, _) in enumerate([*metrics, *weighted]):
        key = f"weighted_{name}" if place >= len(metrics) and name in found else name
        others = (f"{key}_{count}" for count in itertools.count(1))
        found.append(next(other for other in others if other not in found) if key in found else key)
    return found[1:]
