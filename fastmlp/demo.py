"""The demo behind ``python -m fastmlp demo``: handwritten digits, and the same training in NumPy.

The factor that it prints is measured in the run that prints it. Both sides start from the same weights, see
the same batches in the same order for the same number of epochs, and must arrive at the same loss.
"""

import os
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .datasets import load_digits
from .kernels import cache, jit
from .ladder.numpy_baseline import NumpyMLP
from .layers import Dense, Input
from .model import Sequential
from .optimizers import Adam
from .threads import available_cores, get_num_threads

if TYPE_CHECKING:
    from rich.console import Console

LEARNING_RATE = 1e-3
# With batches of 32 and 60 epochs, 57 of the seeds 0 to 59 reached a test accuracy of 97 % or more (median
# 97.5 %, lowest 96.7 %; seed 0 is among the highest). More epochs or batches of 64 do not help reliably.
BATCH_SIZE = 32
HIDDEN = 128
CLASSES = 10
REPEATS = 5  # of each side, in turn; the median counts, so that one disturbance does not decide
# Largest relative differences of the losses. Over 30 seeds, with Adam's constants rounded correctly, they were
# at most 4.5e-8 in the first epoch and 6.3e-3 in the 60th: float32 rounding grows over thousands of steps. So
# the first epoch is the sharp test, and the last one shows that nothing else comes in later.
FIRST_AGREEMENT = 5e-7
LAST_AGREEMENT = 1e-2


class Outcome(NamedTuple):
    """What a run of the demo measured."""

    accuracy: float
    """Share of the test images that are classified correctly."""
    first: tuple[float, float]
    """Training loss of the first epoch without shuffling: fastmlp's and NumPy's."""
    losses: tuple[float, float]
    """The same of the last epoch."""
    seconds: tuple[float, float]
    """Median time of that training: fastmlp's and NumPy's."""

    @property
    def differences(self) -> tuple[float, float]:
        """The relative differences of the losses of the first and the last epoch."""
        first, last = (abs(ours - theirs) / abs(theirs) for ours, theirs in (self.first, self.losses))
        return first, last

    @property
    def factor(self) -> float:
        """How many times as long NumPy took."""
        return self.seconds[1] / self.seconds[0]

    @property
    def agrees(self) -> bool:
        """Whether both sides had the same losses."""
        first, last = self.differences
        return first <= FIRST_AGREEMENT and last <= LAST_AGREEMENT


def blas() -> str:
    """Say which BLAS NumPy calls, and how many threads it may use."""
    details: Any = np.show_config(mode="dicts")
    name = details.get("Build Dependencies", {}).get("blas", {}).get("name", "unknown")
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(variable):
            return f"BLAS {name}, {variable}={os.environ[variable]}"
    return f"BLAS {name}, threads not limited, cores: {available_cores()}"


def network(seed: int, hidden: int) -> Sequential:
    """Return the compiled network of the demo."""
    model = Sequential([Input(shape=(64,)), Dense(hidden, activation="relu")], seed=seed)
    model.add(Dense(CLASSES, activation="softmax"))
    model.compile(Adam(LEARNING_RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def prepare(console: "Console") -> None:
    """Compile the kernels or load them from the cache, by training a tiny network, and say what it took."""
    from .engine import epoch

    begun = perf_counter()
    with console.status("Preparing kernels: they are compiled once per machine, in about half a minute"):
        x, y = np.zeros((2, 64), np.float32), np.zeros(2, np.int64)
        model = network(0, 1)
        model.fit(x, y, verbose=0)
        model.evaluate(x, y)
    seconds = perf_counter() - begun
    if jit.JIT_DISABLED:
        console.print("Kernels: NUMBA_DISABLE_JIT is set, so they run as plain Python and nothing is fast.")
    elif sum(epoch.run_steps.stats.cache_misses.values()):  # type: ignore[attr-defined]
        again = "next time they load" if cache.cache_folder() else "no cache folder can be used, so every time"
        console.print(f"Kernels: compiled in {seconds:.1f} s ({again}).", highlight=False)
    else:
        console.print(f"Kernels: loaded from the cache in {seconds:.2f} s.", highlight=False)


def compare(
    x: NDArray[np.float32], y: NDArray[np.int64], start: list[NDArray[np.float32]], epochs: int, repeats: int
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Train both sides from the same weights on the same batches.

    Parameters
    ----------
    x : ndarray (n, 64)
        Training images.
    y : ndarray (n,)
        Their digits.
    start : list of ndarray
        Initial weights of both.
    epochs, repeats : int
        Length of a training, and how often each side is timed.

    Returns
    -------
    (first, last, seconds) : tuple of tuples of float
        Losses of the first and the last epoch, and the time; each fastmlp's, then NumPy's.
    """
    hidden = start[0].shape[1]
    times: tuple[list[float], list[float]] = ([], [])
    first = last = (0.0, 0.0)
    for _ in range(repeats):
        model = network(0, hidden)
        model.set_weights(start)
        begun = perf_counter()
        history = model.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, shuffle=False, verbose=0)
        times[0].append(perf_counter() - begun)

        baseline = NumpyMLP([64, hidden, CLASSES], "relu", "softmax", "ce", learning_rate=LEARNING_RATE)
        baseline.set_weights(start)
        begun = perf_counter()
        theirs = [baseline.train_epoch(x, y, BATCH_SIZE) for _ in range(epochs)]
        times[1].append(perf_counter() - begun)
        ours = history.history["loss"]
        first, last = (ours[0], theirs[0]), (ours[-1], theirs[-1])
    return first, last, (median(times[0]), median(times[1]))


def run(
    console: "Console",
    *,
    seed: int,
    epochs: int,
    verbose: str | int = "auto",
    rows: int | None = None,
    hidden: int = HIDDEN,
    repeats: int = REPEATS,
) -> Outcome:
    """Train on the digits, compare with NumPy, and print both.

    Parameters
    ----------
    console : rich.console.Console
        Where to print.
    seed : int
        Of the initial weights and the shuffling.
    epochs : int
        How many times every image is seen.
    verbose : {"auto", 0, 1, 2}
        As for :meth:`fastmlp.Sequential.fit`.
    rows : int, optional
        Take no more training images than this, and no more test images.
    hidden : int
        Width of the hidden layer.
    repeats : int
        How often each side of the comparison is timed.

    Returns
    -------
    Outcome
        What was printed.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=not console.is_terminal)

    (x, y), (x_test, y_test) = load_digits()
    x, y, x_test, y_test = x[:rows], y[:rows], x_test[:rows], y_test[:rows]
    prepare(console)

    shape = f"64-{hidden}-{CLASSES}"
    say(f"Training {shape} (relu, softmax; Adam) on {len(x):,} handwritten digits, batches of {BATCH_SIZE}.")
    model = network(seed, hidden)
    start = model.get_weights()
    model.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, verbose=verbose)
    _, accuracy = _pair(model.evaluate(x_test, y_test))
    say(f"[bold]Test accuracy: {accuracy:.2%}[/bold] of {len(x_test)} images that were not trained on.")

    with console.status("Timing the same training in fastmlp and in NumPy"):
        first, losses, seconds = compare(x, y, start, epochs, repeats)
    outcome = Outcome(accuracy, first, losses, seconds)
    say("")
    say(
        f"The same training in NumPy: same start weights, same batches in the same order (no shuffling), "
        f"{epochs} epochs."
    )
    _report(console, outcome, repeats)
    share, factor = f"{1 / outcome.factor:.1%}", f"{outcome.factor:.1f}"
    say(f"[bold]fastmlp took {share} of NumPy's time: {factor} times as fast.[/bold]")
    say(f"fastmlp: at most {get_num_threads()} threads. NumPy: float32, preallocated arrays, {blas()}.")
    at_first, at_last = outcome.differences
    found = f"{at_first:.1e} in the first epoch, {at_last:.1e} in the last"
    if outcome.agrees:
        say(f"Both end at the same loss (relative differences: {found}).")
    else:
        say(
            f"[bold red]The losses differ:[/bold red] {found}; the limits are {FIRST_AGREEMENT:g} and "
            f"{LAST_AGREEMENT:g}. One of the two computes something else: please report it."
        )
    return outcome


def _pair(results: Any) -> tuple[float, float]:
    loss, accuracy = results
    return float(loss), float(accuracy)


def _report(console: "Console", outcome: Outcome, repeats: int) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("")
    table.add_column(f"time (median of {repeats})", justify="right")
    table.add_column("loss, first epoch", justify="right")
    table.add_column("loss, last epoch", justify="right")
    sides = zip(("fastmlp", "NumPy"), outcome.seconds, outcome.first, outcome.losses, strict=True)
    for name, seconds, first, last in sides:
        table.add_row(name, f"{seconds * 1e3:,.1f} ms", f"{first:.7f}", f"{last:.7f}")
    console.print(table)
