"""Source: rows that are read while a model trains on those before them."""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..engine.portions import Layout
from ..engine.stream import BUFFERS
from ..errors import check_count
from .arrays import ArrayReader
from .parquet import ArrowReader, is_arrow
from .reader import Reader

if TYPE_CHECKING:
    from ..model import Sequential

# what a block is by default, as float32, and how many are mixed
BLOCK_BYTES, BUFFER = 8 << 20, 8
# blocks as they are stored that are in memory while one is read: what was read, decoded and decompressed
COPIES = 3
# Objects, copies of single columns, and what an allocator keeps of what it was given back.
SLACK_BYTES = 32 << 20


class Source:
    """Data that may be larger than memory, for ``fit``, ``evaluate``, ``predict`` and ``validation_data``.

    A thread reads blocks of rows while the model trains. Blocks come in a random order, one behind the other; of this
    sequence, ``buffer`` blocks at a time are in memory, and their rows are shuffled among each other. The order follows
    from the model's seed and the number of epochs that it has been trained, and from nothing else.

    Parameters
    ----------
    x : array-like (n, features), or dataset
        What has ``__getitem__`` with slices of rows, and ``shape`` or ``__len__``: an ``np.memmap``, an array of
        Zarr's, h5py's or dask's, or an object of one's own. What takes no slices is read row by row. Where no y is
        given, an item may be a tuple (x, y) or (x, y, sample_weight). Or a ``pyarrow.dataset.Dataset``,
        ``pyarrow.parquet.ParquetFile`` or ``pyarrow.Table``, with the names of columns.
    y : array-like (n,) or (n, units), optional
        Targets, of the same kinds; not with a dataset.
    sample_weight : array-like (n,), or str, optional
        Factors of the rows' losses; with a dataset, a column's name.
    features, target : list of str, and str or list of str, optional
        Columns of a dataset; features are all others by default.
    block_rows : int, optional
        Rows of a block, instead of ``block_bytes``.
    block_bytes : int
        The size of a block's features as float32. Blocks are whole chunks of a chunked array, and whole row groups of a
        Parquet file, of which one may be larger.
    buffer : int
        How many blocks are mixed.

    Attributes
    ----------
    rows : int
        How many there are.
    shape : tuple
        ``(rows, features)``, or that of other samples.

    Raises
    ------
    ValueError, TypeError
        For data of which nothing can be read by rows, lengths that differ, and columns that are missing or no numbers.
    SourceError
        When the first rows, which tell what an object without shape or dtype holds, cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import Dense, Input, Sequential
    >>> x = np.linspace(-1, 1, 4000, dtype=np.float32).reshape(-1, 2)
    >>> source = Source(x, x[:, 0] > 0, block_rows=100, buffer=4)
    >>> model = Sequential([Input((2,)), Dense(8, "relu"), Dense(1, "sigmoid")], seed=0)
    >>> model.compile("adam", "binary_crossentropy")
    >>> history = model.fit(source, epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        features: Any = None,
        target: Any = None,
        block_rows: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        buffer: int = BUFFER,
    ) -> None:
        self.buffer = check_count("buffer", buffer)
        check_count("block_bytes", block_bytes)
        if block_rows is not None:
            check_count("block_rows", block_rows)
        if isinstance(x, Source):
            raise TypeError("x must be data, got a Source")
        self.reader: Reader
        if is_arrow(x):
            if y is not None:
                raise ValueError("y must not be given with a dataset: target names its column")
            self.reader = ArrowReader(x, features, target, sample_weight)
        else:
            for name, value in (("features", features), ("target", target)):
                if value is not None:
                    raise ValueError(
                        f"{name} names columns of a dataset of pyarrow's, and x is a {type(x).__name__}; arrays have y"
                    )
            if isinstance(sample_weight, str):
                raise TypeError("sample_weight must be array-like with an x that is; names are those of a dataset")
            self.reader = ArrayReader(x, y, sample_weight)
        self.rows = self.reader.rows
        self.shape = (self.rows, *self.reader.shape)
        self._features = int(np.prod(self.reader.shape))
        block = max(1, block_bytes // (4 * max(1, self._features))) if block_rows is None else block_rows
        bounds = self.reader.bounds(block, exactly=block_rows is not None)
        # the rows of whole groups are mixed with those of another one at least
        self._largest = int(np.diff(bounds).max())
        self.layout = Layout(bounds, max(block * self.buffer, 2 * self._largest if self._largest > block else 0))

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return (
            f"Source(rows={self.rows}, features={self._features}, blocks={self.blocks}, "
            f"window={self.window}, memory={self.memory()})"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TypeError(
            "a Source is data for fit, evaluate, predict and validation_data, and no array; "
            "hand over an array here, such as a part of the data: np.asarray(data[:10000])"
        )

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.layout.bounds) - 1

    @property
    def window(self) -> int:
        """How many rows are in memory, and shuffled, together."""
        return self.layout.window

    @property
    def fits(self) -> bool:
        """Whether all rows are in memory together; they are then trained on as arrays are, in the same order."""
        return self.layout.windows == 1

    def memory(self, batch_size: int = 32) -> int:
        """Return the bytes that reading takes at most: two windows, and the block that is read.

        ``2 (window + batch_size) (4 features + 4 columns of y + 4 + 8) + 3 block (bytes of a stored row) + 32 MiB``,
        and 96 MiB more for what libraries hold that decode chunks, such as Zarr, h5py and pyarrow.
        Weights of rows and their order, the 4 and the 8, are counted in any case. The model's own memory comes on top,
        and what an object of one's own holds.

        Parameters
        ----------
        batch_size : int
            Of ``fit``.
        """
        columns = int(np.prod(self.reader.target_shape)) if self.reader.has_targets else 0
        row = 4 * self._features + 4 * columns + 4 + 8
        stored = self._largest * self.reader.row_bytes + self.reader.extra_bytes
        return BUFFERS * (self.window + batch_size) * row + COPIES * stored + SLACK_BYTES + self.reader.library_bytes

    def order(self, seed: "int | Sequential", epoch: int = 0) -> NDArray[np.int64]:
        """Return the order in which rows are trained on: the numbers of all rows.

        Parameters
        ----------
        seed : int or Sequential
            A model, or its seed.
        epoch : int
            How many epochs the model has been trained before.
        """
        number = seed if isinstance(seed, (int, np.integer)) else seed.seed
        return self.layout.epoch(int(number), epoch, shuffled=True).whole()
