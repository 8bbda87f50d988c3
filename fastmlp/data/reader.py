"""What a Source reads from: the interface, and what goes wrong in reading."""

from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError

# seen with Zarr, whose threads decode several chunks at a time, and with pyarrow
DECODER_BYTES = 96 << 20


class Raw(NamedTuple):
    """Rows as they were read.

    Attributes
    ----------
    x : array (n, ...), or list of arrays (n,)
        Features, of one dtype or by column.
    y, weights : array, optional
        None where there are none, or were not asked for.
    """

    x: Any
    y: Any
    weights: Any


class Reader(Protocol):
    """Rows that can be read from any place on."""

    # what there is
    rows: int
    shape: tuple[int, ...]
    has_targets: bool
    # the shape of a row's targets
    target_shape: tuple[int, ...]
    weighted: bool
    # bytes of a row as it is stored, and what else is in memory while it is read
    row_bytes: int
    extra_bytes: int
    # what the threads and pools of a library that decodes blocks hold on to
    library_bytes: int

    def bounds(self, block: int, *, exactly: bool) -> NDArray[np.int64]:
        """Return the first rows of blocks of about so many rows, and the number of rows."""

    def read(self, first: int, last: int, *, targets: bool) -> Raw:
        """Return the rows from ``first`` to ``last``; ``targets``: with targets and weights."""

    def release(self, first: int, last: int) -> None:
        """Give back memory that the rows take, if reading alone does not."""


def even_bounds(rows: int, block: int) -> NDArray[np.int64]:
    """Return the bounds of blocks of one size."""
    return np.append(np.arange(0, rows, block), rows)


def failed(first: int, last: int, error: BaseException) -> NoReturn:
    """Raise SourceError for an exception while rows were read."""
    raise SourceError(
        f"rows {first} to {last - 1} of the source could not be read: {type(error).__name__}: {error}"
    ) from error
