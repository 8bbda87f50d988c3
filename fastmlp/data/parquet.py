"""Reading columns of Arrow: a dataset of pyarrow's, a Parquet file, or a table. pyarrow is there with them."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown_name
from .reader import DECODER_BYTES, Raw, even_bounds, failed


def is_arrow(x: object) -> bool:
    """Say whether something is a dataset, a Parquet file or a table of pyarrow's."""
    arrow, parquet, dataset = (sys.modules.get(f"pyarrow{part}") for part in ("", ".parquet", ".dataset"))
    kinds = [
        getattr(module, name, None)
        for module, name in ((arrow, "Table"), (parquet, "ParquetFile"), (dataset, "Dataset"))
    ]
    return isinstance(x, tuple(kind for kind in kinds if kind is not None))


class _Group(NamedTuple):
    """Rows that are read together."""

    rows: int
    size: int
    read: Callable[[list[str]], Any]


def _names(argument: str, given: object) -> list[str]:
    """Names of columns, of which there may be one."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument} must be the name of a column, or a list of such, got {given!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{argument} must name each column once, got {list(names)}")
    return list(names)


class ArrowReader:
    """Columns of a dataset as features, targets and weights.

    Parameters
    ----------
    data : pyarrow.dataset.Dataset, pyarrow.parquet.ParquetFile or pyarrow.Table
        Its columns are numbers, booleans, or lists of one length of these.
    features : list of str, optional
        By default all columns but the others.
    target : str or list of str, optional
        One column, or one for each output.
    sample_weight : str, optional
        A column.
    """

    def __init__(self, data: Any, features: Any, target: Any, sample_weight: Any) -> None:
        schema = data.schema_arrow if hasattr(data, "schema_arrow") else data.schema
        self._targets = [] if target is None else _names("target", target)
        # one name is one number a row, a list of names has a column for each
        self._flat = isinstance(target, str)
        self._weights = [] if sample_weight is None else _names("sample_weight", sample_weight)
        if len(self._weights) > 1:
            raise ValueError(f"sample_weight must be the name of one column, got {sample_weight!r}")
        others = {*self._targets, *self._weights}
        self._features = (
            [name for name in schema.names if name not in others] if features is None
            else _names("features", features)
        )  # fmt: skip
        if not self._features:
            raise ValueError("features must have at least one column, and there is none beside target")
        both = others & set(self._features)
        if both:
            raise ValueError(f"features must not have the columns of target and sample_weight, got {sorted(both)}")
        for name in (*self._features, *others):
            if name not in schema.names:
                raise unknown_name("column", name, schema.names)
        widths = {name: _width(schema.field(name)) for name in (*self._features, *others)}
        self.shape: tuple[int, ...] = (sum(max(1, widths[name]) for name in self._features),)
        self.has_targets, self.weighted = bool(self._targets), bool(self._weights)
        columns = sum(max(1, widths[name]) for name in self._targets)
        self.target_shape: tuple[int, ...] = (
            () if self._flat and not widths[self._targets[0]] else (columns,) if columns else ()
        )
        self._columns = [*self._features, *self._targets, *self._weights]
        self.row_bytes = sum(_bytes(schema.field(name), widths[name]) for name in self._columns)
        self._table = data if hasattr(data, "slice") else None
        self._groups = [] if self._table is not None else [group for group in _groups(data) if group.rows]
        self._bounds = np.append(0, np.cumsum([group.rows for group in self._groups])).astype(np.int64)
        self.rows = int(self._bounds[-1]) if self._table is None else self._table.num_rows
        if self.rows < 1:
            raise ValueError("the dataset must have at least one row, got none")
        self.library_bytes = DECODER_BYTES
        self.extra_bytes = max((group.size for group in self._groups), default=0)
        # the group of which rows were read last
        self._held: tuple[int, list[NDArray[Any]]] | None = None

    def bounds(self, block: int, *, exactly: bool) -> NDArray[np.int64]:
        """Whole groups of rows, so that none is read twice; several small ones make a block."""
        if self._table is not None:
            return even_bounds(self.rows, block)
        found = [0]
        for end in self._bounds[1:-1]:
            following = self._bounds[np.searchsorted(self._bounds, end) + 1]
            if following - found[-1] > block:
                found.append(int(end))
        return np.array([*found, self.rows], np.int64)

    def read(self, first: int, last: int, *, targets: bool) -> Raw:
        """Return rows; see :class:`fastmlp.data.reader.Reader`."""
        try:
            parts = [self._part(first, last)] if self._table is not None else list(self._parts(first, last))
        except ValueError:
            raise
        except Exception as error:
            failed(first, last, error)
        columns = parts[0] if len(parts) == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]
        if any(len(column) != last - first for column in columns):
            raise ValueError(f"the dataset must have {last - first} rows from {first} on, and has {len(columns[0])}")
        features, own = len(self._features), len(self._targets)
        y = columns[features : features + own]
        return Raw(
            columns[:features],
            None if not y else y[0] if self._flat else np.column_stack(y),
            columns[-1] if self._weights else None,
        )

    def _part(self, first: int, last: int) -> list[NDArray[Any]]:
        assert self._table is not None
        return _arrays(self._table.slice(first, last - first), self._columns)

    def _parts(self, first: int, last: int) -> Any:
        """The columns of all groups in which the rows are."""
        while first < last:
            number = int(np.searchsorted(self._bounds, first, side="right")) - 1
            begin, end = int(self._bounds[number]), int(self._bounds[number + 1])
            if self._held is None or self._held[0] != number:
                self._held = None
                self._held = number, _arrays(self._groups[number].read(self._columns), self._columns)
            stop = min(end, last)
            yield [column[first - begin : stop - begin] for column in self._held[1]]
            if stop == end:
                self._held = None
            first = stop

    def release(self, first: int, last: int) -> None:
        """Nothing is mapped."""


def _groups(data: Any) -> list[_Group]:
    """The groups of rows of a Parquet file or a dataset."""
    if hasattr(data, "read_row_group"):
        return [_of_file(data, number) for number in range(data.num_row_groups)]
    if getattr(data, "_scan_options", None):
        raise ValueError("a filtered dataset cannot be read from any row on; write what it has into a file first")
    found = []
    for fragment in data.get_fragments():
        whole = hasattr(fragment, "split_by_row_group")
        parts = fragment.split_by_row_group(schema=data.schema) if whole else [fragment]
        found += [_of_dataset(part, data.schema) for part in parts]
    return found


def _of_file(file: Any, number: int) -> _Group:
    group = file.metadata.row_group(number)

    def read(columns: list[str]) -> Any:
        return file.read_row_group(number, columns=columns, use_threads=False)

    return _Group(group.num_rows, group.total_byte_size, read)


def _of_dataset(part: Any, schema: Any) -> _Group:
    # a fragment that is one row group counts the rows of its whole file
    groups = getattr(part, "row_groups", None)
    rows = sum(group.num_rows for group in groups) if groups else part.count_rows()

    def read(columns: list[str]) -> Any:
        return part.to_table(schema=schema, columns=columns, use_threads=False)

    return _Group(rows, sum(group.total_byte_size for group in groups or ()), read)


def _width(field: Any) -> int:
    """Elements of a column that holds lists, or 0 where it holds numbers."""
    from pyarrow import types

    kind, width = field.type, 0
    if types.is_fixed_size_list(kind):
        kind, width = kind.value_type, kind.list_size
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise TypeError(
            f"column {field.name!r} must hold numbers, booleans or lists of one length of these, and is of the type "
            f"{field.type}; name the columns to use with features=[...], or encode it first"
        )
    return int(width)


def _bytes(field: Any, width: int) -> int:
    kind = field.type.value_type if width else field.type
    return max(1, int(kind.bit_width) // 8) * max(1, width)


def _arrays(table: Any, names: list[str]) -> list[NDArray[Any]]:
    """The columns of a table as arrays of numbers."""
    from pyarrow import types

    found = []
    for name in names:
        column = table.column(name)
        if column.null_count:
            raise ValueError(
                f"column {name!r} must have no nulls, and has {column.null_count}; fill or drop them first"
            )
        column = column.combine_chunks()
        if getattr(column, "num_chunks", None) is not None:
            column = column.chunk(0) if column.num_chunks == 1 else column
        if types.is_fixed_size_list(column.type):
            width = column.type.list_size
            values = column.flatten()
            if values.null_count:
                raise ValueError(f"column {name!r} must have no nulls; fill or drop them first")
            found.append(values.to_numpy(zero_copy_only=False).reshape(-1, width))
        else:
            found.append(column.to_numpy(zero_copy_only=False))
    return found
