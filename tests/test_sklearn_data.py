"""MLPClassifier and MLPRegressor with data of all kinds, weights that are written to, and fits that fail."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from scipy import sparse  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn_pairs import LABELS, ONE, X, ours, pair  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


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


def test_sparse_labels():
    for one in pair("Classifier", max_iter=1):
        found = one.fit(X, sparse.csr_matrix(LABELS)).predict(X)
        assert sparse.issparse(found)
        assert found.dtype == int
    mine = ours("Classifier").partial_fit(X, sparse.csr_matrix(LABELS)).partial_fit(X, LABELS)
    assert mine.predict(X).shape == (150, 3)
