"""What each column is: number, boolean, category or date, or nothing that a network could learn from."""

import re
from typing import NamedTuple

import polars as pl

from .cells import booleans, date_format, dates, first_lost, numbers, refuse_lost, texts
from .columns import CORRECT, Boolean, Category, Column, Date, Number, read_booleans, read_dates, read_numbers

NUMBER, BOOLEAN, CATEGORY, DATE, DROP = "number", "boolean", "category", "date", "drop"
KINDS = (NUMBER, BOOLEAN, CATEGORY, DATE, DROP)
# columns whose every cell is another one are dropped if their name says so
KEY_NAME = re.compile(r"(?:^|.*[^a-z])(?:id|uuid|guid|key|index|row|nr|no)|unnamed: 0|column 1", re.IGNORECASE)
# words of a cell on average, from which different texts are sentences
WORDS_OF_A_SENTENCE = 4
ADVICE_NUMBERS = (
    "correct it, say what stands for missing cells (--na TEXT), or that it is a category (--kind COLUMN=category)"
)
ADVICE_DATES = "correct it, leave it empty as missing, or drop the column (--exclude)"


class Kind(NamedTuple):
    """What a column is, why in a few words, and the format of its dates if it has one."""

    kind: str
    why: str
    form: str | None = None


def kind_of(series: pl.Series, rows: int) -> Kind:
    """Find out what a column of a table to train on is.

    Raises
    ------
    TableError
        When most cells are numbers, or dates, and some are not.
    """
    present = len(series) - series.null_count()
    if series.dtype.is_float():
        present -= int(series.is_nan().sum())
    if present == 0:
        return Kind(DROP, "all cells are missing")
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object, pl.Time):
        return Kind(DROP, f"cells of the type {series.dtype} are not understood")
    if series.drop_nulls().n_unique() == 1 and present == rows:
        return Kind(DROP, "the same in every row")
    if series.dtype == pl.Boolean:
        return Kind(BOOLEAN, "true or false")
    if series.dtype.is_numeric() or series.dtype == pl.Duration:
        return _kind_of_numbers(series, read_numbers(series, ADVICE_NUMBERS), rows)
    if series.dtype in (pl.Date, pl.Datetime):
        return Kind(DATE, "dates")
    return _kind_of_texts(texts(series), present, rows)


def _kind_of_numbers(series: pl.Series, cells: pl.Series, rows: int) -> Kind:
    known = cells.drop_nulls()
    if len(known) == rows > 1 and known.n_unique() == rows and (known == known.round()).all():
        steps = known.diff().drop_nulls()
        if known[0] in (0, 1) and (steps == 1).all():
            return Kind(DROP, "it counts the rows")
        if KEY_NAME.fullmatch(series.name):
            return Kind(DROP, "an identifier: another number in every row")
    return Kind(NUMBER, "numbers")


def _kind_of_texts(series: pl.Series, present: int, rows: int) -> Kind:
    cells = numbers(series)
    if 2 * (len(cells) - cells.null_count()) > present:
        return _kind_of_numbers(series, read_numbers(series, ADVICE_NUMBERS), rows)
    if first_lost(series, booleans(series)) is None and booleans(series).n_unique() >= 2:
        return Kind(BOOLEAN, "true or false")
    form = date_format(series)
    if form is not None:
        refuse_lost(series, dates(series, form), "dates", ADVICE_DATES)
        return Kind(DATE, "dates", form)
    different = series.drop_nulls().n_unique()
    if different == present > 2:
        return Kind(DROP, "an identifier or free text: another text in every row")
    if 2 * different > present and _words(series) >= WORDS_OF_A_SENTENCE:
        return Kind(DROP, "free text")
    return Kind(CATEGORY, f"{different} different texts")


def forced(series: pl.Series, kind: str) -> Kind:
    """Return the kind that the user says, or raise TableError for a cell that is none of it."""
    form = date_format(series) if kind == DATE else None
    if kind == NUMBER:
        read_numbers(series, CORRECT)
    elif kind == BOOLEAN:
        read_booleans(series)
    elif kind == DATE:
        read_dates(series, form)
    return Kind(kind, "as asked for", form)


def learn(series: pl.Series, kind: Kind) -> Column | None:
    """Return a column learnt from its cells in the training rows; None if there is nothing to learn in them."""
    if kind.kind == NUMBER:
        return Number.learn(series.name, read_numbers(series, ADVICE_NUMBERS))
    if kind.kind == BOOLEAN:
        return Boolean.learn(series.name, read_booleans(series))
    if kind.kind == DATE:
        return Date.learn(series.name, read_dates(series, kind.form), kind.form)
    column = Category.learn(series.name, texts(series), least_rows(len(series)))
    return column if column.values else None


def least_rows(rows: int) -> int:
    """Return how many of the training rows a category needs for a number of its own: a half percent, from 2 to 10."""
    return max(2, min(10, rows // 200))


def _words(series: pl.Series) -> float:
    return float(series.drop_nulls().str.count_matches(r"\S+").cast(pl.Float64).to_numpy().mean())
