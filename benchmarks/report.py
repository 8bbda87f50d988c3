"""Measures the ladder and reports it: ``python -m benchmarks.report``.

Without more it prints the tables as Markdown. ``--page docs/performance.md`` also writes them between the two markers
of that file, with a chart beside it. To look at one case quickly, or again after a change::

    python -m benchmarks.report --cases tabular --seconds 1 --save before.json
    python -m benchmarks.report --cases tabular --seconds 1 --sides fastmlp --against before.json
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastmlp.__main__ import processor
from fastmlp.ladder import runs, sides
from fastmlp.ladder.cases import choose
from fastmlp.ladder.command import microseconds
from fastmlp.ladder.runs import Findings, Result


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="The speed ladder, as Markdown.")
    parser.add_argument("--cases", nargs="+", default=["rungs"], metavar="CASE", help="or rungs, other, all")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N", help="one or more (default: 1)")
    parser.add_argument("--sides", nargs="+", default=list(sides.DEFAULT), metavar="LIBRARY", help="what to measure")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each side of a case (default: 1)")
    parser.add_argument("--cores", nargs="+", type=int, metavar="CORE", help="which ones (default: the last ones)")
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: for a first look on a busy machine"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the findings as JSON")
    parser.add_argument("--load", type=Path, metavar="FILE", help="report these findings and measure nothing")
    parser.add_argument("--against", type=Path, metavar="FILE", help="take the sides not measured from these findings")
    parser.add_argument("--chart", type=Path, metavar="STEM", help="draw STEM.png and STEM.svg (needs matplotlib)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the report between this file's markers")
    options = parser.parse_args(given)
    if options.page and (options.against or options.clock != "wall"):
        parser.error("--page is for times of one run by the wall clock, without --against and --clock")
    return options


def conditions() -> dict[str, Any]:
    """Return what is kept beside the findings: where and when."""
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "numba": version("numba"),
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
    }


def fill(findings: Findings, earlier: Findings) -> Findings:
    """Add the sides that were not measured from earlier findings on the same cases."""
    stored = {(result.case, result.threads): result for result in earlier.results}
    results = []
    for result in findings.results:
        old = stored.get((result.case, result.threads))
        if old is not None:
            result = replace(result, seconds={**old.seconds, **result.seconds})
        results.append(result)
    return replace(findings, results=results, versions={**earlier.versions, **findings.versions})


def peak_of(results: Sequence[Result]) -> float:
    """Return the highest peak measured in the run: no disturbance makes it too high."""
    return max(result.peak for result in results)


def table(results: Sequence[Result]) -> str:
    """Return the Markdown table of the results of one number of threads."""
    names = [name for name in sides.LIBRARIES if any(name in result.seconds for result in results)]
    peak = peak_of(results)
    titles = [
        "network",
        "batch",
        *(sides.LIBRARIES[name].title for name in names),
        "fastest other",
        "GFLOP/s",
        "of peak",
    ]
    lines = ["| " + " | ".join(titles) + " |", "| --- |" + " ---: |" * (len(titles) - 1)]
    for result in results:
        cells = [f"{result.case.name} {result.case.network}", str(result.case.batch)]
        for name in names:
            time = result.microseconds(name)
            cells.append(
                "-" if time is None else f"**{microseconds(time)}**" if name == "fastmlp" else microseconds(time)
            )
        ours, rival, rate = result.microseconds("fastmlp"), result.fastest_other(), result.gflops()
        theirs = result.microseconds(rival) if rival else None
        cells.append(f"{sides.LIBRARIES[rival].title} {theirs / ours:.2f}" if rival and theirs and ours else "-")
        cells += ["-", "-"] if rate is None else [f"{rate:.1f}", f"{rate * 1e9 / peak:.0%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def explanation(findings: Findings, where: dict[str, Any]) -> str:
    """Say what the tables hold and how it was measured."""
    versions = ", ".join(f"{sides.LIBRARIES[name].title} {text}" for name, text in findings.versions.items())
    left_out = "".join(f" {reason}." for reason in findings.missing.values())
    return (
        "Time of a training step with Adam in microseconds: the lowest of several times of many steps each, the "
        "sides in turn in one process that is pinned to as many cores as it has threads. All sides are float32 and "
        "have the same start weights and the same batches in the same order; that their losses agree is checked "
        "before they are timed. \"Fastest other\" is its time over fastmlp's. GFLOP/s are fastmlp's and count the "
        "products of matrices alone; the peak is what multiply-adds between registers reached in the same run.\n\n"
        f"{where['processor']}; {versions}, Numba {where['numba']}, Python {where['python']}; "
        f"{where['date']}.{left_out}"
    )


def markdown(findings: Findings, where: dict[str, Any]) -> str:
    """Return the whole report."""
    parts = []
    for count in sorted({result.threads for result in findings.results}):
        results = [result for result in findings.results if result.threads == count]
        peak = peak_of(results) / 1e9
        title = f"**{count} thread{'s' if count > 1 else ''}** (peak {peak:,.0f} GFLOP/s)"
        parts += [title, table(results)]
    return "\n\n".join([*parts, explanation(findings, where)])


def insert(file: Path, text: str | None, part: str = "ladder") -> None:
    """Replace what is between a part's markers in a file; None only looks whether it can be done.

    Raises
    ------
    ValueError
        The file has not both markers once, in their order.
    """
    whole = file.read_text(encoding="utf-8")
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
        raise ValueError(f"{file} must have the lines {begin} and {end} once, in this order")
    if text is not None:
        before, rest = whole.split(begin)
        file.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def show_progress(event: str, fields: dict[str, Any]) -> None:
    """Tell on standard error what is being done."""
    if event in ("case", "unsupported", "missing", "disagreement"):
        told = {name: value for name, value in fields.items() if name != "seconds"}
        print(event, *(f"{name}={value}" for name, value in told.items()), file=sys.stderr)


def spread(findings: Findings) -> str:
    """Return the medians, and where other programs disturbed them."""
    lines = []
    for result in findings.results:
        medians = ", ".join(f"{name} {microseconds(result.median(name) or 0)}" for name in result.seconds)
        others = f"; other programs had {result.others:.0%} of the cores" if result.disturbed else ""
        lines.append(f"{result.case.name}, {result.threads} threads, medians: {medians}{others}")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if options.page:
        insert(options.page, None)  # it would be a pity to find out after measuring
    if options.load:
        stored = json.loads(options.load.read_text(encoding="utf-8"))
        findings, where = Findings.from_dict(stored["findings"]), stored["conditions"]
    else:
        cases, names = choose(options.cases), sides.check_names(options.sides)
        findings = runs.measure(
            cases, names, options.threads, options.seconds, show_progress, clock=options.clock, cores=options.cores
        )
        where = conditions()
    if options.save:
        options.save.write_text(json.dumps({"findings": findings.as_dict(), "conditions": where}), encoding="utf-8")
    if options.against:
        earlier = json.loads(options.against.read_text(encoding="utf-8"))
        findings = fill(findings, Findings.from_dict(earlier["findings"]))
    for reason in findings.disagreements:
        print(f"error: {reason}", file=sys.stderr)
    if not findings.results or (options.page and findings.disagreements):
        return 1
    report = markdown(findings, where)
    print(report)
    print(spread(findings), file=sys.stderr)
    chart = options.chart or (options.page.parent / "images" / "ladder" if options.page else None)
    if chart:
        from .chart import draw

        draw(findings.results, where, chart)
    if options.page:
        picture = Path(chart).with_suffix(".png").relative_to(options.page.parent).as_posix()
        insert(options.page, f"![Times of a training step, relative to fastmlp's]({picture})\n\n{report}")
    return 1 if findings.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
