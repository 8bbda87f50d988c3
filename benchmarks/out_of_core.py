"""Training from files beside training from memory: ``python -m benchmarks.out_of_core``.

Each measurement is a process of its own that trains one epoch of a network of 20-64-64-1, after a short one that
compiles and warms up, and reports its rows a second and its peak of resident memory (Linux). Files are in the page
cache. With
``--limit`` the memory that a process may map as its own (RLIMIT_DATA) is the stated bound and so many MiB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .report import conditions, insert

FEATURES, BATCH, WARM_UP = 20, 512, 100_000
KINDS = ("memmap", "zarr", "parquet")
LIBRARY = {"zarr": "zarr", "parquet": "pyarrow"}


def write(folder: Path, size: float, kinds: Sequence[str]) -> int:
    """Write files of so many GB of float32 features, and return the number of rows."""
    rows = int(size * 1e9) // (4 * FEATURES)
    rng, step = np.random.default_rng(0), 500_000
    with (folder / "x.bin").open("wb") as features, (folder / "y.bin").open("wb") as targets:
        for first in range(0, rows, step):
            x = rng.standard_normal((min(step, rows - first), FEATURES), np.float32)
            x.tofile(features)
            np.tanh(x[:, 0] - x[:, 1] * x[:, 2]).tofile(targets)
    x, y = mapped(folder)
    if "zarr" in kinds:
        import zarr

        kept = zarr.create_array(folder / "x.zarr", shape=x.shape, chunks=(50_000, FEATURES), dtype="float32")
        for first in range(0, rows, 50_000):
            kept[first : first + 50_000] = x[first : first + 50_000]
    if "parquet" in kinds:
        import pyarrow
        from pyarrow import parquet

        names = [f"f{number}" for number in range(FEATURES)]
        schema = pyarrow.schema([(name, pyarrow.float32()) for name in (*names, "y")])
        with parquet.ParquetWriter(folder / "x.parquet", schema) as file:
            for first in range(0, rows, 100_000):
                part = np.array(x[first : first + 100_000])
                columns = [*part.T, np.array(y[first : first + 100_000])]
                file.write_table(pyarrow.table(dict(zip(schema.names, columns, strict=True)), schema))
    return rows


def mapped(folder: Path) -> tuple[Any, Any]:
    y = np.memmap(folder / "y.bin", np.float32, "r")
    return np.memmap(folder / "x.bin", np.float32, "r", shape=(len(y), FEATURES)), y


def source(folder: Path, kind: str) -> Any:
    from fastmlp.data import Source

    x, y = mapped(folder)
    if kind == "zarr":
        import zarr

        return Source(zarr.open_array(folder / "x.zarr", mode="r"), y)
    if kind == "parquet":
        from pyarrow import dataset

        return Source(dataset.dataset(folder / "x.parquet"), target="y")
    return Source(x, y)


def peak() -> int:
    """Return the highest resident memory of this process, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def work(folder: Path, kind: str, threads: int, limit: float | None) -> dict[str, Any]:
    """Train one epoch, in a process of its own."""
    import resource

    import fastmlp
    from fastmlp import Dense, Input, Sequential

    fastmlp.set_num_threads(threads)
    model = Sequential([Input((FEATURES,)), Dense(64, "relu"), Dense(64, "relu"), Dense(1)], seed=0)
    model.compile("adam", "mse")
    rng = np.random.default_rng(1)
    warm = rng.standard_normal((WARM_UP, FEATURES), np.float32)
    model.fit(warm, warm[:, 0], BATCH, epochs=2, verbose=0)
    del warm
    x, y = mapped(folder)
    if kind == "memory":
        x, y = np.array(x), np.array(y)
        given, bound = (x, y), 0
    else:
        read = source(folder, kind)
        given, bound = (read,), read.memory(BATCH)
    before = peak()
    if limit is not None and kind != "memory":
        allowed = sum(
            int(line.split()[1]) * 1024
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith(("VmData", "VmStk"))
        )
        most = allowed + bound + int(limit * 2**20)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    begun = time.perf_counter()
    history = model.fit(*given, batch_size=BATCH, verbose=0)
    seconds = time.perf_counter() - begun
    return {
        "rate": len(x) / seconds, "peak": peak() - before, "bound": bound, "loss": history.history["loss"][0],
    }  # fmt: skip


def run(folder: Path, kind: str, threads: int, limit: float | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.out_of_core", "--work", str(folder), kind, str(threads)]
    if limit is not None:
        command += ["--limit", str(limit)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{found.stderr}")
    return dict(json.loads(found.stdout.splitlines()[-1]))


def table(size: float, repeats: int, kinds: Sequence[str], limit: float | None) -> str:
    """Measure, all sides in turn, and return the Markdown table.

    Raises
    ------
    RuntimeError
        When a process fails, such as for want of memory.
    """
    lines = [
        "| from | threads | rows a second | of memory | peak of reading, MiB | stated bound, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, size, kinds)
        for threads in (1, 2):
            sides = ("memory", *kinds)
            results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in sides}
            for _ in range(repeats):
                for kind in sides:
                    results[kind].append(run(folder, kind, threads, limit))
            best = {kind: max(each["rate"] for each in found) for kind, found in results.items()}
            for kind, found in results.items():
                highest = max(each["peak"] for each in found)
                memory = "| |" if kind == "memory" else f"| {highest / 2**20:,.0f} | {found[0]['bound'] / 2**20:,.0f} |"
                lines.append(
                    f"| {kind} | {threads} | {best[kind]:,.0f} | {100 * best[kind] / best['memory']:.0f} % {memory}"
                )
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.out_of_core", description="Files beside memory.")
    parser.add_argument("--size", type=float, default=2.0, help="GB of features (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="(default: all)")
    parser.add_argument("--limit", type=float, metavar="MIB", help="limit a process to the bound and so much (Linux)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.work:
        folder, kind, threads = options.work
        print(json.dumps(work(Path(folder), kind, int(threads), options.limit)))
        return 0
    if options.page:
        insert(options.page, None, "out-of-core")
    measured = table(options.size, options.repeats, options.kinds, options.limit)
    where = conditions()
    limited = "" if options.limit is None else f" under a limit of the bound and {options.limit:g} MiB"
    libraries = ["numpy", "numba", *(LIBRARY[kind] for kind in options.kinds if kind in LIBRARY)]
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    text = (
        f"A network of 20-64-64-1, {options.size:g} GB of float32 features, one epoch{limited}, batches of {BATCH}, "
        f"Adam:\n\n{measured}\n\nThe highest rate and the highest peak of {options.repeats} runs, in turn; "
        f"files in the page cache. {where['processor']}; {versions}; {where['date']}."
    )
    print(text)
    if options.page:
        insert(options.page, text, "out-of-core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
