"""The twin against central differences, scikit-learn, SciPy and numbers worked out by hand."""

import math

import naive
import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

H = 1e-5  # step of the central differences


# The gradient of the scalar f() with respect to the array w, which f reads.
def central_differences(f, w):
    result = np.empty_like(w)
    for i in np.ndindex(w.shape):
        old = w[i]
        w[i] = old + H
        above = f()
        w[i] = old - H
        below = f()
        w[i] = old
        result[i] = (above - below) / (2 * H)
    return result


def assert_gradient(actual, f, w):
    np.testing.assert_allclose(actual, central_differences(f, w), rtol=1e-6, atol=1e-8)


ACTIVATION_CASES = [(name, {}) for name in naive.ACTIVATIONS] + [
    ("elu", {"alpha": 0.3}),
    ("leaky_relu", {"negative_slope": 0.05}),
    ("gelu", {"approximate": True}),
]


@pytest.mark.parametrize(("name", "parameters"), ACTIVATION_CASES)
def test_activation_gradient(name, parameters):
    rng = np.random.default_rng(1)
    z, da = rng.normal(0, 3, (7, 5)), rng.normal(size=(7, 5))
    assert np.min(np.abs(z)) > 10 * H  # no kink within reach
    assert np.min(np.abs(np.abs(z) - 3)) > 10 * H
    actual = naive.ACTIVATION_BACKWARD[name](z, da, **parameters)
    assert_gradient(actual, lambda: np.sum(da * naive.ACTIVATIONS[name](z, **parameters)), z)


@pytest.mark.parametrize(("name", "parameters"), ACTIVATION_CASES)
def test_activation_is_stable(name, parameters):
    z = np.array([[-1e4, -800.0, -40.0, 0.0, 40.0, 700.0], [1e4, 800.0, -1e4, 1.0, -1.0, -0.0]])
    a = naive.ACTIVATIONS[name](z, **parameters)
    dz = naive.ACTIVATION_BACKWARD[name](z, np.ones_like(z), **parameters)
    finite = z < 709.78 if name == "exponential" else np.full(z.shape, True)
    assert np.all(np.isfinite(a) == finite)
    assert np.all(np.isfinite(dz) == finite)
    assert a.dtype == dz.dtype == np.float64


def test_activation_values():
    z = np.random.default_rng(2).normal(0, 4, (6, 4))
    expected = {
        "linear": z,
        "sigmoid": special.expit(z),
        "tanh": 2 * special.expit(2 * z) - 1,
        "relu": (z + np.abs(z)) / 2,
        "elu": [[v if v > 0 else math.exp(v) - 1 for v in row] for row in z],
        "selu": [[1.05070099 * (v if v > 0 else 1.67326324 * (math.exp(v) - 1)) for v in row] for row in z],
        "softplus": np.log1p(np.exp(z)),
        "softmax": special.softmax(z, axis=1),
        "leaky_relu": [[v if v > 0 else v / 5 for v in row] for row in z],
        "gelu": z * stats.norm.cdf(z),
        "silu": z * special.expit(z),
        "softsign": [[v / (1 + abs(v)) for v in row] for row in z],
        "hard_sigmoid": [[min(max(v / 6 + 0.5, 0), 1) for v in row] for row in z],
        "exponential": [[math.exp(v) for v in row] for row in z],
        "mish": [[v * math.tanh(math.log(1 + math.exp(v))) for v in row] for row in z],
    }
    assert set(expected) == set(naive.ACTIVATIONS) == set(naive.ACTIVATION_BACKWARD)
    for name, values in expected.items():
        np.testing.assert_allclose(naive.ACTIVATIONS[name](z), values, rtol=1e-8, atol=1e-12, err_msg=name)
    # Good to three digits or so, which is all the approximation promises.
    np.testing.assert_allclose(naive.gelu(z, approximate=True), naive.gelu(z), atol=1e-3)
    assert naive.gelu(np.array([1.0]), approximate=True)[0] == pytest.approx(0.841192, abs=1e-6)
    assert naive.elu(np.array([-1.0]), alpha=2.0)[0] == pytest.approx(2 * (math.exp(-1) - 1))
    assert naive.leaky_relu(np.array([-1.0]), negative_slope=0.1)[0] == pytest.approx(-0.1)


def test_derivatives_at_kinks():
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    assert naive.ACTIVATION_BACKWARD["relu"](zero, one) == 0
    assert naive.ACTIVATION_BACKWARD["leaky_relu"](zero, one) == 0.2
    assert naive.ACTIVATION_BACKWARD["elu"](zero, one, alpha=0.5) == 0.5
    assert naive.ACTIVATION_BACKWARD["hard_sigmoid"](zero + 3, one) == 0
    assert naive.ACTIVATION_BACKWARD["hard_sigmoid"](zero - 3, one) == 0


LOSS_CASES = [
    ("mean_squared_error", {}),
    ("mean_absolute_error", {}),
    ("huber", {}),
    ("huber", {"delta": 0.4}),
    ("log_cosh", {}),
    ("poisson", {}),
    ("binary_crossentropy", {}),
    ("binary_crossentropy", {"label_smoothing": 0.2}),
    ("binary_crossentropy", {"from_logits": True}),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("categorical_crossentropy", {}),
    ("categorical_crossentropy", {"label_smoothing": 0.2}),
    ("categorical_crossentropy", {"from_logits": True}),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("sparse_categorical_crossentropy", {}),
    ("sparse_categorical_crossentropy", {"from_logits": True}),
]


# Targets and outputs in the domain of the loss; the probabilities do not sum to 1.
def loss_data(name, B=6, N=4, seed=3, from_logits=False):
    rng = np.random.default_rng(seed)
    out = rng.normal(0, 2, (B, N))
    if "crossentropy" in name and not from_logits:
        out = rng.uniform(0.05, 0.95, (B, N))
    elif name == "poisson":
        out = rng.uniform(0.2, 5, (B, N))
    if name == "sparse_categorical_crossentropy":
        y = rng.integers(0, N, B)
    elif name == "categorical_crossentropy":
        y = rng.dirichlet(np.ones(N), B)  # soft targets
    elif name == "binary_crossentropy":
        y = rng.integers(0, 2, (B, N)).astype(float)
    elif name == "poisson":
        y = rng.poisson(2.0, (B, N)).astype(float)
    else:
        y = rng.normal(size=(B, N))
    return y, out


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "parameters"), LOSS_CASES)
def test_loss_gradient(name, parameters, weighted):
    y, out = loss_data(name, from_logits=parameters.get("from_logits", False))
    weights = np.array([0.0, 1.0, 2.5, 0.5, 1.0, 3.0]) if weighted else None
    per_sample, loss, gradient = naive.loss_value_and_gradient(name, y, out, weights=weights, **parameters)
    assert per_sample.shape == (6,)
    expected = np.mean(per_sample) if weights is None else weights @ per_sample / 6
    assert loss == pytest.approx(expected)
    assert_gradient(
        gradient,
        lambda: naive.loss_value_and_gradient(name, y, out, weights=weights, **parameters)[1],
        out,
    )


def loss_of(name, y, out, **parameters):
    return naive.loss_value_and_gradient(name, y, out, **parameters)[1]


def test_losses_against_scikit_learn():
    y, out = loss_data("mean_squared_error")
    assert loss_of("mean_squared_error", y, out) == pytest.approx(metrics.mean_squared_error(y, out))
    assert loss_of("mean_absolute_error", y, out) == pytest.approx(metrics.mean_absolute_error(y, out))

    y, p = loss_data("binary_crossentropy")
    expected = metrics.log_loss(y.ravel(), p.ravel())
    assert loss_of("binary_crossentropy", y, p) == pytest.approx(expected)
    assert loss_of("binary_crossentropy", y, special.logit(p), from_logits=True) == pytest.approx(expected)

    y, z = loss_data("sparse_categorical_crossentropy", B=40, from_logits=True)
    p = special.softmax(z, axis=1)
    expected = metrics.log_loss(y, p, labels=range(4))
    one_hot = np.eye(4)[y]
    assert loss_of("sparse_categorical_crossentropy", y, p) == pytest.approx(expected)
    assert loss_of("sparse_categorical_crossentropy", y, z, from_logits=True) == pytest.approx(expected)
    assert loss_of("categorical_crossentropy", one_hot, 7 * p) == pytest.approx(expected)
    assert loss_of("categorical_crossentropy", one_hot, z, from_logits=True) == pytest.approx(expected)

    # The deviance is twice the loss's excess over that of the perfect prediction.
    y, out = loss_data("poisson")
    y += 1
    excess = loss_of("poisson", y, out) - loss_of("poisson", y, y)
    assert 2 * excess == pytest.approx(metrics.mean_poisson_deviance(y.ravel(), out.ravel()), rel=1e-6)


def test_losses_by_hand():
    y, out = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.5, -3.0], [1.0, 5.0]])
    per_sample, loss, gradient = naive.loss_value_and_gradient("huber", y, out)
    np.testing.assert_allclose(per_sample, [(0.125 + 2.5) / 2, 3.5 / 2])
    assert loss == pytest.approx(1.53125)
    np.testing.assert_allclose(gradient, [[0.125, -0.25], [0, 0.25]])

    assert naive.loss_value_and_gradient("huber", y, out, delta=2.0)[0][1] == pytest.approx(3.0)
    assert loss_of("log_cosh", [[1.0]], [[3.0]]) == pytest.approx(math.log(math.cosh(2)))
    assert loss_of("poisson", [[2.0]], [[0.0]]) == pytest.approx(-2 * math.log(1e-7))
    # Smoothed targets: 0.9 and 0.1, then 0.8 and 0.1 twice.
    assert loss_of("binary_crossentropy", [[1.0]], [[0.7]], label_smoothing=0.2) == pytest.approx(
        -0.9 * math.log(0.7) - 0.1 * math.log(0.3)
    )
    assert loss_of(
        "categorical_crossentropy", [[1.0, 0.0, 0.0]], [[0.5, 0.3, 0.2]], label_smoothing=0.3
    ) == pytest.approx(-0.8 * math.log(0.5) - 0.1 * math.log(0.3) - 0.1 * math.log(0.2))


def test_clipped_probabilities():
    edge = -math.log(1 - 1e-7)
    per_sample, _, gradient = naive.loss_value_and_gradient(
        "binary_crossentropy", [[1.0], [1.0], [0.0], [0.0]], [[0.0], [1.0], [0.0], [1.0]]
    )
    np.testing.assert_allclose(per_sample, [-math.log(1e-7), edge, edge, -math.log(1e-7)], rtol=1e-6)
    assert not gradient.any()

    per_sample, _, gradient = naive.loss_value_and_gradient(
        "sparse_categorical_crossentropy", [0, 1], [[0.0, 2.0], [0.0, 2.0]]
    )
    np.testing.assert_allclose(per_sample, [-math.log(1e-7), edge], rtol=1e-6)
    assert not gradient.any()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_losses_from_large_logits(label_smoothing):
    z = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    y = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    off = label_smoothing
    per_sample, _, gradient = naive.loss_value_and_gradient(
        "binary_crossentropy", y, z, from_logits=True, label_smoothing=off
    )
    np.testing.assert_allclose(per_sample, [(1e4 * off + math.log(2)) / 3, (2 * (1 - off / 2) + 1 - off / 2) * 1e4 / 3])
    np.testing.assert_allclose(gradient[1] * 6, [off / 2 - 1, 1 - off / 2, 1 - off / 2])
    per_sample, _, gradient = naive.loss_value_and_gradient(
        "categorical_crossentropy", y, z, from_logits=True, label_smoothing=off
    )
    np.testing.assert_allclose(per_sample, [3e4 * off / 3, 2e4 * (1 - 2 * off / 3) + math.log(2)], atol=1e-9)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh"])
def test_regression_losses_of_large_errors(name):
    per_sample, _, gradient = naive.loss_value_and_gradient(name, [[0.0, 0.0]], [[1e4, -1e4]])
    assert np.all(np.isfinite(per_sample))
    np.testing.assert_allclose(gradient, [[1e4, -1e4]] if name == "mean_squared_error" else [[0.5, -0.5]])


def test_metrics_against_scikit_learn():
    rng = np.random.default_rng(4)
    y, out = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    assert naive.METRICS["mse"](y, out) == pytest.approx(metrics.mean_squared_error(y, out))
    assert naive.METRICS["rmse"](y, out) == pytest.approx(math.sqrt(metrics.mean_squared_error(y, out)))
    assert naive.METRICS["mae"](y, out) == pytest.approx(metrics.mean_absolute_error(y, out))
    assert naive.METRICS["r2"](y, out) == pytest.approx(metrics.r2_score(y, out))

    p = rng.uniform(size=(30, 3))
    binary = rng.integers(0, 2, (30, 3))
    assert naive.METRICS["binary_accuracy"](binary, p) == pytest.approx(
        metrics.accuracy_score(binary.ravel(), (p > 0.5).ravel())
    )
    labels, out = rng.integers(0, 8, 50), rng.normal(size=(50, 8))
    one_hot = np.eye(8)[labels]
    accuracy = metrics.accuracy_score(labels, out.argmax(axis=1))
    assert naive.METRICS["sparse_categorical_accuracy"](labels, out) == accuracy
    assert naive.METRICS["sparse_categorical_accuracy"](labels[:, None], out) == accuracy
    assert naive.METRICS["categorical_accuracy"](one_hot, out) == accuracy
    for k in (1, 3, 5):
        expected = metrics.top_k_accuracy_score(labels, out, k=k, labels=range(8))
        assert naive.METRICS["sparse_top_k_categorical_accuracy"](labels, out, k=k) == expected
        assert naive.METRICS["top_k_categorical_accuracy"](one_hot, out, k=k) == expected


def test_metrics_by_hand():
    assert (
        naive.METRICS["binary_accuracy"](np.array([[1], [1], [0], [0]]), np.array([[0.9], [1], [0.5], [0.6]])) == 0.75
    )
    # The second and third are tied: both are among the two largest.
    out = np.array([[0.5, 0.2, 0.2, 0.1]] * 4)
    assert naive.METRICS["sparse_top_k_categorical_accuracy"](np.arange(4), out, k=2) == 0.75
    assert naive.METRICS["sparse_top_k_categorical_accuracy"](np.arange(4), out) == 1
    # Residuals 2, total 14/3: 1 - 6/14; a constant target that is missed scores 0, not -inf.
    y, out = np.array([[1.0], [4.0], [3.0]]), np.array([[2.0], [4.0], [4.0]])
    assert naive.METRICS["r2"](y, out) == pytest.approx(8 / 14)
    both = naive.METRICS["r2"](np.hstack([y, np.ones((3, 1))]), np.hstack([out, out]))
    assert both == pytest.approx(4 / 14)


# The values of one scalar parameter, after every step.
def trajectory(optimizer, start, gradients):
    w = np.array([start])
    values = []
    for g in gradients:
        optimizer.step([w], [np.array([g])])
        values.append(w[0])
    return values


def test_sgd():
    assert trajectory(naive.SGD(), 1.0, [1.0, 2.0]) == pytest.approx([0.99, 0.97])
    # Velocities -0.1, -0.25 (= 0.5 * -0.1 - 0.1 * 2), -0.125.
    assert trajectory(naive.SGD(0.1, 0.5), 1.0, [1.0, 2.0, 0.0]) == pytest.approx([0.9, 0.65, 0.525])
    # The steps are 0.5 * velocity - 0.1 * g: -0.15, -0.325, -0.0625.
    nesterov = trajectory(naive.SGD(0.1, 0.5, nesterov=True), 1.0, [1.0, 2.0, 0.0])
    assert nesterov == pytest.approx([0.85, 0.525, 0.4625])


# Algorithm 1 of Kingma and Ba with bias-corrected moments; its epsilon is epsilon hat / sqrt(1 - beta_2^t).
@pytest.mark.parametrize("options", [{}, {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-2}])
def test_adam_against_algorithm_1(options):
    gradients = [0.3, -1.0, 2.0, 1e-5, 0.0]
    beta_1, beta_2 = options.get("beta_1", 0.9), options.get("beta_2", 0.999)
    expected, w = [], 0.5
    for t in range(1, 6):
        m = sum((1 - beta_1) * beta_1 ** (t - i) * gradients[i - 1] for i in range(1, t + 1))
        v = sum((1 - beta_2) * beta_2 ** (t - i) * gradients[i - 1] ** 2 for i in range(1, t + 1))
        epsilon = options.get("epsilon", 1e-7) / math.sqrt(1 - beta_2**t)
        w -= 0.02 * (m / (1 - beta_1**t)) / (math.sqrt(v / (1 - beta_2**t)) + epsilon)
        expected.append(w)
    assert trajectory(naive.Adam(0.02, **options), 0.5, gradients) == pytest.approx(expected, rel=1e-12)


def test_amsgrad_keeps_the_largest_velocity():
    # beta_1 = 0, beta_2 = 1/2: v = 2 then 1, v_hat = 2 then 2; alpha = sqrt(1/2), sqrt(3/4).
    options = {"learning_rate": 1.0, "beta_1": 0.0, "beta_2": 0.5, "epsilon": 0.0}
    gradients = [2.0, 0.0, 1.0]  # the third: v = 1/2 + 1/2 = 1, alpha = sqrt(7/8)
    plain = trajectory(naive.Adam(**options), 5.0, gradients)
    amsgrad = trajectory(naive.Adam(**options, amsgrad=True), 5.0, gradients)
    assert plain == pytest.approx([4, 4, 4 - math.sqrt(7 / 8)])
    assert amsgrad == pytest.approx([4, 4, 4 - math.sqrt(7 / 8) / math.sqrt(2)])


def test_rmsprop():
    # w - lr g / sqrt(0.1 g^2 + epsilon): 10 - 0.1 sqrt(10) for g = 10.
    assert trajectory(naive.RMSprop(0.1), 10.0, [10.0]) == pytest.approx([9.683772], abs=1e-6)
    # rho = 3/4, g = 2 then 1: velocity 1 then 1, average 1/2 then 5/8; epsilon = 1 is under the root.
    options = {"learning_rate": 1.0, "rho": 0.75, "epsilon": 1.0}
    first, second = 2 / math.sqrt(2), 1 / math.sqrt(2)
    assert trajectory(naive.RMSprop(**options), 0.0, [2.0, 1.0]) == pytest.approx([-first, -first - second])
    momentum = trajectory(naive.RMSprop(**options, momentum=0.5), 0.0, [2.0, 1.0])
    assert momentum == pytest.approx([-first, -1.5 * first - second])
    first, second = 2 / math.sqrt(2 - 1 / 4), 1 / math.sqrt(2 - 25 / 64)
    centered = trajectory(naive.RMSprop(**options, centered=True), 0.0, [2.0, 1.0])
    assert centered == pytest.approx([-first, -first - second])


def test_weight_decay_is_decoupled():
    # The decay precedes the step and does not enter the moments.
    assert trajectory(naive.SGD(0.5, weight_decay=0.1), 2.0, [1.0]) == pytest.approx([1.4])
    assert trajectory(naive.AdamW(1.0), 2.0, [0.0] * 3)[-1] == pytest.approx(2 * 0.996**3)
    assert trajectory(naive.RMSprop(1.0, weight_decay=0.004), 2.0, [0.0] * 3)[-1] == pytest.approx(2 * 0.996**3)
    assert trajectory(naive.AdamW(0.5, epsilon=0.0), 3.0, [7.0]) == pytest.approx([3 * 0.998 - 0.5])
    assert naive.Adam().weight_decay is None


def test_clipping():
    gradients = [np.array([3.0, -4.0]), np.array([0.0]), np.array([12.0])]

    def steps(**options):
        parameters = [np.zeros(2), np.zeros(1), np.zeros(1)]
        naive.SGD(1.0, **options).step(parameters, gradients)
        return [*-parameters[0], -parameters[1][0], -parameters[2][0]]

    assert steps(clipvalue=3.5) == pytest.approx([3, -3.5, 0, 3.5])
    assert steps(clipnorm=10.0) == pytest.approx([3, -4, 0, 10])
    assert steps(clipnorm=1.0) == pytest.approx([0.6, -0.8, 0, 1])
    assert steps(global_clipnorm=6.5) == pytest.approx([1.5, -2, 0, 6])
    assert steps(global_clipnorm=20.0) == pytest.approx([3, -4, 0, 12])
    with pytest.raises(ValueError, match="only one"):
        naive.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(TypeError, match="float64"):
        naive.SGD().step([np.zeros(1, dtype=np.float32)], [np.zeros(1)])


def test_penalties():
    w = np.array([[1.0, -2.0], [0.5, 3.0]])
    assert naive.penalty(w, 0.1, 0.01) == pytest.approx(0.65 + 0.1425)
    assert naive.penalty(w) == 0
    assert_gradient(naive.penalty_gradient(w, 0.1, 0.01), lambda: naive.penalty(w, 0.1, 0.01), w)
    assert naive.penalty_gradient(np.zeros(1), 1.0, 1.0) == 0


def network(output, N=3, seed=5, scale=0.7):
    rng = np.random.default_rng(seed)
    return [
        naive.Layer(rng.normal(0, scale, (4, 6)), rng.normal(0, 0.3, 6), "tanh", None, 0.01, 0.02, 0.03, 0.04),
        naive.Layer(rng.normal(0, scale, (6, 5)), None, "leaky_relu", {"negative_slope": 0.3}, kernel_l2=0.1),
        naive.Layer(rng.normal(0, scale, (5, N)), rng.normal(0, 0.3, N), output),
    ]


NETWORK_CASES = [
    ("linear", "mean_squared_error", {}),
    ("softmax", "mean_squared_error", {}),
    ("softplus", "poisson", {}),
    ("linear", "huber", {"delta": 0.5}),
    ("sigmoid", "binary_crossentropy", {"label_smoothing": 0.1}),
    ("hard_sigmoid", "binary_crossentropy", {}),
    ("linear", "binary_crossentropy", {"from_logits": True}),
    ("softmax", "categorical_crossentropy", {"label_smoothing": 0.1}),
    ("sigmoid", "categorical_crossentropy", {}),
    ("softmax", "sparse_categorical_crossentropy", {}),
    ("softmax", "sparse_categorical_crossentropy", {"from_logits": True}),
]


@pytest.mark.parametrize(("output", "loss", "parameters"), NETWORK_CASES)
def test_network_gradient(output, loss, parameters):
    layers = network(output)
    y, _ = loss_data(loss, B=8, N=3)
    x = np.random.default_rng(6).normal(size=(8, 4))
    weights = np.linspace(0, 2, 8)

    def value():
        return naive.gradients(layers, x, y, loss, weights=weights, **parameters)[0]

    total, pairs = naive.gradients(layers, x, y, loss, weights=weights, **parameters)
    assert pairs[1][1] is None
    for w, g in zip(naive.flatten(layers), naive.flatten(pairs), strict=True):
        assert g.shape == w.shape
        assert_gradient(g, value, w)

    # From the probabilities, where the loss is not taken from the logits: the same but for rounding.
    out = naive.forward(layers, x)[-1][1]
    data = naive.loss_value_and_gradient(loss, y, out, weights=weights, **parameters)[1]
    assert total == pytest.approx(data + naive.regularization(layers))
    assert naive.regularization(layers) == pytest.approx(
        0.01 * np.abs(layers[0].kernel).sum()
        + 0.02 * (layers[0].kernel ** 2).sum()
        + 0.03 * np.abs(layers[0].bias).sum()
        + 0.04 * (layers[0].bias ** 2).sum()
        + 0.1 * (layers[1].kernel ** 2).sum()
    )


def test_forward():
    layers = [
        naive.Layer(np.array([[1.0, -1.0], [2.0, 0.0]]), np.array([0.5, 0.0]), "relu"),
        naive.Layer(np.array([[2.0], [1.0]])),
    ]
    (z1, a1), (z2, a2) = naive.forward(layers, [[1.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(z1, [[3.5, -1.0], [-0.5, 1.0]])
    np.testing.assert_array_equal(a1, [[3.5, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(z2, [[7.0], [1.0]])
    np.testing.assert_array_equal(a2, z2)


@pytest.mark.parametrize(
    ("output", "loss", "y"),
    [
        ("sigmoid", "binary_crossentropy", [[1.0, 0.0]]),
        ("softmax", "categorical_crossentropy", [[0.0, 1.0]]),
        ("softmax", "sparse_categorical_crossentropy", [1]),
    ],
)
def test_saturated_outputs_keep_their_gradient(output, loss, y):
    layers = [naive.Layer(np.array([[-1e4, 1e4]] if output == "sigmoid" else [[1e4, -1e4]]), None, output)]
    value, [(dw, _)] = naive.gradients(layers, [[1.0]], y, loss)
    assert value == pytest.approx(1e4 if output == "sigmoid" else 2e4)
    np.testing.assert_allclose(dw, [[-0.5, 0.5]] if output == "sigmoid" else [[1.0, -1.0]])


def test_train():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    batches = [(x[:8], y[:8]), (x[8:16], y[8:16], np.linspace(0, 1, 8)), (x[16:], y[16:])]
    layers, other = network("softmax"), network("softmax")
    losses = naive.train(layers, batches, "sparse_categorical_crossentropy", naive.SGD(0.1))
    expected = []
    for bx, by, *rest in batches:
        weights = rest[0] if rest else None
        value, pairs = naive.gradients(other, bx, by, "sparse_categorical_crossentropy", weights=weights)
        expected.append(value)
        for layer, (dw, db) in zip(other, pairs, strict=True):
            layer.kernel[...] -= 0.1 * dw
            if db is not None:
                layer.bias[...] -= 0.1 * db
    assert losses == pytest.approx(expected, rel=1e-12)
    for ours, theirs in zip(naive.flatten(layers), naive.flatten(other), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    long = naive.train(layers, [(x, y)] * 100, "sparse_categorical_crossentropy", naive.Adam(0.01))
    assert long[-1] < 0.8 * long[0]


def test_initializer_limits():
    expected = {  # fan in 20, fan out 30
        "glorot_uniform": (math.sqrt(6 / 50), math.sqrt(2 / 50)),
        "glorot_normal": (2 * math.sqrt(2 / 50) / 0.879625661, math.sqrt(2 / 50)),
        "he_uniform": (math.sqrt(6 / 20), math.sqrt(2 / 20)),
        "he_normal": (2 * math.sqrt(2 / 20) / 0.879625661, math.sqrt(2 / 20)),
        "lecun_uniform": (math.sqrt(3 / 20), math.sqrt(1 / 20)),
        "lecun_normal": (2 * math.sqrt(1 / 20) / 0.879625661, math.sqrt(1 / 20)),
    }
    assert set(expected) == set(naive.INITIALIZER_LIMITS)
    for name, limits in expected.items():
        assert naive.INITIALIZER_LIMITS[name](20, 30) == pytest.approx(limits), name
    assert stats.truncnorm(-2, 2).std() == pytest.approx(naive.TRUNCATED_NORMAL_STDDEV, rel=1e-7)
