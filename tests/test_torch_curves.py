"""Training curves beside PyTorch's: every optimizer with every kind of loss, on other networks, 500 steps each."""

import numpy as np
import pytest

import fastmlp
from fastmlp import Input, Sequential, layers, optimizers

torch = pytest.importorskip("torch", reason="PyTorch is not installed, so there are no curves to compare with")
from torch import nn  # noqa: E402

pytestmark = pytest.mark.jit_only

STEPS, ROWS, FEATURES = 500, 16, 6
NETWORKS = {
    "one layer": [("linear", 0)],
    "tanh": [("tanh", 11)],
    # smooth: beside the kink of a relu rounding decides, which Adam makes as large as any gradient
    "deep": [("elu", 16), ("elu", 9), ("elu", 5)],
    "gelu and silu": [("gelu", 17), ("silu", 8)],
    "layer norm": [("elu", 13), ("norm", 13), ("sigmoid", 7)],
}
# settings for which both have the same formula
OPTIMIZERS = {
    "sgd": (lambda: optimizers.SGD(0.02), lambda w: torch.optim.SGD(w, 0.02)),
    "momentum": (
        lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        lambda w: torch.optim.SGD(w, 0.01, momentum=0.9, nesterov=True),
    ),
    "adam": (lambda: optimizers.Adam(0.003, epsilon=1e-8), lambda w: torch.optim.Adam(w, 0.003, eps=1e-8)),
    "adamw": (
        lambda: optimizers.AdamW(0.003, weight_decay=0.01, epsilon=1e-8),
        lambda w: torch.optim.AdamW(w, 0.003, weight_decay=0.01, eps=1e-8),
    ),
    "adagrad": (
        lambda: optimizers.Adagrad(0.05, initial_accumulator_value=0.2, epsilon=0.0),
        lambda w: torch.optim.Adagrad(w, 0.05, initial_accumulator_value=0.2, eps=0.0),
    ),
}
LOSSES = {
    "mean_squared_error": nn.functional.mse_loss,
    "huber": nn.functional.huber_loss,
    "binary_crossentropy": nn.functional.binary_cross_entropy_with_logits,
    "sparse_categorical_crossentropy": nn.functional.cross_entropy,
}
CASES = [
    (network, optimizer, list(LOSSES)[(i + j) % len(LOSSES)])
    for i, network in enumerate(NETWORKS)
    for j, optimizer in enumerate(OPTIMIZERS)
]


def test_there_are_twenty_and_every_loss_is_among_them():
    assert len(CASES) >= 20
    assert {case[2] for case in CASES} == set(LOSSES)


def data(loss):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((STEPS * ROWS, FEATURES), np.float32)
    z = np.tanh(x[:, :3] * x[:, 3:]) + 0.3 * x[:, :3]
    if loss == "sparse_categorical_crossentropy":
        return x, z.argmax(axis=1)
    return x, (z > 0).astype(np.float32) if loss == "binary_crossentropy" else z


@pytest.fixture(autouse=True)
def _one_thread():
    """Several threads for such small networks take many times as long where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("network", "optimizer", "loss"), CASES, ids=[" ".join(case) for case in CASES])
def test_five_hundred_steps(network, optimizer, loss):
    x, y = data(loss)
    hidden = [
        layers.LayerNormalization(epsilon=1e-3) if kind == "norm" else layers.Dense(units, kind)
        for kind, units in NETWORKS[network]
        if units
    ]
    model = Sequential([Input((FEATURES,)), *hidden, layers.Dense(3)], seed=1)
    net = fastmlp.to_torch(model).double().train()
    ours, make = OPTIMIZERS[optimizer]
    configured = fastmlp.losses.get(loss)
    model.compile(ours(), type(configured)(from_logits=True) if hasattr(configured, "from_logits") else configured)
    theirs, curve = make(net.parameters()), []
    for at in range(0, len(x), ROWS):
        theirs.zero_grad()
        rows = slice(at, at + ROWS)
        target = torch.from_numpy(y[rows])
        value = LOSSES[loss](
            net(torch.from_numpy(x[rows]).double()), target.double() if target.is_floating_point() else target
        )
        value.backward()
        theirs.step()
        curve.append(value.item())
    found = []
    for at in range(0, len(x), ROWS):
        logs = model.train_on_batch(x[at : at + ROWS], y[at : at + ROWS], return_dict=True)
        found.append(logs["loss"])
    np.testing.assert_allclose(found, curve, rtol=2e-3, atol=1e-4)
    # they have learned something, so that the curves are of a training
    assert np.mean(curve[-50:]) < 0.95 * np.mean(curve[:10])
