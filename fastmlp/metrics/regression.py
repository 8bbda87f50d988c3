"""How far numbers are from their targets."""

from dataclasses import dataclass

import numpy as np

from ..kernels.jit import kernel
from .base import Buffer, Metric, Sums
from .kinds import ABSOLUTE, PERCENTAGE, R2, SQUARED


@kernel
def variations(centres: Sums, outputs: Buffer, targets: Buffer, weight: float, sums: Sums, first: int) -> None:
    """Add a row, and for each column y - c, (y - c)^2, y^2 and (y - p)^2, where c is its centre."""
    sums[first] += weight
    at = first + 1
    for j in range(outputs.size):
        y = np.float64(targets[j])
        deviation = y - centres[j]
        difference = y - np.float64(outputs[j])
        sums[at] += weight * deviation
        sums[at + 1] += weight * deviation * deviation
        sums[at + 2] += weight * y * y
        sums[at + 3] += weight * difference * difference
        at += 4


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
        return float(np.sqrt(sums[0] / sums[1])) if sums[1] else 0.0


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean of ``|p - y|`` over all outputs."""

    kind = ABSOLUTE
    name = "mean_absolute_error"


@dataclass(frozen=True)
class MeanAbsolutePercentageError(Metric):
    """Mean of ``100 |p - y| / max(|y|, 1e-7)`` over all outputs."""

    kind = PERCENTAGE
    name = "mean_absolute_percentage_error"


@dataclass(frozen=True)
class R2Score(Metric):
    """``1 - sum (y - p)^2 / sum (y - mean y)^2``, the mean over the columns.

    Squares are summed of what targets deviate from their mean, so that nothing cancels where that is large.
    """

    kind = R2
    name = "r2_score"
    centred = True

    def parameters(self, columns: int) -> tuple[float, ...]:
        """A centre for each column, until there are data."""
        return (0.0,) * columns

    def sums_needed(self, columns: int) -> int:
        """The rows, and four sums of every column."""
        return 1 + 4 * columns

    def result(self, sums: Sums) -> float:
        """Return the mean score; a constant column scores 1 if it is met exactly, else 0 (as scikit-learn's)."""
        if sums[0] == 0:
            return 0.0
        deviation, squares, size, residual = (sums[1 + i :: 4] for i in range(4))
        spread = squares - deviation * deviation / sums[0]
        scores = np.where(residual == 0, 1.0, 0.0)
        # two float32 targets differ by at least 6e-8 of their size, whose square is 4e-15
        varied = spread > 1e-25 * size
        scores[varied] = 1 - residual[varied] / spread[varied]
        return float(scores.mean())
