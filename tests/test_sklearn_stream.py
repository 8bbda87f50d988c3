"""``partial_fit`` with one small batch after the other: what it leaves out changes nothing."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn_pairs import LABELS, ONE, THREE, TWO, X
from sklearn_pairs import ours as of_pairs

from fastmlp.callbacks import Callback
from fastmlp.sklearn import stream

BATCHES = [slice(first, first + 16) for first in range(0, 80, 16)] * 4
KINDS = [
    ("Regressor", ONE, {}),
    ("Regressor", ONE.astype(np.float32), {"hidden_layer_sizes": 7, "activation": "tanh", "batch_size": 16}),
    ("Regressor", ONE, {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.5}),
    ("Regressor", ONE, {"solver": "sgd", "learning_rate": "invscaling", "alpha": 0.1}),
    ("Classifier", TWO, {}),
    ("Classifier", THREE, {"dropout": 0.3}),
    ("Classifier", np.searchsorted(np.unique(THREE), THREE), {"batch_norm": True, "random_state": None}),
]
COUNTS = ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "_no_improvement_count")


def ours(kind, **settings):
    return of_pairs(kind, **{"batch_size": "auto", **settings})


def steps_of(monkeypatch):
    """Count the calls that are a step alone."""
    made = []
    goes_on = stream.goes_on

    def counted(*given):
        made.append(goes_on(*given))
        return made[-1]

    monkeypatch.setattr("fastmlp.sklearn.estimator.goes_on", counted)
    return made


def learn(estimator, y, rows, **given):
    if hasattr(estimator, "predict_proba") and not hasattr(estimator, "classes_"):
        given["classes"] = np.unique(y)
    return estimator.partial_fit(X[rows], y[rows], **given)


@pytest.mark.parametrize(("kind", "y", "settings"), KINDS)
def test_the_same_as_whole_trainings(monkeypatch, kind, y, settings):
    quick = ours(kind, **settings)
    whole = clone(quick)
    if settings.get("random_state", 0) is None:
        # the weights of the first one for both
        learn(quick, y, BATCHES[0])
        whole = pickle.loads(pickle.dumps(quick))
    made = steps_of(monkeypatch)
    for rows in BATCHES:
        learn(quick, y, rows)
        before = len(made)
        whole._settled = None
        learn(whole, y, rows)
        assert len(made) == before
        assert [getattr(quick, name) for name in COUNTS] == [getattr(whole, name) for name in COUNTS]
        assert quick.history_.history == whole.history_.history
        assert quick.history_.epoch == whole.history_.epoch
        assert quick.model_.optimizer.learning_rate == whole.model_.optimizer.learning_rate
    assert len(made) >= len(BATCHES) - 1
    assert all(made)
    for one, other in zip(quick.model_.get_weights(), whole.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(quick.predict(X), whole.predict(X))


@pytest.mark.parametrize(
    "settings",
    [
        {"callbacks": [Callback()]}, {"loss": "poisson"}, {"loss": "mae"}, {"hidden_layer_sizes": [5]}, {"n_jobs": 1},
        {"random_state": np.random.RandomState(0)}, {"optimizer": "nadam"}, {"activation": ["tanh"]},
    ],
)  # fmt: skip
def test_what_asks_for_more_is_a_training(monkeypatch, settings):
    made = steps_of(monkeypatch)
    estimator = ours("Regressor", **{"hidden_layer_sizes": 5, **settings})
    for rows in BATCHES[:4]:
        learn(estimator, np.abs(ONE), rows)
    assert not made
    assert len(estimator.loss_curve_) == 4


def test_a_change_is_a_training(monkeypatch):
    made = steps_of(monkeypatch)
    estimator = ours("Regressor")
    learn(estimator, ONE, BATCHES[0])
    learn(estimator, ONE, BATCHES[1])
    assert made == [True]
    estimator.set_params(alpha=1.0)
    learn(estimator, ONE, BATCHES[2])
    learn(estimator, ONE, BATCHES[3], sample_weight=np.ones(16))
    assert made == [True, False]
    learn(estimator, ONE, BATCHES[4])
    assert made == [True, False, True]
    # weights that may have been written to
    estimator.coefs_[0][:] = 0
    learn(estimator, ONE, BATCHES[0])
    assert made == [True, False, True, False]
    assert np.abs(estimator.coefs_[0]).max() < 0.01


@pytest.mark.filterwarnings("ignore:.*batch_size=16")
def test_other_numbers_of_rows_are_a_training(monkeypatch):
    made = steps_of(monkeypatch)
    estimator = ours("Regressor", batch_size=16)
    for rows in (slice(0, 16), slice(0, 16), slice(0, 15), slice(0, 32)):
        learn(estimator, ONE, rows)
    assert made == [True, False, False]
    made.clear()
    estimator = ours("Regressor")
    many = np.tile(X, (4, 1))[:201]
    for rows in (200, 200, 201):
        estimator.partial_fit(many[:rows], np.tile(ONE, 4)[:rows])
    assert made == [True, False]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:16, :3], ONE[:16], "features"),
        (np.full((16, 4), np.nan), ONE[:16], "NaN"),
        (X[:16], np.full(16, np.inf), "infinity"),
        (X[:16], ONE[:15], "inconsistent numbers of samples"),
        (X[:16], np.full(16, 1e300), "float32"),
    ],
)
def test_bad_batches_are_told_as_ever(x, y, message):
    estimator = ours("Regressor")
    for rows in BATCHES[:2]:
        learn(estimator, ONE, rows)
    before = estimator.model_.get_weights()
    with pytest.raises(ValueError, match=message):
        estimator.partial_fit(x, y)
    for one, other in zip(estimator.model_.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    learn(estimator, ONE, BATCHES[2])


def test_unknown_labels_and_a_step_that_diverges(monkeypatch):
    estimator = ours("Classifier")
    for rows in BATCHES[:2]:
        learn(estimator, TWO, rows)
    with pytest.raises(ValueError, match="classes not in"):
        estimator.partial_fit(X[:16], np.full(16, "new"))
    estimator = ours("Regressor", solver="sgd", learning_rate_init=1.0)
    learn(estimator, ONE, BATCHES[0])
    made = steps_of(monkeypatch)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        [estimator.partial_fit(X[:16] * 1e6, ONE[:16] * 1e6) for _ in range(20)]
    assert all(made)
    assert np.isfinite(estimator.predict(X)).all()


def test_several_labels_are_a_training(monkeypatch):
    made = steps_of(monkeypatch)
    estimator = ours("Classifier")
    for _ in range(3):
        estimator.partial_fit(X, LABELS)
    assert made == [False, False]
    assert estimator.n_iter_ == 1
