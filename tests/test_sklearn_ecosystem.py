"""MLPClassifier and MLPRegressor inside scikit-learn: its checks, searches, ensembles, displays, and copies."""

import copy
import pickle
import threading
import tracemalloc

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
import joblib  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import ensemble, inspection, model_selection, multiclass, multioutput, pipeline, preprocessing  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.compose import TransformedTargetRegressor  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402
from sklearn_pairs import LABELS, ONE, PROBLEMS, THREE, TWO, X, ours, pair, takes_weights  # noqa: E402

import fastmlp  # noqa: E402
from fastmlp.engine import feed  # noqa: E402
from fastmlp.sklearn import MLPClassifier, MLPRegressor  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # an old scikit-learn with a new SciPy
    pytest.mark.filterwarnings("ignore:.*disp.*iprint.*:DeprecationWarning"),
    pytest.mark.jit_only,
]
# a bag hands its choice of rows over as weights to those that take them
by_weights = pytest.mark.skipif(not takes_weights(), reason="this scikit-learn's networks take no weights")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("estimator", "check"),
    # as parametrize_with_checks does, whose older versions hand an iterator to pytest, which it warns about
    [pair for one in (MLPClassifier(), MLPRegressor()) for pair in estimator_checks.estimator_checks_generator(one)],
    ids=lambda value: getattr(value, "func", type(value)).__name__,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_parameters_are_kept_as_they_are(kind):
    mine = ours(kind, callbacks=[], optimizer=fastmlp.optimizers.Nadam(), activation=["tanh"])
    again = clone(mine)
    for name, value in mine.get_params().items():
        other = getattr(again, name)
        assert value is other or type(value) is type(other), name
    assert repr(ours(kind)).startswith(f"MLP{kind}(batch_size=32")
    for one in (mine, mine.fit(X, THREE)):
        assert f"MLP{kind}" in one._repr_html_()


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
@pytest.mark.parametrize("settings", [{"dropout": 0.3}, {"batch_norm": True}, {"early_stopping": True}])
def test_copies(copied, settings):
    mine = ours("Classifier", **settings).fit(X, TWO)
    mine.coefs_[0][0] = 0.25
    other = copied(mine)
    np.testing.assert_array_equal(other.coefs_[0][0], np.full(5, 0.25))
    if "early_stopping" not in settings:
        # moments, counts and noise go on
        for one in (mine, other):
            one.partial_fit(X, TWO)
    np.testing.assert_array_equal(other.predict_proba(X), mine.predict_proba(X))
    assert other.loss_curve_ == mine.loss_curve_
    assert "MLPClassifier" in repr(copied(ours("Classifier")))


def test_joblib_files_that_are_mapped(tmp_path):
    mine = ours("Classifier").fit(X, TWO)
    joblib.dump((mine, X, THREE), tmp_path / "all")
    other, data, y = joblib.load(tmp_path / "all", mmap_mode="r")
    assert not data.flags.writeable
    np.testing.assert_array_equal(other.predict_proba(data), mine.predict_proba(X))
    other.coefs_[0][:] = 0
    other.partial_fit(data, TWO)
    np.testing.assert_array_equal(other.fit(data, y).predict(data), ours("Classifier").fit(X, THREE).predict(X))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches(backend):
    grid = {"mlp__hidden_layer_sizes": [(3,), (4, 4)], "mlp__alpha": [0.0, 1.0]}
    steps = pipeline.Pipeline([("scale", preprocessing.StandardScaler()), ("mlp", ours("Classifier"))])
    alone = model_selection.GridSearchCV(steps, grid, cv=2).fit(X, TWO)
    with joblib.parallel_backend(backend):
        both = model_selection.GridSearchCV(steps, grid, cv=2, n_jobs=2).fit(X, TWO)
    np.testing.assert_array_equal(both.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(both.predict_proba(X), alone.predict_proba(X))


def test_cross_validation_is_that_of_scikit_learn():
    for kind, y in (("Classifier", TWO), ("Classifier", LABELS), ("Regressor", ONE)):
        theirs, mine = (model_selection.cross_val_score(one, X, y, cv=3) for one in pair(kind))
        np.testing.assert_allclose(mine, theirs, rtol=1e-4)


@pytest.mark.parametrize(
    ("around", "y"),
    [
        (multiclass.OneVsRestClassifier, THREE),
        (multiclass.OneVsRestClassifier, LABELS),
        (multiclass.OneVsOneClassifier, THREE),
        (multioutput.MultiOutputClassifier, np.stack([THREE, LABELS[:, 0]], axis=1)),
        (multioutput.ClassifierChain, LABELS),
        (lambda one: CalibratedClassifierCV(one, cv=2), TWO),
        (lambda one: ensemble.VotingClassifier([("a", one), ("b", clone(one))], voting="soft"), TWO),
        (lambda one: ensemble.StackingClassifier([("a", one)], cv=2), TWO),
        pytest.param(
            lambda one: ensemble.BaggingClassifier(one, n_estimators=2, random_state=0), TWO, marks=by_weights
        ),
    ],
)
def test_inside_of_other_classifiers(around, y):
    theirs, mine = (around(one).fit(X, y).predict(X) for one in pair("Classifier"))
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("around", "y"),
    [
        (multioutput.MultiOutputRegressor, X),
        (lambda one: ensemble.StackingRegressor([("a", one)], cv=2), ONE),
        pytest.param(lambda one: ensemble.BaggingRegressor(one, n_estimators=2, random_state=0), ONE, marks=by_weights),
        (lambda one: TransformedTargetRegressor(one, transformer=preprocessing.StandardScaler()), ONE),
    ],
)
def test_inside_of_other_regressors(around, y):
    theirs, mine = (around(one).fit(X, y).predict(X) for one in pair("Regressor"))
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)


def test_adaboost_hands_weights_over():
    weak = ours("Classifier", max_iter=30, learning_rate_init=0.02)
    boosted = ensemble.AdaBoostClassifier(weak, n_estimators=3, random_state=0).fit(X, TWO)
    assert len(boosted.estimators_) > 1
    assert boosted.score(X, TWO) > weak.fit(X, TWO).score(X, TWO)


def test_metadata_routing():
    weights = np.where(TWO == "same", 4.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = ours("Classifier").set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        steps = pipeline.make_pipeline(preprocessing.StandardScaler().set_fit_request(sample_weight=False), asking)
        steps.fit(X, TWO, sample_weight=weights)
        found = model_selection.GridSearchCV(asking, {"alpha": [1e-4]}, cv=2).fit(X, TWO, sample_weight=weights)
        assert hasattr(asking, "set_partial_fit_request")
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            pipeline.make_pipeline(ours("Classifier")).fit(X, TWO, sample_weight=weights)
    alone = ours("Classifier").fit(X, TWO, weights)
    np.testing.assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
    scaled = preprocessing.StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(steps.predict_proba(X), alone.fit(scaled, TWO, weights).predict_proba(scaled))


def test_displays_and_importances():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    for y in (TWO, THREE):
        mine = ours("Classifier").fit(X[:, :2], y)
        inspection.DecisionBoundaryDisplay.from_estimator(mine, X[:, :2], grid_resolution=10)
    regression = ours("Regressor", max_iter=50, learning_rate_init=0.02).fit(X, ONE)
    inspection.PartialDependenceDisplay.from_estimator(regression, X, [0], grid_resolution=5)
    pyplot.close("all")
    found = inspection.permutation_importance(regression, X, ONE, n_repeats=2, random_state=0).importances_mean
    assert found.argmax() == 1


@pytest.mark.parametrize("sizes", [(5,), (40, 20)])
def test_predictions_have_the_same_bits_however_rows_are_split(sizes):
    mine = ours("Classifier", hidden_layer_sizes=sizes).fit(X, THREE)
    whole = mine.predict_proba(X)
    for parts in (2, 7, 150):
        np.testing.assert_array_equal(np.vstack([mine.predict_proba(p) for p in np.array_split(X, parts)]), whole)
    np.testing.assert_array_equal(mine.predict_proba(X.astype(np.float32)), whole)
    np.testing.assert_array_equal(mine.predict_proba(sparse.csr_matrix(X)), whole)
    assert whole.dtype == np.float32


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
def test_sparse_data_become_dense_by_the_batch(make, settings):
    rows, columns = 20_000, 1_500
    data = make(sparse.random(rows, columns, 0.001, "csr", random_state=0))
    y = np.arange(rows) % 2
    mine = ours("Classifier", max_iter=1, batch_size=200, **settings).fit(data[:400], y[:400])
    tracemalloc.start()
    mine.fit(data, y).predict(data)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 120 MB as float32
    assert most < 40e6


@pytest.mark.parametrize("problem", ["three classes", "numbers"])
@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 150)], ids=["alike", "weighted"])
def test_blocks_of_sparse_data_are_one_batch_to_lbfgs(problem, weights, monkeypatch):
    kind, y = PROBLEMS[problem]
    mine = ours(kind, solver="lbfgs", alpha=2.0, l1=0.5, activation="tanh", callbacks=[])
    whole = mine.fit(sparse.csr_matrix(X), y, weights).loss_curve_
    # 150 rows of 4 are 3 blocks then
    monkeypatch.setattr(feed, "BLOCK_FLOATS", 4 * 70)
    np.testing.assert_allclose(clone(mine).fit(sparse.csr_matrix(X), y, weights).loss_curve_, whole, rtol=1e-6)


def test_several_threads_with_one_estimator():
    mine = ours("Classifier").fit(X, THREE)
    expected, errors = mine.predict_proba(X), []

    def predict():
        try:
            for _ in range(30):
                np.testing.assert_array_equal(mine.predict_proba(X), expected)
                np.testing.assert_array_equal(mine.coefs_[0].shape, (4, 5))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_trainings_in_several_threads():
    found = {}

    def train(seed):
        found[seed] = ours("Classifier", random_state=seed, hidden_layer_sizes=(30,)).fit(X, THREE).loss_curve_

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, curve in found.items():
        assert curve == ours("Classifier", random_state=seed, hidden_layer_sizes=(30,)).fit(X, THREE).loss_curve_
