"""What ``fit`` and ``summary`` show: nothing, a line an epoch, or a live bar; and the table of layers."""

import html
import io
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from .kernels import compilations

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SLOW_EPOCH = 0.5  # seconds; the bar leaves a line of its own for an epoch that took longer
REDRAW_INTERVAL = 0.1  # seconds between two states of the bar, at least
COMPILING = "compiling kernels, once for this version of fastmlp and this processor…"
REDRAW_SHARE = 0.005  # and drawing takes no larger share of the time than this, however slow the terminal


class Progress(Protocol):
    """What shows the progress of a run; epochs count from 0 and are shown from 1."""

    # whether it wants to hear of the samples done in the midst of an epoch
    moves: bool

    def begin(self, epochs: int, samples_per_epoch: int | None, batch: int | None = None) -> None:
        """Start a run; from here on :meth:`close` must be called, whatever happens.

        An evaluation is one epoch, and has steps of ``batch`` rows to show where training has epochs. The number of
        samples may be unknown.
        """

    def epoch_begin(self, epoch: int) -> None:
        """Start an epoch."""

    def update(self, samples_done: int, logs: Mapping[str, float]) -> None:
        """Tell how many samples of this epoch are done, and the losses and metrics so far."""

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Finish an epoch, after validation, with its losses and metrics."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called at any time and more than once."""


class Silent:
    """Shows nothing; also the start of the other two, so it keeps the times that they show."""

    moves = False

    def begin(self, epochs: int, samples_per_epoch: int | None, batch: int | None = None) -> None:
        """Start a run."""
        self.epochs = epochs
        self.samples = samples_per_epoch
        self.batch = batch

    def epoch_begin(self, epoch: int) -> None:
        """Start the clock of an epoch."""
        self.epoch, self.done = epoch, 0
        self.started = perf_counter()
        self.training_seconds: float | None = None

    def update(self, samples_done: int, logs: Mapping[str, float]) -> None:
        """Stop the clock of the rate when all samples are done: validation does not count."""
        self.done = samples_done
        if self.samples is None or samples_done >= self.samples:
            self.training_seconds = perf_counter() - self.started

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Finish an epoch."""

    def close(self) -> None:
        """Do nothing: nothing was changed."""

    def line(self, epoch: int, seconds: float, training: float | None, logs: Mapping[str, float]) -> str:
        """Return the line of an epoch that took so many seconds, of which training took so many."""
        samples = self.done if self.samples is None else self.samples
        rate = samples / max(training or seconds, 1e-9)
        parts = [self.heading(epoch, samples), duration(seconds), metrics(logs)]
        return "  ".join([*filter(None, parts), f"{rate:,.0f} samples/s"])

    def heading(self, epoch: int, samples_done: int, width: int = 0) -> str:
        """Return the number of the epoch, or of the steps of an evaluation, padded to a width on the left."""
        if self.batch is None:
            return f"Epoch {epoch + 1:>{width}}/{self.epochs}"
        if self.samples is None:
            return f"{samples_done:,} samples"
        done, steps = (-(-rows // self.batch) for rows in (samples_done, self.samples))
        return f"{done:>{width}}/{steps} step{'' if steps == 1 else 's'}"


class Lines(Silent):
    """Prints a line for every epoch when it is finished."""

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Print the line."""
        print(self.line(epoch, perf_counter() - self.started, self.training_seconds, logs), flush=True)


class Bar(Silent):
    """A live bar over all epochs with the current values below it, and a lasting line for each slow epoch.

    There is no thread: the bar is drawn by the calls that find it out of date. What callbacks print
    meanwhile appears above it. When closed, it vanishes; the last finished epoch then has a line in any case.
    While kernels are compiled, which nothing else would explain, it says so; an epoch's time is without that.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to draw; standard output by default.
    """

    moves = True

    def __init__(self, console: "Console | None" = None) -> None:
        self.console = console
        self.live: Live | None = None
        self.unwritten: Callable[[], str] | None = None
        self.heard_before: compilations.Listener | None = None

    def begin(self, epochs: int, samples_per_epoch: int | None, batch: int | None = None) -> None:
        """Show the empty bar."""
        from rich.console import Console
        from rich.live import Live

        super().begin(epochs, samples_per_epoch, batch)
        self.console = self.console or Console()
        self.unwritten = None
        self.first: int | None = None  # not 0 where a run goes on
        self.epoch, self.done = 0, 0
        self.logs: dict[str, float] = {}
        self.note, self.compile_seconds = "", 0.0
        self.run_started = self.started = perf_counter()
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.heard_before = compilations.listen(self)
        try:
            self.live.start()
            self.draw()
        except BaseException:
            self.close()
            raise

    def compiling(self) -> None:
        """Say why nothing moves."""
        self.note = COMPILING
        self.draw()

    def compiled(self, seconds: float) -> None:
        """Stop saying so, and leave this time out of the epoch's and the run's."""
        self.note = ""
        self.compile_seconds += seconds
        self.run_started += seconds
        self.started += seconds
        self.draw()

    def epoch_begin(self, epoch: int) -> None:
        """Start the clock of an epoch."""
        super().epoch_begin(epoch)
        self.first = epoch if self.first is None else self.first

    def update(self, samples_done: int, logs: Mapping[str, float]) -> None:
        """Draw the bar if it is out of date."""
        super().update(samples_done, logs)
        if perf_counter() >= self.next_draw:
            self.logs.update(logs)
            self.draw()

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Leave a line if the epoch was slow, and draw the bar if it is out of date."""
        now = perf_counter()
        seconds = now - self.started
        self.done = self.done if self.samples is None else self.samples
        self.logs = dict(logs)
        self.unwritten = partial(self.line, epoch, seconds, self.training_seconds, self.logs.copy())
        slow = seconds > SLOW_EPOCH
        if slow:
            self.write()
        if slow or now >= self.next_draw:
            # a bar left as it was would be one of an earlier epoch below the line of this one
            self.draw()

    def close(self) -> None:
        """Take the bar away, show the cursor again, and leave the line of the last finished epoch."""
        live, self.live = self.live, None
        if live is not None:
            compilations.listen(self.heard_before)
            live.stop()
            self.write()

    def write(self) -> None:
        """Leave the line of the last finished epoch if it has none yet, after one about compilations."""
        line, self.unwritten = self.unwritten, None
        seconds, self.compile_seconds = self.compile_seconds, 0.0
        lines = [f"Compiled kernels in {duration(seconds)}"] if seconds else []
        for text in lines if line is None else [*lines, line()]:
            if self.console is not None:
                self.console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def draw(self) -> None:
        """Draw the bar now, and decide when it will next be out of date."""
        begun = perf_counter()
        if self.live is not None:
            self.live.update(self.picture(begun - self.run_started), refresh=True)
        now = perf_counter()
        self.next_draw = now + max(REDRAW_INTERVAL, (now - begun) / REDRAW_SHARE)

    def picture(self, seconds: float) -> "RenderableType":
        """Return the bar as it looks so many seconds after the start of the run."""
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        heading = Text(self.heading(self.epoch, self.done, len(str(self.epochs))), style="bold")
        if self.samples is None:
            # the epochs are all that is known
            bar = ProgressBar(total=self.epochs, completed=self.epoch)
            cells: list[Any] = [heading, bar, Text(f"{self.done:,} samples", style="green")]
            return self.grid(cells)
        total = max(self.epochs * self.samples, 1)
        done = self.epoch * self.samples + self.done
        cells = [
            heading,
            ProgressBar(total=total, completed=done),
            Text(f"{self.done:>{len(f'{self.samples:,}')},}/{self.samples:,}", style="green"),
        ]
        if now_done := done - (self.first or 0) * self.samples:
            cells.append(Text(f"{now_done / max(seconds, 1e-9):,.0f} samples/s", style="cyan"))
            cells.append(Text(f"ETA {duration(seconds * (total - done) / now_done)}", style="yellow"))
        return self.grid(cells)

    def grid(self, cells: Sequence[Any]) -> "RenderableType":
        """Return cells in a row, above the logs or what else there is to say."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 2), expand=True)
        for index in range(len(cells)):
            row.add_column(no_wrap=True, ratio=1 if index == 1 else None)
        row.add_row(*cells)
        below = self.note or metrics(self.logs)
        return Group(row, Text("  " + below)) if below else row


def progress(verbose: object = "auto") -> Progress:
    """Return what shows as much as asked for.

    Parameters
    ----------
    verbose : "auto", 0, 1 or 2
        0 shows nothing, 1 a live bar, 2 a line an epoch; "auto" is 1 on an interactive terminal, otherwise 2.

    Raises
    ------
    ValueError
        `verbose` is something else.
    """
    if isinstance(verbose, str) and verbose == "auto":
        from rich.console import Console

        console = Console()
        return Bar(console) if console.is_terminal and not console.is_dumb_terminal else Lines()
    if isinstance(verbose, int) and verbose in (0, 1, 2):
        return (Silent, Bar, Lines)[verbose]()
    raise ValueError(f"verbose must be 'auto', 0 (nothing), 1 (a live bar) or 2 (a line an epoch), got {verbose!r}")


def number(value: float) -> str:
    """Write a number with four significant digits, as in 0.9500, 12.30 or 1.235e-05."""
    return f"{value:#.4g}".removesuffix(".")


def metrics(logs: Mapping[str, float]) -> str:
    """Write losses and metrics one after the other."""
    return "  ".join(f"{name}: {number(value)}" for name, value in logs.items())


def duration(seconds: float) -> str:
    """Write a time: 1.2 ms, 0.42 s, 1:05 (minutes) or 2:00:07 (hours)."""
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary_table(name: str, rows: list[tuple[str, str, str]], total: int, trainable: int) -> str:
    """Return the table of a model's layers as text.

    Parameters
    ----------
    name : str
        The name of the model.
    rows : list of (str, str, str)
        For each layer its name and type, its output shape and its number of parameters, ready to show.
    total, trainable : int
        The number of parameters; each takes 4 bytes (float32).
    """
    counts = {"Total": total, "Trainable": trainable, "Non-trainable": total - trainable}
    lines = [f" {kind} parameters: {count:,} ({size(4 * count)})" for kind, count in counts.items()]
    picture = table(("Layer (type)", "Output shape", "Parameters"), rows, words=(0, 1))
    return "\n".join([f'Model: "{name}"', picture, *lines])


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], words: Container[int] = (0,)) -> str:
    """Return a table as text.

    Parameters
    ----------
    titles : sequence of str
        Of the columns.
    rows : sequence of sequences of str
        The cells, ready to show.
    words : container of int
        Which columns are words; the others are numbers, which end at the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    picture = Table(box=box.HEAVY_HEAD if unicode else box.ASCII)
    for index, title in enumerate(titles):
        picture.add_column(title, justify="left" if index in words else "right", overflow="fold")
    for row in rows:
        picture.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=120, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(picture)
    return capture.get().rstrip("\n")


def html_table(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, bold: Sequence[bool] = (), below: str = ""
) -> str:
    """Return a table for a notebook; all texts are escaped.

    Parameters
    ----------
    caption : str
        Stands above the table.
    headings : sequence of str
        Of the columns, of which the first is on the left and the others on the right.
    rows : sequence of sequence of str
        The cells.
    bold : sequence of bool, optional
        Whether each row is emphasised.
    below : str, optional
        A line after the last row.
    """
    sides = ["left", *["right"] * (len(headings) - 1)]

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{kind} style="text-align: {side}">{html.escape(text)}</{kind}>'
            for side, text in zip(sides, texts, strict=True)
        )

    lines = [
        "<table>",
        f'<caption style="caption-side: top; text-align: left">{html.escape(caption)}</caption>',
        f"<thead><tr>{cells('th', headings)}</tr></thead>",
        "<tbody>",
    ]
    for index, row in enumerate(rows):
        style = ' style="font-weight: bold"' if index < len(bold) and bold[index] else ""
        lines.append(f"<tr{style}>{cells('td', row)}</tr>")
    lines.append("</tbody>")
    if below:
        lines.append(f'<tfoot><tr><td colspan="{len(headings)}">{html.escape(below)}</td></tr></tfoot>')
    return "\n".join([*lines, "</table>"])


def size(count: int) -> str:
    """Write a number of bytes in B, KiB, MiB or GiB."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.2f} {unit}"
    return f"{count} B"
