"""The rows of an ensemble's members: drawn anew from a seed whenever they are asked for."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import check_count, check_flag
from ..rows import is_sparse

# draws for each row, where they follow from a sum of weights: beyond, these were hardly meant as numbers of rows
LEAST_TIMES, MOST_TIMES = 0.1, 100


class Bags:
    """Rows to train on, drawn by weights with replacement, or without.

    A row's weight is its share in the draws, so that a weight of two means as much as the row twice: exactly so, if the
    rows with replacement have the same order.

    Parameters
    ----------
    rows : int
        How many there are.
    count : int
        How many to draw.
    replace : bool
        Whether one may be drawn often.
    weights : float64 (rows,), optional
        By which to draw with replacement.
    order : int64 (rows,), optional
        The order in which rows count; by default their own.
    """

    def __init__(
        self,
        rows: int,
        count: int,
        *,
        replace: bool,
        weights: NDArray[np.float64] | None = None,
        order: NDArray[np.int64] | None = None,
    ) -> None:
        self.rows, self.count, self.replace, self._order = rows, count, replace, order
        self._ends: NDArray[np.float64] | None = None
        if weights is not None:
            self._ends = np.cumsum(weights if order is None else weights[order])

    def __call__(self, seed: int) -> NDArray[np.int64] | None:
        """Return the rows of a seed; None stands for all of them in their order."""
        generator = np.random.RandomState(seed)
        if not self.replace:
            return None if self.count == self.rows else generator.permutation(self.rows)[: self.count]
        shares = generator.random_sample(self.count)
        if self._ends is None:
            drawn = (shares * self.rows).astype(np.int64)
        else:
            # rounding may make the last share the whole, beyond all rows
            places = np.minimum(shares * self._ends[-1], np.nextafter(self._ends[-1], 0))
            drawn = np.searchsorted(self._ends, places, side="right").astype(np.int64)
        return drawn if self._order is None else self._order[drawn]


def make_bags(
    X: Any, targets: NDArray[np.float32], weights: NDArray[np.float64] | None, *, max_samples: Any, bootstrap: bool,
    sort_below: int,
) -> Bags:  # fmt: skip
    """Return what draws the rows of an ensemble's members.

    Parameters
    ----------
    X, targets : array or sparse matrix (n, K), float32 (n, columns)
        The data.
    weights : float64 (n,), optional
        By which to draw with ``bootstrap``.
    max_samples : int or float
        How many to draw, or their share of the rows; with weights, of the sum of weights.
    bootstrap : bool
        Whether to draw with replacement.
    sort_below : int
        So many rows, or sums of weights, are drawn by what is in them and not by their order, so that neither order nor
        weights in the place of repetitions change anything.

    Raises
    ------
    ValueError, TypeError
        For ``max_samples`` and ``bootstrap`` that are none, or too many draws.
    """
    rows = len(targets)
    bootstrap = check_flag("bootstrap", bootstrap)
    drawn_by = weights if bootstrap else None
    total = rows if drawn_by is None else float(drawn_by.sum())
    if isinstance(max_samples, (float, np.floating)):
        if not 0 < max_samples <= 1:
            raise ValueError(f"max_samples must be a share above 0 and at most 1.0, or an integer, got {max_samples}")
        if total > MOST_TIMES * rows:
            raise ValueError(
                f"sample_weight has the sum {total:g}, and max_samples={max_samples} is a share of it: scale the "
                "weights to a mean of 1, or give max_samples as an integer"
            )
        count = max(1, int(max_samples * total))
        if drawn_by is not None and LEAST_TIMES * np.count_nonzero(drawn_by) > total:
            warnings.warn(
                f"max_samples={max_samples} of sample_weight's sum {total:g} is {count} of {rows} rows: scale the "
                "weights to a mean of 1, or give max_samples as an integer",
                stacklevel=5,
            )
    else:
        count = check_count("max_samples", max_samples)
    if not bootstrap and count > rows:
        raise ValueError(f"max_samples must be at most the {rows} rows without bootstrap, got {count}")
    order = None
    if bootstrap and total <= sort_below:
        dense = np.asarray(X.toarray() if is_sparse(X) else X, np.float32)
        order = np.lexsort(np.hstack([dense, targets]).T)
    return Bags(rows, count, replace=bootstrap, weights=drawn_by, order=order)
