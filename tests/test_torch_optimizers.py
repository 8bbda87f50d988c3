"""Training beside PyTorch, with the optimizers and settings whose formulas agree."""

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, optimizers

torch = pytest.importorskip("torch")

# PyTorch adds Adam's and Adagrad's epsilon elsewhere, so it is 0 or too small to matter.
PAIRS = {
    "sgd": (optimizers.SGD(0.1, momentum=0.9), lambda w: torch.optim.SGD(w, 0.1, momentum=0.9)),
    "nesterov": (
        optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda w: torch.optim.SGD(w, 0.1, momentum=0.9, nesterov=True),
    ),
    "adam": (optimizers.Adam(0.01, epsilon=1e-12), lambda w: torch.optim.Adam(w, 0.01, eps=1e-12)),
    "adagrad": (
        optimizers.Adagrad(0.1, initial_accumulator_value=0.2, epsilon=0.0),
        lambda w: torch.optim.Adagrad(w, 0.1, initial_accumulator_value=0.2, eps=0.0),
    ),
    "adagrad from 0": (
        optimizers.Adagrad(0.1, initial_accumulator_value=0.0, epsilon=1e-14),
        lambda w: torch.optim.Adagrad(w, 0.1, eps=0.0),
    ),
    # the decay of its momentum is 0.96^(t * momentum_decay)
    "nadam": (
        optimizers.Nadam(0.01, 0.8, 0.95, epsilon=1e-3),
        lambda w: torch.optim.NAdam(w, 0.01, (0.8, 0.95), eps=1e-3, momentum_decay=1.0),
    ),
}
STEPS, ROWS = 60, 8


@pytest.mark.parametrize("name", PAIRS)
def test_sixty_steps(name):
    ours, make = PAIRS[name]
    rng = np.random.default_rng(3)
    x = rng.standard_normal((STEPS * ROWS, 5), np.float32)
    y = rng.standard_normal((STEPS * ROWS, 2), np.float32)
    model = Sequential([Input(shape=(5,)), Dense(11, activation="tanh"), Dense(2)], seed=1)
    model.compile(ours, "mse")
    layers = [torch.nn.Linear(5, 11), torch.nn.Linear(11, 2)]
    net = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1]).double()
    with torch.no_grad():
        for layer, own in zip(layers, model.layers, strict=True):
            kernel, bias = (torch.from_numpy(weight.astype(np.float64)) for weight in own.get_weights())
            layer.weight.copy_(kernel.T)
            layer.bias.copy_(bias)
    theirs = make(net.parameters())
    for at in range(0, len(x), ROWS):
        theirs.zero_grad()
        rows = slice(at, at + ROWS)
        torch.nn.functional.mse_loss(
            net(torch.from_numpy(x[rows]).double()), torch.from_numpy(y[rows]).double()
        ).backward()
        theirs.step()
    model.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0)
    for layer, own in zip(layers, model.layers, strict=True):
        kernel, bias = own.get_weights()
        np.testing.assert_allclose(kernel, layer.weight.detach().numpy().T, rtol=0, atol=2e-5)
        np.testing.assert_allclose(bias, layer.bias.detach().numpy(), rtol=0, atol=2e-5)
