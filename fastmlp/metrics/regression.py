"""How far numbers are from their targets."""

from dataclasses import dataclass

import numpy as np

from ..errors import check_whole
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
    """``1 - sum (y - p)^2 / sum (y - mean y)^2`` of each column; a constant one has 1 if it is met exactly, else 0.

    Squares are summed of what targets deviate from their mean, so that nothing cancels where that is large.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        The mean of the columns, that mean weighted by ``sum (y - mean y)^2``, or an array with a score for each.
    num_regressors : int
        With p > 0, the number of features, scores are adjusted to ``1 - (1 - R2)(n - 1) / (n - p - 1)``; not, as in
        Keras, where n, the number of rows or the sum of their weights, is not above p + 1.
    """

    kind = R2
    name = "r2_score"
    centred = True
    class_aggregation: str | None = "uniform_average"
    num_regressors: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "class_aggregation must be None, 'uniform_average' or 'variance_weighted_average', got "
                f"{self.class_aggregation!r}"
            )
        check_whole("num_regressors", self.num_regressors)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """A centre for each column, until there are data."""
        return (0.0,) * columns

    def sums_needed(self, columns: int) -> int:
        """The rows, and four sums of every column."""
        return 1 + 4 * columns

    def figures(self, columns: int) -> int:
        """One for each column where they are not averaged."""
        return columns if self.class_aggregation is None else 1

    def result(self, sums: Sums) -> float | Sums:
        """Return the score, or one for each column; a constant column has scikit-learn's."""
        if sums[0] == 0:
            return 0.0 if self.class_aggregation else np.zeros(sums.size // 4)
        deviation, squares, size, residual = (sums[1 + i :: 4] for i in range(4))
        spread = squares - deviation * deviation / sums[0]
        scores = np.where(residual == 0, 1.0, 0.0)
        # two float32 targets differ by at least 6e-8 of their size, whose square is 4e-15
        varied = spread > 1e-25 * size
        scores[varied] = 1 - residual[varied] / spread[varied]
        rest = sums[0] - self.num_regressors - 1
        if self.num_regressors and rest > 0:
            scores = 1 - (1 - scores) * (sums[0] - 1) / rest
        if self.class_aggregation is None:
            return scores
        by_variance = self.class_aggregation == "variance_weighted_average" and varied.any()
        return float(np.average(scores, weights=np.where(varied, spread, 0) if by_variance else None))
