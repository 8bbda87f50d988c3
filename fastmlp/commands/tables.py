"""``python -m fastmlp train`` and ``predict``: a network from a table, and predictions for another one.

polars is imported when a command runs, and not before.
"""

import argparse
import contextlib
import difflib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FastMLPError, TableError
from .arguments import layer_sizes, named_kind, share, whole_number

if TYPE_CHECKING:
    from ..tabular import TabularModel

MODEL_ENDING = ".safetensors"
INTERRUPTED = 130  # what shells return after Ctrl-C
NO_READER = 141  # what they return when nobody reads on, as of `| head`
WRONG = 2
# how the columns of predictions are called
PREDICTION, PROBABILITY = "prediction", "probability of "
DECIMALS = 6  # of probabilities
Commands = Any  # argparse has no public name for what add_subparsers returns


def add_train(commands: Commands) -> None:
    """Add the arguments of ``train``."""
    text = "train a network on a table (CSV or Parquet), and write it to a file"
    shown = commands.add_parser("train", help=text, description=f"{text[0].upper()}{text[1:]}.")
    shown.add_argument(
        "data", help="a .csv, .tsv or .parquet file with a line of names; - reads CSV from standard input"
    )
    shown.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    shown.add_argument(
        "--output", default=f"model{MODEL_ENDING}", metavar="FILE", help="the model file (default: %(default)s)"
    )
    shown.add_argument("--force", action="store_true", help="replace the output if it exists")
    shown.add_argument(
        "--task", default="auto", choices=["auto", "regression", "binary", "multiclass"],
        help="what there is to learn (default: follows from the target's values)",
    )  # fmt: skip
    shown.add_argument(
        "--exclude", nargs="+", action="extend", default=[], metavar="COLUMN", help="columns not to learn from"
    )
    shown.add_argument(
        "--kind", nargs="+", action="extend", default=[], type=named_kind, metavar="COLUMN=KIND",
        help="what a column is, where the guess is wrong: number, boolean, category, date or drop",
    )  # fmt: skip
    _add_missing_texts(shown)
    shown.add_argument(
        "--missing", default="impute", choices=["impute", "refuse"],
        help="fill missing cells and tell the network so, or end with an error that counts them (default: impute)",
    )  # fmt: skip
    shown.add_argument(
        "--validation", type=share, default=0.2, metavar="SHARE",
        help="of rows, which decide when to stop (default: %(default)s; 0: none)",
    )  # fmt: skip
    shown.add_argument("--balance", action="store_true", help="have all classes count alike, however rare")
    shown.add_argument(
        "--hidden", type=layer_sizes, metavar="UNITS", help="of hidden layers, such as 64,64 (default: by rows)"
    )
    shown.add_argument(
        "--epochs", type=whole_number(1, math.inf), help="at most (default: 500, or 100 without validation)"
    )
    shown.add_argument(
        "--seed", type=whole_number(0, 2**64 - 1), default=0,
        help="of weights, split and shuffling; the same one gives the same file (default: %(default)s)",
    )  # fmt: skip
    shown.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shown.set_defaults(run=lambda options: _guarded("train", _train, options))


def add_predict(commands: Commands) -> None:
    """Add the arguments of ``predict``."""
    text = "predict the rows of a table with a model file of train"
    shown = commands.add_parser("predict", help=text, description=f"{text[0].upper()}{text[1:]}.")
    shown.add_argument("model", help="the file that train has written")
    shown.add_argument("data", help="a .csv, .tsv or .parquet file; - reads CSV from standard input")
    shown.add_argument(
        "--output", metavar="FILE", help="a .csv, .tsv or .parquet file (default: CSV on standard output)"
    )
    shown.add_argument("--force", action="store_true", help="replace the output if it exists")
    shown.add_argument("--probabilities", action="store_true", help="add a column for the probability of each class")
    shown.add_argument(
        "--keep", nargs="+", action="extend", default=[], metavar="COLUMN",
        help="columns of the data to repeat before the predictions, such as an identifier",
    )  # fmt: skip
    _add_missing_texts(shown)
    shown.add_argument("--quiet", action="store_true", help="print nothing but predictions and errors")
    shown.set_defaults(run=lambda options: _guarded("predict", _predict, options))


def _add_missing_texts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--na", nargs="+", action="extend", default=[], metavar="TEXT",
        help="what stands for a missing cell, beside the empty text, NA, NaN, null, None and their like",
    )  # fmt: skip


def _guarded(command: str, run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run a command, and return its exit status; whatever is wrong with the input is said in a line."""
    _never_stumble_over_letters()
    try:
        run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes once more when it ends
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except (FastMLPError, OSError, ImportError) as error:
        print(f"python -m fastmlp {command}: error: {_in_a_line(error)}", file=sys.stderr)
        return WRONG
    return 0


def _never_stumble_over_letters() -> None:
    """Have letters that a terminal does not know written as escapes; names of columns may have any."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _in_a_line(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"there is no file {os.fsdecode(error.filename)!r}{_near(Path(os.fsdecode(error.filename)))}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)!r}: {error.strerror}"
    return " ".join(str(error).split())


def _near(path: Path) -> str:
    """A hint at files whose names are like this one."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_file()]
    except OSError:
        return f"; there is no folder {str(path.parent)!r}"
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(repr(str(path.with_name(name))) for name in near)}?" if near else ""


def _train(options: argparse.Namespace) -> None:
    _check_model_path(options.output)
    from .. import tabular
    from ..tabular.names import check_columns
    from ..tabular.report import Report

    _check_kinds(options.kind)
    table = tabular.read_table(options.data, options.na)
    check_columns([options.target], table.frame.columns, table.name)
    # who has named a table or column that is not there, wants to hear of that first
    _check_output(options.output, options.data, force=options.force)
    model = tabular.train(
        table.frame, options.target, task=options.task, exclude=options.exclude, kinds=dict(options.kind),
        missing=options.missing, validation=options.validation, balance=options.balance, hidden=options.hidden,
        epochs=options.epochs, seed=options.seed, verbose=0 if options.quiet else "auto", where=table.name,
        remarks=table.remarks,
    )  # fmt: skip
    model.save(options.output)
    if not options.quiet:
        command = f"python -m fastmlp predict {options.output} new.csv"
        Report("auto").wrote(options.output, Path(options.output).stat().st_size, command)


def _check_model_path(path: str) -> None:
    if Path(path).suffix.lower() != MODEL_ENDING:
        raise TableError(f"--output {path!r} must end in {MODEL_ENDING}, the format of model files")


def _check_output(path: str, *inputs: str, force: bool) -> None:
    """Raise before any work for a file that could not be written at its end, or that should not be."""
    file = Path(path)
    if file.is_dir():
        raise TableError(f"--output {path!r} is a folder; name a file")
    if not file.parent.is_dir():
        raise TableError(f"--output {path!r} cannot be written: there is no folder {str(file.parent)!r}")
    if os.path.lexists(file):
        if file.exists() and any(Path(each).exists() and file.samefile(each) for each in inputs):
            raise TableError(f"--output {path!r} is a file that is read")
        if not force:
            raise TableError(f"--output {path!r} exists already; --force replaces it, --output FILE names another")
        if not os.access(file, os.W_OK):
            raise TableError(f"--output {path!r} cannot be written: no permission")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise TableError(f"--output {path!r} cannot be written: no permission to make files in its folder")


def _check_kinds(kinds: list[tuple[str, str]]) -> None:
    from ..tabular.kinds import KINDS

    for name, kind in kinds:
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TableError(f"--kind {name}={kind}: a kind is {', '.join(KINDS)}{hint}")


def _predict(options: argparse.Namespace) -> None:
    if options.output is not None:
        from ..tabular.writing import check_table_path

        check_table_path(options.output)
        _check_output(options.output, options.data, options.model, force=options.force)
    import polars as pl

    from .. import tabular
    from ..tabular.names import check_columns
    from ..tabular.writing import as_csv

    if not Path(options.model).exists():
        raise FileNotFoundError(2, "No such file or directory", options.model)
    model = tabular.TabularModel.load(options.model)
    if options.probabilities and not model.target.classes:
        raise TableError(f"--probabilities: {options.model!r} predicts numbers, which have none")
    frame, name, remarks = tabular.read_table(options.data, options.na)
    check_columns(options.keep, frame.columns, name)
    found = model.apply(frame, name)
    table = frame.select(list(dict.fromkeys(options.keep)))
    added = [found.values.alias(PREDICTION)]
    if options.probabilities and found.probabilities is not None:
        added += [column.round(DECIMALS).alias(f"{PROBABILITY}{column.name}") for column in found.probabilities]
    taken = [column.name for column in added if column.name in table.columns]
    if taken:
        raise TableError(f"--keep {taken[0]!r}: a column of the predictions has that name")
    table = pl.DataFrame([*table.get_columns(), *added])
    if not options.quiet:
        _tell(model, frame, found, name, remarks)
    if options.output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(as_csv(table))
        sys.stdout.buffer.flush()
        return
    tabular.write_table(table, options.output)
    if not options.quiet:
        print(f"Wrote {options.output} ({table.height:,} rows)", file=sys.stderr)


def _tell(model: "TabularModel", frame: Any, found: Any, name: str, remarks: list[str]) -> None:
    """Say on the standard error what is worth knowing, and how good the predictions are if the target is there."""
    from rich.console import Console

    from ..tabular.names import listed
    from ..tabular.report import Report

    used = {model.target.name, *(column.name for column in model.columns)}
    notes = [f"{name}: {remark}" for remark in remarks]
    if unused := [column for column in frame.columns if column not in used]:
        notes.append(f"columns that the model does not use: {listed(unused)}")
    notes += found.notes
    scores = None
    if model.target.name in frame.columns:
        try:
            scores = model.score_found(found, frame[model.target.name])
        except TableError as error:
            notes.append(f"no score: {error}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    Report("auto", Console(stderr=True, highlight=False)).scores(scores, model.target, "Score")
