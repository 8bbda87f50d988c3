"""Cells of a column as numbers, texts or dates, whatever the column is made of; what is missing is null."""

import re

import polars as pl

from ..errors import TableError

# Which of a column's cells say nothing, as pandas reads CSV files:
# https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html ("na_values")
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
# The first one that reads all cells of a column is taken; month before day, where both would do, is said.
DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y")
TIME_FORMATS = ("", "T%H:%M:%S%.f", " %H:%M:%S%.f", "T%H:%M", " %H:%M", "T%H:%M:%S%.f%#z", " %H:%M:%S%.f%#z")
FORMATS = tuple(date + time for date in DATE_FORMATS for time in TIME_FORMATS)
LIKE_A_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:.*)?", re.DOTALL)
# cells that decide whether it is worth the time to read a column as dates
SAMPLE = 20
BOOLEAN_TEXTS = {"false": False, "no": False, "f": False, "n": False, "true": True, "yes": True, "t": True, "y": True}


def numbers(series: pl.Series) -> pl.Series:
    """Return float64; NaN and what is no number are null."""
    if series.dtype.is_temporal():
        # a duration in seconds; dates are none of numbers
        if series.dtype != pl.Duration:
            return pl.Series(series.name, [None] * len(series), pl.Float64)
        series = series.dt.total_microseconds() / 1e6
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    return series.cast(pl.Float64, strict=False).fill_nan(None)


def texts(series: pl.Series) -> pl.Series:
    """Return texts, those of whole numbers without a point."""
    if series.dtype.is_float():
        series = series.fill_nan(None)
        whole = (series == series.round()) & (series.abs() < 2**53)
        frame = pl.DataFrame({"value": series, "whole": whole})
        return frame.select(
            pl.when("whole").then(pl.col("value").cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.col("value").cast(pl.String)).alias(series.name)
        ).to_series()  # fmt: skip
    return series.cast(pl.String)


def booleans(series: pl.Series) -> pl.Series:
    """Return what true, false, yes, no and their first letters say; other texts are null."""
    if series.dtype == pl.Boolean:
        return series
    return texts(series).str.to_lowercase().replace_strict(BOOLEAN_TEXTS, default=None, return_dtype=pl.Boolean)


def dates(series: pl.Series, form: str | None) -> pl.Series:
    """Return times in microseconds without a zone (that of one is UTC); what cannot be read so is null."""
    if series.dtype == pl.Date:
        return series.cast(pl.Datetime("us"))
    if isinstance(series.dtype, pl.Datetime):
        naive = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if series.dtype.time_zone else series
        return naive.cast(pl.Datetime("us"))
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype != pl.String or form is None:
        return pl.Series(series.name, [None] * len(series), pl.Datetime("us"))
    if "%H" not in form:
        return series.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    read = series.str.to_datetime(form, strict=False, time_unit="us")
    return read.dt.replace_time_zone(None) if "z" in form else read


def date_format(series: pl.Series) -> str | None:
    """Return the format that reads most cells of a column of texts, or None where none reads more than half."""
    if series.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    cells = series.cast(pl.String).drop_nulls()
    sample = cells.head(SAMPLE).to_list()
    if sum(1 for cell in sample if LIKE_A_DATE.fullmatch(cell)) <= len(sample) / 2:
        return None
    best, most = None, len(cells) // 2
    for form in FORMATS:
        read = len(cells) - dates(cells, form).null_count()
        if read > most:
            best, most = form, read
        if read == len(cells):
            break
    return best


def first_lost(before: pl.Series, after: pl.Series) -> tuple[int, str, int] | None:
    """Return the row (from 1) and the text of the first cell that was lost by a conversion, and how many were."""
    lost = (before.is_not_null() & after.is_null()).arg_true()
    if before.dtype.is_float():
        lost = (before.is_not_null() & before.is_not_nan() & after.is_null()).arg_true()
    if len(lost) == 0:
        return None
    row = int(lost[0])
    return row + 1, str(before[row]), len(lost)


def refuse_lost(before: pl.Series, after: pl.Series, what: str, advice: str) -> None:
    """Raise TableError when a conversion has lost a cell."""
    found = first_lost(before, after)
    if found is not None:
        row, text, count = found
        more = (
            "" if count == 1 else f", as have {count - 1} other rows such a cell" if count > 2 else " (and 1 more row)"
        )
        raise TableError(f"column {before.name!r} holds {what}, but row {row} has {shortened(text)}{more}; {advice}")


def refuse_infinite(values: pl.Series) -> None:
    """Raise TableError for an infinite number."""
    rows = values.is_infinite().fill_null(False).arg_true()
    if len(rows):
        row = int(rows[0])
        raise TableError(
            f"column {values.name!r} must have finite numbers, but row {row + 1} has {values[row]} ({len(rows)} such "
            "cells); correct them, or leave them empty as missing"
        )


def shortened(text: str, most: int = 40) -> str:
    """Return a text in quotes, cut if it is long."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
