"""Averages of the weights and accumulated gradients: what they are worth, and when they begin and end."""

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, callbacks, optimizers
from fastmlp.errors import TrainingDivergedError


def problem(rows, features=4, units=3):
    rng = np.random.default_rng(7)
    return rng.standard_normal((rows, features), np.float32), rng.standard_normal((rows, units), np.float32)


def network(optimizer, sizes=(4, 7, 3), loss="mse", **options):
    hidden = [Dense(units, activation="tanh", **options) for units in sizes[1:-1]]
    model = Sequential([Input(shape=sizes[:1]), *hidden, Dense(sizes[-1], **options)], seed=2)
    model.compile(optimizer, loss)
    return model


def close(first, second, tolerance):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


def same_bits(first, second):
    return [weight.tobytes() for weight in first] == [weight.tobytes() for weight in second]


# --- accumulated gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"clipvalue": 0.02}, {"clipnorm": 0.05}, {"global_clipnorm": 0.05, "weight_decay": 0.1}], ids=str
)
@pytest.mark.parametrize("kind", ["SGD", "RMSprop", "Adam", "Nadam", "Adagrad"])
def test_batches_accumulated_are_one_batch(kind, options):
    x, y = problem(60)
    whole = network(getattr(optimizers, kind)(0.05, **options), kernel_regularizer="l2")
    parts = network(getattr(optimizers, kind)(0.05, **options, gradient_accumulation_steps=3), kernel_regularizer="l2")
    whole.fit(x, y, batch_size=15, epochs=5, shuffle=False, verbose=0)
    parts.fit(x, y, batch_size=5, epochs=5, shuffle=False, verbose=0)
    assert parts.optimizer.batches == 60
    assert parts.optimizer.iterations == whole.optimizer.iterations == 20
    close(parts.get_weights(), whole.get_weights(), 2e-4)


@pytest.mark.jit_only
def test_large_batches_accumulated_are_one_batch():
    """Of so many rows a small net makes gradients while they are in the cache, in shards."""
    x, y = problem(12000)
    whole = network(optimizers.Adam(0.01), (4, 16, 3))
    parts = network(optimizers.Adam(0.01, gradient_accumulation_steps=4), (4, 16, 3))
    whole.fit(x, y, batch_size=12000, epochs=8, shuffle=False, verbose=0)
    parts.fit(x, y, batch_size=3000, epochs=8, shuffle=False, verbose=0)
    close(parts.get_weights(), whole.get_weights(), 2e-4)


def test_batches_that_complete_nothing_change_nothing():
    x, y = problem(8)
    model = network(optimizers.Adam(gradient_accumulation_steps=5, weight_decay=0.1))
    before = model.get_weights()
    model.fit(x, y, batch_size=2, verbose=0)
    assert same_bits(model.get_weights(), before)
    model.fit(x, y, batch_size=8, verbose=0)
    assert not same_bits(model.get_weights(), before)


def test_accumulation_goes_on_from_fit_to_fit():
    x, y = problem(14)
    once, often = (network(optimizers.Nadam(gradient_accumulation_steps=3)) for _ in "ab")
    once.fit(x, y, batch_size=2, epochs=4, shuffle=False, verbose=0)
    for epochs in (1, 2, 1):
        often.fit(x, y, batch_size=2, epochs=epochs, shuffle=False, verbose=0)
    assert same_bits(once.get_weights(), often.get_weights())


# --- averages ---------------------------------------------------------------------------------------------


def test_averages_of_momentum_zero_are_the_weights():
    x, y = problem(20)
    plain, averaged = network(optimizers.Adam()), network(optimizers.Adam(use_ema=True, ema_momentum=0.0))
    for model in (plain, averaged):
        model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    close(averaged.get_weights(), plain.get_weights(), 1e-6)


def test_weights_become_averages_at_the_end_of_fit_alone():
    x, y = problem(20)
    plain, averaged = network(optimizers.SGD(0.1)), network(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    seen = {"plain": [], "averaged": [], "end": []}

    def watch(model, name):
        return callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen[name].append(model.get_weights()),
            on_train_end=lambda logs: seen["end"].append(model.get_weights()),
        )

    losses = [
        model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[watch(model, name)]).history["loss"]
        for model, name in ((plain, "plain"), (averaged, "averaged"))
    ]
    assert losses[0] == losses[1]
    assert all(same_bits(one, other) for one, other in zip(seen["plain"], seen["averaged"], strict=True))
    # on_train_end comes after it, so that EarlyStopping may put other weights back
    assert same_bits(seen["end"][1], averaged.get_weights())
    assert not same_bits(averaged.get_weights(), plain.get_weights())


@pytest.mark.parametrize("units", [3, 21])
@pytest.mark.parametrize("constraint", ["non_neg", "max_norm", "unit_norm"])
def test_averages_fulfil_constraints(constraint, units):
    x, y = problem(20, units=units)
    model = network(optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9), (4, units), kernel_constraint=constraint)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    kernel = model.get_weights()[0]
    norms = np.linalg.norm(kernel, axis=0)
    fulfilled = {"non_neg": kernel >= 0, "max_norm": norms <= 2.000001, "unit_norm": abs(norms - 1) < 1e-6}
    assert fulfilled[constraint].all()


def test_a_weight_by_hand():
    # the gradient is -1, so the weight is 0.5, 1.0, 1.5; its averages are 0.5, 0.75 * 0.5 + 0.25 * 1.0...
    model = Sequential([Input(shape=(1,)), Dense(1, use_bias=False, kernel_initializer="zeros")], seed=0)
    model.compile(optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75), "mae")
    x, y = np.ones((3, 1)), np.full((3, 1), 1e3)
    model.fit(x, y, batch_size=1, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(0.75 * (0.75 * 0.5 + 0.25 * 1.0) + 0.25 * 1.5)


def test_train_on_batch_keeps_the_weights():
    x, y = problem(20)
    plain, averaged = network(optimizers.SGD(0.1)), network(optimizers.SGD(0.1, use_ema=True))
    for model in (plain, averaged):
        for _ in range(3):
            model.train_on_batch(x, y)
    assert same_bits(averaged.get_weights(), plain.get_weights())


def test_after_a_divergence_there_are_no_averages():
    x, y = problem(20)
    model = network(optimizers.SGD(0.1, use_ema=True))
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    model.optimizer.learning_rate = 1e30
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert same_bits(model.get_weights(), before)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert same_bits(model.get_weights(), before)


def test_an_option_set_later_starts_the_optimizer_anew():
    x, y = problem(20)
    model, other = network(optimizers.Adam()), network(optimizers.Adam(use_ema=True))
    model.fit(x, y, verbose=0, shuffle=False)
    other.set_weights(model.get_weights())
    model.optimizer.use_ema = True
    for each in (model, other):
        each.fit(x, y, verbose=0, shuffle=False)
    assert same_bits(model.get_weights(), other.get_weights())
    # one slot less, one slot more
    model.optimizer.use_ema, model.optimizer.gradient_accumulation_steps = False, 2
    model.fit(x, y, verbose=0, shuffle=False)
    assert model.optimizer.batches == 1
