"""What each feature costs a training step: ``python -m benchmarks.feature_costs``.

The rung ``digits`` (64-128-10, relu, softmax, batch 64, Adam) with one thing more or other, beside it as it is, in turn
in one process. Each line says how the feature is asked for.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNormalization,
    Normalization,
    Rescaling,
    Residual,
    Sequential,
    activations,
    callbacks,
    losses,
    metrics,
    optimizers,
)
from fastmlp.ladder import threads

from .report import conditions, insert

ROWS, BATCH = 6400, 64


def hidden() -> list[Any]:
    return [Dense(128, "relu")]


@dataclass(frozen=True)
class Feature:
    """One line: how it is asked for, and what makes a model with it."""

    how: str
    layers: Callable[[], list[Any]] = hidden
    optimizer: Callable[[], Any] = optimizers.Adam
    loss: Any = "sparse_categorical_crossentropy"
    compiled: dict[str, Any] = field(default_factory=dict)
    fitted: Callable[[], dict[str, Any]] = dict


def adapted() -> Normalization:
    layer = Normalization()
    layer.adapt(np.random.default_rng(0).normal(0, 2, (100, 64)))
    return layer


def crossentropy(y_true: Any, y_pred: Any) -> tuple[float, Any]:
    """A user's own loss: of class numbers, from probabilities."""
    rows = np.arange(len(y_true))
    labels = y_true.astype(np.intp)
    p = y_pred[rows, labels]
    gradient = np.zeros_like(y_pred)
    gradient[rows, labels] = -1 / (p * len(p))
    return -np.log(p).mean(), gradient


FEATURES = (
    Feature("as it is"),
    Feature('Dense(128), Activation("relu")', lambda: [Dense(128), Activation("relu")]),
    Feature("Dropout(0.5)", lambda: [*hidden(), Dropout(0.5)]),
    Feature("GaussianNoise(0.5)", lambda: [*hidden(), GaussianNoise(0.5)]),
    Feature("BatchNormalization()", lambda: [Dense(128), BatchNormalization(), Activation("relu")]),
    Feature("LayerNormalization()", lambda: [Dense(128), LayerNormalization(), Activation("relu")]),
    Feature("Normalization() first", lambda: [adapted(), *hidden()]),
    Feature("Rescaling(0.5) first", lambda: [Rescaling(0.5), *hidden()]),
    Feature('Dense(128, "relu") twice', lambda: [*hidden(), *hidden()]),
    Feature('Residual([Dense(128, "relu")])', lambda: [*hidden(), Residual(hidden())]),
    Feature('kernel_constraint="max_norm"', lambda: [Dense(128, "relu", kernel_constraint="max_norm")]),
    Feature('kernel_regularizer="l2"', lambda: [Dense(128, "relu", kernel_regularizer="l2")]),
    Feature('activation="gelu"', lambda: [Dense(128, "gelu")]),
    Feature(
        "activations.Custom(value, slope)",
        lambda: [Dense(128, activations.Custom(lambda z: z * z, lambda z, a: 2 * z))],
    ),
    *(
        Feature(f"optimizer={name!r}", optimizer=optimizers.TABLE[name])
        for name in ("sgd", "rmsprop", "adagrad", "nadam", "lion")
    ),
    Feature("Adam(use_ema=True)", optimizer=lambda: optimizers.Adam(use_ema=True)),
    Feature("Adam(gradient_accumulation_steps=4)", optimizer=lambda: optimizers.Adam(gradient_accumulation_steps=4)),
    Feature("Adam(clipnorm=1.0)", optimizer=lambda: optimizers.Adam(clipnorm=1.0)),
    Feature("Adam(CosineDecay(...))", optimizer=lambda: optimizers.Adam(optimizers.schedules.CosineDecay(1e-3, 10**6))),
    Feature("losses.Custom(function, sparse=True)", loss=losses.Custom(crossentropy, sparse=True)),
    Feature('metrics=["accuracy"]', compiled={"metrics": ["accuracy"]}),
    Feature("metrics=[top-5 accuracy]", compiled={"metrics": [metrics.SparseTopKCategoricalAccuracy(5)]}),
    Feature("sample_weight=...", fitted=lambda: {"sample_weight": np.ones(ROWS, np.float32)}),
    Feature("class_weight=...", fitted=lambda: {"class_weight": dict.fromkeys(range(10), 1.0)}),
    Feature("EarlyStopping(...)", fitted=lambda: {"callbacks": [callbacks.EarlyStopping("loss", patience=99)]}),
    Feature(
        "on_train_batch_end of a callback",
        fitted=lambda: {"callbacks": [callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]},
    ),
)


def trainer(feature: Feature, x: Any, y: Any) -> Callable[[], Any]:
    """Return what trains an epoch, after a first one."""
    model = Sequential([Input(shape=(64,)), *feature.layers(), Dense(10, "softmax")], seed=0)
    model.compile(feature.optimizer(), feature.loss, **feature.compiled)
    fitted = feature.fitted()

    def epoch() -> None:
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, **fitted)

    epoch()
    return epoch


def measure(seconds: float) -> list[float]:
    """Return the microseconds of a step with each feature: the lowest of many epochs, in turn."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 64), np.float32)
    y = rng.integers(0, 10, ROWS)
    epochs = [trainer(feature, x, y) for feature in FEATURES]
    best = [float("inf")] * len(epochs)
    end = time.perf_counter() + seconds * len(epochs)
    while best[0] == float("inf") or time.perf_counter() < end:
        for index, epoch in enumerate(epochs):
            begun = time.perf_counter()
            epoch()
            best[index] = min(best[index], time.perf_counter() - begun)
    return [1e6 * one / (ROWS // BATCH) for one in best]


def table(times: Sequence[float]) -> str:
    """Return the Markdown table."""
    lines = ["| feature | us a step | of the plain step |", "| --- | ---: | ---: |"]
    for feature, one in zip(FEATURES, times, strict=True):
        lines.append(f"| `{feature.how}` | {one:.1f} | {one / times[0]:.2f} |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_costs", description="What features cost.")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each feature (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    options = parser.parse_args(given)
    if options.page:
        insert(options.page, None, "features")
    threads.pin(threads.cores_for(1))
    fastmlp.set_num_threads(1)
    where = conditions()
    text = f"{table(measure(options.seconds))}\n\n{where['processor']}; one thread; {where['date']}."
    print(text)
    if options.page:
        insert(options.page, text, "features")
    return 0


if __name__ == "__main__":
    sys.exit(main())
