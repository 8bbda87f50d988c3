"""Numbers below 1.2e-38: training has none of them, and everybody else has them as ever."""

import signal

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, losses, set_num_threads
from fastmlp.callbacks import LambdaCallback
from fastmlp.kernels import denormals

pytestmark = [
    pytest.mark.jit_only,
    pytest.mark.skipif(not (denormals.X86 or denormals.ARM), reason="this processor takes none for zeros"),
]

SMALLEST = np.finfo(np.float32).smallest_normal
X = np.random.default_rng(0).standard_normal((64, 5), np.float32)
Y = np.random.default_rng(1).standard_normal((64, 1), np.float32)


def halved():
    """Half of the smallest normal number, computed here and now by vectors of NumPy's."""
    return float((np.full(16, SMALLEST, np.float32) * np.full(16, 0.5, np.float32))[3])


def denormal(array):
    return int(((array != 0) & (np.abs(array) < SMALLEST)).sum())


@pytest.fixture(autouse=True)
def _as_ever():
    assert halved() > 0
    yield
    assert halved() > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_the_moments_of_dead_units_become_zero(threads):
    wide = 256 if threads == 2 else 8
    rows = 1024 if threads == 2 else 64
    x, y = np.tile(X, (rows // 64, 1)), np.tile(Y, (rows // 64, 1))
    model = Sequential([Input((5,)), Dense(wide, "relu"), Dense(wide, "relu"), Dense(1)], seed=0)
    model.compile("adam", "mse")
    set_num_threads(threads)
    try:
        model.fit(x, y, batch_size=rows, epochs=2, verbose=0)
        weights = model.get_weights()
        weights[3][:] = -1e3
        model.set_weights(weights)
        model.fit(x, y, batch_size=rows, epochs=1100, verbose=0)
    finally:
        set_num_threads(None)
    first, second = model._session.slots()
    assert denormal(first) == denormal(second) == 0
    # 0.9 ** 1100 times what there was
    assert (first == 0).sum() > first.size // 2
    assert (second > 0).sum() > 100


def test_gradients_that_vanish_become_zero():
    model = Sequential([Input((5,)), *[Dense(4, "sigmoid") for _ in range(12)], Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.set_weights([1e-3 * weight if weight.ndim == 2 else weight for weight in model.get_weights()])
    gradients = model.gradients(X, Y).arrays
    assert all(denormal(gradient) == 0 for gradient in gradients)
    assert not gradients[0].any()
    assert gradients[-2].any()


def test_a_loss_in_python_has_them():
    seen = []

    def loss(y_true, y_pred):
        seen.append(halved())
        return np.mean((y_pred - y_true) ** 2), 2 * (y_pred - y_true) / y_true.size

    model = Sequential([Input((5,)), Dense(1)], seed=0)
    model.compile("adam", losses.Custom(loss))
    model.fit(X, Y, epochs=2, batch_size=32, verbose=0)
    assert len(seen) >= 4
    assert all(value > 0 for value in seen)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer of signals")
def test_a_handler_of_signals_has_them():
    seen = []
    model = Sequential([Input((1024,)), Dense(2048, "relu"), Dense(2048, "relu"), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x = np.zeros((4096, 1024), np.float32)
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(halved()))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        model.fit(x, np.zeros((4096, 1)), batch_size=4096, epochs=2, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) > 3
    assert all(value > 0 for value in seen)


def test_callbacks_have_them():
    seen = []
    model = Sequential([Input((5,)), Dense(1)], seed=0)
    model.compile("adam", "mse")
    hook = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(halved()))
    model.fit(X, Y, epochs=2, batch_size=32, verbose=0, callbacks=[hook])
    assert len(seen) == 4
    assert all(value > 0 for value in seen)
