"""MLPClassifier and MLPRegressor beside scikit-learn's own: the same numbers, attributes and behaviour."""

import inspect

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from sklearn import neural_network  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn_pairs import LABELS, ONE, PROBLEMS, SMALL, THREE, TWO, X, alike, ours, pair, takes_weights  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # an old scikit-learn with a new SciPy
    pytest.mark.filterwarnings("ignore:.*disp.*iprint.*:DeprecationWarning"),
]

SGD = {"solver": "sgd", "learning_rate_init": 0.02}
SETTINGS = {
    "adam": {},
    "adam's own settings": {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.02},
    "sgd": SGD,
    "momentum": {**SGD, "momentum": 0.5, "nesterovs_momentum": False},
    "no momentum": {**SGD, "momentum": 0.0},
    "invscaling": {**SGD, "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1, "max_iter": 12},
    "stops": {"tol": 0.5, "n_iter_no_change": 2, "max_iter": 30},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2, "max_iter": 15, "n_iter_no_change": 2},
    "order": {"shuffle": False},
    "penalty": {"alpha": 3.0},
    "batches": {"batch_size": 7},
    "one batch": {"batch_size": "auto"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "deep": {"hidden_layer_sizes": [6, 5, 4], "activation": "tanh"},
    "logistic": {"activation": "logistic"},
    "identity": {"activation": "identity"},
}


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_every_parameter_of_scikit_learn_is_there(kind):
    theirs, mine = (inspect.signature(type(one).__init__).parameters for one in pair(kind))
    for name, parameter in theirs.items():
        assert mine[name].default == parameter.default, name
        assert mine[name].kind == parameter.kind, name


@pytest.mark.jit_only
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_same_numbers(problem, settings):
    kind, y = PROBLEMS[problem]
    theirs, mine = (one.fit(X, y) for one in pair(kind, **settings))
    alike(theirs, mine)
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-4)
    if kind == "Regressor":
        np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-3, atol=1e-4)
        return
    np.testing.assert_array_equal(mine.classes_, theirs.classes_)
    np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(mine.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_same_numbers_in_short(problem):
    kind, y = PROBLEMS[problem]
    theirs, mine = (one.fit(X[:40], y[:40]) for one in pair(kind, max_iter=2, batch_size=16))
    alike(theirs, mine)
    np.testing.assert_allclose(mine.score(X[:40], y[:40]), theirs.score(X[:40], y[:40]), rtol=1e-4)


@pytest.mark.jit_only
@pytest.mark.parametrize("problem", PROBLEMS)
def test_lbfgs_reaches_the_same_loss(problem):
    kind, y = PROBLEMS[problem]
    # early stopping means nothing to it
    settings = {"solver": "lbfgs", "alpha": 1.0, "max_iter": 600, "hidden_layer_sizes": (), "early_stopping": True}
    theirs, mine = (one.fit(X, y) for one in pair(kind, **settings, tol=1e-6))
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-4)
    assert len(mine.loss_curve_) == mine.n_iter_ <= 600
    if kind == "Regressor":
        np.testing.assert_allclose(mine.predict(X), theirs.predict(X), atol=2e-2)
    else:
        np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=2e-2)


@pytest.mark.parametrize("settings", [{"max_fun": 3}, {"max_iter": 2}])
def test_lbfgs_says_when_it_has_not_converged(settings):
    for one in pair("Regressor", solver="lbfgs", **settings):
        with pytest.warns(ConvergenceWarning):
            one.fit(X[:20], ONE[:20])


@pytest.mark.jit_only
@pytest.mark.skipif("loss" not in inspect.signature(neural_network.MLPRegressor).parameters, reason="no such loss")
@pytest.mark.parametrize("settings", [{}, SGD, {"early_stopping": True}], ids=["adam", "sgd", "early stopping"])
def test_counts(settings):
    counts = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, 0]))
    theirs, mine = (one.fit(X, counts) for one in pair("Regressor", loss="poisson", **settings))
    alike(theirs, mine)
    np.testing.assert_allclose(mine.predict(X), theirs.predict(X), rtol=1e-3)


@pytest.mark.jit_only
@pytest.mark.skipif(not takes_weights(), reason="this scikit-learn has no weights there")
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weights(problem, early_stopping):
    kind, y = PROBLEMS[problem]
    weights = np.random.default_rng(1).uniform(0.2, 2, len(X))
    pairs = pair(kind, alpha=0.0, early_stopping=early_stopping)
    alike(*(one.fit(X, y, sample_weight=weights) for one in pairs))


@pytest.mark.jit_only
@pytest.mark.skipif(not takes_weights(), reason="this scikit-learn has no weights there")
def test_the_penalty_of_weighted_batches_is_close():
    weights = np.random.default_rng(1).uniform(0.2, 2, len(X))
    alike(*(one.fit(X, ONE, sample_weight=weights) for one in pair("Regressor", alpha=0.1)), rtol=2e-2)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_weights_are_repetitions_bit_by_bit_in_one_batch(problem):
    kind, y = PROBLEMS[problem]
    times = np.random.default_rng(1).integers(0, 3, 60)
    weighted = ours(kind, batch_size="auto", max_iter=3).fit(X[:60], y[:60], sample_weight=times)
    repeated = ours(kind, batch_size="auto", max_iter=3)
    repeated.fit(np.repeat(X[:60], times, axis=0)[::-1], np.repeat(y[:60], times, axis=0)[::-1])
    for one, other in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("settings", [{}, {"batch_size": "auto"}, {"early_stopping": True}, {"shuffle": False}])
def test_a_generator_is_used_as_by_scikit_learn(settings):
    """Whoever draws from it afterwards gets the same numbers."""
    found = []
    for one in pair("Classifier", **{**settings, "max_iter": 2}):
        generator = np.random.RandomState(0)
        one.set_params(random_state=generator).fit(X[:60], THREE[:60])
        found.append((round(one.loss_, 4), generator.randint(1 << 30)))
    assert found[0] == found[1]


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, SGD], ids=["adam", "early stopping", "sgd"])
def test_warm_start_goes_on(settings):
    theirs, mine = pair("Classifier", warm_start=True, max_iter=3, **settings)
    for steps, changes in enumerate([{}, {"max_iter": 4}, {"alpha": 2.0}, {"activation": "tanh"}]):
        for one in (theirs, mine):
            one.set_params(**changes).fit(X[:60], THREE[:60])
        # scikit-learn's best weights are overwritten by the next fit
        if steps == 0 or not settings.get("early_stopping"):
            alike(theirs, mine)
    assert len(mine.loss_curve_) > 3 + 4 + 3


def test_warm_start_keeps_the_best_weights():
    mine = ours("Classifier", warm_start=True, early_stopping=True, max_iter=5)
    mine.fit(X[:60], THREE[:60])
    best, before = mine.best_validation_score_, [kernel.copy() for kernel in mine.coefs_]
    mine.set_params(learning_rate_init=5.0, max_iter=1).fit(X[:60], THREE[:60])
    assert mine.validation_scores_[-1] <= best == mine.best_validation_score_
    for kernel, kept in zip(mine.coefs_, before, strict=True):
        np.testing.assert_array_equal(kernel, kept)


def test_warm_start_with_other_parameters():
    mine = ours("Classifier", warm_start=True, batch_norm=True, max_iter=2).fit(X[:60], THREE[:60])
    held, kernel = mine.coefs_, mine.coefs_[0].copy()
    for changes in (
        {"early_stopping": True},
        {"early_stopping": False, "dropout": 0.5},
        {"dropout": 0.0, "batch_norm": False, "solver": "lbfgs"},
    ):
        mine.set_params(**changes).fit(X[:60], THREE[:60])
    assert mine.coefs_ is held
    assert not np.array_equal(held[0], kernel)
    before = mine.predict_proba(X)
    for changes, error in (
        ({"hidden_layer_sizes": (6,)}, r"hidden_layer_sizes=\(6,\) is not what the weights are for"),
        ({"activation": "nothing"}, "nothing"),
    ):
        with pytest.raises(ValueError, match=error):
            mine.set_params(**changes).fit(X[:60], THREE[:60])
    np.testing.assert_array_equal(mine.predict_proba(X), before)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit(problem, solver):
    kind, y = PROBLEMS[problem]
    theirs, mine = pair(kind, solver=solver, batch_size=8)
    for first in (0, 20, 40):
        for one in (theirs, mine):
            # labels are given once; several labels at once are their columns
            given = {"classes": np.unique(y) if y.ndim == 1 else range(3)} if kind == "Classifier" and not first else {}
            one.partial_fit(X[first : first + 20], y[first : first + 20], **given)
    alike(theirs, mine)
    assert mine.n_iter_ == 1
    assert len(mine.loss_curve_) == 3


def test_partial_fit_follows_the_penalty_and_fit():
    theirs, mine = pair("Regressor", solver="sgd", momentum=0.0, batch_size=8)
    for one in (theirs, mine):
        one.fit(X[:40], ONE[:40]).partial_fit(X[40:60], ONE[40:60])
        one.set_params(alpha=5.0).partial_fit(X[60:80], ONE[60:80])
    alike(theirs, mine)


def test_partial_fit_of_some_classes():
    mine = ours("Classifier").partial_fit(X, TWO, classes=["same", "other", "third"])
    assert mine.predict_proba(X).shape == (150, 3)
    np.testing.assert_array_equal(mine.classes_, ["other", "same", "third"])
    for y, classes, error in (
        (THREE, None, "has classes not in `self.classes_`"),
        (TWO, ["same", "other"], "is not the same as on last call to partial_fit"),
        (LABELS, None, "y must be one label a row, as before"),
    ):
        with pytest.raises(ValueError, match=error):
            mine.partial_fit(X, y, classes=classes)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        ours("Classifier").partial_fit(X, TWO)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        ours("Regressor", early_stopping=True).partial_fit(X, ONE)
    assert not hasattr(ours("Regressor", solver="lbfgs"), "partial_fit")
    assert hasattr(ours("Regressor", solver="lbfgs", optimizer="nadam"), "partial_fit")


def test_curves_of_the_validation():
    mine = ours("Classifier", early_stopping=True, validation_fraction=0.3).fit(X, THREE)
    assert len(mine.validation_loss_curve_) == len(mine.validation_scores_) == mine.n_iter_
    assert mine.best_validation_score_ == max(mine.validation_scores_)
    assert list(mine.history_.history) == ["loss", "val_loss"]
    np.testing.assert_allclose(mine.validation_loss_curve_, mine.history_.history["val_loss"])
    # the weights are those of the best score
    _, kept = sklearn.model_selection.train_test_split(np.arange(150), random_state=_after_weights(mine), test_size=0.3)
    assert mine.score(X[kept], THREE[kept]) == mine.best_validation_score_


def _after_weights(estimator):
    """The generator as it is when initial weights have been drawn."""
    generator = np.random.RandomState(SMALL["random_state"])
    for kernel in estimator.coefs_:
        generator.uniform(size=kernel.size + kernel.shape[1])
    return generator
