"""What a training tells: each decision with its reason, and how good the result is."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..display import number
from .names import listed

if TYPE_CHECKING:
    from rich.console import Console

    from ..history import History
    from .columns import Column
    from .scores import Scores
    from .target import Target

# classes of which the report has a line each, at most: the first ones and the worst
MOST_CLASSES = 20
MOST_NAMES = 6


class Decision(NamedTuple):
    """What was chosen for a subject, and why."""

    subject: str
    choice: str
    reason: str


class Report:
    """Collects decisions, and prints them where that is asked for.

    Parameters
    ----------
    verbose : {"auto", 0, 1}
        As for :func:`fastmlp.tabular.train`.
    console : rich.console.Console, optional
        Where to print; standard output by default.
    """

    def __init__(self, verbose: str | int, console: "Console | None" = None) -> None:
        from rich.console import Console

        self.console = console or Console(highlight=False)
        self.quiet = verbose == 0
        # of Sequential.fit: a bar or nothing, since a line an epoch would hide the report
        self.progress = 0 if self.quiet else 1 if verbose == 1 or self._moves() else 0
        self.decisions: list[Decision] = []
        self.remarks: list[str] = []
        self.dropped: list[tuple[str, str]] = []

    def _moves(self) -> bool:
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def begin(self, where: str, rows: int, columns: int) -> None:
        """Say what was read."""
        self.add(Decision("Table", where.removeprefix("the "), f"{rows:,} rows, {columns:,} columns"))

    def add(self, decision: Decision) -> None:
        """Add a decision."""
        self.decisions.append(decision)

    def drop(self, name: str, why: str) -> None:
        """Add a column that is not learnt from."""
        self.dropped.append((name, why))
        self.add(Decision(name, "dropped", why))

    def remark(self, text: str) -> None:
        """Add what the user should know."""
        self.remarks.append(text)

    def show(self, columns: "Sequence[Column]") -> None:
        """Print all decisions before the training begins."""
        self.decisions += [Decision(column.name, column.kind, column.how()) for column in columns]
        if self.quiet:
            return
        general = [each for each in self.decisions if each.subject in GENERAL]
        order = {subject: place for place, subject in enumerate(GENERAL)}
        general.sort(key=lambda each: order[each.subject])
        self._grid([(each.subject, f"{each.choice} ({each.reason})") for each in general])
        self.console.print("\nColumns", style="bold")
        groups: dict[tuple[str, str], list[str]] = {}
        for column in columns:
            groups.setdefault((column.kind, column.how()), []).append(column.name)
        for name, why in self.dropped:
            groups.setdefault(("dropped", why), []).append(name)
        self._grid([(f"  {kind}", f"{listed(names, MOST_NAMES)}: {how}") for (kind, how), names in groups.items()])
        for text in self.remarks:
            self._grid([("Note", text)])
        self.console.print()

    def trained(self, history: "History", *, stops_early: bool) -> None:
        """Say how the training ended."""
        if self.quiet:
            return
        epochs = len(history.epoch)
        best = ""
        if stops_early:
            losses = history.history["val_loss"]
            best = f"; the weights are those of epoch {losses.index(min(losses)) + 1}, the best for the validation rows"
        self._grid([("Trained", f"{epochs} epoch{'' if epochs == 1 else 's'}{best}")])

    def scores(self, scores: "Scores | None", target: "Target", title: str, caution: str = "") -> None:
        """Print scores beside those of the baseline, and those of each class."""
        if self.quiet or scores is None:
            return
        from rich.table import Table
        from rich.text import Text

        rows = f"{scores.rows:,} row{'' if scores.rows == 1 else 's'}"
        heading = Text(f"\n{title}", style="bold")
        heading.append(f" ({rows}{'; ' if caution else ''}{caution})", style="not bold")
        self.console.print(heading)
        constant = f"always {scores.constant}" if target.classes else f"always the mean, {scores.constant}"
        table = Table(box=None, padding=(0, 2), header_style="")
        for title_of, side in (("", "left"), ("model", "right"), (constant, "right")):
            table.add_column(Text(title_of), justify=side)  # type: ignore[arg-type]
        for name, value in scores.model.items():
            table.add_row(Text(name), number_of(name, value), number_of(name, scores.baseline.get(name, math.nan)))
        self.console.print(table)
        if scores.classes:
            self._classes(scores)

    def _classes(self, scores: "Scores") -> None:
        from rich.table import Table
        from rich.text import Text

        shown = scores.classes
        if len(shown) > MOST_CLASSES:
            shown = sorted(shown, key=lambda each: -1 if math.isnan(each[3]) else each[3])[:MOST_CLASSES]
            self.console.print(f"\nThe {MOST_CLASSES} worst of {len(scores.classes)} classes:")
        else:
            self.console.print()
        table = Table(box=None, padding=(0, 2), header_style="")
        for title, side in (("class", "left"), *((name, "right") for name in ("precision", "recall", "F1", "rows"))):
            table.add_column(title, justify=side)  # type: ignore[arg-type]
        for name, *shares, rows in shown:
            table.add_row(Text(name), *("-" if math.isnan(share) else f"{share:.3f}" for share in shares), f"{rows:,}")
        self.console.print(table)

    def wrote(self, path: str, size: int, command: str) -> None:
        """Say what file there is, and what to do with it."""
        self.console.print()
        self._grid([("Wrote", f"{path} ({size / 1000:.1f} kB)"), ("Next", command)])

    def _grid(self, rows: Sequence[tuple[str, str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True, min_width=11)
        table.add_column(overflow="fold")
        for subject, text in rows:
            table.add_row(subject, Text(text))
        self.console.print(table)


GENERAL = ("Table", "Task", "Rows", "Network", "Training")


def number_of(name: str, value: float) -> str:
    """Return a score as text: three places for shares, four digits for anything in units."""
    if math.isnan(value):
        return "-"
    return number(value) if name in ("RMSE", "MAE") else f"{value:.3f}"
