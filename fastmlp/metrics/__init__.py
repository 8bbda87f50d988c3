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
from .matrix import ConfusionMatrix
from .regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)
from .table import ALIASES, TABLE
from .table import check as check
from .table import keys as keys
from .table import resolve as resolve

# what models take from here beside these, imported above, is no part of what users are promised
__all__ = [
    "ALIASES",
    "AUC",
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
    "confusion_matrix",
    "mean_squared_error",
    "root_mean_squared_error",
]
