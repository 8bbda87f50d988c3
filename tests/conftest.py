import signal

import naive
import numpy as np
import pytest

from fastmlp import threads
from fastmlp.kernels.jit import JIT_DISABLED

# A shell ignores Ctrl-C for what it starts in the background, and its children inherit that; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line("markers", "jit_only: too slow for the plain-Python mode of the kernels")


def pytest_collection_modifyitems(items):
    if JIT_DISABLED:
        for item in items:
            if item.get_closest_marker("jit_only"):
                item.add_marker(pytest.mark.skip(reason="too slow without the JIT"))


def to_twin(model):
    layers = []
    for layer in model.layers:
        weights = [weight.astype(np.float64) for weight in layer.get_weights()]
        kernel, bias = layer.kernel_regularizer, layer.bias_regularizer
        layers.append(
            naive.Layer(
                weights[0],
                weights[1] if layer.use_bias else None,
                layer.activation.name,
                dict(vars(layer.activation)),
                kernel.l1 if kernel else 0.0,
                kernel.l2 if kernel else 0.0,
                bias.l1 if bias else 0.0,
                bias.l2 if bias else 0.0,
            )
        )
    return layers


@pytest.fixture(scope="session")
def twin():
    """Makes a model's float64 twin: a list of naive.Layer."""
    return to_twin


@pytest.fixture(autouse=True)
def _same_threads_afterwards(monkeypatch):
    """What a test says about threads ends with it."""
    monkeypatch.setattr(threads._pool, "chosen", threads._pool.chosen)
    monkeypatch.setattr(threads._pool, "given", threads._pool.given)
