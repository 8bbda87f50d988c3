"""MLPClassifier and MLPRegressor with data of all kinds, weights that are written to, and fits that fail."""

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from scipy import sparse  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn_pairs import LABELS, ONE, THREE, TWO, X, alike, ours, pair  # noqa: E402

from fastmlp.callbacks import Callback  # noqa: E402
from fastmlp.engine.epoch import run_steps  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.jit_only
def test_a_column_of_a_table_makes_the_engine_compile_no_further():
    table = np.column_stack([X[:40], ONE[:40]]).astype(np.float32)
    weights = np.ones((40, 2), np.float32)
    ours("Regressor", max_iter=1).fit(table[:, :-1].copy(), table[:, -1].copy())
    before = set(run_steps.signatures)
    ours("Regressor", max_iter=1).fit(table[:, :-1], table[:, -1], sample_weight=weights[:, 0])
    ours("Regressor", max_iter=1).partial_fit(table[:, :-1].copy(), table[:, -1])
    assert set(run_steps.signatures) == before


def test_weights_are_views():
    found = []
    for one in pair("Regressor", max_iter=1):
        one.fit(X[:40], ONE[:40])
        held, kernel = one.coefs_, one.coefs_[0]
        kernel[:2] = 0.5
        steps = [one.predict(X[:3])]
        one.intercepts_[1][:] += 3
        one.coefs_[1] = np.arange(5.0).reshape(5, 1)
        steps.append(one.predict(X[:3]))
        one.coefs_ = [weight * 2 for weight in one.coefs_]
        one.intercepts_ = [weight - 1 for weight in one.intercepts_]
        steps.append(one.predict(X[:3]))
        one.set_params(warm_start=True).fit(X[:40], ONE[:40])
        steps.append(one.predict(X[:3]))
        found.append(steps)
        assert len(held) == 2
    np.testing.assert_allclose(*found, rtol=1e-4)
    one.coefs_[0][:] = 0
    assert one.predict(X[:3]).std() == 0


def test_weights_that_do_not_fit():
    mine = ours("Regressor", max_iter=1).fit(X[:40], ONE[:40])
    before = mine.predict(X)
    for wrong in ([np.ones((3, 3)), np.ones((5, 1))], [np.full((4, 5), np.nan), np.ones((5, 1))], [np.ones((4, 5))]):
        with pytest.raises(ValueError, match=r"must have|must be finite"):
            mine.coefs_ = wrong
        np.testing.assert_array_equal(mine.predict(X), before)
    mine.intercepts_[0] = [1, 2]
    with pytest.raises(ValueError, match="must have the shapes"):
        mine.predict(X)
    mine.intercepts_ = [np.zeros(5), np.zeros(1)]
    assert mine.predict(X).shape == (150,)
    with pytest.raises(NotFittedError):
        ours("Regressor").coefs_  # noqa: B018
    assert not hasattr(ours("Regressor"), "intercepts_")


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.coo_array])
def test_sparse_data(make):
    data = np.where(np.abs(X[:60]) > 0.8, X[:60], 0)
    theirs, mine = (one.fit(make(data), THREE[:60]) for one in pair("Classifier"))
    alike(theirs, mine)
    dense = ours("Classifier").fit(data, THREE[:60])
    np.testing.assert_array_equal(dense.predict_proba(data), mine.predict_proba(make(data)))
    theirs, mine = pair("Classifier", early_stopping=True, max_iter=2)
    alike(*(one.fit(make(data), THREE[:60]) for one in (theirs, mine)))


def test_sparse_labels():
    for one in pair("Classifier", max_iter=1):
        found = one.fit(X, sparse.csr_matrix(LABELS)).predict(X)
        assert sparse.issparse(found)
        assert found.dtype == int
    mine = ours("Classifier").partial_fit(X, sparse.csr_matrix(LABELS)).partial_fit(X, LABELS)
    assert mine.predict(X).shape == (150, 3)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames(kind):
    frames = pytest.importorskip(kind)
    names = ["a", "b", "c", "d"]
    make = {"pandas": lambda data: frames.DataFrame(data, columns=names)}.get(
        kind, lambda data: frames.DataFrame(data, schema=names)
    )
    theirs, mine = (one.fit(make(X[:60]), frames.Series(TWO[:60])) for one in pair("Classifier", max_iter=2))
    alike(theirs, mine)
    np.testing.assert_array_equal(mine.feature_names_in_, names)
    np.testing.assert_array_equal(mine.predict(make(X)), theirs.predict(make(X)))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        mine.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        mine.predict(make(X)[["b", "a", "c", "d"]])
    several = ours("Regressor", max_iter=2, early_stopping=True).fit(make(X[:60]), make(X[:60]))
    assert several.predict(make(X)).shape == (150, 4)


@pytest.mark.parametrize(
    ("data", "y"),
    [
        (X[:40], THREE[:40] == 1),
        (X[:40], THREE[:40].astype(np.uint8)),
        (X[:40], -1.0 * THREE[:40]),
        (X[:40], TWO[:40].tolist()),
        ((X[:40] * 9).astype(int), TWO[:40]),
        (X[:40] > 0, TWO[:40]),
        (X[:40, :1], TWO[:40]),
        (X[:40].astype(object), TWO[:40]),
        (np.asfortranarray(X[:40]), TWO[:40]),
        (X[:80:2, ::-1], TWO[:40]),
        (X[:40].astype(np.float16), TWO[:40]),
        (X[:40].astype(">f8"), TWO[:40]),
        (X[:40].tolist(), TWO[:40]),
        (np.ma.array(X[:40]), TWO[:40]),
        (np.repeat(X[:1], 40, axis=0), TWO[:40]),
        (X[:40], np.zeros(40)),
        (X[:1], TWO[:1]),
    ],
)
def test_data_of_all_types(data, y):
    theirs, mine = (one.fit(data, y) for one in pair("Classifier", max_iter=2, batch_size="auto"))
    alike(theirs, mine)
    np.testing.assert_array_equal(mine.predict(data), theirs.predict(data))
    assert mine.predict(data).dtype == theirs.predict(data).dtype


def test_labels_of_dtype_object_keep_it():
    mine = ours("Classifier", max_iter=1).fit(X[:40], TWO[:40].astype(object))
    assert mine.predict(X).dtype == object
    assert mine.score(X[:40], TWO[:40]) > 0


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_a_column_warns(kind):
    for one in pair(kind, max_iter=1):
        with pytest.warns(sklearn.exceptions.DataConversionWarning):
            one.fit(X[:40], THREE[:40, None])
        assert one.predict(X).shape == (150,)


def test_one_class():
    mine = ours("Classifier", max_iter=1).fit(X, np.full(150, "only"))
    np.testing.assert_array_equal(mine.predict(X[:2]), ["only", "only"])
    np.testing.assert_array_equal(mine.predict_proba(X[:2]), [[1.0], [1.0]])
    np.testing.assert_array_equal(mine.predict_log_proba(X[:2]), [[0.0], [0.0]])


@pytest.mark.jit_only
def test_ten_thousand_classes():
    y = np.arange(10_000) + 5
    mine = ours("Classifier", max_iter=1, batch_size=500).fit(np.random.default_rng(0).normal(0, 1, (10_000, 3)), y)
    assert mine.predict_proba(X[:3, :3]).shape == (3, 10_000)
    assert mine.predict(X[:3, :3]).min() >= 5


def test_fits_are_independent():
    mine = ours("Classifier", max_iter=2)
    first = mine.fit(X[:40], THREE[:40]).predict_proba(X)
    mine.fit(X[:40, :2], TWO[:40])
    assert (mine.n_features_in_, mine.coefs_[0].shape) == (2, (2, 5))
    np.testing.assert_array_equal(mine.fit(X[:40], THREE[:40]).predict_proba(X), first)
    mine.set_params(hidden_layer_sizes=(9,), activation="tanh")
    np.testing.assert_array_equal(mine.predict_proba(X), first)


class Raises(Callback):
    def __init__(self, error, epoch):
        super().__init__()
        self.error, self.epoch = error, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise self.error


def test_a_fit_that_fails_leaves_the_last_one():
    mine = ours("Classifier", max_iter=2).fit(X[:40], THREE[:40])
    before, names = mine.predict_proba(X), set(vars(mine))
    for changes, data, weights, error in (
        ({}, X[:, :2], -np.ones(150), ValueError),
        ({"loss": "nothing"}, X, None, ValueError),
        ({"early_stopping": True, "validation_fraction": 0.001}, X, None, ValueError),
        ({"callbacks": Raises(ZeroDivisionError, 1)}, X[:, :3], None, ZeroDivisionError),
    ):
        with pytest.raises(error):
            sklearn.base.clone(mine).set_params(**changes).fit(data, TWO, weights)
        kept = mine.get_params()
        with pytest.raises(error):
            mine.set_params(**changes).fit(data, TWO, weights)
        mine.set_params(**kept)
        np.testing.assert_array_equal(mine.predict_proba(X), before)
        assert set(vars(mine)) == names


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_ctrl_c_ends_a_training(settings):
    mine = ours("Classifier", callbacks=[Raises(KeyboardInterrupt, 2)], **settings)
    with pytest.warns(UserWarning, match="Training interrupted by user") as caught:
        mine.fit(X[:60], THREE[:60])
    assert caught[0].filename == __file__
    assert mine.n_iter_ == len(mine.loss_curve_) == len(mine.history_.history["loss"]) == 2
    assert mine.predict(X).shape == (150,)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert mine.set_params(callbacks=[Raises(KeyboardInterrupt, 0)]).fit(X[:60], THREE[:60]).n_iter_ == 0


def test_a_training_that_diverges():
    wild = {"solver": "sgd", "learning_rate_init": 100.0, "activation": "identity", "max_iter": 30}
    mine = ours("Regressor", **wild)
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*smaller learning_rate_init"):
        mine.fit(X, ONE)
    assert not hasattr(mine, "model_")
    mine.set_params(early_stopping=True, learning_rate_init=3.0, batch_size="auto")
    with pytest.warns(ConvergenceWarning, match=r"diverged in epoch \d+.*The best weights are kept") as caught:
        mine.fit(X, ONE)
    assert caught[-1].filename == __file__
    assert np.isnan([mine.loss_, mine.loss_curve_[-1], mine.validation_scores_[-1]]).all()
    assert mine.n_iter_ == len(mine.validation_scores_) == len(mine.validation_loss_curve_)
    assert np.isfinite(mine.predict(X)).all()


def test_what_is_printed(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = []
        for one in pair("Classifier", verbose=True, early_stopping=True, n_iter_no_change=1, max_iter=9, tol=1.0):
            one.fit(X[:60], THREE[:60])
            texts.append(capsys.readouterr().out.split())
    # losses differ in the last of eight digits
    assert [word for word in texts[0] if "." not in word] == [word for word in texts[1] if "." not in word]
