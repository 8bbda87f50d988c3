"""MLPClassifier and MLPRegressor beside scikit-learn's own: the same numbers, attributes and behaviour."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn_pairs import LABELS, ONE, PROBLEMS, THREE, TWO, X, alike, ours, pair  # noqa: E402

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
