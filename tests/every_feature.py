"""Small trainings that together run every kernel; what is in the package's tables takes part by itself.

``python tests/every_feature.py [every]`` runs all of them, or each so-manieth, between guard bytes and by one thread.
With ``NUMBA_BOUNDSCHECK=1`` Numba then checks every index.
"""

import sys
from dataclasses import dataclass, field

import numpy as np
from fences import fenced

from fastmlp import (
    Dense,
    Input,
    Sequential,
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    set_num_threads,
)
from fastmlp.kernels.gemm import PANEL, TALL_ROWS
from fastmlp.kernels.jit import SIMD_WIDTH
from fastmlp.optimizers import schedules

# what a class cannot be made without; a new one of a table needs a line here only if it needs arguments
NEEDED = {
    "Dense": lambda: Dense(5),
    "Dropout": lambda: layers.Dropout(0.3),
    "GaussianNoise": lambda: layers.GaussianNoise(0.2),
    "Activation": lambda: layers.Activation("tanh"),
    "Normalization": lambda: layers.Normalization(0.5, 2.0),
    "Rescaling": lambda: layers.Rescaling(0.5, 0.1),
    "Residual": lambda: layers.Residual([layers.LayerNormalization(), layers.BatchNormalization()]),
    "ExponentialDecay": lambda: schedules.ExponentialDecay(0.01, 3, 0.9),
    "PiecewiseConstantDecay": lambda: schedules.PiecewiseConstantDecay([2, 4], [0.01, 0.005, 0.001]),
    "PolynomialDecay": lambda: schedules.PolynomialDecay(0.01, 5),
    "InverseTimeDecay": lambda: schedules.InverseTimeDecay(0.01, 3, 0.9),
    "CosineDecay": lambda: schedules.CosineDecay(0.01, 5),
    "CosineDecayRestarts": lambda: schedules.CosineDecayRestarts(0.01, 3),
    "OneCycle": lambda: schedules.OneCycle(0.01, 6),
    "MaxNorm": lambda: constraints.MaxNorm(0.5),
    "Constant": lambda: initializers.Constant(0.1),
}
# of inputs, hidden units and outputs: one, the edges of vectors, panels and tiles, and primes
SHAPES = [
    (1, 1, 1), (SIMD_WIDTH - 1, SIMD_WIDTH, SIMD_WIDTH + 1), (PANEL + 1, PANEL, PANEL - 1), (7, 13, 5),
    (TALL_ROWS - 1, TALL_ROWS + 1, 2), (2, 31, 4), (3, 37, 3), (67, 3, 11), (PANEL - 1, 101, 1), (5, 2, 53),
]  # fmt: skip
# rows and batches
SIZES = [(1, 1), (2, 16), (TALL_ROWS + 1, 64), (31, 16), (101, 13), (67, 67), (33, 32)]


@dataclass
class Training:
    """One model and what it is trained with."""

    name: str
    make_layers: object = list
    hidden: object = "tanh"
    last: object = "linear"
    loss: object = "mse"
    optimizer: object = "adam"
    metrics: list = field(default_factory=list)
    weighted: bool = False
    options: dict = field(default_factory=dict)
    shape: tuple = (7, 13, 5)
    size: tuple = (31, 16)


def make(kind):
    name = kind.__name__
    return NEEDED[name]() if name in NEEDED else kind()


def trainings():
    """Every entry of every table, each with another shape."""
    found = []

    def add(name, **settings):
        found.append(
            Training(
                name,
                shape=settings.pop("shape", SHAPES[len(found) % len(SHAPES)]),
                size=SIZES[len(found) % len(SIZES)],
                **settings,
            )
        )

    found += [Training(f"{shape} {size}", shape=shape, size=size, hidden="relu") for shape in SHAPES for size in SIZES]
    for kind in dict.fromkeys(layers.TABLE.values()):
        if kind is not Input:
            add(f"layer {kind.__name__}", make_layers=lambda kind=kind: [make(kind)])
            # above a layer that is trained, so that there is a way back
            add(f"layer {kind.__name__} inside", make_layers=lambda kind=kind: [Dense(9, "relu"), make(kind)])
    for kind in dict.fromkeys(activations.TABLE.values()):
        add(f"activation {kind.name}", hidden=make(kind))
        add(f"activation {kind.name} last", last=make(kind))
    for kind in dict.fromkeys(losses.TABLE.values()):
        loss = make(kind)
        several = {"shape": (7, 13, 5)} if "categorical" in loss.name else {}
        low = loss.target_range[0]
        add(f"loss {loss.name}", loss=loss, last="softplus" if low == 0 else "linear", **several)
        if loss.logits_of:
            add(f"loss {loss.name} from logits", loss=loss, last=loss.logits_of, weighted=True)
            add(f"loss {loss.name} of one output", loss=loss, last=loss.logits_of, shape=(3, 4, 1))
        if loss.sparse:
            add(f"metrics of {loss.name}", loss=loss, last="softmax", metrics=measures(sparse=True), **several)
    add("metrics", metrics=measures(sparse=False))
    add("metrics by weights", metrics=measures(sparse=False), weighted=True)
    for kind in dict.fromkeys(optimizers.TABLE.values()):
        add(f"optimizer {kind.__name__}", optimizer=make(kind))
        if kind is not optimizers.LBFGS:
            for options in ({"use_ema": True}, {"gradient_accumulation_steps": 2}, {"clipnorm": 0.1}):
                add(f"optimizer {kind.__name__} {options}", optimizer=kind(**options))
    for options in ({"clipvalue": 0.01}, {"global_clipnorm": 0.1}, {"amsgrad": True}, {"weight_decay": 0.1}):
        add(f"adam {options}", optimizer=optimizers.Adam(**options))
    add("sgd with nesterov", optimizer=optimizers.SGD(0.01, momentum=0.9, nesterov=True))
    add("rmsprop centered", optimizer=optimizers.RMSprop(momentum=0.5, centered=True))
    for kind in schedules.TABLE.values():
        add(f"schedule {kind.__name__}", optimizer=optimizers.SGD(make(kind)))
    for part in ("kernel", "bias"):
        for name in regularizers.TABLE:
            add(f"regularizer {name} of {part}s", options={f"{part}_regularizer": name})
    for kind in dict.fromkeys(constraints.TABLE.values()):
        for shape in (SHAPES[3], SHAPES[6], SHAPES[8]):
            add(
                f"constraint {kind.__name__} {shape}",
                options={"kernel_constraint": make(kind)},
                shape=shape,
            )
    for kind in dict.fromkeys(initializers.TABLE.values()):
        add(f"initializer {kind.__name__}", options={"kernel_initializer": make(kind)})
    return found


def measures(*, sparse):
    """Instances of all metrics of a kind that logs can take."""
    needed = {"F1Score": lambda: metrics.F1Score("macro")}
    kinds = [kind for kind in dict.fromkeys(metrics.TABLE.values()) if kind.kind >= 0 and kind.sparse == sparse]
    return [needed[kind.__name__]() if kind.__name__ in needed else make(kind) for kind in kinds]


def data_of(training, copy=np.array):
    """Features, targets and weights that suit the loss."""
    inputs, _, outputs = training.shape
    rows, _ = training.size
    rng = np.random.default_rng(rows)
    loss = losses.get(training.loss)
    x = rng.standard_normal((rows, inputs), np.float32)
    if loss.sparse:
        y = rng.integers(0, outputs, rows).astype(np.float32)
    elif "categorical" in loss.name:
        y = np.eye(outputs, dtype=np.float32)[rng.integers(0, outputs, rows)]
    else:
        y = np.tanh(rng.standard_normal((rows, outputs), np.float32))
        y = abs(y) if loss.target_range[0] == 0 else y
    weights = rng.uniform(0, 2, rows).astype(np.float32) if training.weighted else None
    return copy(x), copy(y), None if weights is None else copy(weights)


def outcome(training, copy=np.array):
    """Everything that one training makes: weights, logs, predictions, gradients and what the layers make."""
    x, y, weights = data_of(training, copy)
    inputs, hidden, outputs = training.shape
    model = Sequential(
        [
            Input((inputs,)),
            *training.make_layers(),
            Dense(hidden, training.hidden, **training.options),
            Dense(outputs, training.last, **training.options),
        ],
        seed=3,
    )
    # an optimizer belongs to one model
    model.compile(
        type(training.optimizer).from_config(training.optimizer.get_config())
        if isinstance(training.optimizer, (optimizers.Optimizer, optimizers.LBFGS))
        else training.optimizer,
        training.loss,
        weighted_metrics=training.metrics if training.weighted else None,
        metrics=None if training.weighted else training.metrics,
    )
    batch = training.size[1]
    settings = {} if isinstance(training.optimizer, optimizers.LBFGS) or training.optimizer == "lbfgs" else {
        "batch_size": batch
    }  # fmt: skip
    history = model.fit(x, y, sample_weight=weights, epochs=2, verbose=0, **settings)
    logs = [value for values in history.history.values() for value in values]
    gradients = model.gradients(x, y, sample_weight=weights)
    return [
        *model.get_weights(),
        np.array(logs),
        np.array(model.evaluate(x, y, sample_weight=weights, batch_size=batch, verbose=0)),
        model.predict(x, batch_size=batch),
        *(array for layer in gradients for array in layer.arrays),
        *(array for layer in model.forward(x) for array in (layer.z, layer.a)),
    ]


def main(every=1):
    set_num_threads(1)
    chosen = trainings()[::every]
    buffers = 0
    for training in chosen:
        with fenced() as fences:
            outcome(training, fences.copied)
            buffers += fences.check()
    print(f"{len(chosen)} trainings, {buffers} buffers, no byte outside of them was written to")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
