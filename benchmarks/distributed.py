"""Training by ranks of MPI, 1 and 2 measured, up to 1,024 modelled: ``python -m benchmarks.distributed``.

Measured are the time of a step by one process with one thread, an Allreduce between two ranks by its size, whether an
Iallreduce overlaps with work, and a step by two ranks. The model is the sum of a step's compute, which is taken as
proportional to the rows, and an Allreduce of the gradient by the formulas of Thakur, Rabenseifner and Gropp,
"Optimization of Collective Communication Operations in MPICH" (IJHPCA 19, 2005), with the measured latency and time a
byte.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .report import conditions, insert

FLOATS = (100, 1_000, 10_000, 100_000, 1_000_000)
MODELLED = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# of one batch over all ranks
FIXED_BATCH = 8192
FEWEST_ROWS = 16


class Net(NamedTuple):
    """A network that is timed, with the rows of a batch at each rank."""

    widths: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        """Its widths."""
        return "-".join(map(str, self.widths))

    @property
    def parameters(self) -> int:
        """How many weights and biases it has."""
        return sum(below * above + above for below, above in zip(self.widths, self.widths[1:], strict=False))


NETS = (
    Net((20, 64, 64, 1), 32),
    Net((20, 64, 64, 1), 4096),
    Net((784, 128, 10), 256),
    Net((784, 128, 10), 4096),
    Net((784, 512, 512, 10), 1024),
)


def lowest(function: Callable[[], Any], seconds: float) -> float:
    """Return the lowest time of many calls; as many of them at all ranks, which take part in each."""
    from mpi4py import MPI

    begun = time.perf_counter()
    function()
    calls = MPI.COMM_WORLD.bcast(max(5, int(seconds / max(time.perf_counter() - begun, 1e-7))))
    best = math.inf
    for _ in range(min(calls, 5000)):
        MPI.COMM_WORLD.Barrier()
        begun = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begun)
    return float(MPI.COMM_WORLD.allreduce(best, op=MPI.MAX))


def measure_steps(seconds: float) -> list[float]:
    """Return the seconds of a step of each net."""
    import fastmlp
    from fastmlp import Dense, Input, Sequential
    from fastmlp.distributed import MPI

    fastmlp.set_num_threads(1)
    strategy, found = MPI(), []
    for net in NETS:
        steps = 8 if net.batch >= 1024 else 64
        rows = net.batch * strategy.size * steps
        rng = np.random.default_rng(0)
        x = rng.standard_normal((rows, net.widths[0]), np.float32)
        y = rng.standard_normal((rows, net.widths[-1]), np.float32)
        hidden = [Dense(units, "relu") for units in net.widths[1:-1]]
        model = Sequential([Input((net.widths[0],)), *hidden, Dense(net.widths[-1])], seed=0)
        model.compile("adam", "mse")

        def train(epochs: int, model: Any = model, x: Any = x, y: Any = y, batch: int = net.batch) -> None:
            model.fit(x, y, batch, epochs, verbose=0, shuffle=False, distribute=strategy)

        train(1)
        # the time of an epoch without what a call of fit takes besides
        times = [lowest(partial(train, epochs), seconds / 2) for epochs in (1, 5)]
        found.append((times[1] - times[0]) / 4 / steps)
    return found


def measure_messages(seconds: float) -> dict[str, list[float]]:
    """Return the seconds of an Allreduce by size; of work as long, and then the Allreduce; and of both at a time."""
    from mpi4py import MPI

    comm, found = MPI.COMM_WORLD, {"allreduce": [], "after": [], "beside": []}
    block = np.ones((64, 64), np.float32)
    out = np.empty_like(block)
    for size in FLOATS:
        array = np.zeros(size, np.float32)

        def reduce(array: Any = array) -> None:
            comm.Allreduce(MPI.IN_PLACE, array)

        alone = lowest(reduce, seconds)
        one = lowest(lambda: np.dot(block, block, out=out), seconds / 10)
        rounds = max(1, round(alone / one))

        def work(rounds: int = rounds) -> None:
            for _ in range(rounds):
                np.dot(block, block, out=out)

        def after(work: Any = work, reduce: Any = reduce) -> None:
            work()
            reduce()

        def beside(array: Any = array, work: Any = work) -> None:
            request = comm.Iallreduce(MPI.IN_PLACE, array)
            work()
            request.Wait()

        found["allreduce"].append(alone)
        found["after"].append(lowest(after, seconds))
        found["beside"].append(lowest(beside, seconds))
    return found


def worker(seconds: float) -> int:
    """What each rank does."""
    from mpi4py import MPI

    found: dict[str, Any] = {"library": " ".join(MPI.Get_library_version().split("\n")[0].strip("\0 ").split())}
    if MPI.COMM_WORLD.Get_size() > 1:
        found |= measure_messages(seconds)
    found["steps"] = measure_steps(seconds)
    if MPI.COMM_WORLD.Get_rank() == 0:
        print(json.dumps(found))
    return 0


def launch(ranks: int, seconds: float) -> dict[str, Any]:
    """Return what so many ranks have measured."""
    command = [sys.executable, "-m", "benchmarks.distributed", "--worker", "--seconds", str(seconds)]
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else "mpiexec"
    done = subprocess.run([mpiexec, "-n", str(ranks), *command], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def allreduce(ranks: int, size: int, latency: float, byte: float) -> float:
    """Return the seconds of an Allreduce of ``size`` bytes, by the better algorithm (Thakur et al., 2005).

    Recursive doubling takes lg p messages of everything; reduce-scatter by recursive halving and then allgather by
    recursive doubling twice as many, but only 2 (p - 1) / p of the bytes. ``byte`` is of sending and adding one.
    """
    rounds = math.log2(ranks)
    return min(rounds * (latency + size * byte), 2 * rounds * latency + 2 * (ranks - 1) / ranks * size * byte)


def message_table(two: dict[str, Any]) -> str:
    """Return the Markdown table of messages between two ranks."""
    lines = [
        "| floats | Allreduce, us | work as long, then Allreduce, us | Iallreduce, work, wait, us |",
        "| ---: | ---: | ---: | ---: |",
    ]
    rows = zip(FLOATS, two["allreduce"], two["after"], two["beside"], strict=True)
    return "\n".join(
        [*lines, *(f"| {n:,} | " + " | ".join(f"{1e6 * t:,.1f}" for t in times) + " |" for n, *times in rows)]
    )


def step_table(one: dict[str, Any], two: dict[str, Any], latency: float, byte: float) -> str:
    """Return the Markdown table of steps by one and two ranks, and of what the model says about two."""
    lines = [
        "| network | rows a rank | parameters | 1 rank, us | 2 ranks, us | samples/s of 2 by 1 | modelled |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for net, alone, both in zip(NETS, one["steps"], two["steps"], strict=True):
        modelled = 2 * alone / (alone + allreduce(2, 4 * net.parameters, latency, byte))
        lines.append(
            f"| {net.name} | {net.batch:,} | {net.parameters:,} | {1e6 * alone:,.1f} | {1e6 * both:,.1f} | "
            f"{2 * alone / both:.2f} | {modelled:.2f} |"
        )
    return "\n".join(lines)


def model_table(one: dict[str, Any], latency: float, byte: float) -> str:
    """Return the Markdown table of modelled speed-ups: with the rows of a rank, or the whole batch, held fixed."""
    head = "| network | batch | " + " | ".join(f"{ranks:,}" for ranks in MODELLED) + " |"
    lines = [head, "| --- | --- |" + " ---: |" * len(MODELLED)]
    for net, alone in zip(NETS, one["steps"], strict=True):
        cells = []
        for ranks in MODELLED:
            message = allreduce(ranks, 4 * net.parameters, latency, byte)
            cells.append(f"{ranks * alone / (alone + message):.1f}")
        lines.append(f"| {net.name} | {net.batch:,} a rank | " + " | ".join(cells) + " |")
    done: set[str] = set()
    for net, alone in sorted(zip(NETS, one["steps"], strict=True), key=lambda pair: -pair[0].batch):
        if net.name in done:
            continue
        done.add(net.name)
        row = alone / net.batch
        speeds: list[float | None] = []
        for ranks in MODELLED:
            rows = FIXED_BATCH / ranks
            message = allreduce(ranks, 4 * net.parameters, latency, byte)
            speeds.append(None if rows < FEWEST_ROWS else FIXED_BATCH * row / (rows * row + message))
        best = max(speed for speed in speeds if speed is not None)
        cells = ["" if s is None else f"**{s:.1f}**" if s == best else f"{s:.1f}" for s in speeds]
        lines.append(f"| {net.name} | {FIXED_BATCH:,} in all | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(one: dict[str, Any], two: dict[str, Any], networks: Sequence[tuple[float, float]]) -> str:
    """Return the page's part: what was measured, and what follows."""
    latency = two["allreduce"][0]
    byte = (two["allreduce"][-1] - latency) / (4 * FLOATS[-1])
    where = conditions()
    parts = [
        "### Messages between two ranks of one machine", message_table(two),
        "### Steps", step_table(one, two, latency, byte),
        "### Speed-up by the number of ranks, modelled",
        f"With the latency and speed measured here ({1e6 * latency:.1f} us, {1e-9 / byte:.2f} GB/s sent and added), as "
        f"if every rank had a core and a link like these:",
        model_table(one, latency, byte),
    ]  # fmt: skip
    for microseconds, gigabytes in networks:
        parts += [
            f"With an assumed latency of {microseconds:g} us and {gigabytes:g} GB/s, and the compute measured here:",
            model_table(one, 1e-6 * microseconds, 1e-9 / gigabytes),
        ]
    parts.append(
        f"One thread a rank. {where['processor']}; Python {where['python']}, Numba {where['numba']}, mpi4py "
        f"{version('mpi4py')}, {two['library']}; {where['date']}."
    )
    return "\n\n".join(parts)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description="Several ranks of MPI.")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure (default: %(default)s)")
    parser.add_argument(
        "--network", nargs=2, type=float, action="append", default=[], metavar=("US", "GB/S"),
        help="model a network of this latency and bandwidth as well",
    )  # fmt: skip
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the tables into a file between its markers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.worker:
        return worker(options.seconds)
    if options.page:
        insert(options.page, None, "distributed")
    text = report(launch(1, options.seconds), launch(2, options.seconds), options.network)
    print(text)
    if options.page:
        insert(options.page, text, "distributed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
