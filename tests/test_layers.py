"""Layers beside Dense: training and prediction against the float64 twin, and what users may do with them."""

import copy

import naive_layers as naive
import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, layers, optimizers

K, N = 7, 5


def d(array):
    return np.asarray(array, np.float64)


def dense(layer):
    return naive.Dense(*map(d, layer.get_weights()))


def batch_norm(layer):
    return naive.BatchNormalization(*map(d, layer.get_weights()), layer.momentum, layer.epsilon)


def layer_norm(layer):
    return naive.LayerNormalization(*map(d, layer.get_weights()), layer.epsilon)


# name: layers after Input((K,)), and a function from the built layers to their twins
STACKS = {
    "activation layers": (
        lambda: [Dense(9), layers.Activation("tanh"), layers.Activation("sigmoid"), Dense(N)],
        lambda a: [dense(a[0]), naive.Activation("tanh"), naive.Activation("sigmoid"), dense(a[3])],
    ),
    "activation first": (
        lambda: [layers.Activation("tanh"), Dense(N)],
        lambda a: [naive.Activation("tanh"), dense(a[1])],
    ),
    "softmax inside": (
        lambda: [Dense(9, "softmax"), Dense(8), layers.Activation("softmax"), layers.Activation("softmax"), Dense(N)],
        lambda a: [dense(a[0]), naive.Softmax(), dense(a[1]), naive.Softmax(), naive.Softmax(), dense(a[4])],
    ),
    "rescaling": (
        lambda: [layers.Rescaling(0.25, -1.0), Dense(9, "tanh"), layers.Rescaling(3.0), Dense(N)],
        lambda a: [naive.Scale(0.25, -1.0), dense(a[1]), naive.Activation("tanh"), naive.Scale(3.0, 0.0), dense(a[3])],
    ),
    "batch normalization": (
        lambda: [Dense(9), layers.BatchNormalization(momentum=0.8), layers.Activation("relu"), Dense(N)],
        lambda a: [dense(a[0]), batch_norm(a[1]), naive.Activation("relu"), dense(a[3])],
    ),
    "batch normalization first and twice": (
        lambda: [layers.BatchNormalization(), Dense(33, "tanh"), layers.BatchNormalization(0.5, 0.01), Dense(N)],
        lambda a: [batch_norm(a[0]), dense(a[1]), naive.Activation("tanh"), batch_norm(a[2]), dense(a[3])],
    ),
    "batch normalization last": (
        lambda: [Dense(N), layers.BatchNormalization()],
        lambda a: [dense(a[0]), batch_norm(a[1])],
    ),
    "layer normalization": (
        lambda: [Dense(9), layers.LayerNormalization(), layers.Activation("relu"), Dense(N)],
        lambda a: [dense(a[0]), layer_norm(a[1]), naive.Activation("relu"), dense(a[3])],
    ),
    "layer normalization of 37 and first": (
        lambda: [layers.LayerNormalization(0.1), Dense(37, "tanh"), layers.LayerNormalization(), Dense(N)],
        lambda a: [layer_norm(a[0]), dense(a[1]), naive.Activation("tanh"), layer_norm(a[2]), dense(a[3])],
    ),
    "normalizations of each other, of softmax, and with softmax": (
        lambda: [
            Dense(9, "softmax"), layers.BatchNormalization(), layers.LayerNormalization(), layers.Activation("softmax"),
            layers.LayerNormalization(), Dense(N),
        ],
        lambda a: [
            dense(a[0]), naive.Softmax(), batch_norm(a[1]), layer_norm(a[2]), naive.Softmax(), layer_norm(a[4]),
            dense(a[5]),
        ],
    ),
    "residual": (
        lambda: [Dense(9, "tanh"), layers.Residual([Dense(12, "relu"), Dense(9)]), layers.Activation("tanh"), Dense(N)],
        lambda a: [
            dense(a[0]), naive.Activation("tanh"),
            naive.Residual([dense(a[1].layers[0]), naive.Activation("relu"), dense(a[1].layers[1])]),
            naive.Activation("tanh"), dense(a[3]),
        ],
    ),
    "residual first, nested, with normalization": (
        lambda: [
            layers.Residual([
                layers.BatchNormalization(), layers.Activation("relu"), Dense(11),
                layers.Residual([layers.LayerNormalization(), Dense(11, "tanh")]), Dense(K),
            ]),
            Dense(N),
        ],
        lambda a: [
            naive.Residual([
                batch_norm(a[0].layers[0]), naive.Activation("relu"), dense(a[0].layers[2]),
                naive.Residual([
                    layer_norm(a[0].layers[3].layers[0]), dense(a[0].layers[3].layers[1]), naive.Activation("tanh"),
                ]),
                dense(a[0].layers[4]),
            ]),
            dense(a[1]),
        ],
    ),
    "residual last": (
        lambda: [Dense(N, "relu"), layers.Residual([Dense(N)])],
        lambda a: [dense(a[0]), naive.Activation("relu"), naive.Residual([dense(a[1].layers[0])])],
    ),
}  # fmt: skip


def data(rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 2, (rows, K)).astype(np.float32), rng.normal(0, 1, (rows, N)).astype(np.float32)


def randomised(model, seed=3):
    """Weights that are neither 0 nor 1, so that no factor hides; variances stay positive."""
    rng = np.random.default_rng(seed)
    model.set_weights([
        weight if weight.ndim == 2 else np.abs(weight + rng.normal(0, 0.3, weight.shape)) + 0.1
        for weight in model.get_weights()
    ])  # fmt: skip


def pair(name, optimizer=None):
    make, twin = STACKS[name]
    model = Sequential([Input(shape=(K,)), *make()], seed=1)
    randomised(model)
    model.compile(optimizer or optimizers.SGD(0.05), "mse")
    return model, twin(model.layers)


def assert_same_weights(model, twin, rtol=2e-4, atol=2e-5):
    for ours, theirs in zip(model.get_weights(), naive.weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("rows", [1, 4, 50, 131])
@pytest.mark.parametrize("name", STACKS)
def test_predictions(name, rows):
    model, twin = pair(name)
    x, _ = data(rows)
    np.testing.assert_allclose(model.predict(x), naive.forward(twin, d(x)), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("batch", [3, 50, 117])
@pytest.mark.parametrize("name", STACKS)
def test_training(name, batch):
    model, twin = pair(name)
    x, y = data(117)
    losses = model.fit(x, y, batch_size=batch, epochs=2, shuffle=False, verbose=0).history["loss"]
    for epoch in range(2):
        total = 0.0
        for first in range(0, len(x), batch):
            part = slice(first, first + batch)
            total += naive.sgd_step(twin, d(x[part]), d(y[part]), 0.05) * len(x[part])
        assert losses[epoch] == pytest.approx(total / len(x), rel=1e-4)
    assert_same_weights(model, twin)
    np.testing.assert_allclose(model.predict(x), naive.forward(twin, d(x)), rtol=1e-3, atol=1e-4)


@pytest.mark.jit_only
@pytest.mark.parametrize("name", ["batch normalization first and twice", "residual first, nested, with normalization"])
def test_the_same_bits_for_any_number_of_threads(name, monkeypatch):
    from fastmlp.engine import session
    from fastmlp.engine.pace import Pace

    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(session, "threads_for", lambda *work, threads=threads: threads)
        monkeypatch.setattr("fastmlp.threads._pool.chosen", threads)
        monkeypatch.setattr(Pace, "threads", lambda self, team: team)
        model, _ = pair(name, optimizers.Adam(0.01))
        model.add(layers.Dropout(0.3))
        model.add(Dense(41, kernel_constraint="max_norm"))
        model.add(layers.GaussianNoise(0.2))
        model.add(Dense(2, kernel_constraint="unit_norm"))
        model.compile("adam", "mse")
        x, y = data(700)
        model.fit(x, y[:, :2], batch_size=300, epochs=2, verbose=0)
        results.append(b"".join(weight.tobytes() for weight in model.get_weights()))
    assert results[0] == results[1] == results[2]


def test_normalization_adapts_to_the_data():
    rng = np.random.default_rng(0)
    x = (rng.normal(0, 1, (5000, 3)) * [1e-3, 1, 300] + [1000, 0, -5]).astype(np.float32)
    normalization = layers.Normalization()
    normalization.adapt(x)
    mean, variance, count = normalization.get_weights()
    np.testing.assert_allclose(mean, d(x).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, d(x).var(axis=0), rtol=1e-5)
    assert count == 5000
    model = Sequential([Input(shape=(3,)), normalization])
    result = model.predict(x)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(result.std(axis=0)[1:], 1, rtol=1e-3)
    normalization.adapt(x * 2)
    np.testing.assert_allclose(model.predict(x * 2)[:, 1:], result[:, 1:], atol=1e-4)


def test_normalization_with_given_moments_and_constant_features():
    model = Sequential([Input(shape=(2,)), layers.Normalization(mean=[1, 2], variance=4)])
    np.testing.assert_allclose(model.predict([[3, 2], [1, 6]]), [[1, 0], [0, 2]])
    assert model.get_weights() == []
    constant = layers.Normalization()
    constant.adapt(np.full((10, 2), 5.0))
    assert (Sequential([Input(shape=(2,)), constant]).predict(np.full((3, 2), 5.0)) == 0).all()


@pytest.mark.parametrize(
    ("layer", "at"),
    [
        (layers.BatchNormalization, 3),
        (layers.Normalization, 1),
        (lambda: layers.Residual([layers.BatchNormalization()]), 3),
    ],
)
def test_a_variance_is_not_negative(layer, at):
    model = Sequential([Input(shape=(2,)), layer(), Dense(1)], seed=0)
    before = model.get_weights()
    given = [weight + 1 for weight in before]
    given[at] = given[at] * [1, -1]
    for owner, weights in ((model, given), (model.layers[0], given[:-2])):
        with pytest.raises(ValueError, match=r"a variance among the weights of layer .* must not be negative, got -2"):
            owner.set_weights(weights)
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), before, strict=True))
    given[at] = given[at] * 0
    model.set_weights(given)


def test_normalization_refuses():
    with pytest.raises(ValueError, match="both, or neither"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="cannot adapt"):
        layers.Normalization(0.0, 1.0).adapt([[1.0]])
    with pytest.raises(ValueError, match="at least 0"):
        layers.Normalization(0.0, -1.0)
    with pytest.raises(ValueError, match="finite"):
        layers.Normalization().adapt([[np.nan]])
    with pytest.raises(ValueError, match=r"\(rows, features\)"):
        layers.Normalization().adapt([1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"data must have variances that are finite in float32, got 1e\+60 of feature 1"
    ):
        layers.Normalization().adapt([[1.0, 1e30], [-1.0, -1e30]])
    with pytest.raises(ValueError, match=r"must be a number or have the shape \(3,\)"):
        Sequential([Input(shape=(3,)), layers.Normalization([1, 2], 1.0)])


def test_dropout_statistics():
    rows, units, rate = 400, 250, 0.3
    model = Sequential([Input(shape=(units,)), layers.Dropout(rate), Dense(1, use_bias=False)], seed=5)
    model.compile(optimizers.SGD(1.0), "mse")
    # the gradient of w is 2 / B sum_b p_b a_b with p = 0 - y: each column counts how often it was kept
    model.set_weights([np.zeros((units, 1))])
    x, y = np.ones((rows, units), np.float32), np.full(rows, -1.0)
    model.fit(x, y, batch_size=rows, epochs=1, verbose=0)
    kept = -model.get_weights()[0][:, 0] / 2 * (1 - rate)
    assert kept.mean() == pytest.approx(1 - rate, abs=4 * np.sqrt(rate * (1 - rate) / (rows * units)))
    assert kept.std() == pytest.approx(np.sqrt(rate * (1 - rate) / rows), rel=0.2)
    np.testing.assert_allclose(model.predict(x), x @ model.get_weights()[0], rtol=1e-4)


def one_step(layer, seed, epochs=1):
    model = Sequential([Input(shape=(40,)), layer, Dense(3)], seed=seed)
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(0, 1, (60, 40)).astype(np.float32)
    model.fit(x, x[:, :3], batch_size=20, epochs=epochs, verbose=0)
    return model.get_weights()[0]


@pytest.mark.parametrize("layer", [layers.Dropout, layers.GaussianNoise])
def test_noise_follows_from_the_seed(layer):
    assert (one_step(layer(0.5), 1) == one_step(layer(0.5), 1)).all()
    assert (one_step(layer(0.5, seed=1), 1) != one_step(layer(0.5, seed=2), 1)).any()


def test_gaussian_noise_statistics():
    rows, units, deviation = 3000, 37, 0.5
    model = Sequential([Input(shape=(units,)), layers.GaussianNoise(deviation), layers.BatchNormalization(0.0)], seed=2)
    model.compile(optimizers.SGD(0.0), "mse")
    x = np.zeros((rows, units), np.float32)
    model.fit(x, x, batch_size=rows, verbose=0)
    _, _, mean, variance = model.get_weights()
    assert mean.mean() == pytest.approx(0, abs=4 * deviation / np.sqrt(rows * units))
    assert variance.mean() == pytest.approx(deviation**2, rel=4 * np.sqrt(2 / (rows * units)))
    np.testing.assert_allclose(variance, deviation**2, rtol=6 * np.sqrt(2 / rows))


def test_normal_pairs():
    from math import cos, erf, log, pi, sin, sqrt

    from fastmlp.kernels.noise import gaussian_row, normal_pair, random_words

    ends = [0, 1, 2, 3, 2**30, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1, 123456789]
    for first in ends:
        for second in ends:
            one, other = normal_pair(np.uint32(first), np.uint32(second))
            distance = sqrt(-2 * log(((first >> 1) + 0.5) / 2**31))
            angle = pi * (second - 2**32 * (second >= 2**31)) / 2**32
            # near 1, float32 holds u to within 3e-8
            assert one == pytest.approx(distance * sin(angle), rel=1e-6, abs=4e-4)
            assert other == pytest.approx(distance * cos(angle) * (1 - 2 * (first % 2)), rel=1e-6, abs=4e-4)

    rows, units = 500, 400
    noise = np.zeros((rows, units), np.float32)
    words = np.zeros(units, np.uint32)
    for row in range(rows):
        random_words(words, units, np.uint64(3), 1, 0, row)
        gaussian_row(noise[row], words, np.float32(1))
    ordered = np.sort(noise.ravel())
    exact = np.array([0.5 + 0.5 * erf(z / sqrt(2)) for z in ordered.tolist()])
    # Kolmogorov's and Smirnov's distance: above this with a probability of 1e-4
    assert np.abs(exact - (np.arange(exact.size) + 0.5) / exact.size).max() < 2.23 / sqrt(exact.size)
    assert np.abs(np.corrcoef(noise[:, : units // 2].ravel(), noise[:, units // 2 :].ravel())[0, 1]) < 0.013
    assert np.abs(ordered**4).mean() == pytest.approx(3, rel=0.03)


def test_flatten_and_images():
    x = np.random.default_rng(0).normal(0, 1, (20, 4, 3)).astype(np.float32)
    model = Sequential([Input(shape=(4, 3)), layers.Rescaling(2.0), layers.Flatten(), Dense(2)], seed=0)
    flat = Sequential([Input(shape=(12,)), Dense(2)], seed=0)
    flat.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(x), flat.predict(2 * x.reshape(20, 12)), rtol=1e-6)
    lazy = Sequential([layers.Flatten(), Dense(2)])
    assert lazy.predict(x).shape == (20, 2)
    with pytest.raises(ValueError, match=r"samples of the shape \(4, 3\).*got \(4, 4\)"):
        model.predict(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"\(rows, 4, 3\)"):
        model.predict(np.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"Flatten\(\)"):
        Sequential([Input(shape=(4, 3)), Dense(2)])


def test_frozen_layers_stay():
    model, twin = pair("batch normalization first and twice", optimizers.SGD(0.05))
    x, y = data(60)
    for ours, theirs in zip(model.layers[:3], [twin[0], twin[1], twin[3]], strict=True):
        ours.trainable = theirs.trainable = False
    before = model.get_weights()
    model.fit(x, y, batch_size=20, epochs=1, shuffle=False, verbose=0)
    for first in range(0, 60, 20):
        naive.sgd_step(twin, d(x[first : first + 20]), d(y[first : first + 20]), 0.05)
    assert_same_weights(model, twin)
    after = model.get_weights()
    assert all((a == b).all() for a, b in zip(before[:-2], after[:-2], strict=True))
    assert (before[-1] != after[-1]).any()
    model.layers[1].trainable = True
    model.fit(x, y, verbose=0)
    assert (model.get_weights()[4] != after[4]).any()


def test_a_frozen_model_stays():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (40, K)), rng.normal(0, 1, (40, N))
    model = Sequential([Input(shape=(K,)), Dense(8), layers.Residual([layers.BatchNormalization()]), Dense(N)], seed=0)
    model.compile("adam", "mse")
    assert model.trainable
    for trainable in (False, True):
        model.trainable = trainable
        assert model.trainable == trainable
        before = model.get_weights()
        model.fit(x, y, verbose=0)
        same = [np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True)]
        assert all(same) if not trainable else not any(same)
    with pytest.raises(TypeError, match="trainable must be True or False"):
        model.trainable = "no"


def test_settings_of_a_built_layer_cannot_change():
    model = Sequential(
        [Input(shape=(K,)), Dense(8), layers.Dropout(0.5), layers.BatchNormalization(), Dense(N)], seed=0
    )
    dense, dropout, batch, _ = model.layers
    for layer, name, value in ((dense, "activation", "tanh"), (dropout, "rate", 0.1), (batch, "momentum", 0.5)):
        with pytest.raises(AttributeError, match=f"{name} of layer '{layer.name}' cannot change once it is built"):
            setattr(layer, name, value)
    dense.mine = 3
    not_built = layers.Dropout(0.5)
    not_built.rate = 0.1


def test_a_frozen_layer_above_a_trained_one_passes_gradients():
    model, twin = pair("residual", optimizers.SGD(0.05))
    model.layers[3].trainable = twin[4].trainable = False
    x, y = data(30)
    model.fit(x, y, batch_size=30, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        naive.sgd_step(twin, d(x), d(y), 0.05)
    assert_same_weights(model, twin)


@pytest.mark.parametrize("units", [1, 3, 40])
def test_constraints(units):
    x, y = data(64)
    for name, holds in (
        ("max_norm", lambda w: (np.linalg.norm(w, axis=0) <= 2 + 1e-5).all()),
        ("unit_norm", lambda w: np.allclose(np.linalg.norm(w, axis=0), 1, atol=1e-5)),
        ("non_neg", lambda w: (w >= 0).all() and (w == 0).any()),
    ):
        model = Sequential([Input(shape=(K,)), Dense(units, kernel_constraint=name), Dense(N)], seed=0)
        model.compile(optimizers.SGD(0.1), "mse")
        model.fit(x / 3, y * 20, batch_size=16, epochs=3, verbose=0)
        assert holds(model.get_weights()[0]), name


@pytest.mark.parametrize(("inputs", "units"), [(7, 5), (7, 40), (66, 1), (66, 3), (66, 33)])
@pytest.mark.parametrize("name", ["max_norm", "unit_norm"])
def test_a_constraint_is_kerass_formula(name, inputs, units):
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (32, inputs)), rng.normal(0, 1, (32, units))
    constraint = {"max_norm": fastmlp.constraints.MaxNorm(0.5), "unit_norm": "unit_norm"}[name]
    twin_model = Sequential([Input(shape=(inputs,)), Dense(units)], seed=0)
    model = Sequential([Input(shape=(inputs,)), Dense(units, kernel_constraint=constraint)], seed=0)
    for each in (twin_model, model):
        each.compile(optimizers.SGD(0.1), "mse")
        each.fit(x, y, batch_size=32, epochs=1, verbose=0)
    w = d(twin_model.get_weights()[0])
    norms = np.linalg.norm(w, axis=0)
    expected = w * (np.clip(norms, 0, 0.5) if name == "max_norm" else 1) / (1e-7 + norms)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.jit_only
def test_a_classifier_with_everything():
    (x, labels), (held_out, held_out_labels) = fastmlp.datasets.load_digits()
    stack = [
        Input(shape=(64,)), layers.Rescaling(2.0, -1.0), Dense(64, use_bias=False), layers.BatchNormalization(),
        layers.Activation("relu"), layers.Dropout(0.2),
        layers.Residual([Dense(64, "relu"), layers.LayerNormalization()]), Dense(10), layers.Activation("softmax"),
    ]  # fmt: skip
    model = Sequential(stack, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, labels, epochs=15, verbose=0)
    assert model.evaluate(held_out, held_out_labels, return_dict=True)["accuracy"] > 0.96
    assert np.allclose(model.predict(x[:5]).sum(axis=1), 1, atol=1e-5)


def test_names_weights_and_summary(capsys):
    model = Sequential(
        [
            Input(shape=(4,)),
            Dense(4),
            layers.BatchNormalization(),
            layers.Residual([Dense(4), layers.LayerNormalization()]),
        ]
    )
    assert [layer.name for layer in model.layers] == ["dense", "batch_normalization", "residual"]
    assert [layer.name for layer in model.layers[2].layers] == ["dense_1", "layer_normalization"]
    assert [weight.shape for weight in model.get_weights()] == [(4, 4), *[(4,)] * 5, (4, 4), *[(4,)] * 3]
    model.summary()
    out = capsys.readouterr().out
    assert "batch_normalization (BatchNormalization)" in out
    assert "Non-trainable parameters: 8" in out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dropout(1.0), "rate must be below 1"),
        (lambda: layers.Dropout(-0.1), "rate must be a number from 0 to 1"),
        (lambda: layers.GaussianNoise(-1), "stddev"),
        (lambda: layers.BatchNormalization(momentum=2), "momentum"),
        (lambda: layers.BatchNormalization(epsilon=0), "epsilon must be greater than 0"),
        (lambda: layers.LayerNormalization(epsilon=-1), "epsilon"),
        (lambda: layers.Residual([]), "at least one layer"),
        (lambda: layers.Activation("relo"), "relu"),
        (lambda: Dense(3, kernel_constraint="maxnorm"), "max_norm"),
        (lambda: Sequential([Input(shape=(4,)), layers.Residual([Dense(3)])]), "4 features become 3"),
        (lambda: Sequential([Input(shape=(4, 2)), layers.BatchNormalization()]), "BatchNormalization takes rows"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.jit_only
@pytest.mark.parametrize("name", STACKS)
def test_gradients_pass_the_check_and_change_nothing(name):
    model, _ = pair(name)
    x, y = data(40)
    before = b"".join(weight.tobytes() for weight in model.get_weights())
    check = model.check_gradients(x, y)
    assert check.passed, check
    # a bias before a batch normalization has no effect, and its gradient is rounding alone
    assert max(one.error for one in check if one.norm > 1e-6) < 5e-3, check
    assert b"".join(weight.tobytes() for weight in model.get_weights()) == before


@pytest.mark.jit_only
def test_gradients_with_noise_pass_the_check():
    model = Sequential(
        [Input(shape=(K,)), layers.GaussianNoise(0.1), Dense(20, "tanh"), layers.Dropout(0.4), Dense(N)], seed=0
    )
    model.compile("adam", "mse")
    assert model.check_gradients(*data(40)).worst < 5e-3


@pytest.mark.parametrize("name", STACKS)
def test_forward_shows_every_layer(name):
    model, twin = pair(name)
    x, _ = data(29)
    a = d(x)
    rest = iter(twin)
    for layer, output in zip(model.layers, model.forward(x), strict=True):
        a = next(rest).forward(a, False)
        activation = getattr(layer, "activation", None)
        if isinstance(layer, Dense):
            np.testing.assert_allclose(output.z, a, rtol=1e-4, atol=1e-5)
            if activation.name != "linear":
                a = next(rest).forward(a, False)
        np.testing.assert_allclose(output.a, a, rtol=1e-4, atol=2e-5)
    np.testing.assert_array_equal(output.a, model.predict(x))


def test_forward_with_flatten_and_dropout():
    model = Sequential(
        [Input(shape=(2, 3)), layers.Flatten(), layers.Dropout(0.5), Dense(4), layers.Activation("relu")]
    )
    x = np.random.default_rng(0).normal(0, 1, (5, 2, 3)).astype(np.float32)
    flatten, dropout, dense_out, relu = model.forward(x)
    for output in (flatten, dropout):
        np.testing.assert_array_equal(output.a, x.reshape(5, 6))
    assert (dense_out.a == dense_out.z).all()
    assert (relu.z == dense_out.z).all()
    assert (relu.a == np.maximum(relu.z, 0)).all()


def test_diagnostics_of_all_layers():
    model, _ = pair("residual first, nested, with normalization", "adam")
    x, y = data(60)
    diagnostics = fastmlp.callbacks.Diagnostics(x, y)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[diagnostics])
    assert set(diagnostics.history) == {layer.name for layer in model.layers}


@pytest.mark.parametrize("width", [1, 5, 16, 17])
def test_normalization_above_a_trained_layer(width):
    """Its padding columns have no variance to divide by."""
    constants = layers.Normalization(mean=0.5, variance=4.0)
    model = Sequential([Input(shape=(K,)), Dense(width, "tanh"), constants, Dense(N)], seed=1)
    model.compile(optimizers.SGD(0.05), "mse")
    first, _, last = model.layers
    twin = [dense(first), naive.Activation("tanh"), naive.Scale(0.5, -0.25), dense(last)]
    x, y = data(60)
    model.fit(x, y, batch_size=20, epochs=1, shuffle=False, verbose=0)
    for start in range(0, 60, 20):
        naive.sgd_step(twin, d(x[start : start + 20]), d(y[start : start + 20]), 0.05)
    assert_same_weights(model, twin)


def test_freezing_during_a_training_waits_for_the_next_one():
    frozen = Dense(8, "tanh")
    frozen.trainable = False
    model = Sequential([Input(shape=(K,)), frozen, Dense(N)], seed=0)
    model.compile("adam", "mse")
    x, y = data(60)
    before = frozen.get_weights()[0]

    class Thaw(fastmlp.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            frozen.trainable = True
            self.model.get_weights()
            self.model.evaluate(x, y)
            with pytest.raises(RuntimeError, match="cannot change while it trains"):
                self.model.pop()

    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[Thaw()]).history["loss"]
    assert (frozen.get_weights()[0] == before).all()
    assert model.evaluate(x, y) < history[-1] < history[0]
    model.fit(x, y, verbose=0)
    assert (frozen.get_weights()[0] != before).any()


def test_a_frozen_batch_normalization_without_weights_of_its_own():
    norm = layers.BatchNormalization(center=False, scale=False)
    model = Sequential([Input(shape=(K,)), norm, Dense(N)], seed=0)
    model.compile("sgd", "mse")
    norm.trainable = False
    before = norm.get_weights()
    model.fit(*data(40), verbose=0)
    for old, new in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_set_weights_reaches_a_normalization_inside():
    inside = layers.Normalization()
    model = Sequential([Input(shape=(K,)), layers.Residual([inside]), Dense(N)], seed=0)
    x, _ = data(40)
    inside.adapt(x)
    other = Sequential([Input(shape=(K,)), layers.Residual([layers.Normalization()]), Dense(N)], seed=1)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def test_a_layer_stands_in_one_place():
    one = Dense(K)
    with pytest.raises(ValueError, match="already belongs to a model or this one"):
        layers.Residual([one, one])


def test_names_given_by_a_failed_add_are_taken_back():
    def raises(shape, generator):
        raise ZeroDivisionError

    class Raises(fastmlp.initializers.Zeros):
        __call__ = staticmethod(raises)

    inner = [Dense(K), Dense(K, kernel_initializer=Raises())]
    model = Sequential([Input(shape=(K,)), Dense(K)], seed=0)
    with pytest.raises(ZeroDivisionError):
        model.add(layers.Residual(inner))
    assert [layer.name for layer in inner] == [None, None]
    assert model.predict(data(3)[0]).shape == (3, K)


def test_a_copy_of_a_layer_belongs_to_nobody():
    own = fastmlp.activations.Custom(lambda z: z * z, lambda z, a: 2 * z)
    model = Sequential([Input((K,)), Dense(K, own), layers.Normalization(), layers.Residual([Dense(K)])], seed=0)
    x = np.random.default_rng(0).normal(size=(5, K))
    expected = model.predict(x)
    twins = [copy.deepcopy(layer) for layer in model.layers]
    other = Sequential([Input((K,)), *twins], seed=1)
    np.testing.assert_array_equal(other.predict(x), expected)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    np.testing.assert_array_equal(model.predict(x), expected)
    with pytest.raises(ValueError, match="already belongs"):
        Sequential([Input((K,)), *copy.deepcopy(model.layers[2]).layers])
