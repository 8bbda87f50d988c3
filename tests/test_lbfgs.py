"""L-BFGS: the line search and the iterations by themselves, and training beside scikit-learn's."""

import contextlib
import copy
import math
import pickle

import numpy as np
import pytest
import scipy.sparse

import fastmlp
from fastmlp import Dense, Input, Sequential, callbacks, load_model, optimizers, regularizers
from fastmlp.engine.pace import Pace
from fastmlp.errors import ModelFileError, TrainingDivergedError
from fastmlp.optimizers.lbfgs import LBFGS, Minimization
from fastmlp.optimizers.line_search import CURVATURE, DECREASE, Point, inner, search
from fastmlp.saving import state


def function_of(value, gradient):
    """A function of float32 places in float64, which counts its calls."""

    def call(place):
        call.count += 1
        x = place.astype(np.float64)
        return Point(place, float(value(x)), np.asarray(gradient(x), np.float64), {})

    call.count = 0
    return call


# --- the line search --------------------------------------------------------------------------------------

# Of one variable, downhill at 0; the first two are (5.1) and (5.2) of More & Thuente, ACM TOMS 20, 1994, the second
# with 0.4 for 0.004: places in float32 do not resolve the slope that it begins with.
LINES = {
    "shallow": (lambda x: -x[0] / (x[0] ** 2 + 2), lambda x: (x**2 - 2) / (x**2 + 2) ** 2),
    "steep": (lambda x: (x[0] + 0.4) ** 5 - 2 * (x[0] + 0.4) ** 4,
              lambda x: 5 * (x + 0.4) ** 4 - 8 * (x + 0.4) ** 3),
    "parabola": (lambda x: (x[0] - 3) ** 2, lambda x: 2 * (x - 3)),
    "waves": (lambda x: 0.05 * x[0] ** 2 - x[0] + 0.3 * np.sin(7 * x[0]), lambda x: 0.1 * x - 1 + 2.1 * np.cos(7 * x)),
    "wall": (lambda x: -np.log(x[0] + 1) if x[0] < 2 else np.inf, lambda x: -1 / (x + 1) + 20 * (x > 1.5)),
}  # fmt: skip


@pytest.mark.parametrize("length", [1e-3, 0.1, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("name", LINES)
def test_a_line_search_meets_the_conditions(name, length):
    function = function_of(*LINES[name])
    with np.errstate(all="ignore"):
        start = function(np.zeros(1, np.float32))
        if start.gradient[0] >= 0:
            start = function(np.ones(1, np.float32))
        direction = -np.sign(start.gradient)
        found = search(function, start, direction, length, 40)
    assert found is not None
    slope, at_end = inner(start.gradient, direction), inner(found.gradient, direction)
    assert found.value <= start.value
    assert CURVATURE * slope <= at_end <= (2 * DECREASE - 1) * slope


def test_a_line_search_gives_up():
    uphill = function_of(lambda x: x[0] ** 2, lambda x: -np.ones(1))
    start = uphill(np.ones(1, np.float32))
    assert search(uphill, start, np.ones(1), 1.0, 7) is None
    assert uphill.count == 8
    # endlessly down: the lowest of what was seen
    plane = function_of(lambda x: -x[0], lambda x: -np.ones(1))
    found = search(plane, plane(np.zeros(1, np.float32)), np.ones(1), 1.0, 5)
    assert found.place[0] == 4**4


def test_a_line_search_bears_rounding():
    """Beside 1000 the values of this parabola do not differ in float32, but its slopes do."""
    function = function_of(lambda x: np.float32(1000 + (x[0] - 1e-3) ** 2), lambda x: 2 * (x - 1e-3))
    start = function(np.zeros(1, np.float32))
    found = search(function, start, -start.gradient, 0.1, 20)
    assert found.value == start.value
    assert abs(found.gradient[0]) < 0.9 * abs(start.gradient[0])


# --- the iterations ---------------------------------------------------------------------------------------


def rosenbrock():
    return function_of(
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        lambda x: [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)],
    )


def begun(settings, function):
    minimization = Minimization(settings)
    minimization.begin(function)
    return minimization


def test_the_valley_of_rosenbrock_is_followed_to_its_end():
    settings, function = LBFGS(gtol=1e-4), rosenbrock()
    minimization, place = begun(settings, function), np.array([-1.2, 1.0], np.float32)
    values = []
    for _ in range(100):
        point = minimization.iterate(place)
        values.append(point.value)
        place = point.place
        if settings.status:
            break
    np.testing.assert_allclose(place, [1, 1], rtol=2e-4)
    assert values == sorted(values, reverse=True)
    # SciPy's L-BFGS-B needs 35 to 40 iterations and 45 calls
    assert len(values) < 60
    assert function.count < 90


@pytest.mark.parametrize("maxcor", [1, 3, 10])
def test_a_quadratic_function_ends_at_its_minimum(maxcor):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 7))
    matrix, right = root @ root.T + np.eye(7), rng.normal(size=7)
    function = function_of(lambda x: x @ matrix @ x / 2 - right @ x, lambda x: matrix @ x - right)
    settings = LBFGS(maxcor=maxcor, ftol=0)
    minimization, place = begun(settings, function), np.zeros(7, np.float32)
    for _ in range(300):
        place = minimization.iterate(place).place
        if settings.status:
            break
    np.testing.assert_allclose(place, np.linalg.solve(matrix, right), rtol=1e-4, atol=1e-5)


def test_another_place_begins_anew():
    settings, function = LBFGS(), rosenbrock()
    minimization = begun(settings, function)
    place = np.array([-1.2, 1.0], np.float32)
    for _ in range(5):
        place = minimization.iterate(place).place
    other = np.array([3.0, 0.5], np.float32)
    again = begun(LBFGS(), rosenbrock()).iterate(other)
    np.testing.assert_array_equal(minimization.iterate(other).place, again.place)


# --- training ---------------------------------------------------------------------------------------------


def problem(rows=61):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return x, np.stack([np.sin(x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3]], axis=1).astype(np.float32)


def network(optimizer="lbfgs", metrics=None, seed=0, **options):
    hidden, out = Dense(9, "tanh", **options), Dense(2, **options)
    model = Sequential([Input((4,)), hidden, out], seed=seed)
    model.compile(optimizer, "mse", metrics=metrics)
    return model


def test_linear_regression_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 5)).astype(np.float32), rng.normal(size=(50, 2)).astype(np.float32)
    model = Sequential([Input((5,)), Dense(2)], seed=0)
    model.compile(optimizers.LBFGS(gtol=1e-6, ftol=0), "mse")
    history = model.fit(x, y, epochs=100, verbose=0)
    exact = np.linalg.lstsq(np.c_[x, np.ones(50)].astype(np.float64), y.astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(np.vstack(model.get_weights()), exact, atol=2e-5)
    assert len(history.epoch) < 40
    assert model.optimizer.status


# where scikit-learn's own iterations end depends on the BLAS
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.jit_only
@pytest.mark.parametrize(
    ("data", "sizes", "activation", "alpha", "tolerance"),
    [
        ("diabetes", (), "tanh", 1e-4, 1e-5),
        ("diabetes", (), "tanh", 10.0, 1e-5),
        ("diabetes", (10,), "tanh", 10.0, 0.02),
        ("digits", (), "tanh", 1.0, 1e-3),
        ("digits", (20,), "tanh", 1.0, 0.01),
        ("digits", (16,), "relu", 10.0, 0.03),
        ("digits", (12, 11), "logistic", 10.0, 0.02),
    ],
)
def test_training_ends_where_that_of_scikit_learn_ends(data, sizes, activation, alpha, tolerance, monkeypatch):
    """From the same weights; nets that are not convex may end in minima beside each other."""
    datasets = pytest.importorskip("sklearn.datasets")
    networks = pytest.importorskip("sklearn.neural_network")
    x, y = getattr(datasets, f"load_{data}")(return_X_y=True)
    classes = data == "digits"
    x = x / 16 if classes else (x - x.mean(0)) / x.std(0)
    y = y if classes else (y - y.mean()) / y.std()
    other = (networks.MLPClassifier if classes else networks.MLPRegressor)(
        hidden_layer_sizes=sizes, activation=activation, solver="lbfgs", alpha=alpha, max_iter=1000, max_fun=10**6,
        random_state=0,
    )  # fmt: skip
    start = []
    inner_fit = other._fit_lbfgs

    def spy(*arguments, **named):
        start.extend(array.copy() for pair in zip(other.coefs_, other.intercepts_, strict=True) for array in pair)
        return inner_fit(*arguments, **named)

    monkeypatch.setattr(other, "_fit_lbfgs", spy)
    other.fit(x, y)
    # scikit-learn's loss: the mean, halved for squares, and alpha / 2 / n of the squares of the kernels
    share = 1 if classes else 2
    penalty = regularizers.L2(share * alpha / 2 / len(x))
    name = {"logistic": "sigmoid"}.get(activation, activation)
    last = "softmax" if classes else None
    layers = [Dense(units, name, kernel_regularizer=penalty) for units in sizes]
    layers.append(Dense(10 if classes else 1, last, kernel_regularizer=penalty))
    model = Sequential([Input(x.shape[1:]), *layers])
    model.set_weights(start)
    loss = "sparse_categorical_crossentropy" if classes else "mse"
    model.compile(optimizers.LBFGS(gtol=share * 1e-4), loss)
    history = model.fit(x, y, epochs=1000, verbose=0)
    assert history.history["loss"][-1] / share <= other.loss_ * (1 + tolerance)
    if not sizes:
        assert history.history["loss"][-1] / share == pytest.approx(other.loss_, rel=tolerance)


def test_an_epoch_is_an_iteration_and_the_history_has_its_end():
    x, y = problem()
    model = network(metrics=["mae"], kernel_regularizer="l2")
    seen = []
    watch = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, dict(logs), model.evaluate(x, y, return_dict=True)))
    )
    history = model.fit(x, y, epochs=7, verbose=0, callbacks=[watch], validation_data=(x[:5], y[:5]))
    assert [epoch for epoch, *_ in seen] == history.epoch == list(range(7))
    for _, logs, judged in seen:
        assert logs["loss"] == pytest.approx(judged["loss"], rel=1e-6)
        assert logs["mae"] == pytest.approx(judged["mae"], rel=1e-6)
    assert {"val_loss", "val_mae"} < set(history.history)
    assert history.history["loss"] == sorted(history.history["loss"], reverse=True)


def test_hooks_of_batches_and_stopping():
    x, y = problem()
    model = network()
    calls = []

    class Watch(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            calls.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            calls.append(("end", batch, logs["loss"] > 0))

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    history = model.fit(x, y, epochs=50, verbose=0, callbacks=[Watch()])
    assert history.epoch == [0, 1, 2]
    assert calls == [("begin", 0), ("end", 0, True)] * 3
    assert model.optimizer.status == ""


@pytest.mark.jit_only
def test_evaluations_of_the_loss_are_limited():
    x, y = problem()
    model = network(optimizers.LBFGS(maxfun=7))
    history = model.fit(x, y, epochs=100, verbose=0)
    assert model.optimizer.status == "the loss was computed maxfun = 7 times"
    assert 2 < len(history.epoch) < 8
    # each fit counts anew
    assert len(model.fit(x, y, epochs=100, verbose=0).epoch) > 1


def test_training_ends_by_itself_and_says_why():
    x, y = problem()
    model = network(optimizers.LBFGS(gtol=0.05))
    history = model.fit(x, y, epochs=1000, verbose=0)
    assert len(history.epoch) < 1000
    assert "gtol = 0.05" in model.optimizer.status
    assert max(np.abs(array).max() for array in model.gradients(x, y).arrays) <= 0.05
    # already there: one epoch that changes nothing
    before = model.get_weights()
    assert model.fit(x, y, epochs=10, verbose=0).epoch == [0]
    assert [weight.tobytes() for weight in before] == [weight.tobytes() for weight in model.get_weights()]
    model.compile(optimizers.LBFGS(gtol=0, ftol=1e-2), "mse")
    model.fit(x, y, epochs=1000, verbose=0)
    assert "ftol = 0.01" in model.optimizer.status


def test_the_best_weights_come_back_and_weights_may_change_meanwhile():
    x, y = problem()
    model = network()
    first = model.get_weights()
    back = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 3 and model.set_weights(first))
    best = callbacks.EarlyStopping("loss", patience=100, restore_best_weights=True)
    history = model.fit(x, y, epochs=6, verbose=0, callbacks=[best, back])
    losses = history.history["loss"]
    assert losses[4:6] == losses[0:2]
    assert model.evaluate(x, y) == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("given", [np.float64, ">f4", "fortran"])
def test_any_dtype_and_layout_gives_the_same_bits(given):
    x, y = problem()
    weights = []
    for features in (x, np.asfortranarray(x) if given == "fortran" else x.astype(given)):
        model = network()
        model.fit(features, y, epochs=5, verbose=0, shuffle=features is x, batch_size=None if features is x else 61)
        weights.append([weight.tobytes() for weight in model.get_weights()])
    assert weights[0] == weights[1]


@pytest.mark.jit_only
def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr("fastmlp.engine.session.FLOPS_A_THREAD_AND_STEP", 1)
    monkeypatch.setattr("fastmlp.engine.pace.FLOPS_A_THREAD_AND_RUN", 1)
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)
    x, y = problem(3001)
    results = []
    for count in (1, 2, 5):
        fastmlp.set_num_threads(count)
        model = network(kernel_regularizer="l2")
        history = model.fit(x, y, epochs=12, verbose=0)
        results.append([history.history["loss"], *(weight.tobytes() for weight in model.get_weights())])
    assert results[0] == results[1] == results[2]


def test_sample_weights_and_class_weights_count():
    x, y = problem()
    weights = np.r_[np.ones(30), np.zeros(31)]
    some, all_ = network(), network()
    some.fit(x[:30], y[:30], epochs=4, verbose=0)
    all_.fit(x, y, epochs=4, verbose=0, sample_weight=weights)
    for one, other in zip(some.get_weights(), all_.get_weights(), strict=True):
        # the mean is over other numbers of rows, which the method does not notice
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_start_that_is_not_finite_diverges():
    model = Sequential([Input((1,)), Dense(1)], seed=0)
    model.compile("lbfgs", "mse")
    model.set_weights([[[1e30]], [0.0]])
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        model.fit([[1e5]], [[0.0]], verbose=0)
    assert model.get_weights()[0][0, 0] == np.float32(1e30)


def test_an_interrupted_search_leaves_the_weights_of_the_last_iteration(monkeypatch):
    x, y = problem()
    model = network()
    model.fit(x, y, epochs=2, verbose=0)
    before = [weight.tobytes() for weight in model.get_weights()]
    gradients, calls = model._session.gradients, []

    def interrupted(feed, ranks):
        calls.append(feed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return gradients(feed, ranks)

    monkeypatch.setattr(model._session, "gradients", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=2, verbose=0)
    assert [weight.tobytes() for weight in model.get_weights()] == before


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"maxcor": 0}, ValueError, "maxcor must be a positive integer"),
        ({"maxls": 1.5}, ValueError, "maxls must be a positive integer"),
        ({"ftol": -1}, ValueError, "ftol must be a finite number of at least 0"),
        ({"gtol": math.nan}, ValueError, "gtol must be"),
        ({"gtol": "small"}, TypeError, "gtol must be"),
    ],
)
def test_settings_are_checked(settings, error, text):
    with pytest.raises(error, match=text):
        optimizers.LBFGS(**settings)


def test_batches_are_refused():
    x, y = problem()
    model = network()
    with pytest.raises(ValueError, match="batch_size must be None or at least the 61 rows"):
        model.fit(x, y, batch_size=32, verbose=0)
    with pytest.raises(ValueError, match="at least the 48 rows"):
        model.fit(x, y, batch_size=47, validation_split=0.2, verbose=0)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(x, y, steps_per_epoch=2, verbose=0)
    with pytest.raises(ValueError, match="train_on_batch"):
        model.train_on_batch(x, y)
    rate = callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    with pytest.raises(AttributeError, match="a line search finds the length"):
        model.fit(x, y, verbose=0, callbacks=[rate])
    model.fit(x, y, batch_size=1000, verbose=0)


@pytest.mark.parametrize("penalty", [None, "l2", regularizers.L1L2(0.01, 0.02, by_rows=True)])
def test_sparse_rows_become_dense_by_the_block(penalty, monkeypatch):
    x, y = problem()
    x[np.abs(x) < 0.5] = 0
    weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
    dense = network(kernel_regularizer=penalty, metrics=["r2"])
    expected = dense.fit(x, y, epochs=6, verbose=0, sample_weight=weights)
    # blocks of 13 rows
    monkeypatch.setattr("fastmlp.engine.feed.BLOCK_FLOATS", 13 * 4)
    model = network(kernel_regularizer=penalty, metrics=["r2"])
    history = model.fit(scipy.sparse.csr_array(x), y, epochs=6, verbose=0, sample_weight=weights)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=2e-5)


# --- trainings that go on ---------------------------------------------------------------------------------


def bits(model):
    return [weight.tobytes() for weight in model.get_weights()]


@pytest.mark.parametrize("how", ["the same object", "a copy", "a file", "a pickle"])
def test_a_training_in_parts_has_the_bits_of_one(how, tmp_path):
    x, y = problem()
    whole, model = network(), network()
    expected = whole.fit(x, y, epochs=17, verbose=0)
    losses = []
    for first in range(0, 17, 4):
        losses += model.fit(x, y, epochs=min(first + 4, 17), initial_epoch=first, verbose=0).history["loss"]
        if how == "a copy":
            model = copy.deepcopy(model)
        elif how == "a file":
            model.save(tmp_path / "model")
            model = load_model(tmp_path / "model")
        elif how == "a pickle":
            model = pickle.loads(pickle.dumps(model))
    assert losses == expected.history["loss"]
    assert bits(model) == bits(whole)


class Interrupt(callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
def test_interrupted_runs_end_alike(save_freq, tmp_path):
    x, y = problem()
    whole = network()
    expected = whole.fit(x, y, epochs=30, verbose=0, callbacks=[Interrupt(None)])
    for epoch in (2, 9, 10, 25, None):
        model = network()
        backup = callbacks.BackupAndRestore(tmp_path, save_freq)
        with contextlib.suppress(KeyboardInterrupt):
            history = model.fit(x, y, epochs=30, verbose=0, callbacks=[backup, Interrupt(epoch)])
    assert history.history == expected.history
    assert bits(model) == bits(whole)
    assert model.optimizer.status == whole.optimizer.status


def test_a_training_that_stands_still_is_known_to_stand_after_loading(tmp_path):
    x, y = problem()
    settings = optimizers.LBFGS(ftol=0.5, gtol=0)
    whole, model = network(settings), network(optimizers.LBFGS(ftol=0.5, gtol=0))
    epochs = len(whole.fit(x, y, epochs=200, verbose=0).epoch)
    assert settings.status.startswith("the loss fell by at most")
    model.fit(x, y, epochs=epochs - 1, verbose=0)
    model.save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert len(model.fit(x, y, epochs=200, initial_epoch=epochs - 1, verbose=0).epoch) == 1
    assert bits(model) == bits(whole)


def test_other_weights_are_begun_with_anew():
    x, y = problem()
    model, fresh = network(), network()
    start = model.get_weights()
    model.fit(x, y, epochs=6, verbose=0)
    model.set_weights(start)
    expected = fresh.fit(x, y, epochs=6, verbose=0)
    assert model.fit(x, y, epochs=6, verbose=0).history == expected.history


def test_a_smaller_memory_keeps_the_last_steps():
    x, y = problem()
    model = network(optimizers.LBFGS(maxcor=8))
    model.fit(x, y, epochs=12, verbose=0)
    minimization = model._session.minimization(model.optimizer)
    pairs = minimization.memory.pairs
    assert len(pairs) == 8
    model.optimizer.maxcor = 3
    model.fit(x, y, epochs=1, verbose=0)
    assert [id(step) for step, _ in minimization.memory.pairs[:2]] == [id(step) for step, _ in pairs[-2:]]


@pytest.mark.parametrize(
    ("slots", "change", "text"),
    [
        (4, lambda t: [t[name].fill(0) for name in t if name.endswith("slot1")], "curvatures must be positive"),
        (4, lambda t: t["dense.kernel.slot2"].fill(np.nan), "curvatures must be positive"),
        (4, lambda t: t.update({"dense.bias.slot0": np.zeros(7, np.float32)}), r"slot0' must be float64 \(9,\)"),
        (4, lambda t: t.pop("dense.bias.slot3"), "slot3' is missing"),
        (3, lambda t: None, "pairs of slots, 20 at most, got 3"),
        (22, lambda t: None, "pairs of slots, 20 at most, got 22"),
        (2, lambda t: None, "belong to no layer"),
    ],
)
def test_a_file_with_a_broken_memory_is_refused(slots, change, text):
    x, y = problem()
    model = network()
    model.fit(x, y, epochs=2, verbose=0)
    document, tensors = state.capture(model)
    assert document["training"]["slots"] == 4
    document["training"]["slots"] = slots
    change(tensors)
    with pytest.raises(ModelFileError, match=text):
        state.restore(document, tensors, "the file")
