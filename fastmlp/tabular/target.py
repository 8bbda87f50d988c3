"""The column to predict: which task it is, and the network's outputs in its words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import TableError, check_text, unknown_name
from .cells import numbers, shortened, texts
from .columns import any_text, read_numbers
from .names import listed
from .scaling import Float64, Scaling

REGRESSION, BINARY, MULTICLASS = "regression", "binary", "multiclass"
TASKS = (REGRESSION, BINARY, MULTICLASS)
# whole numbers of so many different values are classes, if there are so many rows for each
MOST_NUMBERED_CLASSES = 20
ROWS_A_NUMBERED_CLASS = 5
MOST_CLASSES = 1000
# numbers are given to this share of their deviation: float32 outputs have no more
PRECISION = 6
UNSCALED = Scaling(0.0, 1.0)
CLASS_TYPES: dict[str, type[pl.DataType]] = {"text": pl.String, "integer": pl.Int64, "boolean": pl.Boolean}
ADVICE = "correct it, or leave it empty, which leaves the row out, or say what stands for missing cells (--na TEXT)"


@dataclass(frozen=True)
class Target:
    """The column to predict.

    Attributes
    ----------
    name : str
        Its name.
    task : {"regression", "binary", "multiclass"}
        What is learnt.
    classes : list of str
        The classes as texts, in the order of the outputs; none for a regression.
    type : {"text", "integer", "boolean", "number"}
        What values are given as.
    scaling : Scaling
        Of numbers.
    """

    name: str
    task: str
    classes: list[str]
    type: str
    scaling: Scaling

    @property
    def outputs(self) -> int:
        """Units of the network's output."""
        return len(self.classes) if self.task == MULTICLASS else 1

    def codes(self, series: pl.Series) -> NDArray[np.int64]:
        """Return the class of each cell (n,); -1 for one that is missing, and -2 for another class."""
        places = {value: place for place, value in enumerate(self.classes)}
        cells = texts(series)
        codes = cells.replace_strict(places, default=-2, return_dtype=pl.Int64)
        return np.where(cells.is_null().to_numpy(), -1, codes.fill_null(-2).to_numpy())

    def numbers(self, series: pl.Series) -> Float64:
        """Return the numbers of cells (n,); NaN for one that is missing."""
        return read_numbers(series, ADVICE).fill_null(np.nan).to_numpy()

    def encode(self, series: pl.Series) -> NDArray[np.float32]:
        """Return cells, none of which is missing, as the network's targets (n,)."""
        if self.task == REGRESSION:
            return self.scaling.apply(self.numbers(series)).astype(np.float32)
        return self.codes(series).astype(np.float32)

    def learnt(self, series: pl.Series) -> "Target":
        """Return the target with the scaling of these numbers, of which none is missing."""
        return replace(self, scaling=Scaling.of(self.numbers(series), tails=False))

    def probabilities(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class (n, classes) for outputs."""
        return outputs if self.task == MULTICLASS else np.hstack([1 - outputs, outputs])

    def values(self, outputs: NDArray[np.float32]) -> pl.Series:
        """Return what outputs (n, units) say in the target's words and units."""
        if self.task == REGRESSION:
            wide = outputs[:, 0].astype(np.float64) * self.scaling.scale + self.scaling.centre
            places = PRECISION - int(np.floor(np.log10(self.scaling.scale)))
            return pl.Series(self.name, np.round(wide, min(290, max(-290, places))))
        named = pl.Series(self.name, self.classes, pl.String)[self.probabilities(outputs).argmax(axis=1)]
        found: pl.Series = named == "true" if self.type == "boolean" else named.cast(CLASS_TYPES[self.type])
        return found

    def document(self) -> dict[str, Any]:
        """Return the target as plain data."""
        return {
            "name": self.name, "task": self.task, "classes": self.classes, "type": self.type,
            "scaling": self.scaling.document(),
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Target":
        """Make a target of what :meth:`document` returned, or raise ValueError, TypeError or LookupError."""
        task, kind = document["task"], document["type"]
        classes = [any_text(value) for value in document["classes"]]
        scaling = Scaling.from_document(document["scaling"])
        if (
            task not in list(TASKS)
            or kind not in [*CLASS_TYPES, "number"]
            or (task == REGRESSION) != (kind == "number")
        ):
            raise ValueError(f"{task!r} of the type {kind!r} is no task")
        if len(set(classes)) != len(classes) or scaling.tail is not None:
            raise ValueError("a target has a class twice, or a tail")
        fitting = {REGRESSION: len(classes) == 0, BINARY: len(classes) == 2, MULTICLASS: len(classes) >= 2}
        if not fitting[task]:
            raise ValueError(f"{len(classes)} classes do not fit the task {task!r}")
        if kind == "integer" and pl.Series(classes).cast(pl.Int64, strict=False).null_count():
            raise ValueError("a class is no integer")
        return cls(check_text("the name of the target", document["name"]), task, classes, kind, scaling)


def find_target(series: pl.Series, task: str) -> tuple[Target, str]:
    """Find out what there is to learn, from the column without its missing cells.

    Parameters
    ----------
    series : polars.Series
        All rows; at least one cell is there.
    task : {"auto", "regression", "binary", "multiclass"}
        What the user says.

    Returns
    -------
    Target, str
        And the reason in a few words. The scaling of a regression is to be learnt from its training rows.

    Raises
    ------
    TableError
        When there is nothing to learn, or the column does not fit the task.
    """
    if task not in ("auto", *TASKS):
        raise unknown_name("task", task, ("auto", *TASKS))
    name = series.name
    if series.dtype.is_temporal() or series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object):
        raise TableError(f"column {name!r}, the target, has the type {series.dtype}; it must hold numbers or classes")
    cells = texts(series)
    different = cells.drop_nulls().n_unique()
    as_numbers = numbers(cells)
    present = len(cells) - cells.null_count()
    found = present - (as_numbers.null_count() - cells.null_count())
    numeric = series.dtype != pl.Boolean and 2 * found > present
    if different == 1:
        raise TableError(
            f"column {name!r}, the target, is {shortened(str(cells.drop_nulls()[0]))} in every row: there is "
            "nothing to learn"
        )
    if task == REGRESSION or (task == "auto" and numeric):
        values = read_numbers(cells, ADVICE).drop_nulls()
        whole = bool((values == values.round()).all())
        few = different <= MOST_NUMBERED_CLASSES and ROWS_A_NUMBERED_CLASS * different <= len(values)
        if task == REGRESSION or (different > 2 and not (whole and few)):
            why = "as asked for" if task == REGRESSION else f"{different:,} different numbers"
            return Target(name, REGRESSION, [], "number", UNSCALED), why
    return _classes(cells, series.dtype == pl.Boolean, task, different, numeric)


def _classes(cells: pl.Series, boolean: bool, task: str, different: int, numeric: bool) -> tuple[Target, str]:
    name, known = cells.name, cells.drop_nulls()
    if task == BINARY and different != 2:
        raise TableError(
            f"column {name!r} must have two classes for a binary task, and has {different}: "
            f"{listed(map(shortened, sorted(known.unique())), 4)}; --task multiclass takes any number"
        )
    if different > MOST_CLASSES or (different > 2 and 2 * different > len(known)):
        raise TableError(
            f"column {name!r} has {different:,} different values in {len(known):,} rows, too many for classes, of "
            f"which each must come often (and {MOST_CLASSES:,} are the most)"
            + ("; --task regression predicts numbers" if numeric else "")
        )
    classes = sorted(
        known.unique().to_list(), key=lambda text: (float(text), text) if numeric and _is_number(text) else (0.0, text)
    )
    integers = known.cast(pl.Int64, strict=False)
    kind = "text"
    if boolean:
        kind = "boolean"
    elif integers.null_count() == 0 and (integers.cast(pl.String) == known).all():
        kind = "integer"
    if task == "auto":
        task = BINARY if different == 2 else MULTICLASS
        why = f"{different} different {'whole numbers' if numeric else 'values'}: {listed(classes, 6)}"
        if numeric and different > 2:
            why += "; for a quantity, --task regression"
    else:
        why = "as asked for"
    return Target(name, task, classes, kind, UNSCALED), why


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
