"""``check_gradients``: right gradients pass, and each way of being wrong is found."""

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, gradient_check, losses
from fastmlp.gradients import Gradients


def network(activation="tanh", last=None, loss="mse", sizes=(4, 9, 7, 3), **options):
    hidden = [Dense(units, activation, **options) for units in sizes[1:-1]]
    model = Sequential([Input(sizes[:1]), *hidden, Dense(sizes[-1], last, **options)], seed=2)
    model.compile("adam", loss)
    return model


def rows_for(loss, rows, sizes=(4, 9, 7, 3)):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, sizes[0]))
    if losses.get(loss).sparse:
        return x, rng.integers(0, sizes[-1], rows)
    return x, rng.integers(0, 2, (rows, sizes[-1])) if "crossentropy" in loss else rng.normal(size=(rows, sizes[-1]))


@pytest.mark.jit_only
@pytest.mark.parametrize(
    ("activation", "last", "loss", "worst"),
    [
        ("tanh", None, "mse", 2e-4),
        ("gelu", "softmax", "sparse_categorical_crossentropy", 2e-4),
        ("sigmoid", "sigmoid", "binary_crossentropy", 2e-3),
        ("mish", None, "log_cosh", 2e-4),
        ("relu", "softmax", "sparse_categorical_crossentropy", 0.02),
        ("elu", None, "mae", 0.02),
    ],
)
@pytest.mark.parametrize("rows", [1, 31])
def test_right_gradients_pass(activation, last, loss, worst, rows):
    model = network(activation, last, loss, kernel_regularizer="l2")
    before = model._session.plan.network.parameters.tobytes()
    x, y = rows_for(loss, rows)
    found = model.check_gradients(x, y, sample_weight=np.linspace(0.5, 1.5, rows))
    assert found.passed
    assert found.worst <= worst, found
    assert model._session.plan.network.parameters.tobytes() == before
    assert [(one.layer, one.array) for one in found][:3] == [("dense", "dw"), ("dense", "db"), ("dense_1", "dw")]
    table = repr(found)
    assert "dense_2 db" in table
    assert "wrong" not in table


def negated(array):
    array *= -1


def halved(array):
    array /= 2


def forgotten(array):
    array[...] = 0


def one_column_forgotten(array):
    array[..., 0] = 0


def shuffled(array):
    array[...] = np.random.default_rng(0).permutation(array.ravel()).reshape(array.shape)


@pytest.mark.jit_only
@pytest.mark.parametrize("mistake", [negated, halved, forgotten, one_column_forgotten, shuffled])
@pytest.mark.parametrize("wrong", [0, 1, 2, 5])
def test_wrong_gradients_are_found(mistake, wrong, monkeypatch):
    model = network()
    x, y = rows_for("mse", 31)
    right = model.gradients(x, y)
    mistake(right.arrays[wrong])
    monkeypatch.setattr(Sequential, "gradients", lambda self, *arguments: right)
    found = model.check_gradients(x, y)
    assert [index for index, one in enumerate(found) if one.verdict != "ok"] == [wrong], found
    assert found.worst == found[wrong].error
    if mistake is not one_column_forgotten:
        assert found[wrong].verdict == "wrong"
        assert not found.passed
        assert "wrong" in repr(found)


@pytest.mark.jit_only
@pytest.mark.parametrize("seed", range(4))
def test_wrong_gradients_of_single_weights_are_found(seed, monkeypatch):
    model = Sequential([Input((1,)), Dense(1, "tanh"), Dense(1)], seed=seed)
    model.compile("adam", "mse")
    x, y = rows_for("mse", 31, (1, 1))
    assert model.check_gradients(x, y).worst <= 1e-3
    right = model.gradients(x, y)
    for array in right.arrays:
        halved(array)
    monkeypatch.setattr(Sequential, "gradients", lambda self, *arguments: right)
    assert [one.verdict for one in model.check_gradients(x, y)] == ["wrong"] * 4


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("sign", [1, -1])
def test_directions_have_length_1_and_lead_uphill(size, sign):
    generator = np.random.default_rng(size)
    gradient = sign * np.ones(size)
    for _ in range(20):
        direction = gradient_check.mixed(gradient, generator)
        assert np.linalg.norm(direction) == pytest.approx(1)
        assert direction @ gradient > 0.5 * np.linalg.norm(gradient)


def test_a_forgotten_penalty_is_found(monkeypatch):
    model = network(sizes=(4, 3), kernel_regularizer="l2", use_bias=False)
    x, y = rows_for("mse", 31, (4, 3))
    right = model.gradients(x, y)
    right[0].dw[...] -= 2 * np.float32(0.01) * model.get_weights()[0]
    monkeypatch.setattr(Sequential, "gradients", lambda self, *arguments: right)
    (found,) = model.check_gradients(x, y)
    assert found.verdict != "ok"


@pytest.mark.jit_only
def test_a_gradient_of_zero_that_is_right():
    model = network(sizes=(4, 3, 2))
    kernel, bias, upper, upper_bias = model.get_weights()
    model.set_weights([kernel, bias, 0 * upper, upper_bias])
    x, y = rows_for("mse", 11, (4, 3, 2))
    found = model.check_gradients(x, y)
    assert [one.verdict for one in found] == ["ok"] * 4
    assert found[0].norm == found[0].error == 0


def test_the_comparison_alone():
    """Of a function that NumPy computes in float64: errors are the method's own."""
    weights = np.array([0.5, -1.0, 2.0], np.float32)
    exact = np.cos(weights.astype(np.float64))
    generator = np.random.default_rng(0)
    direction = gradient_check.mixed(exact, generator)
    assert np.linalg.norm(direction) == pytest.approx(1)

    def loss_at(array):
        return float(np.sin(array.astype(np.float64)).sum())

    error, resolution = gradient_check.compare(weights, exact, direction, loss_at)
    assert error < 1e-7
    assert resolution < 1e-5
    error, _ = gradient_check.compare(weights, 1.1 * exact, direction, loss_at)
    assert error == pytest.approx(1 - 1 / 1.1, rel=1e-6)
    assert gradient_check.compare(weights, 0 * exact, direction, loss_at)[0] == np.inf


def test_a_loss_that_is_not_finite_is_never_right():
    model = Sequential([Input((1,)), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.set_weights([[[1e30]], [0.0]])
    with np.errstate(all="ignore"):
        assert not model.check_gradients([[1e5]], [[0.0]]).passed


def test_gradients_is_a_sequence_of_layers():
    assert len(Gradients(0.0, [])) == 0
    with pytest.raises(ValueError, match="at least one row"):
        network().check_gradients(np.ones((0, 4)), np.ones((0, 3)))
