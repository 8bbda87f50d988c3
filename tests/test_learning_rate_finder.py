import copy
import pickle

import numpy as np
import pytest

from fastmlp import Dense, Input, LearningRateFinder, Sequential, optimizers, seeds
from fastmlp.datasets import load_digits
from fastmlp.errors import NotCompiledError

(X, Y), _ = load_digits()
X, Y = X[:500], Y[:500]


def digits(optimizer="adam", seed=0):
    model = Sequential([Input(shape=(64,)), Dense(16, activation="relu"), Dense(10, activation="softmax")], seed=seed)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def state(model):
    """Everything that training changes, as bytes."""
    session = model._session
    return (
        [weight.tobytes() for weight in model.get_weights()],
        session._update.slots.tobytes(),
        session._update.settings.tobytes(),
        (session.iterations, session.epochs_trained, id(session._optimizer), id(session._update.slots)),
        (session._job.tobytes(), session._sums.tobytes(), id(session._objective)),
        pickle.dumps(model._generator.bit_generator.state),
        {**copy.deepcopy(vars(model.optimizer)), "batches": model.optimizer.batches},
        (id(model.history), model.stop_training),
    )


@pytest.mark.jit_only
@pytest.mark.parametrize("optimizer", ["adam", "sgd", optimizers.SGD(0.01, momentum=0.9), "rmsprop"], ids=str)
@pytest.mark.parametrize("trained", [False, True])
def test_the_model_is_as_before_to_the_bit(optimizer, trained):
    model = digits(copy.deepcopy(optimizer))
    other = digits(copy.deepcopy(optimizer))
    for each in (model, other):
        if trained:
            each.fit(X, Y, epochs=2, verbose=0)
    before, seen = state(model), copy.deepcopy(getattr(model.history, "history", None))
    shared = pickle.dumps(seeds._generator.bit_generator.state)
    LearningRateFinder().find(model, X, Y)
    assert state(model) == before
    assert getattr(model.history, "history", None) == seen
    assert pickle.dumps(seeds._generator.bit_generator.state) == shared
    # and so is what follows
    assert model.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_model_is_as_before_after_an_error(monkeypatch):
    model = digits()
    before = state(model)
    calls = []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return Sequential.train_on_batch(model, *arguments, **options)

    monkeypatch.setattr(model, "train_on_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        LearningRateFinder().find(model, X, Y)
    monkeypatch.undo()
    assert state(model) == before


@pytest.mark.jit_only
def test_rates_grow_by_a_factor_and_the_sweep_ends_where_it_diverges():
    finder = LearningRateFinder(max_lr=1e3).find(digits(), X, Y)
    np.testing.assert_allclose(finder.learning_rates, 1e-7 * 1e10 ** (np.arange(len(finder.losses)) / 99))
    assert 50 < len(finder.losses) < 100
    assert finder.losses[-1] > 4 * min(finder.losses)
    whole = LearningRateFinder(1e-4, 1.0, 30, early_stop_threshold=None).find(digits(), X, Y)
    assert whole.learning_rates[0] == pytest.approx(1e-4)
    assert whole.learning_rates[-1] == pytest.approx(1.0)
    assert len(whole.losses) == len(whole.smoothed) == 30
    assert np.isfinite(whole.smoothed).all()


def test_losses_are_those_of_steps_with_growing_rates():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(7, 1)).astype(np.float32)
    model = Sequential([Input(shape=(3,)), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    w, b = (weight.astype(float) for weight in model.get_weights())
    finder = LearningRateFinder(1e-3, 0.1, 25).find(model, x, y, batch_size=7)
    for rate, loss in zip(finder.learning_rates, finder.losses, strict=True):
        z = x @ w + b
        assert loss == pytest.approx(((z - y) ** 2).mean(), rel=1e-4)
        dz = 2 * (z - y) / 7
        w, b = w - rate * x.T @ dz, b - rate * dz.sum(axis=0)
    assert finder.suggestion is not None


@pytest.mark.jit_only
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_the_suggestion_trains_well(optimizer):
    finder = LearningRateFinder()
    assert finder.suggestion is None
    model = digits(optimizer)
    assert finder.find(model, X, Y) is finder
    assert 1e-4 < finder.suggestion < 0.3
    losses = {}
    for factor in (0.01, 1, 300):
        model = digits(optimizer)
        model.optimizer.learning_rate = finder.suggestion * factor
        model.fit(X, Y, epochs=5, verbose=0)
        losses[factor] = model.evaluate(X, Y)[0]
    assert min(losses, key=losses.get) == 1


@pytest.mark.jit_only
def test_a_loss_that_does_not_fall_has_no_suggestion():
    model = Sequential([Input(shape=(2,)), Dense(1, kernel_initializer="zeros")], seed=0)
    model.compile("sgd", "mse")
    finder = LearningRateFinder().find(model, np.ones((64, 2)), np.zeros(64))
    assert finder.suggestion is None
    assert "suggestion None" in repr(finder)


@pytest.mark.jit_only
def test_a_model_without_weights_is_built_and_otherwise_as_drawn():
    lazy = Sequential([Dense(16, activation="relu"), Dense(10, activation="softmax")], seed=0)
    lazy.compile("adam", "sparse_categorical_crossentropy")
    LearningRateFinder().find(lazy, X, Y, batch_size="auto")
    for one, two in zip(lazy.get_weights(), digits().get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.jit_only
def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    finder = LearningRateFinder()
    with pytest.raises(ValueError, match="find"):
        finder.plot()
    finder.find(digits(), X, Y, sample_weight=np.ones(500))
    _, mine = plt.subplots()
    assert finder.plot(mine) is mine
    raw, smoothed, line, point = mine.get_lines()
    np.testing.assert_array_equal(raw.get_xydata(), np.column_stack([finder.learning_rates, finder.losses]))
    np.testing.assert_array_equal(smoothed.get_ydata(), finder.smoothed)
    assert line.get_xdata()[0] == point.get_xdata()[0] == finder.suggestion
    assert mine.get_xscale() == "log"
    low, high = mine.get_ylim()
    assert low < min(finder.smoothed) < finder.smoothed[0] < high
    plt.close("all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_lr": 0}, "min_lr"),
        ({"min_lr": 1, "max_lr": 1}, "min_lr"),
        ({"max_lr": np.nan}, "max_lr"),
        ({"num_training_steps": 5}, "num_training_steps must be at least 20"),
        ({"num_training_steps": 2.5}, "num_training_steps"),
        ({"early_stop_threshold": 0.5}, "early_stop_threshold"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        LearningRateFinder(**options)


def test_arguments_are_checked():
    finder = LearningRateFinder()
    with pytest.raises(TypeError, match="Sequential"):
        finder.find(X, Y, X)
    with pytest.raises(NotCompiledError):
        finder.find(Sequential([Dense(1)]), X, Y)
    with pytest.raises(ValueError, match="batch_size"):
        finder.find(digits(), X, Y, batch_size=0)
    with pytest.raises(ValueError, match="as many rows"):
        finder.find(digits(), X, Y[:3])
