"""How soon Ctrl-C is answered in large nets: ``python -m benchmarks.interruption [signals]``; 4 for each by default.

Prints a table: the longest answer, in wall time and in processor time for each thread, which other programs do not
lengthen.
"""

import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numba
import numpy as np

import fastmlp
from fastmlp import Dense, Input, Sequential

# units of the hidden layers, rows of a batch, threads, and what is interrupted
CASES = [
    ((5000, 5000, 5000), 32, 1, "fit"),
    ((5000, 5000, 5000), 256, 2, "fit"),
    ((7000, 7000, 7000), 4096, 1, "fit"),
    ((7000, 7000, 7000), 32, 1, "fit"),
    ((7000, 7000, 7000), 4096, 2, "predict"),
    ((7000, 7000, 7000), 512, 1, "evaluate"),
]
FEATURES, ROWS, OUTPUTS = 5000, 4096, 10


def answer(call: Callable[[], object], delay: float) -> tuple[float, float]:
    """Interrupt a call that is made again and again; return the seconds until then, of the wall and the processor."""
    sent = [0.0, 0.0]

    def send() -> None:
        sent[:] = time.perf_counter(), time.process_time()
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(delay, send)
    try:
        timer.start()
        while True:
            call()
    except KeyboardInterrupt:
        now = time.perf_counter(), time.process_time()
    timer.join()
    return now[0] - sent[0], now[1] - sent[1]


def main(signals: int = 4) -> None:
    """Print a table of the cases."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((ROWS, FEATURES), np.float32), rng.standard_normal((ROWS, OUTPUTS), np.float32)
    print(
        f"fastmlp {fastmlp.__version__}, NumPy {np.__version__}, Numba {numba.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}; {signals} signals each\n"
    )
    print("| what, hidden units, rows, threads | weights | longest, wall | longest, processor, a thread |")
    print("| --- | ---: | ---: | ---: |")
    for hidden, batch, threads, what in CASES:
        fastmlp.set_num_threads(threads)
        model = Sequential([Input((FEATURES,)), *[Dense(units, "relu") for units in hidden], Dense(OUTPUTS)], seed=0)
        model.compile("adam", "mse")
        model.train_on_batch(x[:32], y[:32])
        model.predict(x[:32])
        calls = {
            "fit": lambda model=model, batch=batch: model.fit(x, y, batch_size=batch, epochs=100, verbose=0),
            "predict": lambda model=model: model.predict(x),
            "evaluate": lambda model=model, batch=batch: model.evaluate(x, y, batch_size=batch, verbose=0),
        }
        answers = [answer(calls[what], 0.3 + 0.37 * number) for number in range(signals)]
        wall, processor = (max(times) for times in zip(*answers, strict=True))
        print(
            f"| {what}, {'-'.join(map(str, hidden))}, {batch}, {threads} | {model.count_params():,} | {wall:.3f} s "
            f"| {processor / threads:.3f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
