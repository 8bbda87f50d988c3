"""What single calls cost, Python included: ``python -m benchmarks.calls``.

Streams have other rows in each call, so that nothing is trained to its end while it is timed. One thread, which is what
calls so short have in any case; each figure is the lowest mean of several thousand calls.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import Dense, Input, Sequential

from .report import conditions, insert

BATCHES, ROWS = 64, 32
CALLS, REPEATS = 1000, 10

Case = tuple[str, Callable[..., Any], list[tuple[Any, ...]]]


def network(*sizes: int, last: str = "linear", loss: str = "mse") -> Sequential:
    """Return a compiled network of such sizes, with ReLU in its hidden layers."""
    layers = [Dense(units, "relu") for units in sizes[1:-1]]
    model = Sequential([Input((sizes[0],)), *layers, Dense(sizes[-1], last)], seed=0)
    model.compile("adam", loss)
    return model


def cases() -> Iterator[Case]:
    """What is called, and with which arguments in turn."""
    rng = np.random.default_rng(0)
    digits = network(64, 128, 10, last="softmax", loss="sparse_categorical_crossentropy")
    row = rng.standard_normal((1, 64), np.float32)
    yield "`model(x)`, one row of 64-128-10", digits, [(row,)]
    yield "`model.predict(x)`, the same", digits.predict, [(row,)]

    def fit(x: Any, y: Any) -> None:
        tabular.fit(x, y, verbose=0)

    batches = [
        (rng.standard_normal((ROWS, 20), np.float32), rng.standard_normal(ROWS, np.float32)) for _ in range(BATCHES)
    ]
    tabular = network(20, 64, 64, 1)
    yield f"`model.fit(x, y)`, one epoch of {ROWS} rows, 20-64-64-1", fit, batches
    yield f"`model.train_on_batch(x, y)`, {ROWS} rows, 20-64-64-1", network(20, 64, 64, 1).train_on_batch, batches
    doubles = [(x.astype(np.float64), y.astype(np.float64)) for x, y in batches]
    yield "the same, float64", network(20, 64, 64, 1).train_on_batch, doubles
    try:
        from fastmlp.sklearn import MLPRegressor
    except ImportError:
        return
    estimator = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=0)
    yield "`MLPRegressor.partial_fit(X, y)`, the same, float32", estimator.partial_fit, batches
    estimator = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=0)
    yield "the same, float64", estimator.partial_fit, doubles


def lowest(call: Callable[..., Any], arguments: list[tuple[Any, ...]], calls: int, repeats: int) -> float:
    """Return the seconds of a call."""
    given = cycle(arguments)
    for _ in range(len(arguments)):
        call(*next(given))
    best = np.inf
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(calls):
            call(*next(given))
        best = min(best, (time.perf_counter() - begun) / calls)
    return float(best)


def table(figures: Sequence[tuple[str, float]]) -> str:
    """Return the Markdown table."""
    lines = ["| call | us |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {name} | {1e6 * seconds:.1f} |" for name, seconds in figures)])


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description="What single calls cost.")
    parser.add_argument("--calls", type=int, default=CALLS, help="at a time (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=REPEATS, help="of which the lowest counts (default: %(default)s)"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    options = parser.parse_args(given)
    if options.page:
        insert(options.page, None, "calls")
    fastmlp.set_num_threads(1)
    try:
        figures = [(name, lowest(call, rows, options.calls, options.repeats)) for name, call, rows in cases()]
    finally:
        fastmlp.set_num_threads(None)
    where = conditions()
    text = (
        f"{table(figures)}\n\n{where['processor']}; fastmlp {fastmlp.__version__}, NumPy {np.__version__}, "
        f"Numba {where['numba']}, Python {where['python']}; {where['date']}."
    )
    print(text)
    if options.page:
        insert(options.page, text, "calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
