"""Small trainings of many kinds under valgrind's memcheck: ``python -m benchmarks.valgrind``; some minutes.

Memcheck sees each access of compiled kernels to memory, and what is computed from memory that nobody has written to.
Three runs: the trainings; a kernel that reads and writes behind an array, which must be found; and the trainings' own
process without a training. Printed are the errors whose stack has a frame in machine code that no file contains, which
is what Numba makes, and all the others (the interpreter's own).

valgrind 3.19 knows no AVX-512, so the kernels are compiled for AVX2: first without valgrind, to fill a cache.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numba
import numpy as np

ENVIRONMENT = {
    # each object is a block of its own, which memcheck can watch
    "PYTHONMALLOC": "malloc",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse4.2,+popcnt,+bmi,+bmi2",
    "FASTMLP_SIMD_WIDTH": "8",
    "FASTMLP_NUM_THREADS": "2",
}
JITTED = re.compile(r"(?:at|by) 0x[0-9A-F]+: \?\?\?$", re.MULTILINE)


def trainings() -> int:
    """Train, evaluate and predict with many kinds of layers, losses and optimizers; return how many models."""
    import fastmlp
    from fastmlp import BatchNormalization, Dense, Dropout, Input, LayerNormalization, Sequential, optimizers

    rng = np.random.default_rng(0)
    x = rng.standard_normal((53, 5), np.float32)
    labels = rng.integers(0, 3, 53)
    positive = (labels > 0).astype(np.float32)
    clipped = optimizers.SGD(0.01, clipnorm=1.0)
    kinds = [
        (lambda: [Dense(7, "relu"), Dense(3)], "adam", "mse", x[:, :3]),
        (lambda: [Dense(33, "tanh"), Dense(17, "gelu"), Dense(1)], "sgd", "mae", x[:, :1]),
        (lambda: [Dense(20, "relu"), Dense(3, "softmax")], "rmsprop", "sparse_categorical_crossentropy", labels),
        (lambda: [Dense(9, "elu"), Dense(1, "sigmoid")], "adam", "binary_crossentropy", positive),
        (lambda: [Dense(19), BatchNormalization(), Dropout(0.5), Dense(3)], "adamw", "mse", x[:, :3]),
        (lambda: [LayerNormalization(), Dense(40, "selu"), Dense(2)], clipped, "huber", x[:, :2]),
        (lambda: [Dense(8, "tanh"), Dense(3)], "lbfgs", "mse", x[:, :3]),
    ]
    for threads in (1, 2):
        fastmlp.set_num_threads(threads)
        for layers, optimizer, loss, y in kinds:
            model = Sequential([Input((5,)), *layers()], seed=0)
            model.compile(optimizer, loss)
            for batch in (1, 17, 53) if optimizer != "lbfgs" else (53,):
                model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
            model.evaluate(x, y, verbose=0)
            for rows in (1, 7, 53):
                model.predict(x[:rows])
    return 2 * len(kinds)


def overrun() -> int:
    """Read and write one element behind an array, by compiled code."""

    @numba.njit
    def behind(numbers: np.ndarray) -> float:
        numbers[numbers.size] = 1
        return numbers[numbers.size + 1]

    behind(np.zeros(1000, np.float32))
    return 1


WORK = {"trainings": trainings, "overrun": overrun, "nothing": lambda: 0}


def measure(name: str, cache: str) -> tuple[str, int, int, int]:
    """Run one piece of work under valgrind; return what it printed, and errors in compiled kernels and elsewhere."""
    command = [sys.executable, "-m", "benchmarks.valgrind", name]
    environment = os.environ | ENVIRONMENT | {"FASTMLP_CACHE_DIR": cache}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    log = Path(cache) / f"{name}.log"
    memcheck = ["valgrind", "--tool=memcheck", "--num-callers=40", "--error-limit=no", f"--log-file={log}"]
    done = subprocess.run([*memcheck, *command], env=environment, check=False, capture_output=True, text=True)
    text = re.sub(r"^==\d+== ?", "", log.read_text(errors="replace"), flags=re.MULTILINE)
    errors = [block for block in re.split(r"\n\s*\n", text) if re.search(r"^\s+at 0x", block, re.MULTILINE)]
    ours = [block for block in errors if JITTED.search(block)]
    for block in ours:
        print(block, file=sys.stderr)
    return done.stdout.strip(), len(ours), len(errors) - len(ours), done.returncode


def main() -> None:
    """Print a table of the three runs."""
    version = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{version}, Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
          f"{datetime.now(UTC):%Y-%m-%d}")  # fmt: skip
    print("| run | models | errors in compiled kernels | in the interpreter and libraries | exit code |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as cache:
        for name in WORK:
            models, ours, others, code = measure(name, cache)
            print(f"| {name} | {models} | {ours} | {others} | {code} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(WORK[sys.argv[1]]())
    else:
        main()
