"""Many models at once beside one after another, and beside scikit-learn: ``python -m benchmarks.many``.

Networks of 20-64-64-1 on the same rows with Adam, each from another seed. The estimators have scikit-learn's numbers,
which is checked: the losses of both must agree. All sides in turn, the lowest of several times.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import Dense, Input, Sequential, fit_many

from .report import conditions, insert

INPUTS, HIDDEN, BATCH = 20, (64, 64), 32
AGREEMENT = 1e-3


def data(rows: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, INPUTS), np.float32)
    return x, (np.sin(3 * x[:, 0]) + x @ rng.normal(size=INPUTS)).astype(np.float32)


def network(seed: int) -> Sequential:
    model = Sequential([Input((INPUTS,)), *(Dense(units, "relu") for units in HIDDEN), Dense(1)], seed=seed)
    model.compile("adam", "mse")
    return model


class Sides:
    """What is timed; each trains all models once, and the estimators return their last losses."""

    def __init__(self, models: int, rows: int, epochs: int, jobs: int) -> None:
        self.models, self.epochs, self.jobs = models, epochs, jobs
        self.x, self.y = data(rows)
        self.settings: dict[str, Any] = {
            "hidden_layer_sizes": HIDDEN, "batch_size": BATCH, "max_iter": epochs, "n_iter_no_change": epochs + 1,
        }  # fmt: skip

    def one_after_another(self) -> None:
        """Train models by ``fit``, with one thread."""
        fastmlp.set_num_threads(1)
        try:
            for seed in range(self.models):
                network(seed).fit(self.x, self.y, BATCH, self.epochs, verbose=0)
        finally:
            fastmlp.set_num_threads(None)

    def at_once(self) -> None:
        """Train them by ``fit_many``."""
        fit_many(
            network(0), self.x, self.y, seeds=range(self.models), batch_size=BATCH, epochs=self.epochs,
            n_jobs=self.jobs, verbose=0,
        )  # fmt: skip

    def ensemble(self) -> list[float]:
        """Train the estimators of an ensemble, whose seeds the next two take."""
        from fastmlp.sklearn import MLPEnsembleRegressor

        ensemble = MLPEnsembleRegressor(
            self.models, bootstrap=False, n_jobs=self.jobs, random_state=0, **self.settings
        ).fit(self.x, self.y)
        self.seeds = [member.random_state for member in ensemble.estimators_]
        return [member.loss_ for member in ensemble.estimators_]

    def _theirs(self, seed: int) -> float:
        from sklearn.neural_network import MLPRegressor

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(MLPRegressor(random_state=seed, **self.settings).fit(self.x, self.y).loss_)

    def scikit_learn(self) -> list[float]:
        """Train scikit-learn's, with one thread."""
        from threadpoolctl import threadpool_limits

        # such small products take more threads longer
        with threadpool_limits(1):
            return [self._theirs(seed) for seed in self.seeds]

    def scikit_learn_at_once(self) -> list[float]:
        """Train scikit-learn's in processes of joblib's."""
        from joblib import Parallel, delayed

        return list(Parallel(self.jobs)(delayed(self._theirs)(seed) for seed in self.seeds))


def measure(sides: Sides, repeats: int, theirs: int) -> dict[str, float]:
    """Return the lowest times by what is shown; scikit-learn's are measured so many times alone.

    Raises
    ------
    ValueError
        The losses of an estimator differ from scikit-learn's.
    """
    what: dict[str, Callable[[], Any]] = {
        f"`fit_many`, {sides.jobs} at a time": sides.at_once,
        "fastmlp, one after another on one core": sides.one_after_another,
        f"`MLPEnsembleRegressor`, {sides.jobs} at a time": sides.ensemble,
        f"scikit-learn, {sides.jobs} at a time (joblib)": sides.scikit_learn_at_once,
        "scikit-learn, one after another": sides.scikit_learn,
    }
    best = dict.fromkeys(what, float("inf"))
    losses: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hasn't converged.*")
        sides.ensemble()
        for repeat in range(repeats):
            for name, side in what.items():
                if "scikit" in name and repeat >= theirs:
                    continue
                begun = time.perf_counter()
                losses[name] = side()
                best[name] = min(best[name], time.perf_counter() - begun)
    found = [np.array(each) for each in losses.values() if each is not None]
    for other in found[1:]:
        if not np.allclose(other, found[0], rtol=AGREEMENT):
            raise ValueError(f"the losses differ by {np.max(np.abs(other / found[0] - 1)):.1e}")
    return best


def table(times: dict[str, float], models: int) -> str:
    """Return the Markdown table."""
    first = next(iter(times.values()))
    lines = ["| who | s | ms a model | of `fit_many` |", "| --- | ---: | ---: | ---: |"]
    for name, one in times.items():
        lines.append(f"| {name} | {one:.2f} | {1e3 * one / models:,.1f} | {one / first:.2f} |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description="Many models at once.")
    parser.add_argument("--models", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="(default: %(default)s)")
    parser.add_argument("--theirs", type=int, default=2, help="repeats of scikit-learn's sides (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    options = parser.parse_args(given)
    if options.page:
        insert(options.page, None, "many")
    times = measure(Sides(options.models, options.rows, options.epochs, options.jobs), options.repeats, options.theirs)
    where = conditions()
    text = (
        f"{options.models} networks of 20-64-64-1, {options.rows:,} rows, {options.epochs} epochs, batches of {BATCH}, "
        f"Adam:\n\n{table(times, options.models)}\n\nThe lowest of {options.repeats} times ({options.theirs} of "
        f"scikit-learn's), the sides in turn. {where['processor']}; {where['date']}."
    )
    print(text)
    if options.page:
        insert(options.page, text, "many")
    return 0


if __name__ == "__main__":
    sys.exit(main())
