"""What a batch size costs: test score and seconds of ``fit`` for each, where the rule of ``batch_size="auto"`` is from.

Scores (accuracy, or R2 of a regression) are percent, mean and deviation over seeds; what the rule chooses is bold.

``python -m benchmarks.batch_size [FOLDER OF FASHION-MNIST] [--seeds N] [--json FILE]`` prints a table. Needs
scikit-learn, whose data sets are among those that are tried.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastmlp import Dense, Input, Sequential
from fastmlp.datasets import load_digits, load_idx
from fastmlp.display import duration
from fastmlp.fitting import automatic_batch

Array = np.ndarray[Any, Any]
SIZES = (32, 64, 128, 256, 512, 1024)


class Task(NamedTuple):
    """Data, and how to train on them."""

    name: str
    train: tuple[Array, Array]
    test: tuple[Array, Array]
    hidden: tuple[int, ...]
    epochs: int
    classes: int  # 0: a regression


def split(x: Array, y: Array, seed: int = 0) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """A quarter for the test; features of mean 0 and deviation 1 in the training rows."""
    order = np.random.default_rng(seed).permutation(len(x))
    kept, tried = order[len(x) // 4 :], order[: len(x) // 4]
    mean, deviation = x[kept].mean(axis=0), x[kept].std(axis=0) + 1e-9
    x = ((x - mean) / deviation).astype(np.float32)
    return (x[kept], y[kept]), (x[tried], y[tried])


def housing(rows: int) -> tuple[Array, Array]:
    """Eight features and a target with kinks, products and noise, of the size of the California housing data."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(rows, 8))
    signal = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + np.abs(x[:, 3]) + 0.5 * x[:, 4] ** 2 + 0.3 * x[:, 5]
    y = signal + 0.5 * rng.standard_t(4, size=rows)
    return x, (y - y.mean()) / y.std()


def tasks(folder: Path | None) -> Iterator[Task]:
    """Yield what is trained, from few rows to many."""
    from sklearn.datasets import load_breast_cancer, load_diabetes

    diabetes = load_diabetes()
    target = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
    yield Task("diabetes", *split(diabetes.data, target), (32,), 50, 0)
    cancer = load_breast_cancer()
    yield Task("breast cancer", *split(cancer.data, cancer.target), (32,), 50, 2)
    yield Task("digits", *load_digits(), (64,), 50, 10)
    yield Task("synthetic regression", *split(*housing(4000)), (64, 64), 50, 0)
    yield Task("synthetic regression", *split(*housing(27520)), (64, 64), 30, 0)
    if folder is not None:
        (x, y), test = load_idx(folder, flatten=True, scale=True)
        yield Task("Fashion-MNIST, part", (x[:10000], y[:10000]), test, (128,), 20, 10)
        yield Task("Fashion-MNIST", (x, y), test, (128,), 20, 10)
    yield Task("synthetic regression", *split(*housing(1_000_000)), (64, 64), 5, 0)


def trial(task: Task, size: int, seed: int) -> tuple[float, float]:
    """Return the test score (accuracy, or R2) and the seconds of ``fit``."""
    x, y = task.train
    hidden = [Dense(units, activation="relu") for units in task.hidden]
    top = Dense(task.classes, activation="softmax") if task.classes else Dense(1)
    model = Sequential([Input(shape=(x.shape[1],)), *hidden, top], seed=seed)
    loss, metric = ("sparse_categorical_crossentropy", "accuracy") if task.classes else ("mse", "r2")
    model.compile("adam", loss, [metric])
    begun = perf_counter()
    model.fit(x, y, batch_size=size, epochs=task.epochs, verbose=0)
    seconds = perf_counter() - begun
    return model.evaluate(*task.test, batch_size=1024, return_dict=True)[metric], seconds  # type: ignore[index]


def table(task: Task, results: dict[int, list[tuple[float, float]]]) -> str:
    """Return the lines of a task as Markdown."""
    lines = [f"| {task.name} | {len(task.train[0]):,} | {task.epochs} "]
    for size, values in results.items():
        scores, seconds = zip(*values, strict=True)
        mark = "**" if size == automatic_batch(len(task.train[0])) else ""
        lines.append(f"| {mark}{100 * fmean(scores):.1f} ± {100 * np.std(scores):.1f}, {duration(min(seconds))}{mark} ")
    lines += ["| "] * (len(SIZES) - len(results))
    return "".join(lines) + "|"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_size", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="with the four files of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also keep the numbers")
    options = parser.parse_args()
    kept: dict[str, Any] = {}
    print("| data | rows | epochs | " + " | ".join(map(str, SIZES)) + " |", flush=True)
    print("| --- | ---: | ---: | " + " | ".join("---:" for _ in SIZES) + " |", flush=True)
    for task in tasks(options.folder):
        results: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES if size < len(task.train[0])}
        trial(task, 64, 0)
        for seed in range(options.seeds):
            for size in results:
                results[size].append(trial(task, size, seed))
        print(table(task, results), flush=True)
        kept[f"{task.name} {len(task.train[0])}"] = results
        if options.json is not None:
            options.json.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
