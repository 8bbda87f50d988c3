"""Time until a network reaches an accuracy: ``python -m benchmarks.time_to_accuracy FOLDER``.

The folder has the four IDX files of Fashion-MNIST (or of MNIST). Every library trains in a process of its own. Two
times are told: from the call that builds the model, once the data and the library are in memory, and from the
start of the process, with imports, reading and whatever the library compiles. Both include the evaluation after
each epoch. fastmlp's kernels are in its cache, as they are after the first run of an installation.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fastmlp.ladder import sides, threads
from fastmlp.ladder.cases import Case, start_weights

from .accuracy_trainers import TRAINERS, import_for
from .report import conditions, insert

SIZES = (784, 256, 128, 10)
LIMIT = 50  # epochs, after which the accuracy is not reached


def run(name: str, folder: Path, seed: int, batch: int, target: float, started: float) -> dict[str, Any]:
    """Train one library until it is accurate enough, and return epochs, accuracy and times."""
    from fastmlp.datasets import load_idx

    trainer = import_for(name)
    (x, y), (x_test, y_test) = load_idx(folder, flatten=True, scale=True)
    case = Case("time to accuracy", SIZES, "relu", "ce", batch, len(x))
    weights = start_weights(case, seed)
    begun = time.time()
    model = trainer(case, x, y, weights, seed)
    accuracy, epochs = 0.0, 0
    while accuracy < target and epochs < LIMIT:
        model.epoch()
        epochs += 1
        accuracy = float((model.labels(x_test) == y_test).mean())
    now = time.time()
    return {"epochs": epochs, "accuracy": accuracy, "fit": now - begun, "process": now - started}


def spawn(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one library in a new process."""
    cores = ",".join(map(str, threads.cores_for(options.threads, options.cores)))
    command = [sys.executable, "-m", "benchmarks.time_to_accuracy", str(options.folder), "--batch", str(options.batch)]
    command += ["--target", str(options.target), "--threads", str(options.threads)]
    command += ["--worker", name, "--seed", str(seed), "--pin", cores, "--started", str(time.time())]
    environment = threads.environment(options.threads, os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{sides.LIBRARIES[name].title} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(found: dict[str, list[dict[str, Any]]], target: float) -> str:
    """Return the medians over the seeds as a Markdown table."""
    lines = [
        f"| library | epochs to {target:.0%} | seconds from fit | from process start | from fit, an epoch |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, results in found.items():
        reached = [result for result in results if result["accuracy"] >= target]
        if len(reached) < len(results):
            cells = [f"not reached {len(results) - len(reached)} of {len(results)} times", "-", "-"]
        else:
            epochs = sorted(result["epochs"] for result in results)
            shown = f"{median(epochs):g} ({epochs[0]} to {epochs[-1]})"
            times = [median(result[key] for result in results) for key in ("fit", "process")]
            cells = [shown, *(f"{seconds:.2f}" for seconds in times)]
        cells.append(f"{median(result['fit'] / result['epochs'] for result in results):.2f}")
        lines.append("| " + " | ".join([sides.LIBRARIES[name].title, *cells]) + " |")
    return "\n".join(lines)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_accuracy", description="Time to an accuracy.")
    parser.add_argument("folder", type=Path, help="with the IDX files of Fashion-MNIST")
    parser.add_argument("--target", type=float, default=0.88, help="test accuracy (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many, the median counts (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--sides", nargs="+", default=list(TRAINERS), choices=list(TRAINERS), metavar="LIBRARY")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    parser.add_argument("--cores", nargs="+", type=int, metavar="CORE", help="which ones (default: the last ones)")
    for name, kind in (("worker", str), ("seed", int), ("pin", str), ("started", float)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)  # how it calls itself
    options = parser.parse_args(given)
    if not 0 < options.target < 1:
        parser.error(f"--target must be between 0 and 1, got {options.target}")
    return options


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if options.worker:
        threads.pin([int(core) for core in options.pin.split(",") if core])
        threads.limit(options.threads, [options.worker])
        found = run(options.worker, options.folder, options.seed, options.batch, options.target, options.started)
        print(json.dumps(found))
        return 0
    if options.page:
        insert(options.page, None, "accuracy")  # it would be a pity to find out after measuring
    names = []
    for name in options.sides:
        reason = sides.missing(name)
        print(f"left out: {reason}", file=sys.stderr) if reason else names.append(name)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    if "fastmlp" in names:
        spawn("fastmlp", 0, options)  # so that its kernels are in the cache
    for seed in range(options.seeds):  # the libraries in turn, so that a disturbance hits all of them
        for name in names:
            results[name].append(spawn(name, seed, options))
            print(name, results[name][-1], file=sys.stderr)
    where = conditions()
    versions = ", ".join(f"{sides.LIBRARIES[name].title} {sides.version_of(name)}" for name in names)
    count = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    network = f"{'-'.join(map(str, SIZES))}, relu, Adam, batch {options.batch}; {count}, {options.seeds} seeds"
    text = f"{table(results, options.target)}\n\n{network}. {where['processor']}; {versions}; {where['date']}."
    print(text)
    if options.page:
        insert(options.page, text, "accuracy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
