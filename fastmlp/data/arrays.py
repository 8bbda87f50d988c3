"""Reading from what has rows and slices: NumPy's memory maps, Zarr and HDF5 arrays, and objects of one's own."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs import check_array
from .reader import DECODER_BYTES, Raw, even_bounds, failed

# rows of a first look at what has no shape or dtype
LOOK = 2


class Rows:
    """One array-like: rows by slices, or where it takes none, one at a time.

    Parameters
    ----------
    name : str
        What messages call it.
    source : object
        With ``__getitem__``, and ``shape`` or ``__len__``.
    """

    def __init__(self, name: str, source: Any) -> None:
        self.name, self.source = name, source
        shape = getattr(source, "shape", None)
        if isinstance(shape, tuple) and not shape:
            raise ValueError(f"{name} must have rows, got a single number")
        if not hasattr(source, "__getitem__") or not (shape or hasattr(source, "__len__")):
            raise TypeError(f"{name} must have rows: __getitem__, and shape or __len__; got {type(source).__name__}")
        self.rows = int(shape[0]) if shape else len(source)
        # numbers of rows, where an object takes no slices
        self._single = False
        self.parts: int | None = None
        if self.rows < 1:
            raise ValueError(f"{name} must have at least one row, got none")
        self.shape, self.dtype = self._known(shape)
        self._map = _mapped(source)

    def _known(self, shape: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape of a row and the dtype, of which the first rows tell what the object does not."""
        dtype = getattr(self.source, "dtype", None)
        if isinstance(shape, tuple) and isinstance(dtype, np.dtype):
            return tuple(map(int, shape[1:])), _numbers(self.name, np.empty(0, dtype)).dtype
        last = min(LOOK, self.rows)
        try:
            first = self._taken(0, last)
        except Exception:
            # an object may say in any way that it takes no slices; if that was not it, the next line tells
            self._single = True
            first = self.taken(0, last)
        if isinstance(first, tuple):
            self.parts = len(first)
            return (), np.dtype(np.float32)
        array = _numbers(self.name, first)
        return array.shape[1:], array.dtype

    def _taken(self, first: int, last: int) -> Any:
        return self.source[first:last]

    def taken(self, first: int, last: int) -> Any:
        """Return rows as the object gives them, or put together from single ones; a tuple of arrays where it has some.

        Raises
        ------
        SourceError
            Whatever the object raises.
        """
        try:
            if not self._single:
                return self._taken(first, last)
            rows = [self.source[number] for number in range(first, last)]
            if rows and isinstance(rows[0], tuple):
                return tuple(np.stack([np.asarray(value) for value in part]) for part in zip(*rows, strict=True))
            return np.stack([np.asarray(row) for row in rows])
        except Exception as error:
            failed(first, last, error)

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Return rows as an array of real numbers, of as many rows as were asked for, in the shape that all have."""
        return self.checked(self.taken(first, last), first, last)

    def checked(self, taken: Any, first: int, last: int) -> NDArray[Any]:
        """Return what was taken as an array; see :meth:`read`."""
        array = _numbers(self.name, taken)
        if array.ndim == 0 or len(array) != last - first:
            raise ValueError(
                f"{self.name} must have {last - first} rows from {first} on, and has "
                f"{len(array) if array.ndim else 'a single number'}; its length says {self.rows}"
            )
        if array.shape[1:] != self.shape:
            raise ValueError(
                f"{self.name} must have rows of the shape {self.shape} as its first ones, got {array.shape[1:]}"
            )
        return array

    @property
    def row_bytes(self) -> int:
        """The size of a row as it is stored."""
        return self.dtype.itemsize * int(np.prod(self.shape))

    @property
    def chunk(self) -> int:
        """Rows of what is stored, and read, as one; 1 where that is any number."""
        chunks = getattr(self.source, "chunks", None)
        first = chunks[0] if isinstance(chunks, tuple) and chunks else 1
        # shards of Zarr's are read by chunk; dask's chunks have sizes of their own
        return int(first) if isinstance(first, (int, np.integer)) else int(max(first))

    def release(self, first: int, last: int) -> None:
        """Give back the pages of a file that were mapped for these rows; the file's cache keeps them."""
        if self._map is None:
            return
        memory, start, row = self._map
        page = mmap.ALLOCATIONGRANULARITY
        begin = (start + first * row) // page * page
        memory.madvise(mmap.MADV_DONTNEED, begin, start + last * row - begin)


def _numbers(name: str, value: Any) -> NDArray[Any]:
    """What was read, as an array of real numbers."""
    array = check_array(name, value)
    return np.asarray(array)


def _mapped(source: Any) -> tuple[mmap.mmap, int, int] | None:
    """Return a map of a file with where in it rows begin and how far apart they are, if its pages can be given back.

    Changes to a copy-on-write map would be lost with them.
    """
    memory = getattr(source, "_mmap", None)
    if (
        not isinstance(source, np.memmap)
        or not isinstance(memory, mmap.mmap)
        or source.mode not in ("r", "r+", "w+")
        or not source.flags.c_contiguous
        or not hasattr(mmap, "MADV_DONTNEED")
    ):
        return None
    start = source.ctypes.data - np.frombuffer(memory, np.uint8).ctypes.data
    row = source.strides[0]
    return memory, start, row


class ArrayReader:
    """Features, targets and weights from objects that have rows.

    Parameters
    ----------
    x : object
        With ``__getitem__``, and ``shape`` or ``__len__``. Without y, an item may be a tuple (x, y) or
        (x, y, sample_weight).
    y, sample_weight : object, optional
        Of as many rows.
    """

    extra_bytes = 0

    def __init__(self, x: Any, y: Any, sample_weight: Any) -> None:
        self._x = Rows("x", x)
        self._columns: list[Rows | None]
        if self._x.parts is not None:
            self._columns = self._split(y, sample_weight)
            self.rows = self._x.rows
        else:
            given = (("y", y), ("sample_weight", sample_weight))
            self._columns = [self._x, *(None if each is None else Rows(name, each) for name, each in given)]
            self.rows = self._x.rows
        features, targets, weights = self._columns
        assert features is not None
        for each in (targets, weights):
            if each is not None and each.rows != self.rows:
                raise ValueError(f"{each.name} must have as many rows as x: x has {self.rows}, {each.name} {each.rows}")
        self.shape = features.shape
        if not self.shape:
            raise ValueError(
                f"x must have the shape (rows, features), got ({self.rows},); use x.reshape(-1, 1) for one feature"
            )
        self.has_targets, self.weighted = targets is not None, weights is not None
        self.target_shape = () if targets is None else targets.shape
        if weights is not None and weights.shape not in ((), (1,)):
            raise ValueError(f"sample_weight must have the shape ({self.rows},), got {(self.rows, *weights.shape)}")
        self.row_bytes = sum(each.row_bytes for each in self._columns if each is not None)
        decoded = any(each is not None and each.chunk > 1 for each in self._columns)
        self.library_bytes = DECODER_BYTES if decoded else 0

    def _split(self, y: Any, sample_weight: Any) -> list["Rows | None"]:
        """Parts of an object whose items are tuples, of which each has a shape and a dtype of its own."""
        whole = self._x
        if y is not None or sample_weight is not None:
            raise ValueError("y and sample_weight must not be given with an x whose items are tuples, which have them")
        if whole.parts not in (2, 3):
            raise ValueError(f"items of x must be x alone, (x, y) or (x, y, sample_weight), got {whole.parts} elements")
        found = whole.taken(0, min(LOOK, whole.rows))
        columns: list[Rows | None] = [
            _Part(name, part, whole.rows) for name, part in zip(("x", "y", "sample_weight"), found, strict=False)
        ]
        return [*columns, None][:3]

    @property
    def _tuples(self) -> bool:
        return self._x.parts is not None

    def bounds(self, block: int, *, exactly: bool) -> NDArray[np.int64]:
        """Blocks of one size: whole chunks of a chunked x, unless they are to have exactly so many rows."""
        chunk = min(self._x.chunk, self.rows)
        if not exactly:
            block = max(chunk, block // chunk * chunk)
        return even_bounds(self.rows, block)

    def read(self, first: int, last: int, *, targets: bool) -> Raw:
        """Return rows; see :class:`fastmlp.data.reader.Reader`."""
        if self._tuples:
            taken = self._x.taken(first, last)
            if not isinstance(taken, tuple) or len(taken) != self._x.parts:
                raise ValueError(f"items of x must be tuples of {self._x.parts} elements as the first ones are")
            parts = [
                None if column is None else column.checked(part, first, last)
                for column, part in zip(self._columns, (*taken, None), strict=False)
            ]
            return Raw(*parts)
        wanted = self._columns if targets else [self._columns[0], None, None]
        return Raw(*(None if column is None else column.read(first, last) for column in wanted))

    def release(self, first: int, last: int) -> None:
        """Give back mapped pages."""
        for column in self._columns:
            if column is not None:
                column.release(first, last)


class _Part(Rows):
    """One element of the items of an object."""

    def __init__(self, name: str, first: Any, rows: int) -> None:
        array = _numbers(name, first)
        self.name, self.source, self.rows, self._map, self.parts = name, None, rows, None, None
        self.shape, self.dtype = array.shape[1:], array.dtype
