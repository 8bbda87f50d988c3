"""How the time of a sample grows with width, depth, batch and rows: ``python -m benchmarks.scaling``.

A table for each, as Markdown, and with ``--chart`` a picture of all four. Each axis starts from one network and
changes one thing.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastmlp.ladder import runs, sides
from fastmlp.ladder.cases import Case
from fastmlp.ladder.runs import Findings, Result

from .report import conditions, insert, show_progress

STEPS = 10  # in an epoch, where that is not what changes
ROWS = 2000  # in an epoch, at least, so that a call has something to do


def with_rows(name: str, sizes: tuple[int, ...], batch: int, loss: str = "ce") -> Case:
    """Return a case whose epoch has some steps and is long enough to be timed."""
    products = sum(K * N for K, N in pairwise(sizes))
    steps = 2 if products * batch > 1e9 else STEPS
    return Case(name, sizes, "relu", loss, batch, batch * max(steps, min(ROWS, 10**9 // products) // batch))


AXES: dict[str, tuple[str, list[Case]]] = {
    "width": (
        "width of the two hidden layers (as many inputs, 10 outputs, batch 128)",
        [with_rows(f"width {n}", (n, n, n, 10), 128) for n in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)],
    ),
    "depth": (
        "hidden layers of 64 (64 inputs, 10 outputs, batch 128)",
        [with_rows(f"depth {n}", (64, *[64] * n, 10), 128) for n in (1, 2, 3, 4, 6, 8, 12, 16, 20)],
    ),
    "batch": (
        "rows of a batch (64-128-10)",
        [with_rows(f"batch {n}", (64, 128, 10), n) for n in (2**power for power in range(14))],
    ),
    "rows": (
        "rows of an epoch (20-64-64-1, batch 32)",
        [Case(f"rows {n}", (20, 64, 64, 1), "relu", "mse", 32, n) for n in (1000, 10_000, 100_000, 1_000_000)],
    ),
}  # fmt: skip


def value(result: Result) -> int:
    """Return where on its axis a result is."""
    return int(result.case.name.split()[1])


def of_axis(findings: Findings, axis: str) -> list[Result]:
    """Return the results of an axis in order."""
    return [result for result in findings.results if result.case.name.split()[0] == axis]


def nanoseconds(result: Result, name: str) -> float | None:
    """Return the time of a sample."""
    time = result.microseconds(name)
    return None if time is None else 1e3 * time * result.case.steps / result.case.rows


def table(results: Sequence[Result], axis: str) -> str:
    """Return the Markdown table of an axis."""
    names = [name for name in sides.LIBRARIES if any(name in result.seconds for result in results)]
    titles = [axis, *(f"{sides.LIBRARIES[name].title}, ns a sample" for name in names), "GFLOP/s", "of peak"]
    peak = max(result.peak for result in results)
    lines = ["| " + " | ".join(titles) + " |", "| ---: |" + " ---: |" * (len(titles) - 1)]
    for result in results:
        times = [nanoseconds(result, name) for name in names]
        rate = result.gflops() or float("nan")
        cells = [f"{value(result):,}", *("-" if time is None else f"{time:,.0f}" for time in times)]
        lines.append("| " + " | ".join([*cells, f"{rate:.1f}", f"{rate * 1e9 / peak:.0%}"]) + " |")
    return "\n".join(lines)


def draw(findings: Findings, axes: Sequence[str], where: dict[str, Any], stem: Path) -> None:
    """Write ``stem.png`` and ``stem.svg``: a panel for each axis."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from .chart import FAINT, SETTINGS, save

    with mpl.rc_context(SETTINGS):
        columns = min(2, len(axes))
        rows = -(-len(axes) // columns)
        figure = Figure(figsize=(5.4 * columns, 3.7 * rows + 0.6), facecolor="white", layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in panels[len(axes) :]:
            ax.set_visible(False)
        for ax, axis in zip(panels, axes, strict=False):
            panel(ax, of_axis(findings, axis), axis)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
        threads = findings.results[0].threads
        place = f"{where['processor']}, {threads} thread{'s' if threads > 1 else ''}, {where['date']}"
        figure.supxlabel(f"time of training on a sample with Adam; {place}", fontsize=9, color=FAINT)
        save(figure, stem)


def panel(ax: Any, results: Sequence[Result], axis: str) -> None:
    """Draw one axis; time against depth is a straight line, and against rows level, so these are not logarithmic."""
    from .chart import STYLES, plain

    for name in sides.LIBRARIES:
        points = [(value(result), time) for result in results if (time := nanoseconds(result, name))]
        if points:
            color, marker = STYLES[name]
            style = {"linewidth": 2.2, "marker": "o"} if name == "fastmlp" else {"marker": marker}
            ax.plot(*zip(*points, strict=True), color=color, label=sides.LIBRARIES[name].title, ms=4.5, **style)
    if axis in ("depth", "rows"):
        ax.set_ylim(bottom=0)
    else:
        ax.set_yscale("log")
    if axis == "depth":
        ax.set_xticks([value(result) for result in results])
    else:
        ax.set_xscale("log", base=10 if axis == "rows" else 2)
        ax.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    ax.yaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    ax.set_xlabel(AXES[axis][0], fontsize=9)
    ax.set_ylabel("ns a sample", fontsize=9)
    plain(ax)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Time of a sample by size.")
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES), help="what to change")
    parser.add_argument("--sides", nargs="+", default=["fastmlp", "numpy"], metavar="LIBRARY")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each side of a point (default: %(default)s)")
    parser.add_argument("--cores", nargs="+", type=int, metavar="CORE", help="which ones (default: the last ones)")
    parser.add_argument("--chart", type=Path, metavar="STEM", help="draw STEM.png and STEM.svg (needs matplotlib)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into a file between its markers")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the findings as JSON")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    cases = [case for axis in options.axes for case in AXES[axis][1]]
    names = sides.check_names(options.sides)
    if options.page:
        insert(options.page, None, "scaling")  # it would be a pity to find out after measuring
    findings = runs.measure(cases, names, [options.threads], options.seconds, show_progress, cores=options.cores)
    where = conditions()
    if options.save:
        options.save.write_text(json.dumps({"findings": findings.as_dict(), "conditions": where}), encoding="utf-8")
    shown = [(axis, results) for axis in options.axes if (results := of_axis(findings, axis))]
    text = "\n\n".join(f"**{AXES[axis][0]}**\n\n{table(results, axis)}" for axis, results in shown)
    print(text)
    if options.chart and findings.results:
        draw(findings, options.axes, where, options.chart)
    if options.page:
        insert(options.page, f"{text}\n\n{where['processor']}; {where['date']}.", "scaling")
    for reason in findings.disagreements:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if findings.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
