"""MLPEnsembleClassifier and MLPEnsembleRegressor: each member as if it were alone, together as scikit-learn's bags."""

import inspect
import pickle
import threading
import tracemalloc

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
import joblib  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import model_selection  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.metrics import accuracy_score, r2_score  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402
from sklearn_pairs import LABELS, MANY, ONE, PROBLEMS, THREE, TWO, X, bag, member_alone, same_bits  # noqa: E402

import fastmlp.sklearn  # noqa: E402
from fastmlp import Ensemble, callbacks  # noqa: E402
from fastmlp.sklearn import MLPEnsembleClassifier, MLPEnsembleRegressor  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # an old scikit-learn with a new SciPy
    pytest.mark.filterwarnings("ignore:.*disp.*iprint.*:DeprecationWarning"),
    pytest.mark.jit_only,
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pair
        for one in (MLPEnsembleClassifier(2), MLPEnsembleRegressor(2))
        for pair in estimator_checks.estimator_checks_generator(one)
    ],
    ids=lambda value: getattr(value, "func", type(value)).__name__,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


SETTINGS = {
    "as it is": {},
    "weighted classes": {"class_weight": "balanced"},
    "one batch": {"batch_size": "auto"},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "all of it": {"early_stopping": True, "class_weight": "balanced", "dropout": 0.2, "batch_norm": True},
    "lbfgs": {"solver": "lbfgs", "activation": "tanh"},
    "no repetitions": {"bootstrap": False, "max_samples": 0.6},
    "no repetitions, weighted classes": {"bootstrap": False, "max_samples": 100, "class_weight": "balanced"},
    "all rows": {"bootstrap": False},
    "few rows": {"max_samples": 40},
    "another loss": {"loss": "mse"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_each_member_is_the_estimator_trained_alone(problem, settings):
    kind, y = PROBLEMS[problem]
    if kind == "Regressor":
        settings = {name: value for name, value in settings.items() if name != "class_weight"}
    if y.ndim == 2 and "class_weight" in settings:
        settings = {**settings, "class_weight": None}
    ensemble = bag(kind, **settings).fit(X, y)
    drawn = ensemble.estimators_samples_
    assert len({rows.tobytes() for rows in drawn}) == (
        3 if settings.get("max_samples") or "bootstrap" not in settings else 1
    )
    for number, rows in enumerate(drawn):
        same_bits(ensemble.estimators_[number], member_alone(ensemble, number).fit(X[rows], y[rows]))


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
def test_members_of_counts_and_of_sparse_data(settings):
    counts = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, 0]))
    data = sparse.csr_array(X)
    ensemble = bag("Regressor", loss="poisson", **settings).fit(data, counts)
    for number, rows in enumerate(ensemble.estimators_samples_):
        same_bits(ensemble.estimators_[number], member_alone(ensemble, number).fit(data[rows], counts[rows]))


def test_weights_are_the_members_without_bootstrap():
    weights = np.random.default_rng(1).uniform(0.2, 2, 150)
    ensemble = bag("Classifier", bootstrap=False, max_samples=0.5).fit(X, TWO, weights)
    for number, rows in enumerate(ensemble.estimators_samples_):
        same_bits(ensemble.estimators_[number], member_alone(ensemble, number).fit(X[rows], TWO[rows], weights[rows]))


def test_parameters_are_those_of_one_network():
    for kind in ("Classifier", "Regressor"):
        one, ours = (inspect.signature(getattr(fastmlp.sklearn, f"MLP{which}{kind}")) for which in ("", "Ensemble"))
        for name, parameter in one.parameters.items():
            assert ours.parameters[name].default == parameter.default, name
        assert set(ours.parameters) - set(one.parameters) == {"n_estimators", "max_samples", "bootstrap", "oob_score"}
        ensemble = bag(kind, callbacks=lambda number: [])
        assert clone(ensemble).get_params() == ensemble.get_params()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_predictions_are_means(problem):
    kind, y = PROBLEMS[problem]
    ensemble = bag(kind).fit(X, y)
    members = ensemble.estimators_
    if kind == "Regressor":
        each = np.stack([member.predict(X) for member in members]).astype(np.float64)
        mean, deviation = ensemble.predict(X, return_std=True)
        np.testing.assert_array_equal(ensemble.predict(X), mean)
    else:
        each = np.stack([member.predict_proba(X) for member in members]).astype(np.float64)
        mean, deviation = ensemble.predict_proba(X, return_std=True)
        np.testing.assert_array_equal(ensemble.predict_proba(X), mean)
        np.testing.assert_allclose(ensemble.predict_log_proba(X), np.log(each.mean(axis=0)), rtol=1e-6)
        average = each.mean(axis=0)
        expected = (average > 0.5).astype(int) if y.ndim == 2 else ensemble.classes_[average.argmax(axis=1)]
        np.testing.assert_array_equal(ensemble.predict(X), expected)
    assert mean.dtype == deviation.dtype == np.float32
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(deviation, each.std(axis=0), rtol=1e-5, atol=1e-7)
    assert ensemble.n_iter_ == max(member.n_iter_ for member in members)
    network = ensemble.ensemble_
    assert isinstance(network, Ensemble)
    np.testing.assert_array_equal(network.models[0].predict(X[:5]), members[0].model_.predict(X[:5]))


def test_members_that_lack_a_class():
    rare = np.where(np.arange(150) < 2, "rare", np.where(THREE > 1, "often", "usual"))
    ensemble = bag("Classifier", n_estimators=6, max_samples=40).fit(X, rare)
    known = [list(member.classes_) for member in ensemble.estimators_]
    assert ["often", "usual"] in known
    probabilities = ensemble.predict_proba(X)
    assert probabilities.shape == (150, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    for number, rows in enumerate(ensemble.estimators_samples_):
        same_bits(ensemble.estimators_[number], member_alone(ensemble, number).fit(X[rows], rare[rows]))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 1.5, 150)], ids=["alike", "weighted"])
def test_out_of_bag_scores(problem, weights):
    kind, y = PROBLEMS[problem]
    ensemble = bag(kind, n_estimators=25, max_iter=1, oob_score=True).fit(X, y, weights)
    columns = 1 if y.ndim == 1 else y.shape[1]
    columns = len(ensemble.classes_) if kind == "Classifier" else columns
    total, counts = np.zeros((150, columns)), np.zeros(150)
    for member, rows in zip(ensemble.estimators_, ensemble.estimators_samples_, strict=True):
        out = np.setdiff1d(np.arange(150), rows)
        found = member.predict_proba(X[out]) if kind == "Classifier" else member.predict(X[out])
        total[out] += found.reshape(len(out), columns)
        counts[out] += 1
    assert counts.all()
    mean = total / counts[:, np.newaxis]
    if kind == "Regressor":
        np.testing.assert_allclose(ensemble.oob_prediction_, mean[:, 0] if y.ndim == 1 else mean, rtol=1e-6)
        expected = r2_score(y, mean, sample_weight=weights)
    else:
        np.testing.assert_allclose(ensemble.oob_decision_function_, mean, rtol=1e-6)
        labels = (mean > 0.5).astype(int) if y.ndim == 2 else ensemble.classes_[mean.argmax(axis=1)]
        expected = accuracy_score(y, labels, sample_weight=weights)
    assert ensemble.oob_score_ == pytest.approx(expected)
    assert not hasattr(ensemble.set_params(n_estimators=1, oob_score=False).fit(X, y), "oob_score_")


@pytest.mark.parametrize(
    ("kind", "y"), [("Classifier", TWO), ("Classifier", sparse.csr_matrix(LABELS)), ("Regressor", ONE)]
)
def test_rows_that_are_never_left_out(kind, y):
    with pytest.warns(UserWarning, match="no out-of-bag prediction"):
        ensemble = bag(kind, n_estimators=1, max_iter=1, oob_score=True).fit(X, y)
    (drawn,) = ensemble.estimators_samples_
    mean = ensemble.oob_decision_function_[:, 0] if kind == "Classifier" else ensemble.oob_prediction_
    np.testing.assert_array_equal(np.isnan(mean), np.isin(np.arange(150), drawn))
    assert np.isfinite(ensemble.oob_score_)


def test_labels_that_are_sparse_are_sparse_again():
    ensemble = bag("Classifier").fit(X, sparse.csr_matrix(LABELS))
    np.testing.assert_array_equal(ensemble.predict(X).toarray(), bag("Classifier").fit(X, LABELS).predict(X))


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_warm_start_is_as_if_all_were_trained_at_once(kind):
    y = TWO if kind == "Classifier" else ONE
    grown = bag(kind, n_estimators=2, warm_start=True).fit(X, y)
    first = grown.estimators_[0]
    grown.set_params(n_estimators=5).fit(X, y)
    whole = bag(kind, n_estimators=5).fit(X, y)
    assert grown.estimators_[0] is first
    for one, other in zip(grown.estimators_, whole.estimators_, strict=True):
        same_bits(one, other)
    for rows, other in zip(grown.estimators_samples_, whole.estimators_samples_, strict=True):
        np.testing.assert_array_equal(rows, other)
    with pytest.warns(UserWarning, match="trains nothing"):
        grown.fit(X, y)
    with pytest.raises(ValueError, match="n_estimators must be at least the 5 estimators"):
        grown.set_params(n_estimators=4).fit(X, y)
    assert len(grown.estimators_) == 5


def test_warm_start_with_other_targets():
    for kind, y, other, error in (
        ("Classifier", TWO, THREE, "y must have the same classes as before"),
        ("Classifier", THREE, LABELS, "y must have the same classes as before"),
        ("Regressor", ONE, MANY, "y must have 1 columns as before with warm_start, got 3"),
    ):
        ensemble = bag(kind, n_estimators=1, max_iter=1, warm_start=True).fit(X, y)
        with pytest.raises(ValueError, match=error):
            ensemble.set_params(n_estimators=2).fit(X, other)


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_jobs_change_no_bit(n_jobs):
    ensemble, one = bag("Classifier", n_jobs=n_jobs).fit(X, TWO), bag("Classifier").fit(X, TWO)
    for member, other in zip(ensemble.estimators_, one.estimators_, strict=True):
        same_bits(member, other)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_and_backends(backend):
    ensemble = bag("Classifier", n_estimators=2, max_iter=2)
    expected = ensemble.fit(X, TWO).predict_proba(X)
    with joblib.parallel_config(backend, n_jobs=2):
        np.testing.assert_array_equal(clone(ensemble).fit(X, TWO).predict_proba(X), expected)
        found = model_selection.GridSearchCV(ensemble, {"n_estimators": [1, 2]}, cv=2, n_jobs=2).fit(X, TWO)
    one = model_selection.GridSearchCV(ensemble, {"n_estimators": [1, 2]}, cv=2).fit(X, TWO)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"])


def test_weights_are_draws():
    weights = np.where(np.arange(150) < 75, 1.0, 0.0)
    ensemble = bag("Regressor", max_samples=400).fit(X, ONE, weights)
    for rows in ensemble.estimators_samples_:
        assert len(rows) == 400
        assert rows.max() < 75
    twice = bag("Regressor", max_iter=1).fit(X, ONE, np.full(150, 2.0))
    assert [len(rows) for rows in twice.estimators_samples_] == [300] * 3
    with pytest.warns(UserWarning, match="scale the weights to a mean of 1"):
        bag("Regressor", max_iter=1, batch_size="auto").fit(X, ONE, np.full(150, 0.01))
    with pytest.raises(ValueError, match="scale the weights to a mean of 1"):
        bag("Regressor").fit(X, ONE, np.full(150, 1e6))


def test_a_frame_has_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    ensemble = bag("Classifier").fit(frame, TWO)
    assert list(ensemble.feature_names_in_) == list(ensemble.estimators_[0].feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(ensemble.predict_proba(frame), bag("Classifier").fit(X, TWO).predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        ensemble.predict(frame[["b", "a", "c", "d"]])


def test_copies_and_weights_that_are_written_to():
    ensemble = bag("Regressor").fit(X, ONE)
    ensemble.estimators_[0].coefs_[0][:] = 0
    changed = ensemble.predict(X)
    assert not np.array_equal(changed, bag("Regressor").fit(X, ONE).predict(X))
    again = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(again.predict(X), changed)
    for rows, other in zip(again.estimators_samples_, ensemble.estimators_samples_, strict=True):
        np.testing.assert_array_equal(rows, other)
    np.testing.assert_allclose(again.ensemble_.predict(X)[:, 0], changed, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"bootstrap": False}])
def test_data_are_not_copied(settings):
    rows = 40_000
    data = np.random.default_rng(0).normal(size=(rows, 60)).astype(np.float32)
    ensemble = bag(
        "Regressor", n_estimators=6, max_iter=1, batch_size=200, n_jobs=2, validation_fraction=0.05, **settings
    )
    ensemble.fit(data[:400], data[:400, 0])
    tracemalloc.start()
    ensemble.fit(data, data[:, 0])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # one copy
    assert most < data.nbytes


def test_each_member_has_callbacks_of_its_own():
    made = {}

    def own(number):
        made[number] = callbacks.EarlyStopping("loss", min_delta=100, patience=number)
        return [made[number]]

    ensemble = bag("Regressor", max_iter=10, callbacks=own).fit(X, ONE)
    assert [member.n_iter_ for member in ensemble.estimators_] == [2, 2, 3]
    assert sorted(made) == [0, 1, 2]


def test_a_failure_says_where_and_leaves_what_was_there():
    ensemble = bag("Regressor", n_estimators=2).fit(X, ONE)
    before = ensemble.predict(X)
    ensemble.set_params(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(ValueError, match="non-finite") as caught:
        ensemble.fit(X, ONE)
    assert any("in the ensemble" in note for note in caught.value.__notes__)
    np.testing.assert_array_equal(ensemble.predict(X), before)


def test_an_interruption_ends_all(monkeypatch):
    begun = threading.Event()

    def interrupt(*arguments, **options):
        monkeypatch.undo()
        assert begun.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.jobs.wait", interrupt)
    tell = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: begun.set())
    ensemble = bag("Regressor", max_iter=10**6, n_iter_no_change=10**6, callbacks=lambda number: [tell])
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(X, ONE)
    assert not hasattr(ensemble, "estimators_")


def test_what_is_shown(capsys):
    bag("Classifier", verbose=2).fit(X, TWO)
    lines = sorted(capsys.readouterr().out.splitlines())
    assert [line[:13] for line in lines] == ["Estimator 1/3", "Estimator 2/3", "Estimator 3/3"]
    assert all("6 iterations  loss: " in line for line in lines)
    bag("Classifier", verbose=True).fit(X, TWO)
