"""How rows reach the compiled loops: C-contiguous float32 as it is, everything else converted by the block."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs import FLOAT32, floats
from ..rows import Rows, centre
from .tables import Data

NO_ORDER = np.empty(0, np.int64)
# floats in a converted block
BLOCK_FLOATS = 1 << 20


def read_only(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a view that cannot be written: kernels see one type of array, and never change users' data."""
    view = array.view()
    view.setflags(write=False)
    return view


NO_WEIGHTS = read_only(np.empty(0, np.float32))


class Feed:
    """Rows of one data set.

    Parameters
    ----------
    x : array or SparseRows (n, K)
        Real numbers of any dtype and layout; not copied as a whole.
    y : float32 array (n, columns)
        Targets; (n, 0) for prediction. Copied where they are not contiguous, as are the weights.
    weights : float32 array (n,) or (0,)
        Sample weights.
    worth : float
        How many rows one counts for where penalties are divided by rows.
    chosen : int64 array, optional
        The rows that there are, of which some may come often; by default all.
    """

    def __init__(
        self,
        x: Rows,
        y: NDArray[np.float32],
        weights: NDArray[np.float32],
        worth: float = 1.0,
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self.x, self.worth, self.chosen = x, worth, chosen
        # the type of a view with strides, such as of a table's column, would have the engine compiled once more
        self.y, self.weights = read_only(floats(y)), read_only(floats(weights)) if weights.size else NO_WEIGHTS
        self.rows = len(x) if chosen is None else len(chosen)
        self.columns = y.shape[1]
        # np.dtype equality is of the byte order too
        self.direct = isinstance(x, np.ndarray) and x.dtype == FLOAT32 and x.flags.c_contiguous and x.flags.aligned
        # rows that are converted at a time
        self.block = max(1, BLOCK_FLOATS // x.shape[1])
        self._centres: dict[bool, NDArray[np.float64]] = {}
        self.whole: Data | None = None
        if self.direct:
            self.whole = Data(read_only(np.asarray(x)), self.y, self.weights, NO_ORDER)

    def centre(self, *, weighted: bool) -> NDArray[np.float64]:
        """Return the mean of each column of the targets, by the rows' weights if ``weighted``."""
        if weighted not in self._centres:
            targets, weights = self.y, self.weights if weighted else self.weights[:0]
            if self.chosen is not None:
                targets, weights = targets[self.chosen], weights[self.chosen] if weights.size else weights
            self._centres[weighted] = centre(targets, weights)
        return self._centres[weighted]

    def set_centre(self, centre: NDArray[np.float64]) -> None:
        """Say what is near the mean of each column of the targets, where rows are a part of a run's."""
        self._centres = {False: centre, True: centre}

    def part(self, first: int, last: int) -> "Feed":
        """Return a feed of the rows from ``first`` to ``last``."""
        if self.chosen is not None:
            return Feed(self.x, self.y, self.weights, self.worth, self.chosen[first:last])
        return Feed(self.x[first:last], self.y[first:last], self.weights[first:last], self.worth)

    def ordered(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers in ``x`` of rows in an order; an empty one is the rows' own."""
        if self.chosen is None:
            return order
        return self.chosen[order] if order.size else self.chosen

    def blocks(self) -> "Iterator[Feed]":
        """Yield feeds of the rows that are converted at a time, with penalties as for all rows together."""
        for first in range(0, self.rows, self.block):
            part = self.part(first, first + self.block)
            part.worth = self.worth * self.rows / part.rows
            yield part

    def data(self, order: NDArray[np.int64], first: int, last: int) -> tuple[Data, int]:
        """Return the rows ``first`` to ``last`` of an order, and what to subtract from a row's number.

        An empty ``order`` is that of ``x``; after a conversion the rows stand in their order already.
        """
        if self.whole is not None:
            return (self.whole if order is NO_ORDER else self.whole._replace(order=order)), 0
        rows = order[first:last] if order.size else slice(first, last)
        x = floats(self.x[rows])
        weights = self.weights[rows] if self.weights.size else self.weights
        return Data(read_only(x), read_only(self.y[rows]), read_only(weights), NO_ORDER), first
