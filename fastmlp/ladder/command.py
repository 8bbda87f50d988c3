"""``python -m fastmlp bench``: the ladder on the user's own machine, with whatever libraries are there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import runs, sides
from .cases import Case

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def bench(
    console: "Console", cases: Sequence[Case], libraries: Sequence[str], threads: Sequence[int], seconds: float
) -> bool:
    """Measure, and print a table for each number of threads.

    Parameters
    ----------
    console : rich.console.Console
        Where to print.
    cases : sequence of Case
        The networks.
    libraries : sequence of str
        Which libraries beside fastmlp.
    threads : sequence of int
        The numbers of threads.
    seconds : float
        How long to measure each library on each network.

    Returns
    -------
    bool
        Whether all libraries had the same losses.
    """
    wanted = ["fastmlp", *(name for name in libraries if name != "fastmlp")]
    findings = _measure_with_bar(console, cases, wanted, threads, seconds)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=not console.is_terminal)

    for count in threads:
        results = [result for result in findings.results if result.threads == count]
        if results:
            console.print(table(results))
    say(
        "Time of a training step with Adam in microseconds, the lowest of several, and how many times fastmlp's "
        "time that is. GFLOP/s: fastmlp's matrix products alone, and their share of the peak, which is what "
        "multiply-adds between registers reach here."
    )
    say(
        "All libraries: float32, the same start weights, the same batches in the same order, equal losses checked "
        "first. " + ", ".join(f"{sides.LIBRARIES[name].title} {text}" for name, text in findings.versions.items())
    )
    for reason in findings.missing.values():
        say(f"Left out: {reason}.")
    disturbed = [result for result in findings.results if result.disturbed]
    if disturbed:
        worst = max(result.others or 0 for result in disturbed)
        names = ", ".join(dict.fromkeys(result.case.name for result in disturbed))
        say(
            f"[yellow]Other programs took up to {worst:.0%} of the cores during {names}: close them and measure "
            "again.[/yellow]"
        )
    for reason in findings.disagreements:
        say(f"[bold red]Not timed:[/bold red] {reason}")
    return not findings.disagreements


def _measure_with_bar(
    console: "Console", cases: Sequence[Case], names: Sequence[str], threads: Sequence[int], seconds: float
) -> runs.Findings:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        # timing a case takes about as long as preparing all its sides
        task = progress.add_task("Starting", total=2 * len(cases) * len(names) * len(threads))

        def listener(event: str, fields: dict[str, Any]) -> None:
            suffix = f", {fields['threads']} thread{'s' if fields['threads'] > 1 else ''}"
            if event == "side":
                title = sides.LIBRARIES[fields["side"]].title
                progress.update(task, advance=1, description=f"{fields['case']}: preparing {title}{suffix}")
            elif event == "timing":
                progress.update(task, description=f"{fields['case']}: timing{suffix}")
            elif event == "peak":
                progress.update(task, advance=len(names))

        return runs.measure(cases, names, threads, seconds, listener)


def table(results: Sequence[runs.Result]) -> "Table":
    """Return the table of the results of one number of threads: two lines a network, so that it fits 80 columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    count = results[0].threads
    peak = max(result.peak for result in results)
    names = [name for name in sides.LIBRARIES if any(name in result.seconds for result in results)]
    title = f"{count} thread{'s' if count > 1 else ''}, peak {peak / 1e9:,.0f} GFLOP/s"
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    shown.add_column("network", no_wrap=True)
    for name in names:
        shown.add_column(sides.LIBRARIES[name].title, justify="right", style="bold" if name == "fastmlp" else "")
    shown.add_column("GFLOP/s", justify="right")
    for result in results:
        ours = result.microseconds("fastmlp")
        case = result.case
        cells = [Text.assemble((case.name, "bold"), f", batch {case.batch}\n", (case.network, "dim"))]
        for name in names:
            time = result.microseconds(name)
            if time is None:
                cells.append(Text("-"))
            elif name == "fastmlp" or ours is None:
                cells.append(Text(f"{microseconds(time)}\n"))
            else:
                ratio = (f"{time / ours:.1f}x", "green" if time >= ours else "red")
                cells.append(Text.assemble(f"{microseconds(time)}\n", ratio))
        rate = result.gflops()
        cells.append(Text("-") if rate is None or not peak else Text(f"{rate:.1f}\n{rate * 1e9 / peak:.0%}"))
        shown.add_row(*cells)
    return shown


def microseconds(time: float) -> str:
    """Write a time with three digits at least: 4.71, 35.1, 541 or 26,752."""
    return f"{time:.2f}" if time < 10 else f"{time:.1f}" if time < 100 else f"{time:,.0f}"
