"""Which limit each rung of the ladder has, and how near it comes: ``python -m benchmarks.roofline``.

A step cannot take less time than its products need at the rate of multiply-adds between registers, nor less than its
bytes need at the rate of memory (Williams, Waterman & Patterson, Roofline, CACM 52, 2009). Operations and bytes follow
from the shapes; times and the peak are those of the last run of the ladder, as ``benchmarks.report`` has written
them into a page; the rate of memory is measured here, by copies of as many bytes as the network's state has.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

from fastmlp.ladder.cases import RUNGS, Case

from .report import conditions, insert

ROOT = Path(__file__).parent.parent
FLOAT = 4
# Adam reads and writes a weight and its two moments
UPDATE_BYTES = 6 * FLOAT
STATE_BYTES = 3 * FLOAT
# below it a call of NumPy takes longer than its copy; networks so small are not limited by memory
SMALLEST_COPY = 1 << 18
HEADING = re.compile(r"\*\*(\d+) threads?\*\* \(peak ([\d,.]+) GFLOP/s\)")


@dataclass(frozen=True)
class Rung:
    """A network of the ladder, with what one step of it needs."""

    case: Case

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return list(pairwise(self.case.sizes))

    @property
    def parameters(self) -> int:
        """Kernels and biases."""
        return sum((K + 1) * N for K, N in self.layers)

    @property
    def flops(self) -> float:
        """Of a full batch."""
        return self.case.flops_per_step * self.case.batch * self.case.steps / self.case.rows

    @property
    def bytes(self) -> int:
        """What a step has to move at least, if the activations of a block of rows stay in the nearest caches.

        The rows and their targets; weights for the forward pass, and again for the backward pass above the first
        layer; weights and moments for the update.
        """
        targets = 1 if self.case.loss == "ce" else self.case.sizes[-1]
        rows = self.case.batch * (self.case.sizes[0] + targets)
        backward = sum(K * N for K, N in self.layers[1:])
        return FLOAT * (rows + self.parameters + backward) + UPDATE_BYTES * self.parameters

    @property
    def functions(self) -> int:
        """Activations that a step computes, each with its slope, and the losses of its rows' outputs."""
        return self.case.batch * sum(self.case.sizes[1:])

    @property
    def state(self) -> int:
        """Bytes of weights and moments, which every step goes through."""
        return STATE_BYTES * self.parameters


@dataclass(frozen=True)
class Run:
    """What the page says of one number of threads."""

    threads: int
    peak: float
    """Operations a second."""
    microseconds: dict[str, float]
    """fastmlp's time of a step, by the rung's name."""


def ladder_of(page: Path) -> list[Run]:
    """Return what the last run of the ladder has left in a page.

    Raises
    ------
    ValueError
        When there is no such table.
    """
    text = page.read_text(encoding="utf-8").partition("<!-- ladder: begin -->")[2].partition("<!-- ladder: end -->")[0]
    parts = HEADING.split(text)[1:]
    runs = []
    for count, peak, table in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        rows = re.findall(r"^\| (\S+) \S+ \| *\d+ \| \*\*([\d,.]+)\*\* \|", table, re.MULTILINE)
        times = {name: float(time.replace(",", "")) for name, time in rows}
        runs.append(Run(int(count), float(peak.replace(",", "")) * 1e9, times))
    if not any(run.microseconds for run in runs):
        raise ValueError(f"{page} has no tables of the ladder; python -m benchmarks.report writes them")
    return runs


def bandwidth(size: int, threads: int, seconds: float) -> float:
    """Return the highest of many rates of copying within so many bytes, in bytes a second, read and written."""
    each = max(size, SMALLEST_COPY) // (2 * threads * FLOAT)
    pairs = [(np.zeros(each, np.float32), np.ones(each, np.float32)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        end = perf_counter() + seconds
        while best == 0 or perf_counter() < end:
            # so many that starting threads is nothing beside them
            repeats = max(1, (1 << 26) // (each * FLOAT))

            def copy(pair: tuple[np.ndarray, np.ndarray], repeats: int = repeats) -> None:
                for _ in range(repeats):
                    np.copyto(*pair)

            begun = perf_counter()
            list(pool.map(copy, pairs))
            best = max(best, 2 * FLOAT * each * threads * repeats / (perf_counter() - begun))
    return best


def lines(run: Run, rates: dict[str, float]) -> Iterator[str]:
    """The rows of a table."""
    for rung in map(Rung, RUNGS):
        name = rung.case.name
        if name not in run.microseconds:
            continue
        compute, memory = 1e6 * rung.flops / run.peak, 1e6 * rung.bytes / rates[name]
        least, taken = max(compute, memory), run.microseconds[name]
        cells = [
            f"{name} {rung.case.network}",
            f"{rung.flops / 1e6:,.2f}",
            f"{rung.bytes / 1024:,.0f}",
            f"{rung.flops / rung.bytes:,.1f}",
            f"{run.peak / rates[name]:,.1f}",
            "memory" if memory > compute else "arithmetic",
            f"{least:,.1f}",
            f"{taken:,.1f}",
            f"{least / taken:.0%}",
        ]
        yield "| " + " | ".join(cells) + " |"


def table(run: Run, rates: dict[str, float]) -> str:
    """Return the Markdown table of one number of threads."""
    titles = (
        "network",
        "Mflop a step",
        "KiB a step",
        "flop a byte",
        "ridge",
        "limit",
        "us at least",
        "us taken",
        "reached",
    )
    title = f"**{run.threads} thread{'s' if run.threads > 1 else ''}** (peak {run.peak / 1e9:,.0f} GFLOP/s)"
    head = ["| " + " | ".join(titles) + " |", "| --- |" + " ---: |" * 4 + " --- |" + " ---: |" * 3]
    return f"{title}\n\n" + "\n".join([*head, *lines(run, rates)])


def shapes() -> str:
    """Return the table of what a step does beside its products, which no roofline counts."""
    lines = [
        "| network | parameters | MiB with moments | flop for each | activations a step | flop for each |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rung in map(Rung, RUNGS):
        cells = [
            f"{rung.case.name} {rung.case.network}",
            f"{rung.parameters:,}",
            f"{rung.state / 2**20:,.2f}",
            f"{rung.flops / rung.parameters:,.0f}",
            f"{rung.functions:,}",
            f"{rung.flops / rung.functions:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description="The limits of the ladder.")
    parser.add_argument(
        "--ladder", type=Path, default=ROOT / "docs" / "performance.md", metavar="FILE",
        help="where the last run of the ladder is (default: docs/performance.md)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=0.5, help="to copy for each network (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into a file between its markers")
    options = parser.parse_args(given)
    if options.page:
        insert(options.page, None, "roofline")
    parts = []
    for run in ladder_of(options.ladder):
        rates = {
            rung.case.name: bandwidth(rung.state, run.threads, options.seconds)
            for rung in map(Rung, RUNGS)
            if rung.case.name in run.microseconds
        }
        parts.append(table(run, rates))
        shown = ", ".join(f"{name} {rate / 1e9:.1f}" for name, rate in rates.items())
        print(f"copies with {run.threads} threads, GB/s: {shown}", file=sys.stderr)
    where = conditions()
    text = "\n\n".join([*parts, "**Beside the products**", shapes(), f"Copies: {where['processor']}; {where['date']}."])
    print(text)
    if options.page:
        insert(options.page, text, "roofline")
    return 0


if __name__ == "__main__":
    sys.exit(main())
