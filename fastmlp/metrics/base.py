"""What every metric has."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured
from ..inputs import check_sample_weight
from ..kernels import memory
from ..names import own_name
from ..rows import centre, paired_rows

Buffer = NDArray[np.float32]
Sums = NDArray[np.float64]


def ratio(part: Sums, whole: Sums) -> Sums:
    """Return ``part / whole``, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


@dataclass(frozen=True)
class Metric(Configured):
    """A figure over all rows of an epoch; every metric takes its key in the history as ``name``."""

    kind: ClassVar[int]
    # by default that of the class
    # None only until __post_init__
    name: str = field(default=None, kw_only=True, repr=False)  # type: ignore[assignment]
    # what its targets must be: class numbers, or an array of the outputs' shape
    sparse: ClassVar[bool] = False
    # whether its parameters are the middle of each column of targets, known with the data
    centred: ClassVar[bool] = False

    def __post_init__(self) -> None:
        own_name(self)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """The numbers that the compiled update takes, at least one, for outputs of ``columns`` columns.

        Raises
        ------
        ValueError
            When the metric does not fit such outputs.
        """
        return (0.0,)

    def sums_needed(self, columns: int) -> int:
        """How many float64 sums the metric keeps for outputs of ``columns`` columns."""
        return 2

    def figures(self, columns: int) -> int:
        """How many numbers the result has; the logs of a training take a single one."""
        return 1

    def result(self, sums: Sums) -> float | Sums:
        """The figure from the sums; 0 where no row has a weight."""
        return float(sums[0] / sums[1]) if sums[1] else 0.0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float | Sums:
        """Return the figure for arrays of targets and outputs.

        Parameters
        ----------
        y_true, y_pred : array_like
            (B, N) or (B,); sparse targets (B,) or (B, 1) class numbers.
        sample_weight : array_like (B,), optional
            How much each row counts.

        Returns
        -------
        float or ndarray of float64
            An array where the metric has several figures, such as one for each threshold.

        Raises
        ------
        ValueError
            When the shapes do not belong together, there is no row, or a label is no class number.
        """
        # the table knows every metric, so it can only be looked at when there are some
        from .table import metric_update

        targets, outputs = paired_rows(y_true, y_pred, sparse=self.sparse)
        rows, columns = outputs.shape
        weights = check_sample_weight(sample_weight, rows)
        parameters = np.array(self.parameters(columns), np.float64)
        if self.centred:
            parameters = centre(targets, weights)
        sums = memory.few_zeros(self.sums_needed(columns))
        metric_update(
            self.kind, parameters, outputs.reshape(-1), targets.reshape(-1), weights, rows, columns, sums, 0
        )  # fmt: skip
        return self.result(sums)
