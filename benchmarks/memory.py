"""Whether memory stays flat: ``python -m benchmarks.memory [fits] [predictions]``; 10,000 and 1,000,000 by default.

Prints the resident memory after a warm-up, and what it has grown by after so many fits and predictions.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from fastmlp import Dense, Input, Sequential

WARM_UP = 0.1


def resident() -> int:
    """Return the bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(fits: int = 10_000, predictions: int = 1_000_000) -> None:
    """Fit new models and one model again and again, predict as often, and print what that has cost in memory."""
    x = np.random.default_rng(0).standard_normal((64, 8), np.float32)
    y = x[:, :1]

    def make() -> Sequential:
        model = Sequential([Input((8,)), Dense(16, "relu"), Dense(1)], seed=0)
        model.compile("adam", "mse")
        return model

    model = make()

    def fit(number: int) -> None:
        (make() if number % 2 else model).fit(x, y, verbose=0)

    def predict(number: int) -> None:
        model.predict(x[: 1 + number % 64])

    for name, work, count in (("fits", fit, fits), ("predictions", predict, predictions)):
        for number in range(int(WARM_UP * count)):
            work(number)
        before, begun = resident(), time.perf_counter()
        for number in range(count):
            work(number)
        grown, seconds = resident() - before, time.perf_counter() - begun
        print(
            f"{count:,} {name}: {before / 2**20:.1f} MiB before, {grown / 1024:+,.0f} KiB, {seconds:.1f} s", flush=True
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
