"""The NumPy baseline of the demo and the benchmarks against the float64 twin."""

import naive
import numpy as np
import pytest

from fastmlp.ladder.numpy_baseline import NumpyMLP

TWIN_LOSS = {
    "mse": "mean_squared_error",
    "bce": "binary_crossentropy",
    "ce": "sparse_categorical_crossentropy",
}


def assert_close(actual, expected):
    assert np.max(np.abs(actual - expected)) <= 1e-4 * np.max(np.abs(expected))


def data(loss, n, inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, inputs)).astype(np.float32)
    if loss == "ce":
        return x, rng.integers(0, outputs, n)
    if loss == "bce":
        return x, rng.integers(0, 2, (n, outputs)).astype(np.float32)
    return x, rng.normal(size=(n, outputs)).astype(np.float32)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "elu", "gelu"])
@pytest.mark.parametrize(("output", "loss"), [("linear", "mse"), ("sigmoid", "bce"), ("softmax", "ce")])
def test_twenty_steps(activation, output, loss):
    # 4 epochs of 5 steps, the last of 13 samples; 43 000 parameters are more than one block.
    x, y = data(loss, 4 * 32 + 13, 20, 5)
    options = {"learning_rate": 2e-3, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6}
    model = NumpyMLP([20, 200, 180, 5], activation, output, loss, **options)
    rng = np.random.default_rng(1)
    weights = [w + rng.normal(0, 0.1, w.shape) for w in model.get_weights()]
    model.set_weights(weights)
    weights = [w.astype(np.float64) for w in model.get_weights()]
    names = [activation, activation, output]
    layers = [naive.Layer(weights[2 * i], weights[2 * i + 1], names[i]) for i in range(3)]
    assert_close(model.predict(x), naive.forward(layers, x)[-1][1])

    adam = naive.Adam(**options)
    batches = [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)]
    assert len(batches) == 5
    for _ in range(4):
        mean = model.train_epoch(x, y, 32)
        losses = naive.train(layers, batches, TWIN_LOSS[loss], adam)
        expected = sum(value * len(batch[0]) for value, batch in zip(losses, batches, strict=True)) / len(x)
        assert mean == pytest.approx(expected, rel=1e-4)
    for ours, theirs, start in zip(model.get_weights(), naive.flatten(layers), weights, strict=True):
        assert ours.dtype == np.float32
        assert theirs is start  # the twin trains in place
        assert_close(ours, theirs)
    assert_close(model.predict(x, batch_size=50), naive.forward(layers, x)[-1][1])


@pytest.mark.parametrize(("output", "loss"), [("linear", "mse"), ("sigmoid", "bce"), ("softmax", "ce")])
def test_no_hidden_layer_and_large_outputs(output, loss):
    x, y = data(loss, 10, 3, 2)
    model = NumpyMLP([3, 2], output=output, loss=loss)
    kernel, bias = np.full((3, 2), 1e3), np.array([-1e3, 1e3])
    model.set_weights([kernel, bias])
    expected = naive.gradients([naive.Layer(kernel, bias, output)], x, y, TWIN_LOSS[loss])[0]
    assert model.train_epoch(x, y, 10) == pytest.approx(expected, rel=1e-4)
    assert np.all(np.isfinite(model.predict(x)))


def test_set_weights_restarts_adam():
    x, y = data("mse", 16, 3, 1)
    model = NumpyMLP([3, 4, 1])
    start = model.get_weights()
    model.train_epoch(x, y[:, 0], 8)  # targets of shape (n,) will do for one output
    first = model.get_weights()
    model.set_weights(start)
    model.train_epoch(x, y, 8)
    for a, b in zip(first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_invalid_arguments():
    with pytest.raises(ValueError, match="activation"):
        NumpyMLP([2, 1], "selu")
    with pytest.raises(ValueError, match="does not go with"):
        NumpyMLP([2, 1], output="softmax", loss="mse")
    model = NumpyMLP([2, 1])
    with pytest.raises(ValueError, match="shape"):
        model.set_weights([np.zeros((1, 2)), np.zeros(1)])
    with pytest.raises(ValueError, match="targets"):
        model.train_epoch(np.zeros((3, 2)), np.zeros((2, 1)), 2)
