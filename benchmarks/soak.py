"""Whether steps stay as quick as they are: ``python -m benchmarks.soak [samples]``; 100,000,000 by default.

Trains one model on so many samples, and prints the median time of a step and the resident memory for each tenth.
"""

import statistics
import sys
import time

import numpy as np

from benchmarks.memory import resident
from fastmlp import Dense, Input, Sequential

ROWS, BATCH, FEATURES = 10_000, 100, 20
TENTHS = 10


def main(samples: int = 100_000_000) -> list[float]:
    """Train, print, and return the median seconds of a step in each tenth."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, FEATURES), np.float32)
    y = np.tanh(x[:, :1] * x[:, 1:2])
    model = Sequential([Input((FEATURES,)), Dense(64, "relu"), Dense(64, "relu"), Dense(1)], seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, batch_size=BATCH, verbose=0)
    epochs = max(1, samples // ROWS // TENTHS)
    medians = []
    for tenth in range(TENTHS):
        times = []
        for _ in range(epochs):
            begun = time.perf_counter()
            history = model.fit(x, y, batch_size=BATCH, verbose=0)
            times.append((time.perf_counter() - begun) / (ROWS // BATCH))
        medians.append(statistics.median(times))
        print(
            f"{(tenth + 1) * epochs * ROWS:,} samples: {medians[-1] * 1e6:.1f} us a step, "
            f"{resident() / 2**20:.1f} MiB, loss {history.history['loss'][-1]:.6f}",
            flush=True,
        )
    print(f"the last tenth took {medians[-1] / medians[0]:.3f} times the first")
    return medians


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
