"""In which order an epoch takes the rows of data that are read block by block: a function of the seed and the epoch.

Blocks come in an order of their own, one behind the other; the whole is cut into windows of one size, and the rows
of a window are shuffled among each other.
"""

import numpy as np
from numpy.typing import NDArray

from ..kernels.random import shuffle

Int64 = NDArray[np.int64]


class Layout:
    """How rows are cut for reading.

    Parameters
    ----------
    bounds : int64 array (blocks + 1,)
        The first row of each block, and the number of rows.
    window : int
        Rows that are in memory, and are shuffled, together.

    Attributes
    ----------
    windows : int
        How many there are; with one, an epoch has the order that arrays have.
    """

    def __init__(self, bounds: Int64, window: int) -> None:
        self.bounds = bounds
        self.rows = int(bounds[-1])
        self.window = min(window, self.rows)
        self.windows = -(-self.rows // self.window)

    def epoch(self, seed: int, number: int, *, shuffled: bool) -> "EpochOrder":
        """Return the order of an epoch."""
        return EpochOrder(self, seed, number, shuffled)


class EpochOrder:
    """The order of one epoch; see :class:`Layout`."""

    def __init__(self, layout: Layout, seed: int, number: int, shuffled: bool) -> None:
        self._layout, self._seed, self._number, self.shuffled = layout, seed, number, shuffled
        blocks = np.arange(len(layout.bounds) - 1)
        if shuffled and layout.windows > 1:
            shuffle(blocks, self._key(0), np.uint64(number))
        self._lasts = layout.bounds[blocks + 1]
        self._ends = np.cumsum(self._lasts - layout.bounds[blocks])

    def _key(self, use: int) -> np.uint64:
        """A seed for each window and for the blocks; the only window has the model's own."""
        if self._layout.windows == 1:
            return np.uint64(self._seed)
        key: np.uint64 = np.random.SeedSequence((self._seed, use)).generate_state(1, np.uint64)[0]
        return key

    def runs(self, window: int) -> list[tuple[int, int]]:
        """Return the rows of a window as they are read: pairs of a first row and the one after the last."""
        begin = window * self._layout.window
        end = min(begin + self._layout.window, self._layout.rows)
        found = []
        at = begin
        block = int(np.searchsorted(self._ends, begin, side="right"))
        while at < end:
            stop = min(int(self._ends[block]), end)
            # from places in the order of blocks to rows of the data
            shift = int(self._lasts[block] - self._ends[block])
            found.append((shift + at, shift + stop))
            at = stop
            block += 1
        return found

    def mix(self, window: int, order: Int64) -> None:
        """Write the order of a window's rows, as numbers from 0."""
        shuffle(order, self._key(window + 1), np.uint64(self._number))

    def whole(self) -> Int64:
        """Return the numbers of all rows in their order."""
        parts = []
        for window in range(self._layout.windows):
            rows = np.concatenate([np.arange(first, last) for first, last in self.runs(window)])
            if self.shuffled:
                order = np.empty(len(rows), np.int64)
                self.mix(window, order)
                rows = rows[order]
            parts.append(rows)
        return np.concatenate(parts)
