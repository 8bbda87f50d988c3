"""A column of each kind as numbers for a network: what is learnt from the training rows, and how cells follow from it.

Each kind reads cells (null is missing) and encodes what was read. What is odd about cells is added to a list of notes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import polars as pl

from ..errors import check_flag, check_text, finite_number
from .cells import (
    FORMATS,
    booleans,
    date_format,
    dates,
    numbers,
    refuse_infinite,
    refuse_lost,
    shortened,
    texts,
)
from .scaling import LARGEST, Float64, Scaling

# texts that a column of categories has as numbers of their own, at most; the others share one
MOST_CATEGORIES = 100
MICROSECONDS_A_DAY = 86_400_000_000
# a date's cycles, and the length of each
CYCLES = {"month": 12, "weekday": 7, "hour": 24}
# how far outside of the training rows' range a number may be before it is worth a word, as a share of that range
FARTHER = 0.5
CORRECT = "correct it, or leave it empty as missing"
Notes = list[str]


@dataclass(frozen=True)
class Column(ABC):
    """A column of the table that the network sees.

    Attributes
    ----------
    name : str
        Its name.
    indicator : bool
        Whether a number of its own says which cells are missing, as some training rows had it.
    """

    kind: ClassVar[str]
    name: str
    indicator: bool

    @property
    def width(self) -> int:
        """How many numbers a cell becomes."""
        return self.own_width + self.indicator

    @property
    @abstractmethod
    def own_width(self) -> int:
        """How many numbers a cell becomes without the indicator."""

    @abstractmethod
    def read(self, series: pl.Series) -> pl.Series:
        """Return cells as this kind has them, or raise TableError for one that is none of it."""

    @abstractmethod
    def numbers(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return what was read as numbers (n, own_width); a missing cell is what is most neutral."""

    @abstractmethod
    def how(self) -> str:
        """Say in a few words what a cell becomes."""

    def encode(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return what was read as numbers (n, width)."""
        own = self.numbers(cells, notes)
        missing = cells.is_null().to_numpy()
        if self.indicator:
            return np.column_stack([own, missing])
        if missing.any():
            count = _cells(int(missing.sum()))
            notes.append(f"column {self.name!r}: {count} missing, as none was in training; {self.neutral}")
        return own

    neutral: ClassVar[str] = "taken as the average"

    def document(self) -> dict[str, Any]:
        """Return the column as plain data."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind} | {
            name: value.document() if isinstance(value, Scaling) else value for name, value in own.items()
        }


@dataclass(frozen=True)
class Number(Column):
    """Numbers: standardised, a missing one is the median."""

    kind = "number"
    neutral = "taken as the median"
    median: float
    low: float
    high: float
    scaling: Scaling

    @classmethod
    def learn(cls, name: str, cells: pl.Series) -> "Number":
        """Learn from the cells of training rows that :meth:`read` has returned."""
        values = cells.drop_nulls().to_numpy()
        if not len(values):
            values = np.zeros(1)
        # halves, since the sum of two large numbers may overflow
        ordered = np.sort(values)
        median = float(ordered[(len(values) - 1) // 2] / 2 + ordered[len(values) // 2] / 2)
        return cls(name, bool(cells.null_count()), median, float(ordered[0]), float(ordered[-1]), Scaling.of(values))

    @property
    def own_width(self) -> int:
        """One."""
        return 1

    def read(self, series: pl.Series) -> pl.Series:
        """Return float64."""
        return read_numbers(series, CORRECT)

    def numbers(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return scaled numbers."""
        values = cells.fill_null(self.median).to_numpy()
        _note_outside(self.name, values, self.low, self.high, f"{self.low:g} to {self.high:g}", notes)
        return self.scaling.apply(values)[:, None]

    def how(self) -> str:
        """Say what a cell becomes."""
        long = "arcsinh (a long tail), then standardised" if self.scaling.tail else "standardised"
        return f"{long}; missing: median {self.median:g}, and a column that says so" if self.indicator else long

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Number":
        """Make a column of what :meth:`document` returned, or raise ValueError, TypeError or LookupError."""
        median, low, high = (
            finite_number(key, document[key], at_least=-LARGEST, at_most=LARGEST) for key in ("median", "low", "high")
        )
        return cls(*_head(document), median, low, high, Scaling.from_document(document["scaling"]))


@dataclass(frozen=True)
class Boolean(Column):
    """True or false: 1 or -1, a missing one is 0."""

    kind = "boolean"
    neutral = "taken as half way"

    @classmethod
    def learn(cls, name: str, cells: pl.Series) -> "Boolean":
        """Learn from the cells of training rows."""
        return cls(name, bool(cells.null_count()))

    @property
    def own_width(self) -> int:
        """One."""
        return 1

    def read(self, series: pl.Series) -> pl.Series:
        """Return booleans."""
        return read_booleans(series)

    def numbers(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return 1, -1 and 0."""
        return (cells.cast(pl.Float64) * 2 - 1).fill_null(0.0).to_numpy()[:, None]

    def how(self) -> str:
        """Say what a cell becomes."""
        return "1 or -1; missing: 0, and a column that says so" if self.indicator else "1 or -1"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Boolean":
        """Make a column of what :meth:`document` returned."""
        return cls(*_head(document))


@dataclass(frozen=True)
class Category(Column):
    """Texts: one number each (1 where it is that text), and one for all rare ones together.

    A text that no training row had counts as rare; where none was rare, its numbers are the shares of the training
    rows, since nothing was learnt for it.
    """

    kind = "category"
    neutral = "taken as the average of the categories"
    values: list[str]
    shares: list[float]
    rare: int

    @classmethod
    def learn(cls, name: str, cells: pl.Series, least: int) -> "Category":
        """Learn from the cells of training rows; a text in fewer than ``least`` of them is rare."""
        counts: dict[str, int] = dict(cells.drop_nulls().value_counts().iter_rows())
        # the most frequent first, and the same order for the same table
        ordered = sorted(counts, key=lambda value: (-counts[value], value))
        values = sorted(value for value in ordered[:MOST_CATEGORIES] if counts[value] >= least)
        rare = len(counts) - len(values)
        if rare == 1 and len(values) < MOST_CATEGORIES:
            # nothing is gained
            values, rare = sorted(counts), 0
        total = max(1, len(cells))
        shares = [counts[value] / total for value in values]
        if rare:
            shares.append(sum(counts.values()) / total - sum(shares))
        return cls(name, bool(cells.null_count()), values, shares, rare)

    @property
    def own_width(self) -> int:
        """One for each text, and one for those that are rare."""
        return len(self.shares)

    def read(self, series: pl.Series) -> pl.Series:
        """Return texts."""
        return texts(series)

    def numbers(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return ones and zeros."""
        places = dict(zip(self.values, range(len(self.values)), strict=True))
        codes = cells.replace_strict(places, default=-1, return_dtype=pl.Int64).fill_null(-2).to_numpy()
        missing = cells.is_null().to_numpy()
        other = (codes < 0) & ~missing
        if self.rare:
            codes = np.where(other, len(self.values), codes)
        encoded = np.zeros((len(codes), self.own_width))
        known = codes >= 0
        known &= ~missing
        encoded[np.flatnonzero(known), codes[known]] = 1
        if not self.rare:
            encoded[other] = self.shares
        if not self.indicator:
            encoded[missing] = self.shares
        self._note_unseen(cells.filter(pl.Series(other)), notes)
        return encoded

    def _note_unseen(self, cells: pl.Series, notes: Notes) -> None:
        if len(cells) == 0:
            return
        different = sorted(cells.unique().to_list())
        shown = ", ".join(map(shortened, different[:3])) + (", ..." if len(different) > 3 else "")
        taken = "taken as 'other'" if self.rare else "taken as the average of the categories"
        which = "rare or unseen" if self.rare else "unseen"
        notes.append(f"column {self.name!r}: {_cells(len(cells))} with {which} categories ({shown}); {taken}")

    def how(self) -> str:
        """Say what a cell becomes."""
        count = len(self.values)
        rare = f", and 'other' for {self.rare} rare one{'' if self.rare == 1 else 's'}" if self.rare else ""
        missing = ", and one for missing" if self.indicator else ""
        return f"one-hot of {count} categor{'y' if count == 1 else 'ies'}{rare}{missing}"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Category":
        """Make a column of what :meth:`document` returned, or raise ValueError, TypeError or LookupError."""
        values = [any_text(value) for value in document["values"]]
        shares = [finite_number("a share", share, at_least=0, at_most=1.0001) for share in document["shares"]]
        rare = document["rare"]
        if type(rare) is not int or not 0 <= rare < 2**63 or len(shares) != len(values) + (rare > 0):
            raise ValueError("a column of categories must have a share for each of them")
        if len(set(values)) != len(values):
            raise ValueError("a column of categories has one of them twice")
        return cls(*_head(document), values, shares, rare)


@dataclass(frozen=True)
class Date(Column):
    """Dates: the day as a number, and sine and cosine of each cycle in which training rows differ."""

    kind = "date"
    form: str | None
    cycles: list[str]
    low: float
    high: float
    scaling: Scaling

    @classmethod
    def learn(cls, name: str, cells: pl.Series, form: str | None) -> "Date":
        """Learn from the cells of training rows."""
        known = cells.drop_nulls()
        cycles = [cycle for cycle in CYCLES if _cycle(known, cycle).n_unique() > 1]
        days = _days(known) if len(known) else np.zeros(1)
        low, high = float(days.min()), float(days.max())
        return cls(name, bool(cells.null_count()), form, cycles, low, high, Scaling.of(days, tails=False))

    @property
    def own_width(self) -> int:
        """One for the day, and two for each cycle."""
        return 1 + 2 * len(self.cycles)

    def read(self, series: pl.Series) -> pl.Series:
        """Return times."""
        return read_dates(series, self.form)

    def numbers(self, cells: pl.Series, notes: Notes) -> Float64:
        """Return the scaled day, sines and cosines; all are 0 where a cell is missing."""
        known = ~cells.is_null().to_numpy()
        encoded = np.zeros((len(cells), self.own_width))
        days = _days(cells.drop_nulls())
        _note_outside(self.name, days, self.low, self.high, f"{_day(self.low)} to {_day(self.high)}", notes)
        encoded[known, 0] = self.scaling.apply(days)
        for place, cycle in enumerate(self.cycles):
            angle = _cycle(cells.drop_nulls(), cycle).to_numpy() * (2 * np.pi / CYCLES[cycle])
            encoded[known, 1 + 2 * place] = np.sin(angle)
            encoded[known, 2 + 2 * place] = np.cos(angle)
        return encoded

    def how(self) -> str:
        """Say what a cell becomes."""
        cycles = f", and sine and cosine of {', '.join(self.cycles)}" if self.cycles else ""
        form = f"read as {readable(self.form)}: " if self.form else ""
        missing = "; missing: 0, and a column that says so" if self.indicator else ""
        return f"{form}the day{cycles}{missing}"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Date":
        """Make a column of what :meth:`document` returned, or raise ValueError, TypeError or LookupError."""
        form, cycles = document["form"], [str(cycle) for cycle in document["cycles"]]
        if form is not None and form not in list(FORMATS):
            raise ValueError(f"{form!r} is no format of dates")
        if cycles != [cycle for cycle in CYCLES if cycle in cycles]:
            raise ValueError(f"{cycles} are no cycles of dates")
        low, high = (finite_number(key, document[key], at_least=-LARGEST, at_most=LARGEST) for key in ("low", "high"))
        return cls(*_head(document), form, cycles, low, high, Scaling.from_document(document["scaling"]))


KINDS: dict[str, type[Number | Boolean | Category | Date]] = {
    kind.kind: kind for kind in (Number, Boolean, Category, Date)
}


def column_from_document(document: Mapping[str, Any]) -> Column:
    """Make a column of plain data, or raise ValueError, TypeError or LookupError."""
    kind = document["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of column")
    return KINDS[kind].from_document(document)


def read_numbers(series: pl.Series, advice: str) -> pl.Series:
    """Return a column of numbers as float64, or raise TableError with a piece of advice."""
    cells = numbers(series)
    refuse_lost(series, cells, "numbers", advice)
    refuse_infinite(cells)
    return cells


def read_booleans(series: pl.Series) -> pl.Series:
    """Return a column of booleans, or raise TableError."""
    cells = booleans(series)
    refuse_lost(series, cells, "true and false", CORRECT)
    return cells


def read_dates(series: pl.Series, form: str | None) -> pl.Series:
    """Return a column of dates, in any format without one, or raise TableError."""
    cells = dates(series, form or date_format(series))
    refuse_lost(series, cells, f"dates as {readable(form)}" if form else "dates", CORRECT)
    return cells


def readable(form: str | None) -> str:
    """Return a format of dates as people write it, such as YYYY-MM-DD."""
    text = form or ""
    for code, letters in (
        ("%Y", "YYYY"), ("%m", "MM"), ("%d", "DD"), ("%H", "hh"), ("%M", "mm"), ("%S", "ss"), ("%.f", ""), ("%#z", "Z"),
    ):  # fmt: skip
        text = text.replace(code, letters)
    return text


def _head(document: Mapping[str, Any]) -> tuple[str, bool]:
    return check_text("the name of a column", document["name"]), check_flag("indicator", document["indicator"])


def any_text(value: object) -> str:
    """A text that may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"a category must be a text, got {value!r}")
    return value


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _days(cells: pl.Series) -> Float64:
    """Days since 1970."""
    return cells.cast(pl.Int64).to_numpy() / MICROSECONDS_A_DAY


def _day(days: float) -> str:
    return str(np.datetime64(0, "us") + np.timedelta64(int(days * MICROSECONDS_A_DAY), "us"))[:10]


def _cycle(cells: pl.Series, cycle: str) -> pl.Series:
    if cycle == "month":
        return cells.dt.month().cast(pl.Float64)
    return (cells.dt.weekday() if cycle == "weekday" else cells.dt.hour()).cast(pl.Float64)


def _note_outside(name: str, values: Float64, low: float, high: float, seen: str, notes: Notes) -> None:
    """Add a note for cells that are farther outside than a share of the range."""
    margin = FARTHER * (high / 2 - low / 2) * 2
    outside = int(((values < low - margin) | (values > high + margin)).sum())
    if outside:
        notes.append(f"column {name!r}: {_cells(outside)} far outside of what training has seen ({seen})")
