"""A network with the table that it was made for: what ``train`` returns, and a file holds."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..activations import Linear, Sigmoid, Softmax
from ..errors import ModelFileError, TableError, check_flag, finite_number
from ..history import History
from ..model import Sequential
from ..saving import state
from ..saving.container import describe, pack, read_file, unpack
from ..saving.durable import replace_file
from ..saving.model import check_overwrite, paused
from .columns import Column, Notes, column_from_document
from .names import check_columns, listed
from .predictions import Predictions
from .report import Decision
from .scaling import LARGEST, Float64
from .scores import Scores, score_classes, score_numbers
from .target import BINARY, MULTICLASS, REGRESSION, Target

# the key of a model file's document, and the version of what is there
KEY, VERSION = "table", 1
LAST = {REGRESSION: Linear, BINARY: Sigmoid, MULTICLASS: Softmax}


class TabularWarning(UserWarning):
    """Something about a table is odd, and the predictions for it may be."""


class TabularModel:
    """A network, the columns that it takes, and the one that it predicts; :func:`fastmlp.tabular.train` makes one.

    Attributes
    ----------
    network : Sequential
        From encoded columns (n, width) to outputs.
    columns : list of Column
        What the network takes, in this order.
    target : Target
        What it predicts.
    shares : ndarray of float64
        The share of each class in the training rows; for a regression their mean alone.
    refuses_missing : bool
        Whether a missing cell is an error.
    decisions : list of Decision
        What :func:`train` chose and why; empty for a model from a file.
    scores : Scores or None
        Those of the validation rows; None without, and for a model from a file.
    history : History or None
        Losses by epoch; None for a model from a file.
    """

    def __init__(
        self, network: Sequential, columns: list[Column], target: Target, shares: Float64, *, refuses_missing: bool
    ) -> None:
        self.network, self.columns, self.target, self.shares = network, columns, target, shares
        self.refuses_missing = refuses_missing
        self.decisions: list[Decision] = []
        self.scores: Scores | None = None
        self.history: History | None = None

    def __repr__(self) -> str:
        columns = f"{len(self.columns)} column{'' if len(self.columns) == 1 else 's'}"
        return f"<TabularModel: {self.target.task} of {self.target.name!r} from {columns}>"

    def predict(self, frame: "pl.DataFrame | Mapping[str, Any]") -> pl.Series:
        """Return the predictions for a table, and warn of what is odd about it.

        Parameters
        ----------
        frame : polars.DataFrame, or dict of columns
            With the columns of the training table by their names, in any order; others are ignored.

        Returns
        -------
        polars.Series (n,)
            Classes as the training table has them, or numbers in the target's units.

        Raises
        ------
        TableError
            When a column is missing, or has a cell of another kind, or missing cells that the model refuses.

        Warns
        -----
        TabularWarning
            For new categories, missing cells where training had none, and numbers outside of what training has seen.
        """
        return self._warned(frame).values

    def predict_probabilities(self, frame: "pl.DataFrame | Mapping[str, Any]") -> pl.DataFrame:
        """Return the probability of each class (n, classes); see :meth:`predict`.

        Raises
        ------
        TableError
            For a regression, and as :meth:`predict`.
        """
        if self.target.task == REGRESSION:
            raise TableError("the model predicts numbers, which have no probabilities")
        found = self._warned(frame).probabilities
        assert found is not None
        return found

    def _warned(self, frame: "pl.DataFrame | Mapping[str, Any]") -> Predictions:
        found = self.apply(frame)
        for note in found.notes:
            warnings.warn(note, TabularWarning, stacklevel=3)
        return found

    def apply(self, frame: "pl.DataFrame | Mapping[str, Any]", where: str = "the table") -> Predictions:
        """Return predictions, probabilities and notes for a table; see :meth:`predict`.

        Parameters
        ----------
        frame : polars.DataFrame, or dict of columns
            The table.
        where : str
            What messages call it.
        """
        notes: Notes = []
        return self.found(self.encode(frame, notes, where), notes)

    def found(self, x: NDArray[np.float32], notes: Notes) -> Predictions:
        """Return the predictions for encoded rows (n, width)."""
        outputs = self.network.predict(x)
        probabilities = None
        if self.target.task != REGRESSION:
            probabilities = pl.DataFrame(self.target.probabilities(outputs), schema=self.target.classes)
        return Predictions(self.target.values(outputs), probabilities, notes)

    def encode(
        self, frame: "pl.DataFrame | Mapping[str, Any]", notes: Notes | None = None, where: str = "the table"
    ) -> NDArray[np.float32]:
        """Return a table as the network takes it (n, width); what is odd about it is added to the notes."""
        frame = as_frame(frame)
        check_columns((column.name for column in self.columns), frame.columns, where)
        cells = [column.read(frame[column.name]) for column in self.columns]
        if self.refuses_missing:
            refuse_missing(cells, where)
        return encode(self.columns, cells, [] if notes is None else notes)

    def score(self, frame: "pl.DataFrame | Mapping[str, Any]", where: str = "the table") -> Scores:
        """Return how well the model predicts the rows of a table whose target is there.

        Raises
        ------
        TableError
            As :meth:`predict`, and when there is no such row, or the target has a class that is new.
        """
        frame = as_frame(frame)
        check_columns([self.target.name], frame.columns, where)
        return self.score_found(self.apply(frame, where), frame[self.target.name])

    def score_found(self, found: Predictions, truth: pl.Series) -> Scores:
        """Return the scores of what :meth:`apply` returned for the true values (n,), of which some may be missing."""
        if found.probabilities is None:
            numbers = self.target.numbers(truth)
            known = ~np.isnan(numbers)
            if not known.any():
                raise TableError(f"column {self.target.name!r}, the target, has no number to compare with")
            return score_numbers(numbers[known], found.values.to_numpy()[known], float(self.shares[0]))
        codes = self.target.codes(truth)
        if (codes == -2).any():
            row = int(np.flatnonzero(codes == -2)[0])
            raise TableError(
                f"column {self.target.name!r}, the target, has in row {row + 1} the class {str(truth[row])!r}, and the "
                f"model knows {listed(map(repr, self.target.classes))}"
            )
        known = codes >= 0
        if not known.any():
            raise TableError(f"column {self.target.name!r}, the target, has no class to compare with")
        return score_classes(self.target, codes[known], found.probabilities.to_numpy()[known], self.shares)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write network and columns to one file, which :meth:`load` reads.

        :func:`fastmlp.load_model` returns the network in it.

        Raises
        ------
        FileExistsError
            When there is such a file, and it is not to be replaced.
        OSError
            When it cannot be written; an old file is as it was.
        """
        check_overwrite(filepath, overwrite)
        with paused(self.network):
            document, tensors = state.capture(self.network, optimizer=False)
        document[KEY] = {
            "version": VERSION,
            "target": self.target.document(),
            "columns": [column.document() for column in self.columns],
            "shares": self.shares.tolist(),
            "refuses_missing": self.refuses_missing,
        }
        replace_file(filepath, pack(document, tensors))

    @classmethod
    def load(cls, filepath: str | os.PathLike[str]) -> "TabularModel":
        """Return the model that :meth:`save` has written; nothing in the file is executed.

        Raises
        ------
        ModelFileError
            For a file that is damaged, or not of such a model.
        OSError
            When there is no such file, or it cannot be read.
        """
        source = describe(filepath)
        document, tensors = unpack(read_file(filepath), source)
        table = document.get(KEY)
        if not isinstance(table, dict):
            raise ModelFileError(
                f"{source} has a network, but no columns of a table: it was not written by fastmlp.tabular "
                "(python -m fastmlp train)"
            )
        if table.get("version") != VERSION:
            raise ModelFileError(
                f"{source} describes its columns in version {table.get('version')!r}, and this fastmlp reads {VERSION}"
            )
        network = state.restore(document, tensors, source)
        try:
            return cls._restored(network, table)
        except state.BAD_CONTENT as error:
            raise ModelFileError(f"{source} describes no columns that fit its network: {error}") from error

    @classmethod
    def _restored(cls, network: Sequential, table: Mapping[str, Any]) -> "TabularModel":
        target = Target.from_document(table["target"])
        columns = [column_from_document(each) for each in table["columns"]]
        names = [target.name, *(column.name for column in columns)]
        if len(set(names)) != len(names):
            raise ValueError("a name of a column is there twice")
        shares = np.array(
            [finite_number("a share", share, at_most=LARGEST, at_least=-LARGEST) for share in table["shares"]]
        )
        width = sum(column.width for column in columns)
        if network.input_shape != (None, width) or network.output_shape != (None, target.outputs):
            raise ValueError(
                f"{width} numbers and {target.outputs} outputs, and it has {network.input_shape} and "
                f"{network.output_shape}"
            )
        last = getattr(network.layers[-1], "activation", None)
        if type(last) is not LAST[target.task] or len(shares) != max(1, len(target.classes)):
            raise ValueError("the last layer or the shares of classes are not those of the task")
        return cls(
            network, columns, target, shares, refuses_missing=check_flag("refuses_missing", table["refuses_missing"])
        )


def as_frame(frame: Any) -> pl.DataFrame:
    """Return a polars.DataFrame, made from a dict of columns if need be, or raise TypeError or TableError."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if not isinstance(frame, Mapping):
        raise TypeError(
            f"the table must be a polars.DataFrame or a dict of columns, got {type(frame).__name__}; "
            "polars.from_pandas takes a DataFrame of pandas"
        )
    try:
        return pl.DataFrame(dict(frame))
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise TableError(f"the columns do not make a table: {error}") from None


def refuse_missing(cells: list[pl.Series], where: str) -> None:
    """Raise TableError when a cell is missing, with the counts of all columns."""
    counts = [f"{column.name!r} ({column.null_count():,})" for column in cells if column.null_count()]
    if counts:
        raise TableError(
            f"{where} has missing cells, which are refused, in {listed(counts)}; fill them, "
            "or train with missing cells imputed"
        )


def encode(columns: list[Column], cells: list[pl.Series], notes: Notes) -> NDArray[np.float32]:
    """Return cells that columns have read as numbers (n, width)."""
    rows = len(cells[0])
    encoded = np.empty((rows, sum(column.width for column in columns)), np.float32)
    at = 0
    for column, own in zip(columns, cells, strict=True):
        encoded[:, at : at + column.width] = column.encode(own, notes)
        at += column.width
    return encoded
