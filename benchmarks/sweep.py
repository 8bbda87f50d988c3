"""Looks for cliffs: ``python -m benchmarks.sweep`` times every width and every batch, one after the other.

From one size to the next, a step should take no less time, and no more than in proportion to its operations. The
factor by which it does is a cliff: a shape that the kernels do not like. The highest are measured again, and the
lower times count, so that a disturbance is not taken for a cliff.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fastmlp.ladder import runs
from fastmlp.ladder.cases import Case
from fastmlp.ladder.runs import Findings, Result

from .report import conditions

WIDTHS, BATCHES = (8, 300), (1, 300)
AGAIN, TIMES = 10, 3  # how many cliffs to measure again, and how often
STEPS, ROWS = 20, 4000  # of an epoch, at least


class Cliff(NamedTuple):
    """Two neighbours, and by what factor the one that is worse is too slow."""

    before: int
    after: int
    factor: float


def width_case(n: int, batch: int) -> Case:
    """Return a network all of whose layers but the output are so wide."""
    return Case(f"width {n}", (n, n, n, 10), "relu", "ce", batch, batch * max(STEPS, ROWS // batch))


def batch_case(n: int, width: int) -> Case:
    """Return a network that is trained with such a batch."""
    return Case(f"batch {n}", (width, width, width, 10), "relu", "ce", n, n * max(STEPS, ROWS // n))


def picoseconds(result: Result) -> float:
    """Return the time of a useful operation."""
    return 1e6 * (result.microseconds("fastmlp") or float("nan")) / result.case.flops_per_step


def size(case: Case) -> int:
    """Return what is changed."""
    return int(case.name.split()[1])


def cliffs(results: Sequence[Result]) -> list[Cliff]:
    """Return what there is between neighbours, the highest first; 1 is none."""
    found = []
    for left, right in pairwise(results):
        more_an_operation = picoseconds(right) / picoseconds(left)
        more_a_step = more_an_operation * right.case.flops_per_step / left.case.flops_per_step
        found.append(Cliff(size(left.case), size(right.case), max(1.0, more_an_operation, 1 / more_a_step)))
    return sorted(found, key=lambda cliff: -cliff.factor)


def lower(results: Sequence[Result], again: Sequence[Result]) -> list[Result]:
    """Add the times of a second measurement."""
    second = {result.case: result.seconds["fastmlp"] for result in again}
    return [
        replace(result, seconds={"fastmlp": result.seconds["fastmlp"] + second.get(result.case, [])})
        for result in results
    ]


def measure(cases: Sequence[Case], options: argparse.Namespace) -> list[Result]:
    """Return the results of all cases, those at the highest cliffs measured again."""
    done = 0

    def listener(event: str, fields: dict[str, Any]) -> None:
        nonlocal done
        done += event == "case"
        if event == "case" and sys.stderr.isatty():
            print(f"\r{done}: {fields['case']}    ", end="", file=sys.stderr, flush=True)

    def run(wanted: Sequence[Case]) -> list[Result]:
        found = runs.measure(
            wanted, ["fastmlp"], [options.threads], options.seconds, listener, clock=options.clock, cores=options.cores
        )
        return found.results

    results = run(cases)
    for _ in range(TIMES):
        suspects = {n for cliff in cliffs(results)[:AGAIN] for n in (cliff.before, cliff.after)}
        results = lower(results, run([case for case in cases if size(case) in suspects]))
    return results


def table(worst: Sequence[Cliff], axis: str) -> str:
    """Return the Markdown table of the highest cliffs."""
    lines = [f"| {axis} | too slow by |", "| ---: | ---: |"]
    return "\n".join([*lines, *(f"| {cliff.before} to {cliff.after} | {cliff.factor:.2f} |" for cliff in worst)])


def draw(axes: dict[str, list[Result]], where: dict[str, Any], stem: Path) -> None:
    """Write ``stem.png`` and ``stem.svg``: time of an operation against size, with the highest cliff marked."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from .chart import FAINT, SETTINGS, plain, save

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(10.5, 3.4 * len(axes) + 0.4), facecolor="white", layout="constrained")
        for ax, (axis, results) in zip(figure.subplots(len(axes), 1, squeeze=False).ravel(), axes.items(), strict=True):
            sizes, times = [size(result.case) for result in results], [picoseconds(result) for result in results]
            ax.plot(sizes, times, color="#0072B2", linewidth=1.2)
            worst = cliffs(results)[0]
            ends = [sizes.index(worst.before), sizes.index(worst.after)]
            ax.plot([sizes[i] for i in ends], [times[i] for i in ends], "o", color="#D55E00", markersize=5)
            ax.set_title(
                f"{axis}: highest cliff {worst.factor:.2f}, from {worst.before} to {worst.after}",
                loc="left",
                fontsize=10,
            )
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(lambda number, _: f"{number:g}")
            ax.yaxis.set_minor_formatter(lambda number, _: f"{number:g}" if f"{number:g}"[0] in "235" else "")
            ax.set_ylabel("ps a useful operation", fontsize=9)
            ax.set_xlim(sizes[0], sizes[-1])
            plain(ax)
            ax.grid(which="minor", color="#F0F1F3", linewidth=0.6)
        figure.supxlabel(f"{where['processor']}, {where['date']}", fontsize=9, color=FAINT)
        save(figure, stem)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description="Every width and every batch.")
    parser.add_argument("--widths", nargs=2, type=int, default=WIDTHS, metavar=("FROM", "TO"))
    parser.add_argument("--batches", nargs=2, type=int, default=BATCHES, metavar=("FROM", "TO"))
    parser.add_argument("--batch", type=int, default=64, help="of the widths (default: %(default)s)")
    parser.add_argument("--width", type=int, default=64, help="of the batches (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each size (default: %(default)s)")
    parser.add_argument("--cores", nargs="+", type=int, metavar="CORE", help="which ones (default: the last ones)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--chart", type=Path, metavar="STEM", help="draw STEM.png and STEM.svg (needs matplotlib)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the findings as JSON")
    options = parser.parse_args(given)
    for name in ("widths", "batches"):
        first, last = getattr(options, name)
        if not 1 <= first < last:
            parser.error(f"--{name} must be two numbers from 1, the first less than the second, got {first} {last}")
    return options


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    (first, last), (low, high) = options.widths, options.batches
    axes = {
        "width": measure([width_case(n, options.batch) for n in range(first, last + 1)], options),
        "batch": measure([batch_case(n, options.width) for n in range(low, high + 1)], options),
    }
    where = conditions()
    if options.save:
        stored = {axis: Findings(results).as_dict() for axis, results in axes.items()}
        options.save.write_text(json.dumps({"findings": stored, "conditions": where}), encoding="utf-8")
    for axis, results in axes.items():
        print(f"{table(cliffs(results)[:AGAIN], axis)}\n")
    if options.chart:
        draw(axes, where, options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
