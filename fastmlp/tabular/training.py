"""From a table to a model: every choice is made here, and told."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import TableError, check_count, check_flag, finite_number, unknown_name
from ..seeds import check_seed
from .columns import Column
from .kinds import DROP, KINDS, Kind, forced, kind_of, learn, least_rows
from .model import TabularModel, as_frame, encode, refuse_missing
from .names import check_columns, listed
from .network import DROPOUT, PATIENCE, Settings, choose, make_network
from .report import Decision, Report
from .target import REGRESSION, Target, find_target

if TYPE_CHECKING:
    from rich.console import Console

Rows = NDArray[np.int64]
LEAST_ROWS = 10
IMPUTE, REFUSE = "impute", "refuse"
# the share of a class below which accuracy alone says little
RARE_CLASS = 0.1
LARGEST_VALIDATION = 0.9
# epochs where no validation says when to stop
EPOCHS_WITHOUT_VALIDATION = 100


def train(
    frame: "pl.DataFrame | Mapping[str, Any]",
    target: str,
    *,
    task: str = "auto",
    exclude: Iterable[str] = (),
    kinds: Mapping[str, str] | None = None,
    missing: str = IMPUTE,
    validation: float = 0.2,
    balance: bool = False,
    hidden: Sequence[int] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    verbose: str | int = "auto",
    where: str = "the table",
    remarks: Iterable[str] = (),
    console: "Console | None" = None,
) -> TabularModel:
    """Train a network that predicts one column of a table from the others.

    Parameters
    ----------
    frame : polars.DataFrame, or dict of columns
        The table.
    target : str
        The column to predict; rows in which it is missing are left out.
    task : {"auto", "regression", "binary", "multiclass"}
        "auto" follows from the column: numbers are a regression, unless there are two different ones, or at most 20
        whole ones with five rows each on average; anything else is classes.
    exclude : iterable of str
        Columns not to learn from.
    kinds : dict of str to str, optional
        What columns are, where it is not to be found out: "number", "boolean", "category", "date" or "drop".
    missing : {"impute", "refuse"}
        Whether missing cells are filled, and told to the network, or an error.
    validation : float
        The share of rows that is kept out, which decides when training ends; 0 for none.
    balance : bool
        Whether all classes count alike in the loss, however many rows they have.
    hidden : sequence of int, optional
        Units of the hidden layers; by the number of rows if it is not given.
    epochs : int, optional
        At most; 500 by default, and 100 without validation.
    seed : int
        Initial weights, the validation rows and the order of rows follow from it.
    verbose : {"auto", 0, 1}
        Nothing (0), or a report; with a bar meanwhile (1), or with one if this is a terminal ("auto").
    where : str
        What messages call the table.
    remarks : iterable of str
        What :func:`read_table` has remarked, for the report.
    console : rich.console.Console, optional
        Where to print; standard output by default.

    Returns
    -------
    TabularModel

    Raises
    ------
    TableError
        When the table cannot be learnt from; the message names column, row and value.
    ValueError, TypeError
        For another argument that does not fit.

    Examples
    --------
    >>> from fastmlp import tabular
    >>> table = {"x": [k / 50 for k in range(100)], "size": ["small"] * 50 + ["large"] * 50}
    >>> model = tabular.train(table, "size", verbose=0)
    >>> model.predict({"x": [0.1, 1.9]}).to_list()
    ['small', 'large']
    """
    frame = as_frame(frame)
    if isinstance(exclude, str):
        raise TypeError(f"exclude must be a list of columns, got {exclude!r}")
    exclude, kinds = list(exclude), dict(kinds or {})
    settings_of = _check(task, kinds, missing, validation, balance, hidden, epochs, seed, verbose)
    check_columns([target], frame.columns, where)
    check_columns([*exclude, *kinds], frame.columns, where)
    if target in exclude or target in kinds:
        raise TableError(f"column {target!r} is the target, of which --exclude and --kind can say nothing")
    report = Report(verbose, console)
    report.begin(where, frame.height, frame.width)
    for remark in remarks:
        report.remark(remark)

    found = [(frame[name], _kind(frame[name], name, exclude, kinds)) for name in frame.columns if name != target]
    whole = frame[target]
    frame, lost = _with_target(frame, target, where)
    # messages count the rows of the whole table
    wanted, why = find_target(whole, task)
    report.add(Decision("Task", f"{wanted.task}, predicts {target!r}", why))
    truth = frame[target]
    training, kept = _split(wanted, truth, validation, seed)
    report.add(_of_rows(training, kept, lost, validation, wanted))

    columns = _columns(found, frame, training, report)
    if not columns:
        raise TableError(f"{where} has no column to learn from beside the target: {_dropped(found)}")
    cells = [column.read(frame[column.name]) for column in columns]
    if missing == REFUSE:
        refuse_missing(cells, where)
    wanted, shares = _learn_target(wanted, truth, training)
    settings = settings_of(len(training))
    width = sum(column.width for column in columns)
    network = make_network(width, wanted, settings, seed)
    _of_network(network.count_params(), width, settings, wanted, len(training), report)
    weights = _class_weights(wanted, shares, balance, report)

    x, y = encode(columns, cells, []), wanted.encode(truth)
    report.show(columns)
    history = network.fit(
        x, y, settings.batch, settings.epochs, report.progress, rows=training,
        validation_rows=kept if len(kept) else None, callbacks=settings.callbacks, class_weight=weights,
    )  # fmt: skip
    model = TabularModel(network, columns, wanted, shares, refuses_missing=missing == REFUSE)
    model.decisions, model.history = report.decisions, history
    if len(kept):
        model.scores = model.score_found(model.found(x[kept], []), truth[kept])
    report.trained(history, stops_early=settings.stops_early)
    report.scores(model.scores, wanted, "Validation", "they chose the epoch, so this is a little flattering")
    return model


def _check(
    task: str, kinds: Mapping[str, str], missing: str, validation: float, balance: bool,
    hidden: Sequence[int] | None, epochs: int | None, seed: int, verbose: str | int,
) -> Any:  # fmt: skip
    """Raise for arguments that do not fit, and return what makes settings for a number of rows."""
    for kind in kinds.values():
        if kind not in KINDS:
            raise unknown_name("kind", kind, KINDS)
    if missing not in (IMPUTE, REFUSE):
        raise unknown_name("value of missing", missing, (IMPUTE, REFUSE))
    share = finite_number("validation", validation, at_least=0, at_most=LARGEST_VALIDATION)
    check_flag("balance", balance)
    check_seed(seed)
    if verbose not in ("auto", 0, 1):
        raise ValueError(f"verbose must be 'auto', 0 or 1, got {verbose!r}")
    units = None if hidden is None else tuple(check_count("hidden", each) for each in hidden)
    most = None if epochs is None else check_count("epochs", epochs)
    if share == 0 and most is None:
        most = EPOCHS_WITHOUT_VALIDATION
    return lambda rows: choose(rows, units, most, stops_early=share > 0)


def _kind(series: pl.Series, name: str, exclude: Sequence[str], kinds: Mapping[str, str]) -> Kind:
    if name in exclude:
        return Kind(DROP, "excluded")
    if name in kinds:
        return forced(series, kinds[name])
    return kind_of(series, len(series))


def _with_target(frame: pl.DataFrame, target: str, where: str) -> tuple[pl.DataFrame, int]:
    """The rows in which the target is there, and how many others there are."""
    series = frame[target]
    there = series.is_not_null()
    if series.dtype.is_float():
        there &= series.is_not_nan().fill_null(False)
    rows = int(there.sum())
    if rows == 0:
        raise TableError(f"column {target!r}, the target, has no value in any row of {where}")
    if rows < LEAST_ROWS:
        of = f" with a value of {target!r}, the target" if rows < frame.height else ""
        raise TableError(
            f"{where} has {rows} row{'' if rows == 1 else 's'}{of}; at least {LEAST_ROWS} are needed to learn from"
        )
    lost = frame.height - rows
    return (frame.filter(there) if lost else frame), lost


def _split(target: Target, truth: pl.Series, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows to train and to validate on; every class has its share, if it has two rows."""
    generator = np.random.default_rng(seed)
    rows = len(truth)
    groups = [np.arange(rows)]
    if target.task != REGRESSION:
        codes = target.codes(truth)
        groups = [np.flatnonzero(codes == code) for code in range(len(target.classes))]
    kept = np.zeros(rows, bool)
    for group in groups:
        count = min(len(group) - 1, max(1, round(share * len(group)))) if share else 0
        kept[generator.permutation(group)[:count]] = True
    return np.flatnonzero(~kept), np.flatnonzero(kept)


def _of_rows(training: Rows, kept: Rows, lost: int, share: float, target: Target) -> Decision:
    left_out = f"; {lost:,} without a target left out" if lost else ""
    if not len(kept):
        return Decision("Rows", f"all {len(training):,} to train{left_out}", "no validation was asked for")
    how = "drawn at random" if target.task == REGRESSION else "drawn from each class alike"
    return Decision("Rows", f"{len(training):,} to train, {len(kept):,} to validate{left_out}", f"{share:.0%} {how}")


def _columns(
    found: Sequence[tuple[pl.Series, Kind]], frame: pl.DataFrame, training: Rows, report: Report
) -> list[Column]:
    """What is learnt from the training rows of each column that is not dropped."""
    columns = []
    for series, kind in found:
        if kind.kind == DROP:
            report.drop(series.name, kind.why)
            continue
        column = learn(frame[series.name][training], kind)
        if column is None:
            least = least_rows(len(training))
            report.drop(series.name, f"{kind.why}, none of which is in {least} or more rows")
            continue
        columns.append(column)
        if kind.form is not None and kind.form.startswith("%m/%d"):
            report.remark(f"column {series.name!r} is read as month/day/year")
    return columns


def _dropped(found: Sequence[tuple[pl.Series, Kind]]) -> str:
    dropped = [
        f"{series.name!r} ({kind.why if kind.kind == DROP else 'no category comes often'})" for series, kind in found
    ]
    return listed(dropped, 4) if dropped else "there is no other"


def _learn_target(target: Target, truth: pl.Series, training: Rows) -> tuple[Target, NDArray[np.float64]]:
    """The target with what its training rows say: the scaling of numbers, and their mean or the shares of classes."""
    if target.task == REGRESSION:
        wanted = target.learnt(truth[training])
        return wanted, np.array([wanted.scaling.centre])
    counts = np.bincount(target.codes(truth[training]), minlength=len(target.classes))
    return target, counts / counts.sum()


def _of_network(parameters: int, width: int, settings: Settings, target: Target, rows: int, report: Report) -> None:
    sizes = " - ".join(map(str, [width, *settings.hidden, target.outputs]))
    report.add(
        Decision(
            "Network", f"{sizes}, relu, dropout {DROPOUT}; {parameters:,} parameters", f"for {rows:,} rows to train on"
        )
    )
    loss = "squared error (standardised)" if target.task == REGRESSION else "cross-entropy"
    ends = f"until {PATIENCE} epochs bring nothing" if settings.stops_early else "without a validation to stop it"
    report.add(
        Decision("Training", f"{loss}, AdamW, batches of {settings.batch}", f"at most {settings.epochs} epochs, {ends}")
    )


def _class_weights(
    target: Target, shares: NDArray[np.float64], balance: bool, report: Report
) -> dict[int, float] | None:
    if target.task == REGRESSION:
        return None
    if balance:
        report.remark("all classes count alike in the loss, as asked for; probabilities are not those of the table")
        return {place: 1 / (len(shares) * share) for place, share in enumerate(shares.tolist())}
    rare = int(shares.argmin())
    if shares[rare] < min(RARE_CLASS, 0.5 / len(shares)):
        report.remark(
            f"class {target.classes[rare]!r} has {shares[rare]:.1%} of the rows: look at its recall below, more than "
            "at the accuracy; --balance makes all classes count alike"
        )
    return None
