"""The area under the curve that a threshold draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import check_flag
from .base import Metric, Sums, ratio
from .confusion import check_thresholds, sides
from .kinds import COUNTS

# Keras' fuzz factor: the outer thresholds are so far outside [0, 1]
EPSILON = 1e-7
# each is a sum in every piece of a batch; float32 numbers from 0 to 1 are hardly told apart by more
MOST_THRESHOLDS = 1 << 16


@dataclass(frozen=True)
class AUC(Metric):
    """The area under the ROC curve or the precision-recall curve, from counts at fixed thresholds, as Keras'.

    All columns count together. The thresholds are ``-1e-7, 1/(T-1), 2/(T-1), ..., (T-2)/(T-1), 1 + 1e-7`` with
    T = ``num_thresholds``: outputs between two of them count as equal, so an area is that of outputs rounded up to a
    multiple of 1/(T-1).

    Parameters
    ----------
    num_thresholds : int
        From 2 to 65,536.
    curve : {"ROC", "PR"}
        True positives over false positives, both as rates, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        Trapezia (for "PR" the interpolation of Davis & Goadrich, ICML 2006), or the lower or the higher side of each.
    thresholds : sequence of float, optional
        Inner thresholds in [0, 1] instead of evenly spaced ones.
    from_logits : bool
        Whether outputs are logits, of which the sigmoid is taken first.
    """

    kind = COUNTS
    name = "auc"
    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"
    thresholds: Sequence[float] | None = None
    from_logits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_thresholds
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 2 <= count <= MOST_THRESHOLDS:
            raise ValueError(f"num_thresholds must be an integer from 2 to {MOST_THRESHOLDS}, got {count!r}")
        if self.curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be 'ROC' or 'PR', got {self.curve!r}")
        if self.summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"summation_method must be 'interpolation', 'minoring' or 'majoring', got {self.summation_method!r}"
            )
        check_flag("from_logits", self.from_logits)
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds))

    def _thresholds(self) -> Sums:
        """All thresholds, ascending, as numbers in float32."""
        if self.thresholds is None:
            inner = [i / (self.num_thresholds - 1) for i in range(1, self.num_thresholds - 1)]
        else:
            inner = sorted(self.thresholds)
        return np.array([-EPSILON, *inner, 1 + EPSILON], np.float32).astype(np.float64)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """What :func:`~fastmlp.metrics.confusion.counts` takes."""
        return (0, 0, -1, 0, self.from_logits, *self._thresholds())

    def sums_needed(self, columns: int) -> int:
        """Two for each bucket."""
        return 2 * (self._thresholds().size + 1)

    def result(self, sums: Sums) -> float:
        """Return the area."""
        true, false, missed, rest = (side[0] for side in sides(sums, self._thresholds().size))
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated(true, true + false, true + missed)
        recall = ratio(true, true + missed)
        x, y = (ratio(false, false + rest), recall) if self.curve == "ROC" else (recall, ratio(true, true + false))
        if self.summation_method == "interpolation":
            height = (y[:-1] + y[1:]) / 2
        else:
            height = (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])
        return float(np.sum((x[:-1] - x[1:]) * height))


def _interpolated(true: Sums, positive: Sums, actual: Sums) -> float:
    """The area under precision over recall where true positives grow in proportion to positives between thresholds.

    With the slope ``s = dTP / dP`` and the intercept ``i = TP - s P``, the integral of precision ``s + i / P`` over
    ``dTP = s dP`` is ``s (dTP + i log(P_upper / P_lower))`` (Davis & Goadrich, ICML 2006; Keras' interpolate_pr_auc).
    """
    step = true[:-1] - true[1:]
    slope = ratio(step, positive[:-1] - positive[1:])
    intercept = true[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    growth = np.where(both, ratio(positive[:-1], positive[1:]), 1.0)
    return float(np.sum(ratio(slope * (step + intercept * np.log(growth)), actual[1:])))
