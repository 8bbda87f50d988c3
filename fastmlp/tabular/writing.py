"""Tables to files, whole or not at all."""

import io
import os
from pathlib import Path

import polars as pl

from ..errors import TableError
from ..saving.durable import replace_file
from .reading import PARQUET

WRITTEN = {".csv": ",", ".tsv": "\t"}


def check_table_path(path: str | os.PathLike[str]) -> None:
    """Raise TableError for a file whose ending says of no format how to write it."""
    ending = Path(path).suffix.lower()
    if ending not in (*WRITTEN, *PARQUET):
        raise TableError(
            f"{os.fspath(path)!r} must have the ending .csv, .tsv or .parquet for a table, got {ending or 'none'!r}"
        )


def as_csv(frame: pl.DataFrame, separator: str = ",") -> bytes:
    """Return the bytes of a CSV file."""
    stream = io.BytesIO()
    frame.write_csv(stream, separator=separator)
    return stream.getvalue()


def write_table(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table to a file, which is replaced whole or not at all.

    Parameters
    ----------
    frame : polars.DataFrame
        The table.
    path : path
        Ending in ``.csv``, ``.tsv`` or ``.parquet``.

    Raises
    ------
    TableError
        For another ending.
    OSError
        When it cannot be written.
    """
    check_table_path(path)
    ending = Path(path).suffix.lower()
    if ending in PARQUET:
        stream = io.BytesIO()
        frame.write_parquet(stream)
        replace_file(path, [stream.getvalue()])
    else:
        replace_file(path, [as_csv(frame, WRITTEN[ending])])
