"""What MLPClassifier and MLPRegressor have beyond scikit-learn's, what they refuse, and their page of the docs."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
from sklearn_pairs import LABELS, MANY, ONE, THREE, TWO, X, ours  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
x = X[:40]


def same(one, other):
    return all(np.array_equal(*pair) for pair in zip(one.coefs_, other.coefs_, strict=True))


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
