"""What several processes train together, compared with one process with the n-fold batch: run by mpiexec.

``mpiexec -n 2 python tests/ranks.py deterministic`` prints, at the first rank, what each case comes to as JSON.
"""

import json
import sys

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
    Residual,
    Sequential,
)
from fastmlp.callbacks import EarlyStopping, ReduceLROnPlateau
from fastmlp.distributed import MPI
from fastmlp.engine import feed, pace, session
from fastmlp.optimizers import LBFGS, SGD, Adam, RMSprop

K = 12
ROWS = 333


def data(rows=ROWS, classes=None):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((rows, K), np.float32)
    y = np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    if classes:
        y = np.digitize(y[:, 0], np.linspace(-1, 1, classes - 1)).astype(np.float32)
    return x, y.astype(np.float32)


def model(*layers, optimizer="adam", loss="mse", seed=3, **how):
    built = Sequential([Input((K,)), *layers], seed=seed)
    built.compile(optimizer, loss, **how)
    return built


def plain():
    return model(Dense(16, "relu"), Dense(1), metrics=["mae", "r2_score"]), *data(), {"epochs": 3}


def dropout():
    x, y = data()
    weights = np.random.default_rng(1).random(ROWS)
    built = model(
        Dense(32, "tanh", kernel_regularizer="l2"), Dropout(0.3), GaussianNoise(0.1), Dense(1), metrics=["mae"],
        weighted_metrics=["mse"],
    )  # fmt: skip
    return built, x, y, {"epochs": 3, "sample_weight": weights, "validation_split": 0.2}


def momentum():
    optimizer = SGD(0.01, momentum=0.9, nesterov=True, global_clipnorm=0.5, weight_decay=0.01)
    built = model(Dense(24, "relu", kernel_constraint="non_neg"), Dense(1), optimizer=optimizer)
    return built, *data(), {"epochs": 3, "steps_per_epoch": 4}


def averages():
    optimizer = RMSprop(0.001, use_ema=True, gradient_accumulation_steps=3, clipvalue=0.1)
    return model(Dense(24, "gelu"), Dense(1), optimizer=optimizer), *data(), {"epochs": 4}


def normalized():
    block = Residual([Dense(16, "relu"), LayerNormalization(), Dense(16)])
    built = model(
        Dense(16), block, Dense(4, "softmax"), loss="sparse_categorical_crossentropy", metrics=["accuracy"],
        optimizer=Adam(fastmlp.optimizers.schedules.CosineDecay(0.01, 40)),
    )  # fmt: skip
    return built, *data(classes=4), {"epochs": 3, "class_weight": {0: 1, 1: 2, 2: 1, 3: 0.5}}


def wide():
    """No shards: too many weights for gradients of their own."""
    return model(Dense(140, "relu"), Dense(130, "relu"), Dense(2)), data()[0], np.tile(data()[1], 2), {"epochs": 2}


def sharded_batch():
    """A small net with a large batch gets its gradients by shards."""
    x, y = data(5000)
    built = model(Dense(40, "relu"), Dense(1, "sigmoid"), loss="binary_crossentropy", metrics=["auc"])
    return built, x, (y > 0).astype(np.float32), {"batch_size": 1500 // MPI().size, "epochs": 2}


def last_row():
    """The last batch has one row, which most ranks have nothing of."""
    x, y = data(97)
    return model(Dense(8, "relu"), Dense(1), optimizer="sgd"), x, y, {"batch_size": 96 // MPI().size, "epochs": 2}


def few_rows():
    """A batch has one piece, and so only one rank has rows where they are added in order."""
    return model(Dense(8, "relu"), Dense(1)), *data(50), {"batch_size": 2, "epochs": 2, "shuffle": False}


def converted():
    """Rows that are no float32 are converted by the block."""
    x, y = data()
    return model(Dense(16, "relu"), Dense(1)), np.asfortranarray(x.astype(np.float64)), y, {"epochs": 2}


def standardised():
    """Batch normalization by the statistics of the whole batch."""
    built = model(
        # a bias that the next layer takes away again has a gradient of nothing but rounding
        Dense(24, use_bias=False), BatchNormalization(), Activation("relu"), Dense(16, "relu"),
        BatchNormalization(momentum=0.9), Dense(1), metrics=["mae"],
    )  # fmt: skip
    return built, *data(), {"epochs": 3, "batch_size": 50, "validation_split": 0.2}


def chosen():
    rng = np.random.default_rng()  # every rank draws another order, and the first one's counts
    rows = np.arange(0, ROWS, 2)
    orders = iter([np.roll(np.arange(150), 7), np.arange(150)] if MPI().rank == 0 else [rng.permutation(150)] * 2)
    again = iter([np.roll(np.arange(150), 7), np.arange(150)])
    how = {"epochs": 2, "rows": rows[:150], "validation_rows": rows[150:], "shuffle": lambda count: next(orders)}
    return model(Dense(16, "relu"), Dense(1)), *data(), how, {"shuffle": lambda count: next(again)}


def stops_early():
    callbacks = [EarlyStopping("val_loss", patience=1, min_delta=0.05, restore_best_weights=True), ReduceLROnPlateau()]
    return model(Dense(16, "relu"), Dense(1)), *data(), {"epochs": 30, "validation_split": 0.3, "callbacks": callbacks}


def second_order():
    x, y = data()
    optimizer = LBFGS()
    return model(Dense(8, "tanh"), Dense(1), optimizer=optimizer), x, y, {"epochs": 4, "batch_size": None}


def threads():
    """More threads a rank, and so more shares of the work."""
    fastmlp.set_num_threads(2)
    session.FLOPS_A_THREAD_AND_STEP = pace.FLOPS_A_THREAD_AND_RUN = 1
    return model(Dense(64, "relu"), Dropout(0.2), Dense(64, "relu"), Dense(1)), *data(), {"epochs": 3}


CASES = [
    plain, dropout, momentum, averages, normalized, wide, sharded_batch, last_row, few_rows, converted, standardised,
    chosen, stops_early, second_order, threads,
]  # fmt: skip


def compare(case, strategy):
    """How far weights and logs are from those of one process."""
    trained, x, y, how, *other = case()
    how = {"batch_size": 20, "verbose": 0, **how}
    history = trained.fit(x, y, **how, distribute=strategy)
    single, x, y, how, *other = case()
    how = {"batch_size": 20, "verbose": 0, **how, **(other[0] if other else {})}
    if how["batch_size"] is not None:
        how["batch_size"] *= strategy.size
    expected = single.fit(x, y, **how)
    pairs = list(zip(trained.get_weights(), single.get_weights(), strict=True))
    logs, wanted = (
        np.array([found.history[name] for name in found.history]) for found in (history, expected)
    )  # fmt: skip
    return {
        "weights": float(max(abs(one - other).max() for one, other in pairs)),
        "logs": float((abs(logs - wanted) / abs(wanted)).max()) if logs.shape == wanted.shape else None,
        "same bits": all((one == other).all() for one, other in pairs) and history.history == expected.history,
        "epochs": len(history.history["loss"]),
    }


def main():
    feed.BLOCK_FLOATS = 90 * K
    strategy = MPI(deterministic="deterministic" in sys.argv)
    names = [name for name in sys.argv[1:] if name != "deterministic"]
    found = {case.__name__: compare(case, strategy) for case in CASES if not names or case.__name__ in names}
    # every rank has found the same
    for other in strategy._comm.allgather(found):
        assert other == found
    if strategy.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
