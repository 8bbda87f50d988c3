"""The rows of an ensemble's members, its parameters, and short trainings, of which the interpreter is capable."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn_pairs import PROBLEMS, TWO, X, bag, member_alone, same_bits

from fastmlp.sklearn import bags


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.*no out-of-bag:UserWarning")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_members_in_short(problem):
    kind, y = PROBLEMS[problem]
    ensemble = bag(kind, n_estimators=2, max_iter=1, batch_size=16, oob_score=True).fit(X[:40], y[:40])
    for number, rows in enumerate(ensemble.estimators_samples_):
        same_bits(ensemble.estimators_[number], member_alone(ensemble, number).fit(X[rows], y[rows]))
    assert ensemble.predict(X[:40]).shape == y[:40].shape


def test_draws_follow_the_weights():
    weights = np.array([1.0, 0.0, 3.0, 0.5, 0.0])
    drawn = bags.Bags(5, 90_000, replace=True, weights=weights)(3)
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 90_000, weights / weights.sum(), atol=0.01)
    # weights of whole numbers are repetitions
    times = np.array([2, 0, 1, 3])
    repeated = bags.Bags(6, 50, replace=True)(9)
    np.testing.assert_array_equal(
        bags.Bags(4, 50, replace=True, weights=times.astype(float))(9), np.repeat(np.arange(4), times)[repeated]
    )
    without = bags.Bags(10, 7, replace=False)(1)
    assert len(set(without.tolist())) == 7
    assert bags.Bags(10, 10, replace=False)(1) is None


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"n_estimators": 0}, ValueError, "n_estimators must be a positive integer"),
        ({"max_samples": 0}, ValueError, "max_samples must be a positive integer"),
        ({"max_samples": 1.5}, ValueError, "max_samples must be a share above 0 and at most 1.0"),
        ({"max_samples": 151, "bootstrap": False}, ValueError, "at most the 150 rows without bootstrap, got 151"),
        ({"bootstrap": 1}, TypeError, "bootstrap must be True or False"),
        ({"oob_score": True, "bootstrap": False}, ValueError, "oob_score=True needs rows that are left out"),
        ({"oob_score": True, "warm_start": True}, ValueError, "oob_score=True needs the rows of all estimators"),
        ({"oob_score": "yes"}, TypeError, "oob_score must be True or False"),
        ({"callbacks": []}, TypeError, "callbacks must be a function"),
        ({"verbose": -1}, ValueError, "verbose must be an integer from 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be None, a number of threads, or -1"),
        ({"hidden_layer_sizes": (0,)}, ValueError, "hidden_layer_sizes must be a positive integer"),
    ],
)  # fmt: skip
def test_parameters_that_are_none_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        bag("Classifier", **settings).fit(X, TWO)
