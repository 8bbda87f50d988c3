"""Tables from files: CSV and its relatives as texts, Parquet with its types."""

import csv
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..errors import TableError
from .cells import MISSING
from .names import listed

# endings of files, and what separates cells where the file's own head does not say so
SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
PARQUET = (".parquet", ".pq")
OTHER_SEPARATORS = ";\t|"
DECIMAL_COMMA = r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$"
STANDARD_INPUT = "-"


class Table(NamedTuple):
    """What was read.

    Attributes
    ----------
    frame : polars.DataFrame
        Of a text file all columns are texts without spaces at their ends; missing cells are null.
    name : str
        What messages call it.
    remarks : list of str
        What is worth a word about the file.
    """

    frame: pl.DataFrame
    name: str
    remarks: list[str]


def read_table(path: str | os.PathLike[str], missing: Iterable[str] = ()) -> Table:
    """Read a table from a file.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.tab`` or ``.txt`` in UTF-8 with a line of names, or ``.parquet``. A CSV file may have
        ``;``, a tab or ``|`` in the place of commas, and with these a comma as the decimal point. ``"-"`` is a CSV file
        on the standard input.
    missing : iterable of str
        Texts that stand for nothing, beside the empty one, ``NA``, ``N/A``, ``NaN``, ``null``, ``None`` and others that
        pandas knows.

    Raises
    ------
    TableError
        When it is no such file, or has no row, lines of different lengths, or two columns of the same name.
    OSError
        When there is no such file, or it cannot be read.
    """
    given = os.fspath(path)
    if given == STANDARD_INPUT:
        return _read_text(sys.stdin.buffer.read(), "standard input", ",", missing)
    file = Path(given)
    ending = file.suffix.lower()
    if ending not in (*SEPARATORS, *PARQUET):
        raise TableError(
            f"{given!r} must be a table with the ending {', '.join(SEPARATORS)} or .parquet, got {ending or 'none'!r}; "
            "a sheet can be saved as CSV by the program that made it"
        )
    if file.is_dir():
        raise TableError(f"{given!r} is a folder, not a file with a table")
    data = file.read_bytes()
    if not data:
        raise TableError(f"{given!r} is empty")
    if ending in PARQUET:
        return _read_parquet(data, repr(given))
    return _read_text(data, repr(given), SEPARATORS[ending], missing)


def _read_parquet(data: bytes, name: str) -> Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{name} cannot be read as Parquet: {_first_line(error)}") from None
    return Table(_checked(frame, name), name, [])


def _read_text(data: bytes, name: str, separator: str, missing: Iterable[str]) -> Table:
    data = data.removeprefix(b"\xef\xbb\xbf")
    _check_encoding(data, name)
    if b"\n" not in data:
        # as old Macintosh programs end their lines
        data = data.replace(b"\r", b"\n")
    if not data.strip():
        raise TableError(f"{name} is empty")
    data = data.lstrip(b"\r\n")
    head = data.split(b"\n", 1)[0].decode()
    remarks = []
    if separator not in head:
        other = max(OTHER_SEPARATORS, key=head.count)
        if other in head:
            separator = other
            remarks.append(f"its cells are separated by {'tabs' if other == chr(9) else repr(other)}")
    columns = _header(data, separator)
    if len(columns) != len(set(columns)):
        twice = sorted({column for column in columns if columns.count(column) > 1})
        raise TableError(f"{name} has more than one column of the name {listed(map(repr, twice))}; rename one of them")
    frame = _parsed(data, name, separator, columns)
    absent = [*MISSING, *missing]
    cells = pl.all().str.strip_chars()
    frame = frame.select(pl.when(cells.is_in(absent)).then(None).otherwise(cells).name.keep())
    if separator != ",":
        frame, commas = _without_decimal_commas(frame)
        if commas:
            remarks.append(f"commas are decimal points in {listed(commas)}")
    return Table(_checked(frame, name), name, remarks)


def _header(data: bytes, separator: str) -> list[str]:
    """The names in the first line; a column without one is called by its number."""
    first = next(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator), [])
    return [column.strip() or f"column {number}" for number, column in enumerate(first, 1)]


def _parsed(data: bytes, name: str, separator: str, columns: list[str]) -> pl.DataFrame:
    try:
        frame = pl.read_csv(data, separator=separator, infer_schema=False, has_header=True, new_columns=columns)
    except pl.exceptions.PolarsError as error:
        _check_lengths(data, name, separator, len(columns))
        raise TableError(f"{name} cannot be read as a table: {_first_line(error)}") from None
    if frame.width != len(columns):
        raise TableError(f"{name} cannot be read as a table: its first line has quotes that are not closed")
    if frame.height and frame[:, -1].null_count():
        # polars takes a line that is too short, or has nothing, for one with missing cells
        lengths = _check_lengths(data, name, separator, len(columns))
        if len(lengths) == frame.height:
            return frame.filter(pl.Series(lengths) > 0)
    return frame


def _check_lengths(data: bytes, name: str, separator: str, width: int) -> list[int]:
    """Return how many cells the lines after the first have; raise TableError when they are not as many as columns."""
    lengths = []
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator)
    try:
        for row in reader:
            if row and len(row) != width:
                raise TableError(
                    f"{name} has {width} columns, but line {reader.line_num} has {len(row)} "
                    f"cell{'' if len(row) == 1 else 's'}; every line must have as many cells as the first"
                )
            lengths.append(len(row))
    except csv.Error as error:
        raise TableError(f"{name} cannot be read as a table: line {reader.line_num}: {error}") from None
    return lengths[1:]


def _check_encoding(data: bytes, name: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{name} is not in UTF-8: line {line} has the byte 0x{data[error.start]:02x}; save it as UTF-8, or "
            "convert it, for example with: iconv -f latin1 -t utf-8"
        ) from None


def _without_decimal_commas(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """A frame with points, and the names of columns whose numbers had commas."""
    changed = []
    for column in frame.columns:
        cells = frame[column].drop_nulls()
        comma = cells.str.contains(DECIMAL_COMMA)
        rest = cells.filter(~comma)
        if comma.any() and rest.cast(pl.Float64, strict=False).null_count() == 0:
            changed.append(column)
    return frame.with_columns(pl.col(changed).str.replace(",", ".", literal=True)), changed


def _checked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    if frame.width == 0:
        raise TableError(f"{name} has no columns")
    if frame.height == 0:
        raise TableError(f"{name} has a line of names ({listed(frame.columns)}), but no row below it")
    return frame


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
