"""Losses and activations of one's own, plain and jitted."""

import copy
import pickle

import numba
import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, activations, losses
from fastmlp.errors import ModelFileError
from fastmlp.kernels.jit import JIT_DISABLED


def squares(y_true, y_pred):
    d = y_pred - y_true
    return (d * d).mean(), 2 * d / d.size


def crossentropy(y_true, y_pred):
    """Of class numbers, from logits."""
    rows = np.arange(len(y_true))
    z = y_pred - y_pred.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = y_true.astype(int)
    gradient = p.copy()
    gradient[rows, labels] -= 1
    return -np.log(p[rows, labels]).mean(), gradient / len(rows)


@numba.njit
def jitted_squares(y_true, y_pred):
    d = y_pred - y_true
    return (d * d).mean(), 2 * d / d.size


@numba.njit
def jitted_huber(y_true, y_pred):
    gradient = np.empty_like(y_pred)
    total = 0.0
    for i in range(y_pred.shape[0]):
        for j in range(y_pred.shape[1]):
            d = y_pred[i, j] - y_true[i, j]
            total += 0.5 * d * d if abs(d) <= 1 else abs(d) - 0.5
            gradient[i, j] = min(max(d, -1.0), 1.0) / y_pred.size
    return total / y_pred.size, gradient


def data(rows=130, units=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (rows, 5)).astype(np.float32), rng.normal(0, 2, (rows, units)).astype(np.float32)


def trained(loss, rows=130, batch=50, activation="tanh", y=None, metrics=()):
    x, targets = data(rows)
    model = Sequential([Input(shape=(5,)), Dense(20, activation), Dense(3)], seed=0)
    model.compile(fastmlp.optimizers.Adam(0.01), loss, metrics=list(metrics))
    y = targets if y is None else y
    history = model.fit(x, y, batch_size=batch, epochs=3, verbose=0, validation_data=(x, y)).history
    return model, history


@pytest.mark.parametrize(
    ("own", "built_in"),
    [(squares, "mse"), (jitted_squares, "mse"), (jitted_huber, "huber")],
    ids=["plain", "jit", "loop"],
)
@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (17, 5), (130, 50), (700, 600)])
def test_a_loss_of_ones_own_trains_as_the_built_in_one(own, built_in, rows, batch):
    model, history = trained(own, rows, batch)
    other, expected = trained(built_in, rows, batch)
    for key in expected:
        np.testing.assert_allclose(history[key], expected[key], rtol=2e-5)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_class_numbers(jit):
    labels = np.random.default_rng(1).integers(0, 3, 130)
    if jit:

        @numba.njit
        def own(y_true, y_pred):
            gradient = np.empty_like(y_pred)
            total = 0.0
            for i in range(len(y_true)):
                e = np.exp(y_pred[i] - y_pred[i].max())
                p = e / e.sum()
                total -= np.log(p[int(y_true[i])])
                gradient[i] = p / len(y_true)
                gradient[i, int(y_true[i])] -= np.float32(1 / len(y_true))
            return total / len(y_true), gradient
    else:
        own = crossentropy
    _, history = trained(losses.Custom(own, sparse=True), y=labels, metrics=["accuracy"])
    _, expected = trained(losses.SparseCategoricalCrossentropy(from_logits=True), y=labels, metrics=["accuracy"])
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=2e-5)
    assert history["accuracy"] == expected["accuracy"]


def test_what_a_loss_raises_ends_the_training_and_the_model_lives_on():
    calls = []

    def failing(y_true, y_pred):
        calls.append(len(y_true))
        if len(calls) > 3:
            raise ZeroDivisionError("in the loss")
        return squares(y_true, y_pred)

    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(3)], seed=0)
    model.compile("sgd", failing)
    with pytest.raises(ZeroDivisionError, match="in the loss"):
        model.fit(x, y, batch_size=50, epochs=3, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    ("own", "error", "message"),
    [
        (lambda t, p: 3.0, TypeError, "got 3.0 of type float"),
        (lambda t, p: (3.0, p[:1]), ValueError, r"a gradient of y_pred's shape \(\d+, 3\), got \(1, 3\)"),
        (lambda t, p: ("x", p), TypeError, "a number as value, got 'x' of type str"),
        (lambda t, p: (None, p), TypeError, "a number as value, got None"),
        (lambda t, p: (p.mean(axis=1), p), TypeError, r"a number as value, got array\(.*of type ndarray"),
        (lambda t, p: (3.0, p * 1j), TypeError, "real numbers as gradient, got .*complex64"),
        (lambda t, p: (3.0, None), TypeError, "real numbers as gradient, got None"),
        (lambda t, p: (3.0, [[0, 0], [0]]), ValueError, "an array as gradient: "),
    ],
)
def test_a_loss_that_returns_something_else(own, error, message):
    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(3)], seed=0)
    own.__name__ = "own"
    model.compile("sgd", own)
    message = rf"the loss 'own' must return \(value, d_value / d_y_pred\).*{message}"
    with pytest.raises(error, match=message):
        model.fit(x, y, verbose=0)
    with pytest.raises(error, match=message):
        losses.Custom(own)(y, y)


def test_refused_settings():
    with pytest.raises(TypeError, match="function"):
        losses.Custom(3)
    with pytest.raises(TypeError, match="did you mean"):
        losses.get(losses.MeanSquaredError)
    with pytest.raises(TypeError, match="slope"):
        activations.Custom(lambda z: z, None)
    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(3)], seed=0)
    model.compile("sgd", squares)
    with pytest.raises(ValueError, match=r"sample_weight cannot be used.*further column"):
        model.fit(x, y, sample_weight=np.ones(len(x)), verbose=0)
    with pytest.raises(ValueError, match="sample_weight cannot be used"):
        model.evaluate(x, y, sample_weight=np.ones(len(x)))


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_a_jitted_loss_that_does_not_compile():
    @numba.njit
    def wrong(y_true, y_pred):
        return y_true.nothing_like_this, y_pred

    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(3)], seed=0)
    model.compile("sgd", wrong)
    for _ in range(2):
        with pytest.raises(TypeError, match="Numba cannot compile the loss 'wrong'"):
            model.fit(x, y, verbose=0)


@pytest.mark.jit_only
def test_gradients_and_evaluation_with_a_loss_of_ones_own():
    x, y = data()
    model, _ = trained(squares)
    assert model.evaluate(x, y) == pytest.approx(float(((model.predict(x) - y) ** 2).mean()), rel=1e-5)
    assert model.check_gradients(x, y).worst < 5e-3


def silu_value(z):
    return z / (1 + np.exp(-z))


def silu_slope(z, a):
    s = 1 / (1 + np.exp(-z))
    return s + a * (1 - s)


@pytest.mark.parametrize("jit", [False, True])
def test_an_activation_of_ones_own_trains_as_the_built_in_one(jit):
    wrap = numba.njit if jit else lambda function: function
    own = activations.Custom(wrap(silu_value), wrap(silu_slope), name="mine")
    model, history = trained("mse", activation=own)
    other, expected = trained("mse", activation="silu")
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=2e-5)
    x, _ = data()
    np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-3, atol=1e-4)
    z = np.linspace(-5, 5, 23).reshape(1, 23)
    np.testing.assert_allclose(own(z), activations.SiLU()(z), rtol=1e-5)
    assert model.layers[0].activation.name == "mine"


@pytest.mark.jit_only
def test_an_activation_whose_value_at_0_is_not_0_and_as_a_layer():
    own = activations.Custom(lambda z: np.exp(-z * z), lambda z, a: -2 * z * a)
    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(7), fastmlp.layers.Activation(own), Dense(3, own)], seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    w, b, v, c = (weight.astype(float) for weight in model.get_weights())
    hidden = np.exp(-((x @ w + b) ** 2))
    np.testing.assert_allclose(model.predict(x), np.exp(-((hidden @ v + c) ** 2)), rtol=1e-4, atol=1e-5)
    assert model.check_gradients(x, y).worst < 5e-3


@pytest.mark.jit_only
def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    from fastmlp.engine import session
    from fastmlp.engine.pace import Pace

    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(session, "threads_for", lambda *work, threads=threads: threads)
        monkeypatch.setattr("fastmlp.threads._pool.chosen", threads)
        monkeypatch.setattr(Pace, "threads", lambda self, team: team)
        model, _ = trained(squares, rows=700, batch=300)
        results.append(b"".join(weight.tobytes() for weight in model.get_weights()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("width", [5, 16])
def test_an_activation_that_divides_by_z_sees_no_padding(width, jit):
    wrap = numba.njit if jit else lambda function: function
    own = activations.Custom(wrap(lambda z: np.sin(z) / z), wrap(lambda z, a: (np.cos(z) - a) / z))
    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(width, own, bias_initializer="ones"), Dense(3)], seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    w, b, v, c = (weight.astype(float) for weight in model.get_weights())
    z = x @ w + b
    np.testing.assert_allclose(model.predict(x), np.sin(z) / z @ v + c, rtol=1e-4, atol=1e-5)


def test_a_training_that_diverged_leaves_nothing_behind():
    x, y = data()
    after, fresh = (
        Sequential(
            [Input(shape=(5,)), Dense(7, activations.Custom(lambda z: z * z, lambda z, a: 2 * z)), Dense(3)], seed=0
        )
        for _ in "ab"
    )
    after.compile(fastmlp.optimizers.SGD(1e30), "mse")
    with pytest.raises(fastmlp.errors.TrainingDivergedError):
        after.fit(x, y, verbose=0, epochs=3)
    after.set_weights(fresh.get_weights())
    losses = []
    for model in (after, fresh):
        model.compile(fastmlp.optimizers.SGD(0.01), "mse")
        losses.append(model.fit(x, y, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == losses[1]


@pytest.mark.skipif(JIT_DISABLED, reason="plain functions raise by themselves")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_jitted_functions_that_raise_are_seen():
    @numba.njit
    def value(z):
        if z > 0:
            raise ValueError("positive")
        return z

    x, y = data()
    model = Sequential([Input(shape=(5,)), Dense(7, activations.Custom(value, lambda z, a: 1.0)), Dense(3)], seed=0)
    model.compile("sgd", "mse")
    for act in (
        lambda: model.predict(x), lambda: model.predict(x[:1].repeat(9000, axis=0)), lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y), lambda: model.gradients(x, y),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="the activation 'value' has raised an exception, which was printed"):
            act()
    with pytest.raises(RuntimeError, match="the activation 'value' has raised"):
        activations.Custom(value, lambda z, a: 1.0)([-1.0, 1.0])
    weights = model.get_weights()
    model.set_weights([weights[0] * 0, weights[1] - 1, *weights[2:]])
    assert np.isfinite(model.predict(x)).all()
    model.fit(x, y, verbose=0)

    @numba.njit
    def raising(y_true, y_pred):
        if y_pred[0, 0] > -1e9:
            raise ValueError("boom")
        return np.float32(1.0), y_pred - y_true

    @numba.njit
    def small(y_true, y_pred):
        return np.float32(1.0), np.zeros((1, 1), np.float32)

    for loss in (raising, small):
        model = Sequential([Input(shape=(5,)), Dense(3)], seed=0)
        model.compile("sgd", loss)
        for act in (lambda model=model: model.fit(x, y, verbose=0), lambda model=model: model.evaluate(x, y)):
            with pytest.raises(
                RuntimeError, match=r"the loss .* has raised an exception, which was printed, or its gradient"
            ):
                act()


MINE = activations.Custom(silu_value, silu_slope, name="mine")
KNOWN = {"squares": squares, "mine": MINE}


def alike(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def go_on(model):
    x, y = data()
    model.fit(x, y, batch_size=50, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: fastmlp.load_model(model.saved, custom_objects=KNOWN),
    ],
    ids=["deepcopy", "pickle", "file"],
)
def test_models_with_functions_of_ones_own_are_copied_and_saved(duplicate, tmp_path):
    model, _ = trained(squares, activation=MINE)
    model.save(tmp_path / "model")
    model.saved = tmp_path / "model"
    again = duplicate(model)
    assert again.loss.function is squares
    assert again.layers[0].activation == MINE
    assert alike(go_on(again), go_on(model))


def test_a_copy_has_functions_that_nothing_could_pickle():
    own = activations.Custom(lambda z: z * z, lambda z, a: 2 * z)
    model, _ = trained(lambda y, p: squares(y, p), activation=own)
    twin = copy.deepcopy(model)
    assert twin.loss.function is model.loss.function
    assert alike(go_on(twin), go_on(model))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(model)


def test_a_file_has_names_alone(tmp_path):
    path = tmp_path / "model"
    model, _ = trained(losses.Custom(squares), activation=MINE)
    model.save(path)
    assert b"silu" not in path.read_bytes()
    for known, message in (
        (None, "custom_objects must have the activation of the user's own 'mine', and has \\[\\]"),
        ({"mine": MINE}, r"custom_objects must have the loss function of the user's own 'squares', and has \['mine'\]"),
        ({**KNOWN, "mine": silu_value}, r"must have an activations\.Custom for 'mine'"),
        ({**KNOWN, "squares": "squares"}, "function must be a function"),
    ):
        with pytest.raises(ModelFileError, match=message):
            fastmlp.load_model(path, custom_objects=known)
    with pytest.raises(TypeError, match="custom_objects must be a dict"):
        fastmlp.load_model(path, custom_objects=[squares])
    config = model.get_config()
    with pytest.raises(ValueError, match="custom_objects must have"):
        Sequential.from_config(config)
    fresh = Sequential.from_config(config, custom_objects=KNOWN)
    assert fresh.layers[0].activation is MINE
    fresh.compile_from_config(model.get_compile_config(), custom_objects=KNOWN)
    assert fresh.loss == model.loss
    assert Dense.from_config(config["layers"][0]["config"], KNOWN).activation is MINE


def test_functions_of_one_name_are_not_written(tmp_path):
    other = activations.Custom(silu_value, lambda z, a: 1.0, name="mine")
    model = Sequential([Input(shape=(5,)), Dense(4, MINE), Dense(3, other)], seed=0)
    for attempt in (lambda: model.save(tmp_path / "model"), lambda: copy.deepcopy(model)):
        with pytest.raises(ValueError, match="different functions of the name 'mine'"):
            attempt()
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "model")


def test_a_backup_goes_on_with_the_functions_of_the_model_in_hand(tmp_path):
    def run(epochs):
        x, y = data()
        model = Sequential([Input(shape=(5,)), Dense(20, MINE), Dense(3)], seed=0)
        model.compile("adam", squares)
        backup = fastmlp.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=epochs == 4)
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[backup])
        return model

    run(2)
    resumed = run(4)
    assert alike(resumed, run(4))
