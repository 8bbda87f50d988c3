"""The confusion matrix as a metric."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import check_count
from ..rows import paired_rows
from .arrays import confusion_matrix
from .base import Metric, Sums


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """How often class i was taken for class j: an array (``num_classes``, ``num_classes``), for calls alone.

    The logs of a training hold single numbers, so ``compile`` refuses it: call it, or
    :func:`~fastmlp.metrics.confusion_matrix`, with predictions.
    """

    kind = -1
    name = "confusion_matrix"
    num_classes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("num_classes", self.num_classes)

    def figures(self, columns: int) -> int:
        """One for each pair of classes; never fewer than an array."""
        return max(2, self.num_classes**2)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Sums:
        """Return the matrix for targets and outputs.

        Parameters
        ----------
        y_true : array_like (B,), (B, 1) or (B, num_classes)
            Class numbers, or one-hot targets.
        y_pred : array_like (B, num_classes)
            Outputs, the largest of which is the answer; or (B,) for two classes, above 0.5 for class 1.
        sample_weight : array_like (B,), optional
            How much each row counts.

        Returns
        -------
        ndarray (num_classes, num_classes)
            Row i has the rows of true class i, by the class that they were taken for.

        Raises
        ------
        ValueError
            When shapes do not fit, or a number is no class number.
        """
        shape = np.shape(y_true)
        sparse = len(shape) == 1 or shape[1] == 1
        single = np.ndim(y_pred) == 1 or np.shape(y_pred)[1] == 1
        targets, outputs = paired_rows(y_true, y_pred, sparse=sparse and not single)
        if outputs.shape[1] != (1 if single and self.num_classes == 2 else self.num_classes):
            raise ValueError(f"y_pred must have {self.num_classes} columns, got the shape {np.shape(y_pred)}")
        answers = (outputs[:, 0] > 0.5) if single else outputs.argmax(axis=1)
        labels = targets[:, 0] if targets.shape[1] == 1 else targets.argmax(axis=1)
        return confusion_matrix(labels, answers, self.num_classes, sample_weight)
