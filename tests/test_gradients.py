import naive
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, activations, losses
from fastmlp.optimizers import SGD

FUNCTIONS = [kind() for kind in activations.TABLE.values()] + [
    activations.ELU(alpha=0.3),
    activations.ELU(alpha=-1.5),
    activations.LeakyReLU(negative_slope=0.0),
    activations.LeakyReLU(negative_slope=-0.5),
    activations.LeakyReLU(negative_slope=1.7),
    activations.GELU(approximate=True),
]
ELEMENTWISE = [function for function in FUNCTIONS if function.name != "softmax"]
SQUARED, ABSOLUTE, LOG_COSH = losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.LogCosh()
BINARY, CATEGORICAL = losses.BinaryCrossentropy, losses.CategoricalCrossentropy
SPARSE = losses.SparseCategoricalCrossentropy


def points(size):
    z = np.random.default_rng(size).uniform(-8, 8, size).astype(np.float32)
    z[size // 2] = 0.75
    z[:: max(2, size // 5)] = 0
    return z


@pytest.mark.parametrize("size", [1, 17, 1000])
@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_values_of_activations(function, size):
    z = points(size)
    kept = z.copy()
    expected = naive.ACTIVATIONS[function.name](z.astype(np.float64), **vars(function))
    value = function(z)
    assert value.dtype == np.float32
    assert value.shape == z.shape
    np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(z, kept)


@pytest.mark.parametrize("size", [1, 17, 1000])
@pytest.mark.parametrize("function", ELEMENTWISE, ids=repr)
def test_slopes_of_activations(function, size):
    z = points(size)
    ones = np.ones(size)
    expected = naive.ACTIVATION_BACKWARD[function.name](z.astype(np.float64), ones, **vars(function))
    slopes = np.full(size + 2, 7, np.float32)
    parameter = np.float32(function.parameter)
    activations.elementwise(function.compiled_kind, parameter, z.copy(), 0, slopes, 1, size, True)
    np.testing.assert_allclose(slopes[1:-1], expected, rtol=2e-6, atol=1e-6)
    assert slopes[0] == slopes[-1] == 7


def test_softmax_of_rows_sums_to_one():
    z = np.random.default_rng(0).normal(0, 30, (5, 3, 7)).astype(np.float32)
    value = activations.Softmax()(z)
    np.testing.assert_allclose(value, naive.softmax(z.astype(np.float64)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(value.sum(axis=-1), 1, rtol=1e-6)


def test_an_activation_of_nothing_and_of_a_number():
    assert activations.Tanh()(np.empty((0, 3))).shape == (0, 3)
    assert activations.Softmax()(np.empty((0, 3))).shape == (0, 3)
    assert activations.Tanh()(0.0).shape == ()


def targets_for(loss, rng, rows, units):
    if loss.sparse:
        return rng.integers(0, units, rows)
    if isinstance(loss, losses.CategoricalCrossentropy):
        return np.eye(units)[rng.integers(0, units, rows)]
    if isinstance(loss, losses.BinaryCrossentropy):
        return rng.integers(0, 2, (rows, units)).astype(np.float64)
    if isinstance(loss, losses.Poisson):
        return rng.poisson(2.0, (rows, units)).astype(np.float64)
    return rng.normal(0, 1.5, (rows, units))


def check_gradients(twin, sizes, functions, loss, weighted=False, rows=7):
    rng = np.random.default_rng(sum(sizes))
    model = Sequential([Input(shape=sizes[:1])], seed=1)
    for units, function in zip(sizes[1:], functions, strict=True):
        model.add(Dense(units, activation=function, bias_initializer="random_normal"))
    model.compile(optimizer=SGD(learning_rate=1.0), loss=loss)
    x = rng.normal(0, 1, (rows, sizes[0])).astype(np.float32)
    y = targets_for(loss, rng, rows, sizes[-1]).astype(np.float32)
    weights = rng.uniform(0, 2, rows).astype(np.float32) if weighted else None
    before = model.get_weights()
    value, pairs = naive.gradients(twin(model), x, y, loss.name, weights=weights, **naive.settings(loss))
    history = model.fit(x, y, batch_size=rows, verbose=0, shuffle=False, sample_weight=weights)
    np.testing.assert_allclose(history.history["loss"], [value], rtol=1e-5, atol=1e-6)
    for old, new, expected in zip(before, model.get_weights(), naive.flatten(pairs), strict=True):
        gradient = old.astype(np.float64) - new
        scale = np.abs(expected).max()
        assert scale > 0
        # a step is rounded to the weight's own grid, and terms below 1 may cancel in a gradient
        rounding = np.spacing(np.abs(new).max()) + np.spacing(np.float32(0.25))
        assert np.abs(gradient - expected).max() <= 2e-5 * scale + rounding


@pytest.mark.parametrize("sizes", [(3, 4, 2), (5, 17, 3)], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_gradients_with_each_hidden_activation(twin, function, sizes):
    check_gradients(twin, sizes, [function, None], SQUARED)


@pytest.mark.parametrize("loss", [SQUARED, ABSOLUTE, losses.Huber(), losses.Huber(delta=0.3), LOG_COSH], ids=repr)
@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_gradients_with_each_output_activation(twin, function, loss):
    check_gradients(twin, (3, 4, 2), ["tanh", function], loss)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    ("function", "loss"),
    [
        ("exponential", losses.Poisson()),
        ("softplus", losses.Poisson()),
        ("sigmoid", BINARY()),
        ("sigmoid", BINARY(label_smoothing=0.2)),
        (None, BINARY(from_logits=True)),
        (None, BINARY(from_logits=True, label_smoothing=0.2)),
        # a probability that is no sigmoid
        ("softmax", BINARY()),
        ("softmax", CATEGORICAL()),
        ("softmax", CATEGORICAL(label_smoothing=0.1)),
        (None, CATEGORICAL(from_logits=True)),
        (None, CATEGORICAL(from_logits=True, label_smoothing=0.1)),
        ("sigmoid", CATEGORICAL()),
        ("softplus", CATEGORICAL(label_smoothing=0.1)),
        ("softmax", SPARSE()),
        (None, SPARSE(from_logits=True)),
        ("sigmoid", SPARSE()),
        ("softmax", SQUARED),
        ("softmax", losses.Huber(delta=0.2)),
        ("relu", SQUARED),
    ],
    ids=str,
)
@pytest.mark.parametrize("sizes", [(3, 4, 2), (5, 17, 3)], ids=str)
def test_gradients_with_each_loss(twin, sizes, function, loss, weighted):
    check_gradients(twin, sizes, ["sigmoid", function], loss, weighted)


@pytest.mark.parametrize(
    ("sizes", "functions"),
    [
        ((3, 2), [None]),
        ((1, 1, 1), ["tanh", "sigmoid"]),
        ((4, 3, 5, 2), ["softmax", "gelu", None]),
        ((4, 3, 5, 2), ["gelu", "softmax", "softmax"]),
        ((2, 9, 8, 7, 1), ["relu", "mish", "elu", "sigmoid"]),
    ],
    ids=str,
)
def test_gradients_of_other_depths(twin, sizes, functions):
    check_gradients(twin, sizes, functions, SQUARED)


def test_gradients_of_soft_targets_that_do_not_sum_to_one(twin):
    model = Sequential([Input(shape=(3,)), Dense(4, activation="softmax")], seed=3)
    loss = CATEGORICAL()
    model.compile(optimizer=SGD(learning_rate=1.0), loss=loss)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.uniform(0, 1, (7, 4)).astype(np.float32)
    before = model.get_weights()
    _, pairs = naive.gradients(twin(model), x, y, loss.name)
    model.fit(x, y, batch_size=7, shuffle=False, verbose=0)
    for old, new, expected in zip(before, model.get_weights(), naive.flatten(pairs), strict=True):
        assert np.abs(old.astype(np.float64) - new - expected).max() <= 2e-5 * np.abs(expected).max()
