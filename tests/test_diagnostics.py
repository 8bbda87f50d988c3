"""The Diagnostics callback: numbers against NumPy's, and the two ailments that it is there to show."""

from itertools import pairwise

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, callbacks, optimizers


def problem(rows=64, features=6):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.float32)


def test_numbers_are_those_of_numpy():
    x, y = problem()
    layers = [Dense(7, "relu"), Dense(5, "tanh", use_bias=False), Dense(3, "gelu"), Dense(1, "sigmoid")]
    model = Sequential([Input((6,)), *layers], seed=2)
    model.compile(optimizers.SGD(0.5), "binary_crossentropy")
    diagnostics, kept = callbacks.Diagnostics(x, y, rows=20), [model.get_weights()]
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    model.fit(x, y, epochs=3, verbose=0, callbacks=[diagnostics, keep])
    assert diagnostics.epoch == [0, 1, 2]
    assert list(diagnostics.history) == [layer.name for layer in model.layers]
    at = 0
    for index, layer in enumerate(model.layers):
        count = len(layer.get_weights())
        record = diagnostics.history[layer.name]
        flat = [np.concatenate([w.ravel() for w in weights[at : at + count]]).astype(np.float64) for weights in kept]
        at += count
        np.testing.assert_allclose(record["weight_norm"], [np.linalg.norm(w) for w in flat[1:]], rtol=1e-6)
        moves = [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in pairwise(flat)]
        np.testing.assert_allclose(record["update_ratio"], moves, rtol=1e-6)
        gradient = model.gradients(x[:20], y[:20])[index]
        size = np.sqrt(sum(float((array.astype(np.float64) ** 2).sum()) for array in gradient.arrays))
        assert record["gradient_norm"][-1] == pytest.approx(size, rel=1e-6)
        assert ("dead" in record) == (index == 0)
        assert ("saturated" in record) == (index in (1, 3))


def test_shares_of_units_by_hand():
    model = Sequential([Input((1,)), Dense(4, "relu"), Dense(2, "sigmoid"), Dense(1, "tanh")], seed=0)
    model.compile(optimizers.SGD(0.0), "mse")
    model.set_weights([
        [[1.0, -1.0, 1.0, 0.0]], [0.0, 0.0, -9.0, 1.0],  # of the inputs -1, 2: one, one, none, both
        [[9.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0.0, 4.0],  # 0.5, 1 - 2e-8; 0.982 twice
        [[0.0], [0.0]], [2.2],  # tanh 2.2 = 0.9757
    ])  # fmt: skip
    diagnostics = callbacks.Diagnostics([[-1.0], [2.0]], [0.0, 0.0])
    model.fit([[1.0]], [[0.0]], verbose=0, callbacks=[diagnostics])
    history = diagnostics.history
    assert history["dense"]["dead"] == [0.25]
    assert history["dense_1"]["saturated"] == [0.25]
    assert history["dense_2"]["saturated"] == [1.0]
    assert history["dense"]["update_ratio"] == [0.0]


@pytest.mark.jit_only
def test_vanishing_gradients_show(capsys):
    x, y = problem()
    model = Sequential([Input((6,)), *(Dense(15, "sigmoid") for _ in range(10)), Dense(1, "sigmoid")], seed=0)
    model.compile("sgd", "binary_crossentropy")
    diagnostics = callbacks.Diagnostics(x, y)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[diagnostics])
    norms = [diagnostics.history[layer.name]["gradient_norm"][-1] for layer in model.layers]
    assert norms[0] < 1e-5 * norms[-1]
    # smaller layer by layer, by the slope of at most a quarter
    assert norms == sorted(norms)
    diagnostics.summary()
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if " dense" in line}
    assert "vanishing gradient" in lines["dense"]
    assert "vanishing" not in lines["dense_10"]
    # the same net with ReLU has none
    model = Sequential([
        Input((6,)), *(Dense(15, "relu", kernel_initializer="he_normal") for _ in range(10)), Dense(1, "sigmoid"),
    ], seed=0)  # fmt: skip
    model.compile("sgd", "binary_crossentropy")
    model.fit(x, y, epochs=2, verbose=0, callbacks=[diagnostics])
    assert "vanishing" not in diagnostics.table()


def test_dying_relu_shows(capsys):
    x, y = problem()
    shares = []
    for rate in (0.01, 20.0):
        model = Sequential([Input((6,)), Dense(16, "relu"), Dense(16, "relu"), Dense(1, "sigmoid")], seed=0)
        model.compile(optimizers.SGD(rate), "binary_crossentropy")
        diagnostics = callbacks.Diagnostics(x, y)
        model.fit(x, y, epochs=5, verbose=0, callbacks=[diagnostics])
        shares.append(diagnostics.history["dense_1"]["dead"])
    assert max(shares[0]) < 0.2
    assert shares[1][-1] > 0.8
    # dead units stay dead
    diagnostics.summary()
    assert "dead units" in capsys.readouterr().out
    assert diagnostics.history["dense_1"]["gradient_norm"][-1] < 1e-3


def test_training_is_the_same_with_it():
    x, y = problem()
    results = []
    for watched in (False, True):
        model = Sequential([Input((6,)), Dense(9, "relu"), Dense(1, "sigmoid")], seed=0)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(
            x, y, epochs=4, batch_size=10, verbose=0, callbacks=[callbacks.Diagnostics(x, y)] if watched else None
        )
        results.append([repr(history.history), *(weight.tobytes() for weight in model.get_weights())])
    assert results[0] == results[1]


def test_a_new_training_has_a_new_record(capsys):
    x, y = problem()
    model = Sequential([Dense(3, "relu"), Dense(1)], seed=0)
    model.compile("lbfgs", "mse")
    diagnostics = callbacks.Diagnostics(x.tolist(), y.tolist())
    diagnostics.summary()
    assert capsys.readouterr().out.startswith("Diagnostics: no epoch yet")
    for epochs in (3, 2):
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[diagnostics])
        assert diagnostics.epoch == list(range(epochs))
        assert all(len(values) == epochs for values in diagnostics.history["dense"].values())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="as many rows as each other"):
        callbacks.Diagnostics(np.ones((3, 2)), np.ones(4))
    with pytest.raises(ValueError, match="rows must be a positive integer"):
        callbacks.Diagnostics(np.ones((3, 2)), np.ones(3), rows=0)
    with pytest.raises(TypeError, match="y must hold real numbers"):
        callbacks.Diagnostics(np.ones((3, 2)), ["a", "b", "c"])
