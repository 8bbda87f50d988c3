"""Metrics: figures over whole epochs by name or as objects, and plain functions on arrays.

A file here has one group of them. To add one, write a kernel that adds a batch to sums, unless there is one already,
its class with ``result`` (from the sums), a number in ``kinds``, and in ``table`` a branch of :func:`metric_update`
and a place in :data:`TABLE`.
"""

from .accuracy import (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from .area import AUC
from .arrays import confusion_matrix, mean_squared_error, root_mean_squared_error
from .base import Metric
from .confusion import F1Score, Precision, Recall
from .kinds import METRIC_FIELDS
from .matrix import ConfusionMatrix
from .regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)
from .table import ALIASES, TABLE, check, keys, resolve

__all__ = [
    "ALIASES",
    "AUC",
    "METRIC_FIELDS",
    "TABLE",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "F1Score",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "check",
    "confusion_matrix",
    "keys",
    "mean_squared_error",
    "resolve",
    "root_mean_squared_error",
]
