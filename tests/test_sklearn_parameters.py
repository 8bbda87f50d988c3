"""What MLPClassifier and MLPRegressor have beyond scikit-learn's, and what they refuse."""

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
from sklearn_pairs import LABELS, MANY, ONE, THREE, TWO, X, ours  # noqa: E402

import fastmlp  # noqa: E402
from fastmlp import activations, callbacks, layers, losses, optimizers  # noqa: E402
from fastmlp.optimizers import schedules  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
x = X[:40]


def same(one, other):
    return all(np.array_equal(*pair) for pair in zip(one.coefs_, other.coefs_, strict=True))


def kinds(estimator):
    return [type(layer).__name__ for layer in estimator.model_.layers]


def test_an_activation_for_each_layer():
    bump = activations.Custom(lambda z: np.exp(-z * z), lambda z, a: -2 * z * a, name="bump")
    mine = ours("Regressor", hidden_layer_sizes=(4, 3, 2), activation=["gelu", "logistic", bump], max_iter=2)
    mine.fit(x, ONE[:40])
    assert [layer.activation.name for layer in mine.model_.layers] == ["gelu", "sigmoid", "bump", "linear"]
    # the logistic function has smaller weights at the beginning, and so has what follows it
    alone = ours("Regressor", hidden_layer_sizes=(4,), activation=["logistic"], max_iter=2).fit(x, ONE[:40])
    assert same(alone, ours("Regressor", hidden_layer_sizes=(4,), activation="logistic", max_iter=2).fit(x, ONE[:40]))


def test_dropout():
    mine = ours("Classifier", dropout=0.5, hidden_layer_sizes=(6, 5), max_iter=3).fit(x, THREE[:40])
    assert kinds(mine) == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    np.testing.assert_array_equal(mine.predict_proba(X), mine.predict_proba(X))
    assert same(mine, ours("Classifier", dropout=0.5, hidden_layer_sizes=(6, 5), max_iter=3).fit(x, THREE[:40]))
    assert not same(mine, ours("Classifier", hidden_layer_sizes=(6, 5), max_iter=3).fit(x, THREE[:40]))


def test_batch_norm():
    mine = ours("Classifier", batch_norm=True, hidden_layer_sizes=(6, 5), max_iter=3).fit(x, THREE[:40])
    assert kinds(mine) == ["Dense", "BatchNormalization", "Activation"] * 2 + ["Dense"]
    assert [kernel.shape for kernel in mine.coefs_] == [(4, 6), (6, 5), (5, 3)]
    normal = next(layer for layer in mine.model_.layers if isinstance(layer, layers.BatchNormalization))
    assert any(np.abs(weight).min() > 0 for weight in normal.get_weights())


def test_class_weight():
    factors = {"same": 2.0, "other": 0.5}
    by_row = np.array([factors[label] for label in TWO[:40]])
    weighted = ours("Classifier").fit(x, TWO[:40], by_row)
    assert same(weighted, ours("Classifier", class_weight=factors).fit(x, TWO[:40]))
    times = np.linspace(1, 2, 40)
    both = ours("Classifier", class_weight=factors).fit(x, TWO[:40], times)
    assert same(both, ours("Classifier").fit(x, TWO[:40], by_row * times))
    # a class that is not named counts as it is
    assert same(
        ours("Classifier", class_weight={2: 3.0}).fit(x, THREE[:40]),
        ours("Classifier").fit(x, THREE[:40], np.where(THREE[:40] == 2, 3.0, 1.0)),
    )
    for y in (THREE[:40], LABELS[:40]):
        balanced = ours("Classifier", class_weight="balanced").fit(x, y)
        assert same(balanced, ours("Classifier").fit(x, y, compute_sample_weight("balanced", y)))


def test_l1():
    plain = ours("Regressor", max_iter=1, alpha=0.0, batch_size="auto").fit(x, ONE[:40])
    start = ours("Regressor", max_iter=1, alpha=0.0, batch_size="auto", learning_rate_init=1e-30).fit(x, ONE[:40])
    mine = ours("Regressor", max_iter=1, alpha=0.0, batch_size="auto", l1=2.0).fit(x, ONE[:40])
    size = sum(float(np.abs(kernel).sum()) for kernel in start.coefs_)
    assert mine.loss_ == pytest.approx(plain.loss_ + 2.0 * size / 40, rel=1e-5)
    assert not same(mine, plain)


def test_losses_of_fastmlp():
    mine = ours("Regressor", loss="huber", max_iter=1, alpha=0.0, batch_size="auto").fit(x, ONE[:40])
    start = ours("Regressor", max_iter=1, alpha=0.0, learning_rate_init=1e-30).fit(x, ONE[:40])
    assert mine.loss_ == pytest.approx(float(losses.Huber()(ONE[:40, None], start.predict(x)[:, None])), rel=1e-5)
    for loss, y in (
        (losses.CategoricalFocalCrossentropy(), THREE),
        ("binary_focal_crossentropy", TWO),
        ("mse", LABELS),
        ("sparse_categorical_crossentropy", THREE),
    ):
        found = ours("Classifier", loss=loss, max_iter=2).fit(x, y[:40])
        np.testing.assert_array_less(-1e-9, found.predict_proba(X))
        assert found.loss_ == found.loss_curve_[-1] == found.history_.history["loss"][-1]

    def squares(y_true, y_pred):
        d = y_pred - y_true
        return (d**2).mean(), 2 * d / d.size

    own, named = (ours("Regressor", loss=loss, max_iter=2).fit(x, MANY[:40]) for loss in (squares, "mse"))
    np.testing.assert_allclose(own.loss_curve_, named.loss_curve_, rtol=1e-5)


def test_losses_and_what_they_do_not_take():
    def squares(y_true, y_pred):
        d = y_pred - y_true
        return (d**2).mean(), 2 * d / d.size

    for kind, loss, y, weights, message in (
        ("Regressor", "sparse_categorical_crossentropy", THREE, None, "y must hold class numbers 0 to 0"),
        ("Classifier", "sparse_categorical_crossentropy", TWO, None, "y must hold class numbers 0 to 0"),
        ("Regressor", "binary_crossentropy", ONE, None, r"y must be in \[0, 1\]"),
        ("Regressor", squares, ONE, np.ones(150), "cannot be used with a loss of one's own"),
    ):
        mine = ours(kind, loss=loss)
        with pytest.raises(ValueError, match=message):
            mine.fit(X, y, weights)
        assert not hasattr(mine, "model_")
    # identical rows are not one row with a weight then
    twice = [np.repeat(values[:10], 2, axis=0) for values in (X, ONE)]
    own, named = (ours("Regressor", loss=loss, max_iter=2, batch_size="auto").fit(*twice) for loss in (squares, "mse"))
    np.testing.assert_allclose(own.loss_curve_, named.loss_curve_, rtol=1e-5)


def test_optimizers_of_fastmlp():
    optimizer = optimizers.SGD(0.02, momentum=0.9, nesterov=True)
    mine = ours("Regressor", optimizer=optimizer, solver="lbfgs", max_iter=3).fit(x, ONE[:40])
    assert same(mine, ours("Regressor", solver="sgd", learning_rate_init=0.02, max_iter=3).fit(x, ONE[:40]))
    assert optimizer.batches == 0
    assert mine.model_.optimizer is not optimizer
    assert isinstance(
        ours("Regressor", optimizer="lion", max_iter=1).fit(x, ONE[:40]).model_.optimizer, optimizers.Lion
    )
    settings = {"max_iter": 20, "tol": 1e-3}
    lbfgs = ours("Regressor", optimizer=optimizers.LBFGS(gtol=1e-3), **settings).fit(x, ONE[:40])
    assert same(lbfgs, ours("Regressor", solver="lbfgs", **settings).fit(x, ONE[:40]))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_schedule(solver):
    rate = schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)
    mine = ours("Regressor", solver=solver, learning_rate="adaptive", schedule=rate, max_iter=2, batch_size=20)
    mine.fit(x, ONE[:40])
    assert mine.model_.optimizer.learning_rate == pytest.approx(0.1 * 0.25)


def test_callbacks():
    seen = []
    stop = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (seen.append(logs["loss"]), setattr(mine.model_, "stop_training", epoch == 2))
    )
    mine = ours("Regressor", callbacks=stop)
    with warnings.catch_warnings():
        # who stops a training knows that it has not converged
        warnings.simplefilter("error", ConvergenceWarning)
        mine.fit(x, ONE[:40])
    assert mine.n_iter_ == len(seen) == 3
    assert mine.loss_curve_ == seen
    early = callbacks.EarlyStopping("val_loss", patience=0, min_delta=10.0)
    assert ours("Classifier", callbacks=[early], early_stopping=True).fit(X, THREE).n_iter_ == 2


@pytest.mark.parametrize(("n_jobs", "threads"), [(1, 1), (2, 2), (-1, None), (None, None)])
def test_n_jobs(n_jobs, threads):
    found = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: found.append(fastmlp.get_num_threads()))
    fastmlp.set_num_threads(7)
    mine = ours("Regressor", n_jobs=n_jobs, callbacks=[note], max_iter=1).fit(x, ONE[:40])
    wanted = threads or (7 if n_jobs is None else fastmlp.threads.available_cores())
    assert found == [wanted]
    assert fastmlp.get_num_threads() == 7
    assert same(mine, ours("Regressor", max_iter=1).fit(x, ONE[:40]))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("hidden_layer_sizes", [0, (3, 0), "a", 2.5, None], "hidden_layer_sizes must"),
        ("activation", ["nothing", ["nothing"]], "nothing"),
        ("activation", [[], ["relu", "tanh"]], "a name for each of 1 hidden layers"),
        ("solver", ["nothing", None], "solver"),
        ("learning_rate", ["nothing"], "learning_rate"),
        ("alpha", [-1, "a", None, np.nan], "alpha must be"),
        ("l1", [-1, "a"], "l1 must be"),
        ("batch_size", [0, 2.5, "nothing", None], "batch_size must be"),
        ("learning_rate_init", [0, -1, None], "learning_rate_init must be"),
        ("power_t", [-1], "power_t must be"),
        ("max_iter", [0, 2.5, "a"], "max_iter must be"),
        ("max_fun", [0], "max_fun must be"),
        ("shuffle", ["a", None], "shuffle must be"),
        ("warm_start", ["a"], "warm_start must be"),
        ("early_stopping", ["a"], "early_stopping must be"),
        ("batch_norm", ["a"], "batch_norm must be"),
        ("verbose", ["a"], "verbose must be"),
        ("random_state", ["a", -1, np.random.default_rng(0)], r"seed|Seed"),
        ("tol", [-1], "tol must be"),
        ("momentum", [-0.1, 1.1], "momentum must be"),
        ("validation_fraction", [-1, 1.0], "validation_fraction must be"),
        ("beta_1", [1.0], "beta_1 must be"),
        ("beta_2", [-1], "beta_2 must be"),
        ("epsilon", [0], "epsilon must be"),
        ("n_iter_no_change", [0, 2.5], "n_iter_no_change must be"),
        ("dropout", [1.0, -0.1], "dropout must be"),
        ("loss", ["nothing"], "nothing"),
        ("optimizer", ["nothing"], "nothing"),
        ("schedule", [0.1], "schedule must be"),
        ("n_jobs", [0, "a", 1.5], "n_jobs must be"),
        ("class_weight", ["nothing", {7: 1.0}, {0: -1.0}, {0: np.nan}], r"class_weight"),
        ("callbacks", [[3]], "callbacks"),
    ],
)
def test_parameters_that_are_refused(name, values, message):
    for value in values:
        mine = ours("Classifier", **{name: value})
        with pytest.raises((ValueError, TypeError), match=message):
            mine.fit(x, THREE[:40])
        assert not hasattr(mine, "model_")


def test_parameters_that_do_not_go_together():
    schedule = schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)
    for other in ({"solver": "lbfgs"}, {"optimizer": "adam"}):
        with pytest.raises(ValueError, match="schedule belongs to the solvers 'sgd' and 'adam'"):
            ours("Regressor", schedule=schedule, **other).fit(x, ONE[:40])
    with pytest.raises(ValueError, match="LBFGS needs a loss that follows from the weights alone"):
        ours("Regressor", solver="lbfgs", dropout=0.5).fit(x, ONE[:40])
    with pytest.warns(UserWarning, match="batch_size=64 is more than the 40 rows to train on"):
        ours("Regressor", batch_size=64, max_iter=1).fit(x, ONE[:40])


@pytest.mark.parametrize(
    ("kind", "data", "y", "weights", "message"),
    [
        ("Classifier", x, ONE[:40], None, "Unknown label type"),
        ("Classifier", x, np.stack([THREE[:40]] * 2, axis=1), None, "Multioutput target data is not supported"),
        ("Classifier", x, np.where(LABELS[:40], 1, -1), None, "labels of 0 and 1"),
        ("Classifier", x, None, None, "requires y to be passed"),
        ("Classifier", x, TWO[:39], None, "inconsistent numbers of samples"),
        ("Classifier", x[:0], TWO[:0], None, "0 sample"),
        ("Classifier", x[:, :0], TWO[:40], None, "0 feature"),
        ("Classifier", x[:, 0], TWO[:40], None, "Expected 2D array"),
        ("Classifier", x + 1j, TWO[:40], None, "Complex data not supported"),
        ("Classifier", np.where(x > 1, np.nan, x), TWO[:40], None, "contains NaN"),
        ("Classifier", x * 1e300, TWO[:40], None, "X must be finite in float32"),
        ("Regressor", x, ONE[:40] * 1e300, None, "y must be finite in float32"),
        ("Regressor", x, np.full(40, np.inf), None, "y contains infinity"),
        ("Regressor", x, ["a"] * 40, None, "could not convert string to float"),
        ("Regressor", x, ONE[:40], np.ones(39), r"sample_weight must have the shape \(40,\), got \(39,\)"),
        ("Regressor", x, ONE[:40], -np.ones(40), "sample_weight must not be negative"),
        ("Regressor", x, ONE[:40], np.zeros(40), "nor zero for all rows"),
        ("Regressor", x, ONE[:40], np.full(40, np.nan), "sample_weight contains NaN"),
    ],
)
def test_data_that_are_refused(kind, data, y, weights, message):
    mine = ours(kind)
    with pytest.raises(ValueError, match=message):
        mine.fit(data, y, weights)
    assert not hasattr(mine, "model_")


def test_targets_that_are_refused():
    with pytest.raises(ValueError, match="y must not be negative for loss='poisson'"):
        ours("Regressor", loss="poisson").fit(x, ONE[:40])
    mine = ours("Regressor", max_iter=1).fit(x, ONE[:40])
    with pytest.raises(ValueError, match="y must have 1 columns as before, got 3"):
        mine.partial_fit(X, MANY)
    several = ours("Classifier", max_iter=1).fit(x, LABELS[:40])
    for y, message in ((LABELS[:, :2], "y must have 3 columns of labels"), (TWO, "y must be several labels a row")):
        with pytest.raises(ValueError, match=message):
            several.partial_fit(X, y)
    # a weight for all is none
    assert same(
        ours("Regressor", max_iter=1, batch_size="auto").fit(x, ONE[:40], 1.0),
        ours("Regressor", max_iter=1, batch_size="auto").fit(x, ONE[:40]),
    )
