"""train_on_batch on a stream: a step like the last one is made again, whatever has happened between."""

import numpy as np
import pytest

from fastmlp import Dense, Dropout, GaussianNoise, Input, Sequential, losses, optimizers, regularizers, set_num_threads
from fastmlp.callbacks import LambdaCallback
from fastmlp.errors import TrainingDivergedError

X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(64, 2)).astype(np.float32)


def network(optimizer="adam", loss="mse", metrics=("mae",), last="linear"):
    layers = [
        Input((6,)), Dense(9, "relu", kernel_regularizer=regularizers.L1L2(1e-3, 1e-2)), Dropout(0.2),
        GaussianNoise(0.1), Dense(2, last),
    ]  # fmt: skip
    model = Sequential(layers, seed=3)
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def faster(model):
    model.optimizer.learning_rate = 0.03


def frozen(model):
    model.layers[0].trainable = not model.layers[0].trainable


def clipped(model):
    model.compile(optimizers.SGD(0.05, momentum=0.9, clipnorm=0.5), "mse", metrics=["mae"])


def huber(model):
    model.compile("rmsprop", losses.Huber(0.5))


def trained(model):
    model.fit(X, Y, batch_size=24, epochs=1, verbose=0)


def trained_by_one_step(model):
    # as many rows as the stream has, in another order
    model.fit(X[:32], Y[:32], epochs=1, verbose=0)


def cut_short(model):
    model.fit(X[:32], Y[:32], batch_size=16, steps_per_epoch=1, verbose=0)


def judged(model):
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.gradients(X, Y)


def set_anew(model):
    model.set_weights([0.9 * weight for weight in model.get_weights()])


def nothing(model):
    pass


CHANGES = [
    nothing, faster, nothing, judged, nothing, frozen, nothing, frozen, clipped, nothing, trained, nothing, huber,
    set_anew, nothing, trained_by_one_step, nothing, cut_short, nothing,
]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", optimizers.AdamW(use_ema=True, gradient_accumulation_steps=2)])
def test_a_step_made_again_has_the_bits_of_one_made_anew(optimizer):
    """Changes of all kinds come between; the other model forgets each time how the last step was made."""
    models = [network(type(optimizer)(**vars_of(optimizer)) if optimizer != "adam" else optimizer) for _ in range(2)]
    again = 0
    for number, change in enumerate(CHANGES):
        rows = slice(0, 32 if number % 4 else 17)
        weights = np.linspace(0, 2, rows.stop) if number % 5 == 4 else None
        results = []
        for forgetful, model in enumerate(models):
            change(model)
            for repeated in range(3):
                session = model._session
                if forgetful:
                    session._again = None
                elif repeated:
                    again += session._again is not None
                results.append(model.train_on_batch(X[rows] + repeated, Y[rows], weights))
        assert results[:3] == results[3:]
        for one, other in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(one, other)
    assert again == 2 * len(CHANGES)


def vars_of(optimizer):
    return {"use_ema": optimizer.use_ema, "gradient_accumulation_steps": optimizer.gradient_accumulation_steps}


def test_the_second_of_equal_calls_takes_the_short_way(monkeypatch):
    model = network()
    model.train_on_batch(X, Y)
    monkeypatch.setattr(model._session, "_go", None)
    model.train_on_batch(X[::-1].copy(), Y)
    for x, y in ((X[:5], Y[:5]), (np.asfortranarray(X), Y), (X.tolist(), Y)):
        with pytest.raises(TypeError, match="NoneType"):
            model.train_on_batch(x, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_numbers_of_other_types_take_the_short_way_with_the_same_bits(monkeypatch, dtype):
    x, y = np.round(3 * X).astype(dtype), np.round(3 * Y[:, :1]).astype(dtype)
    models = []
    for shape in ((64, 1), (64,)):
        model = Sequential([Input((6,)), Dense(9, "relu"), Dense(1)], seed=3)
        model.compile("adam", "mse")
        results = [model.train_on_batch(x, y.reshape(shape))]
        monkeypatch.setattr(model._session, "_go", None)
        results += [model.train_on_batch(x, y.reshape(shape)) for _ in range(3)]
        models.append((model, results))
    again = Sequential([Input((6,)), Dense(9, "relu"), Dense(1)], seed=3)
    again.compile("adam", "mse")
    rows = x.astype(np.float32), y.astype(np.float32)
    expected = [float(again.fit(*rows, batch_size=64, verbose=0, shuffle=False).history["loss"][0]) for _ in range(4)]
    for model, results in models:
        assert results == expected
        for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("loss", "units", "good", "bad", "message"),
    [
        ("binary_crossentropy", 1, [0.0, 1.0], 1.5, r"y must be in \[0, 1\]"),
        ("binary_crossentropy", 1, [0.0, 1.0], np.nan, "y must be finite"),
        ("poisson", 1, [0.0, 3.0], -1.0, "y must be at least 0"),
        ("mse", 1, [0.0, 3.0], np.inf, "y must be finite"),
        ("sparse_categorical_crossentropy", 3, [0.0, 2.0], 3.0, "class numbers 0 to 2"),
        ("sparse_categorical_crossentropy", 3, [0.0, 2.0], 0.5, "whole class numbers"),
    ],
)
def test_bad_targets_of_a_stream_change_nothing(loss, units, good, bad, message):
    model = Sequential([Input((6,)), Dense(units, "sigmoid" if units == 1 else "softmax")], seed=3)
    model.compile("adam", loss)
    y = np.resize(np.array(good, np.float32), 64)
    model.train_on_batch(X, y)
    model.train_on_batch(X, y)
    before, counted = model.get_weights(), model.optimizer.iterations
    spoilt = y.copy()
    spoilt[7] = bad
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(X, spoilt)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.optimizer.iterations == counted == 2


def test_a_step_of_a_stream_that_diverges_is_undone(monkeypatch):
    model = Sequential([Input((6,)), Dense(1)], seed=3)
    model.compile(optimizers.SGD(1.0), "mse")
    model.train_on_batch(X, Y[:, :1])
    monkeypatch.setattr(model._session, "_go", None)
    for _ in range(50):
        before = model.get_weights()
        try:
            model.train_on_batch(1e6 * X, Y[:, :1])
        except TrainingDivergedError:
            break
    else:
        pytest.fail("such steps must diverge")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_within_a_fit_of_the_same_thread_goes_the_long_way():
    model = network()
    model.train_on_batch(X, Y)
    seen = []
    hook = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(model.train_on_batch(X, Y)))
    model.fit(X, Y, epochs=2, batch_size=32, verbose=0, callbacks=[hook])
    assert len(seen) == 4
    # what a callback trains is not counted
    assert model.optimizer.iterations == 5


def test_what_is_centred_is_so_by_the_targets_of_each_batch():
    models = [network(metrics=["r2_score"]) for _ in range(2)]
    for number in range(4):
        targets = Y + np.float32(1e4 * number)
        results = []
        for forgetful, model in enumerate(models):
            if forgetful and model._session is not None:
                model._session._again = None
            results.append(model.train_on_batch(X, targets))
        assert results[0] == results[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_rows_of_a_stream_change_nothing(bad):
    model = network()
    model.train_on_batch(X, Y)
    before = model.get_weights()
    spoilt = X.copy()
    spoilt[3, 4] = bad
    with pytest.raises(ValueError, match=r"x must be finite.*\(3, 4\)"):
        model.train_on_batch(spoilt, Y)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.jit_only
def test_a_step_for_several_threads_is_not_made_again_by_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 512)).astype(np.float32), rng.normal(size=(256, 1)).astype(np.float32)
    model = Sequential([Input((512,)), Dense(256, "relu"), Dense(1)], seed=0)
    model.compile("adam", "mse")
    set_num_threads(1)
    try:
        model.train_on_batch(x, y)
    finally:
        set_num_threads(None)
    assert model._session._again is None
