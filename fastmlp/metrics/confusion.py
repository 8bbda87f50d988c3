"""Right and wrong answers on each side of thresholds: precision, recall and the F1 score.

One kernel counts for all of them, and for the area under a curve: an output goes into the bucket between two
thresholds, and what is above a threshold is a sum of buckets. Thresholds that are evenly spaced from 0 to 1 cost the
same for any number of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import finite_number
from ..kernels import vmath
from ..kernels.jit import kernel
from .accuracy import check_k
from .base import Buffer, Metric, Sums, ratio
from .kinds import COUNTS

# The parameters: how many outputs of a row can be positive (0: all), whether all that tie with the last of them can,
# the one column that counts (-1: all), whether columns have counts of their own, whether outputs are logits; then the
# thresholds, ascending.
TOP_K, TIES, CLASS_ID, APART, LOGITS, THRESHOLDS = range(6)

# what Keras takes for 0 where the largest output of a row decides
NOTHING = np.float32(1e-9)


@kernel
def counts(parameters: Sums, outputs: Buffer, targets: Buffer, weight: float, sums: Sums, first: int) -> None:
    """Add every output of a row to the positives or the negatives of the bucket that it falls into.

    A bucket is the number of thresholds below an output; its two sums are the weights of positive targets and of
    those that are 0. Outputs that cannot be positive, and NaN, are in bucket 0.
    """
    only, columns = int(parameters[CLASS_ID]), outputs.size
    steps = parameters.size - THRESHOLDS
    # the last output that can be positive, by its size and then by its place
    limit, place = np.float32(-np.inf), columns
    if parameters[TOP_K]:
        limit, place = np.float32(np.inf), -1
        for _ in range(min(int(parameters[TOP_K]), columns)):
            best, at = np.float32(-np.inf), -1
            for j in range(columns):
                p = outputs[j]
                if (p < limit or (p == limit and j > place)) and (at < 0 or p > best):
                    best, at = p, j
            if at >= 0:
                limit, place = best, at
    if parameters[TIES]:
        # what Keras takes for 0 is no largest output
        place = columns if abs(limit) > NOTHING else -1
    for j in range(max(only, 0), columns if only < 0 else only + 1):
        p = outputs[j]
        bucket = THRESHOLDS
        if p > limit or (p == limit and j <= place):
            if parameters[LOGITS]:
                p = vmath.sigmoid(p)
            position = p * np.float32(steps - 1)
            if position > 0:
                bucket += int(min(position, np.float32(steps)))
            while bucket < parameters.size and parameters[bucket] < p:
                bucket += 1
            while bucket > THRESHOLDS and parameters[bucket - 1] >= p:
                bucket -= 1
        bucket -= THRESHOLDS
        at = first + 2 * bucket + (targets[j] == 0)
        if parameters[APART]:
            at += 2 * j * (steps + 1)
        sums[at] += weight


def sides(sums: Sums, steps: int) -> tuple[Sums, Sums, Sums, Sums]:
    """Return true positives, false positives, false negatives and true negatives: (groups, thresholds) each."""
    buckets = sums.reshape(-1, steps + 1, 2)
    above = np.cumsum(buckets[:, ::-1], axis=1)[:, ::-1]
    true, false = above[:, 1:, 0], above[:, 1:, 1]
    return true, false, above[:, :1, 0] - true, above[:, :1, 1] - false


def check_thresholds(value: Any) -> tuple[float, ...]:
    """Return one or several thresholds in [0, 1] as a tuple."""
    several = list(value) if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) else [value]
    if not several:
        raise ValueError("thresholds must hold at least one number from 0 to 1, got none")
    return tuple(finite_number("thresholds", number, at_least=0, at_most=1) for number in several)


@dataclass(frozen=True)
class _Counted(Metric):
    """What precision and recall share."""

    kind = COUNTS
    thresholds: float | Sequence[float] | None = None
    top_k: int | None = None
    class_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds))
        if self.top_k is not None:
            check_k("top_k", self.top_k)
        if self.class_id is not None and (
            isinstance(self.class_id, bool) or not isinstance(self.class_id, (int, np.integer)) or self.class_id < 0
        ):
            raise ValueError(f"class_id must be the number of a column from 0, got {self.class_id!r}")

    def _thresholds(self) -> Sums:
        """The thresholds in their order, as numbers in float32."""
        given = self.thresholds
        if given is None:
            given = -np.inf if self.top_k else 0.5
        return np.atleast_1d(np.asarray(given, np.float32)).astype(np.float64)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """What :func:`counts` takes."""
        if self.class_id is not None and self.class_id >= columns:
            raise ValueError(f"class_id must be below the number of outputs, {columns}, got {self.class_id}")
        only = -1 if self.class_id is None else self.class_id
        return (self.top_k or 0, 0, only, 0, 0, *np.sort(self._thresholds()))

    def sums_needed(self, columns: int) -> int:
        """Two for each bucket."""
        return 2 * (self.figures(columns) + 1)

    def figures(self, columns: int) -> int:
        """One for each threshold."""
        return self._thresholds().size

    def _by_threshold(self, part: Sums, whole: Sums) -> float | Sums:
        """The shares in the order of the thresholds that were given."""
        shares = np.empty(part.size)
        shares[np.argsort(self._thresholds(), kind="stable")] = ratio(part, whole)
        return float(shares[0]) if shares.size == 1 else shares


@dataclass(frozen=True)
class Precision(_Counted):
    """Share of positive outputs whose targets are positive (not 0); 0 without a positive output.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        An output above it is positive; 0.5 by default, and with ``top_k`` any. Several give an array of results.
    top_k : int, optional
        Only so many outputs of a row can be positive, the largest ones, and the first of equal ones.
    class_id : int, optional
        The one column that counts; by default all do, together.
    """

    name = "precision"

    def result(self, sums: Sums) -> float | Sums:
        """TP / (TP + FP)."""
        true, false, _, _ = (side[0] for side in sides(sums, self.figures(1)))
        return self._by_threshold(true, true + false)


@dataclass(frozen=True)
class Recall(_Counted):
    """Share of positive targets (not 0) whose outputs are positive; 0 without a positive target.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        An output above it is positive; 0.5 by default, and with ``top_k`` any. Several give an array of results.
    top_k : int, optional
        Only so many outputs of a row can be positive, the largest ones, and the first of equal ones.
    class_id : int, optional
        The one column that counts; by default all do, together.
    """

    name = "recall"

    def result(self, sums: Sums) -> float | Sums:
        """TP / (TP + FN)."""
        true, _, missed, _ = (side[0] for side in sides(sums, self.figures(1)))
        return self._by_threshold(true, true + missed)


@dataclass(frozen=True)
class F1Score(Metric):
    """The harmonic mean of precision and recall of each column, ``2 TP / (2 TP + FP + FN)``; 0 where that is 0 / 0.

    A target is positive unless it is 0.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        An array with a score for each column, the score of all together, the mean of the columns, or that mean
        weighted by the columns' positive targets.
    threshold : float, optional
        An output above it is positive, with 0 < threshold <= 1. By default the largest output of a row is, and those
        that equal it, unless they are 0.
    """

    kind = COUNTS
    name = "f1_score"
    average: str | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"average must be None, 'micro', 'macro' or 'weighted', got {self.average!r}")
        if self.threshold is not None and not finite_number("threshold", self.threshold, at_least=0, at_most=1) > 0:
            raise ValueError(f"threshold must be a number with 0 < threshold <= 1, got {self.threshold!r}")

    def parameters(self, columns: int) -> tuple[float, ...]:
        """What :func:`counts` takes."""
        if self.threshold is None:
            return (1, 1, -1, 1, 0, -np.inf)
        return (0, 0, -1, 1, 0, float(np.float32(self.threshold)))

    def sums_needed(self, columns: int) -> int:
        """Two buckets of every column."""
        return 4 * columns

    def figures(self, columns: int) -> int:
        """One for each column where they are not averaged."""
        return columns if self.average is None else 1

    def result(self, sums: Sums) -> float | Sums:
        """Return the score, or one for each column."""
        true, false, missed, _ = (side[:, 0] for side in sides(sums, 1))
        if self.average == "micro":
            true, false, missed = (side.sum(keepdims=True) for side in (true, false, missed))
        scores = ratio(2 * true, 2 * true + false + missed)
        if self.average is None:
            return scores
        if self.average == "weighted":
            support = true + missed
            return float(ratio((scores * support).sum(keepdims=True), support.sum(keepdims=True))[0])
        return float(scores.mean())
