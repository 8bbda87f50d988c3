"""Every derivative of every loss through every output activation, against central differences in float64.

With the identity as the only data and z as the kernel, the gradient of the kernel is that of each row's loss with
respect to each of its z, which one step of gradient descent with rate 1 leaves in the weights.
"""

import naive
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, activations, losses
from fastmlp.optimizers import SGD

ROWS, UNITS = 6, 4
H = 1e-5  # step of the central differences

FUNCTIONS = [kind() for kind in activations.TABLE.values()] + [
    activations.ELU(alpha=0.3),
    activations.LeakyReLU(negative_slope=-0.5),
    activations.GELU(approximate=True),
]
LOSSES = [kind() for kind in losses.TABLE.values()] + [
    losses.Huber(delta=0.3),
    losses.BinaryCrossentropy(label_smoothing=0.2),
    losses.CategoricalCrossentropy(label_smoothing=0.2),
    losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
    losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
    losses.SparseCategoricalCrossentropy(from_logits=True),
    losses.Quantile(q=0.9),
    losses.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=0.5, label_smoothing=0.2),
    losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.7, gamma=1.5, from_logits=True),
    losses.CategoricalFocalCrossentropy(gamma=0.5, label_smoothing=0.2),
    losses.CategoricalFocalCrossentropy(alpha=2.0, gamma=3.0, from_logits=True, label_smoothing=0.1),
]
# Activations whose outputs are probabilities (which need not sum to 1), or at least positive.
PROBABILITIES = {"sigmoid", "softmax", "hard_sigmoid"}
POSITIVE = PROBABILITIES | {"softplus", "exponential"}


def makes_sense(function, loss):
    if getattr(loss, "from_logits", False):
        return function.name != loss.logits_of
    if loss.name in ("binary_crossentropy", "binary_focal_crossentropy", "kl_divergence"):
        return function.name in PROBABILITIES
    if "categorical" in loss.name or loss.name == "poisson":
        return function.name in POSITIVE
    return True


CASES = [(function, loss) for function in FUNCTIONS for loss in LOSSES if makes_sense(function, loss)]


def targets(loss, rng):
    if loss.sparse:
        return rng.integers(0, UNITS, ROWS)
    if loss.name == "hinge":
        return rng.choice([-1.0, 0.0, 1.0], (ROWS, UNITS))
    if loss.name.startswith("binary"):
        return rng.uniform(0, 1, (ROWS, UNITS))
    if loss.name.startswith("categorical") or loss.name == "kl_divergence":
        return rng.dirichlet(np.ones(UNITS), ROWS)
    if loss.name == "poisson":
        return rng.poisson(2.0, (ROWS, UNITS)).astype(float)
    return rng.normal(0, 1, (ROWS, UNITS))


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("function", "loss"), CASES, ids=str)
def test_every_derivative(function, loss, weighted):
    rng = np.random.default_rng(7)
    z = rng.uniform(-2.5, 2.5, (ROWS, UNITS)).astype(np.float32)  # within the kinks of hard_sigmoid
    y = targets(loss, rng).astype(np.float32)
    weights = rng.uniform(0.5, 2, ROWS).astype(np.float32) if weighted else None

    def value(at):
        a = naive.ACTIVATIONS[function.name](at, **vars(function))
        return naive.loss_value_and_gradient(loss.name, y.astype(float), a, weights=weights, **naive.settings(loss))[1]

    exact = np.empty(z.shape)
    for index in np.ndindex(z.shape):
        above, below = z.astype(float), z.astype(float)
        above[index] += H
        below[index] -= H
        exact[index] = (value(above) - value(below)) / (2 * H)

    model = Sequential([Input(shape=(ROWS,)), Dense(UNITS, activation=function)])
    model.set_weights([z, np.zeros(UNITS)])
    model.compile(SGD(learning_rate=1.0), loss)
    history = model.fit(np.eye(ROWS), y, batch_size=ROWS, shuffle=False, verbose=0, sample_weight=weights)
    assert history.history["loss"] == pytest.approx([value(z.astype(float))], rel=1e-5)
    kernel, bias = model.get_weights()
    # a step is rounded to the grid of the weight
    tolerance = 2e-5 * np.abs(exact).max() + np.spacing(np.float32(np.abs(z).max() + np.abs(exact).max()))
    assert np.abs(z.astype(float) - kernel - exact).max() <= tolerance
    assert np.abs(-bias - exact.sum(axis=0)).max() <= 4 * tolerance
