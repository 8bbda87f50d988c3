"""Whole training runs and single gradients against the float64 twin."""

import naive
import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential
from fastmlp.kernels.jit import JIT_DISABLED

ACTIVATIONS = [
    ("linear", {}), ("sigmoid", {}), ("tanh", {}), ("relu", {}), ("elu", {}), ("elu", {"alpha": 0.5}), ("selu", {}),
    ("softplus", {}), ("softmax", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.01}), ("gelu", {}),
    ("gelu", {"approximate": True}), ("silu", {}), ("softsign", {}), ("hard_sigmoid", {}), ("exponential", {}),
    ("mish", {}),
]  # fmt: skip

# loss, its settings, the output activations that make sense, how targets are made
LOSSES = [
    ("mean_squared_error", {}, ["linear", "tanh", "softmax", "sigmoid"], "real"),
    ("mean_absolute_error", {}, ["linear", "softsign"], "real"),
    ("huber", {"delta": 0.7}, ["linear", "relu"], "real"),
    ("log_cosh", {}, ["linear", "gelu"], "real"),
    ("poisson", {}, ["exponential", "softplus"], "count"),
    ("binary_crossentropy", {"from_logits": True}, ["linear"], "share"),
    ("binary_crossentropy", {"from_logits": False}, ["sigmoid", "hard_sigmoid"], "share"),
    ("binary_crossentropy", {"from_logits": False, "label_smoothing": 0.1}, ["sigmoid"], "share"),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.1}, ["linear"], "onehot"),
    ("categorical_crossentropy", {"from_logits": False}, ["softmax", "sigmoid"], "onehot"),
    ("sparse_categorical_crossentropy", {"from_logits": True}, ["linear"], "label"),
    ("sparse_categorical_crossentropy", {"from_logits": False}, ["softmax", "softplus"], "label"),
]  # fmt: skip


def targets(kind: str, rows: int, units: int) -> np.ndarray:
    generator = np.random.default_rng([rows, units])
    if kind == "label":
        return generator.integers(0, units, rows)
    if kind == "onehot":
        return np.eye(units)[generator.integers(0, units, rows)]
    if kind == "count":
        return generator.poisson(2.0, (rows, units)).astype(float)
    return generator.uniform(0, 1, (rows, units)) if kind == "share" else generator.normal(size=(rows, units))


def inputs(rows: int, features: int) -> np.ndarray:
    return np.random.default_rng([rows, features, 7]).normal(size=(rows, features)).astype(np.float32)


def activation(name: str, parameters: dict) -> object:
    return type(fastmlp.activations.get(name))(**parameters)


def twin(model: Sequential, hidden: tuple[str, dict] | None = None) -> list:
    layers = []
    for layer in model.layers:
        weights = [weight.astype(np.float64) for weight in layer.get_weights()]
        kernel, bias = layer.kernel_regularizer, layer.bias_regularizer
        function = layer.activation
        parameters = dict(vars(function))
        layers.append(
            naive.Layer(
                weights[0], weights[1] if layer.use_bias else None, function.name, parameters,
                kernel.l1 if kernel else 0, kernel.l2 if kernel else 0, bias.l1 if bias else 0, bias.l2 if bias else 0,
            )
        )  # fmt: skip
    return layers


def gradients_by_one_step(model: Sequential, x, y, loss, **more) -> list[np.ndarray]:
    """A step of plain gradient descent with rate 1 moves the weights by minus their gradient."""
    before = model.get_weights()
    model.compile(fastmlp.optimizers.SGD(learning_rate=1.0), loss)
    model.fit(x, y, batch_size=len(x), verbose=0, shuffle=False, **more)
    return [old.astype(np.float64) - new for old, new in zip(before, model.get_weights(), strict=True)]


def assert_gradients(model, x, y, name, settings, weights=None):
    layers = twin(model)
    loss = type(fastmlp.losses.get(name))(**settings)
    expected_loss, expected = naive.gradients(layers, x.astype(np.float64), y, name, weights=weights, **settings)
    scale = max(np.abs(weight).max() for weight in model.get_weights())
    found = gradients_by_one_step(model, x, y, loss, sample_weight=weights)
    np.testing.assert_allclose(model.history.history["loss"][0], expected_loss, rtol=2e-6, atol=1e-6)
    for got, want in zip(found, naive.flatten(expected), strict=True):
        size = max(1e-3, np.abs(want).max())
        # the gradient is read off the change of a float32 weight: its rounding is the first term
        np.testing.assert_allclose(got, want, rtol=0, atol=1.2e-7 * (scale + size) + 5e-6 * size)


@pytest.mark.parametrize(("name", "parameters"), ACTIVATIONS)
def test_activation_values(name, parameters):
    function = activation(name, parameters)
    for shape in [(1,), (3, 17), (2, 5, 4)]:
        z = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 3
        expected = naive.ACTIVATIONS[name](z.astype(np.float64), **parameters)
        np.testing.assert_allclose(function(z), expected, rtol=1e-6, atol=3e-7)
    assert float(function(0.0)) == pytest.approx(float(naive.ACTIVATIONS[name](np.zeros((1, 1)), **parameters)[0, 0]))


@pytest.mark.parametrize(("name", "parameters"), ACTIVATIONS)
@pytest.mark.parametrize(("loss", "settings", "outputs", "kind"), LOSSES)
def test_hidden_gradients(name, parameters, loss, settings, outputs, kind):
    layers = [Input((3,)), Dense(5, activation(name, parameters)), Dense(2, outputs[0])]
    assert_gradients(Sequential(layers, seed=1), inputs(7, 3), targets(kind, 7, 2), loss, settings)


@pytest.mark.parametrize(
    ("loss", "settings", "output", "kind"),
    [(loss, settings, output, kind) for loss, settings, outputs, kind in LOSSES for output in outputs],
)
def test_output_gradients(loss, settings, output, kind):
    for rows, features, width, units in [(7, 5, 17, 3), (1, 1, 1, 2), (13, 16, 33, 5)]:
        layers = [Input((features,)), Dense(width, "tanh"), Dense(units, output)]
        weights = np.linspace(0.2, 2, rows)
        y = targets(kind, rows, units)
        assert_gradients(Sequential(layers, seed=2), inputs(rows, features), y, loss, settings, weights)


@pytest.mark.parametrize("name", ["binary", "categorical", "sparse_categorical"])
def test_cross_entropies_at_large_logits(name):
    loss = type(fastmlp.losses.get(f"{name}_crossentropy"))(from_logits=True)
    z = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], np.float32)
    y = np.array([1, 0]) if name == "sparse_categorical" else np.eye(3)[[1, 0]]
    _, expected, _ = naive.loss_value_and_gradient(f"{name}_crossentropy", y, z.astype(float), from_logits=True)
    assert loss(y, z) == pytest.approx(expected, rel=1e-6)


OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.05}), ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}), ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}), ("Adam", {"learning_rate": 0.01, "clipvalue": 0.02}),
    ("Adam", {"learning_rate": 0.01, "clipnorm": 0.1}), ("SGD", {"learning_rate": 0.1, "global_clipnorm": 0.2}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}), ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5}), ("RMSprop", {"learning_rate": 0.01, "centered": True}),
    ("SGD", {"learning_rate": 0.05, "weight_decay": 0.01}),
]  # fmt: skip
REGULARIZERS = [(None, None), ("L1", "L2"), ("L2", None), ("L1L2", "L1")]


@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
@pytest.mark.parametrize(("kernel", "bias"), REGULARIZERS)
def test_twenty_steps_follow_the_twin(optimizer, settings, kernel, bias):
    arguments = {"L1": {"l1": 0.003}, "L2": {"l2": 0.01}, "L1L2": {"l1": 0.002, "l2": 0.004}}
    regularizers = [name and getattr(fastmlp.regularizers, name)(**arguments[name]) for name in (kernel, bias)]
    model = Sequential(
        [
            Input((5,)),
            Dense(9, "tanh", kernel_regularizer=regularizers[0], bias_regularizer=regularizers[1]),
            Dense(7, "sigmoid", use_bias=False, kernel_regularizer=regularizers[0]),
            Dense(2),
        ],
        seed=4,
    )
    x, y = inputs(22, 5), targets("real", 22, 2)
    layers = twin(model)
    batches = [(x[i : i + 6].astype(np.float64), y[i : i + 6]) for i in range(0, 22, 6)] * 5
    expected = naive.train(layers, batches, "mean_squared_error", getattr(naive, optimizer)(**settings))
    model.compile(getattr(fastmlp.optimizers, optimizer)(**settings), "mse")
    history = model.fit(x, y, batch_size=6, epochs=5, shuffle=False, verbose=0).history["loss"]
    rows = np.array([6, 6, 6, 4])
    by_epoch = (np.array(expected).reshape(5, 4) * rows).sum(axis=1) / 22
    np.testing.assert_allclose(history, by_epoch, rtol=2e-5)
    for got, want in zip(model.get_weights(), naive.flatten(layers), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-4)


def test_first_step_by_hand():
    model = Sequential([Input((2,)), Dense(1)])
    model.set_weights([[[0.5], [-1.0]], [0.25]])
    model.compile(fastmlp.optimizers.SGD(learning_rate=0.1), "mse")
    # z = 2 * 0.5 - 3 + 0.25 = -1.75; loss (z - 1)^2 = 7.5625; dz = 2 (z - 1) = -5.5; dw = x dz; db = dz
    history = model.fit([[2.0, 3.0]], [1.0], verbose=0)
    assert history.history["loss"] == [7.5625]
    np.testing.assert_allclose(model.get_weights()[0], [[0.5 + 0.1 * 11], [-1.0 + 0.1 * 16.5]], rtol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], [0.25 + 0.55], rtol=1e-6)


def test_same_seed_same_bits_and_calls_change_nothing():
    x, y = inputs(50, 6), targets("label", 50, 3)

    def train(epochs: list[int], data) -> bytes:
        model = Sequential([Input((6,)), Dense(11, "relu"), Dense(3, "softmax")], seed=9)
        model.compile("adam", "sparse_categorical_crossentropy")
        for count in epochs:
            model.fit(data, y, batch_size=8, epochs=count, verbose=0)
        return b"".join(weight.tobytes() for weight in model.get_weights())

    assert train([3], x) == train([1, 2], x)
    assert train([3], x) == train([3], np.asfortranarray(x))
    assert train([3], x) == train([3], x.astype(np.float64))
    assert train([3], x) != train([2], x)


def test_predictions_have_the_same_bits_for_any_batch_size():
    model = Sequential([Input((6,)), Dense(37, "gelu"), Dense(5, "softmax")], seed=0)
    x = inputs(43, 6)
    whole = model.predict(x, batch_size=43)
    for size in (1, 2, 7, 32, 100):
        assert model.predict(x, batch_size=size).tobytes() == whole.tobytes()
    assert model(x[4:5]).tobytes() == whole[4:5].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_split_into_calls_changes_no_bit(monkeypatch, dtype):
    x, y = inputs(43, 6).astype(dtype), targets("real", 43, 3)

    def run() -> tuple[bytes, ...]:
        model = Sequential([Input((6,)), Dense(11, "relu"), Dense(3)], seed=9)
        model.compile("adam", "mse")
        losses = model.fit(x, y, batch_size=5, epochs=3, verbose=0).history["loss"]
        return np.array(losses).tobytes(), model.predict(x, batch_size=4).tobytes(), model.predict(x[:7]).tobytes()

    whole = run()
    monkeypatch.setattr("fastmlp.engine.session.SECONDS_A_CALL", 0.0)
    assert run() == whole
    monkeypatch.setattr("fastmlp.engine.feed.BLOCK_FLOATS", 70)
    assert run() == whole


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_new_models_compile_nothing():
    from fastmlp.activations import elementwise
    from fastmlp.engine.epoch import run_steps
    from fastmlp.losses import loss_value_and_grad

    def train(sizes, function, loss, optimizer, kind, batch, dtype=np.float32):
        layers = [Input((sizes[0],)), *(Dense(units, function) for units in sizes[1:-1]), Dense(sizes[-1])]
        model = Sequential(layers, seed=0)
        model.compile(optimizer, loss)
        x = inputs(20, sizes[0]).astype(dtype)
        model.fit(x, targets(kind, 20, sizes[-1]), batch_size=batch, verbose=0, validation_split=0.2)
        model.predict(x)

    def compiled() -> list[int]:
        return [len(function.signatures) for function in (run_steps, elementwise, loss_value_and_grad)]

    train([3, 4, 2], "relu", "mse", "sgd", "real", 5)
    before = compiled()
    assert before[0] == 1
    train([7, 1], "relu", "huber", "adam", "real", 1)
    train([1, 30, 20, 10, 3], fastmlp.activations.ELU(0.3), "mae", "rmsprop", "real", 20)
    train([5, 64, 4], "softmax", fastmlp.losses.SparseCategoricalCrossentropy(True), "adamw", "label", 7, np.int64)
    adam = fastmlp.optimizers.Adam(amsgrad=True, clipnorm=1.0)
    train([2, 3, 1], "mish", fastmlp.losses.BinaryCrossentropy(True), adam, "share", 3, np.float64)
    train([4, 8, 2], "gelu", "log_cosh", fastmlp.optimizers.SGD(momentum=0.9, nesterov=True), "real", 64)
    assert compiled() == before


def test_learns_xor():
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = Sequential([Input((2,)), Dense(8, "tanh"), Dense(1, "sigmoid")], seed=1)
    model.compile(fastmlp.optimizers.Adam(0.05), "binary_crossentropy", ["accuracy"])
    history = model.fit(x, y, epochs=200, batch_size=4, verbose=0).history
    assert history["accuracy"][-1] == 1.0
    assert history["loss"][-1] < 0.05


@pytest.mark.parametrize("rate", [1e30, 1e6])
def test_divergence_is_an_error_and_keeps_the_last_finite_weights(rate):
    x, y = inputs(40, 4) * 10, targets("real", 40, 2)
    model = Sequential([Input((4,)), Dense(6, "relu"), Dense(2)], seed=3)
    model.compile(fastmlp.optimizers.SGD(1e-3), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    kept = model.get_weights()
    model.optimizer.learning_rate = rate
    with pytest.raises(fastmlp.errors.TrainingDivergedError, match=r"epoch 1: .*learning_rate"):
        model.fit(x, y, epochs=5, batch_size=4, verbose=0)
    for old, new in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.optimizer.learning_rate = 1e-3
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])
