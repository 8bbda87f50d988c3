"""Metrics called on arrays, against the twin and scikit-learn."""

import naive
import numpy as np
import pytest
from sklearn import metrics as reference

from fastmlp import metrics

GENERATOR = np.random.default_rng(5)
OUTPUTS = GENERATOR.uniform(0, 1, (40, 7)).astype(np.float32)
LABELS = GENERATOR.integers(0, 7, 40)
ONE_HOT = np.eye(7)[LABELS]


@pytest.mark.parametrize("name", sorted(metrics.TABLE))
def test_against_the_twin(name):
    metric = metrics.TABLE[name]()
    short = {
        "mean_squared_error": "mse",
        "root_mean_squared_error": "rmse",
        "mean_absolute_error": "mae",
        "mean_absolute_percentage_error": "mape",
        "r2_score": "r2",
    }
    y = LABELS if metric.sparse else ONE_HOT
    assert metric(y, OUTPUTS) == pytest.approx(naive.METRICS[short.get(name, name)](y, OUTPUTS.astype(float)), rel=1e-6)


def test_r2_is_scikit_learns_also_for_constant_columns():
    y = GENERATOR.normal(size=(30, 3))
    y[:, 1] = 2.0
    p = (y + GENERATOR.normal(size=y.shape) * [1, 0, 1]).astype(np.float32)
    assert metrics.R2Score()(y, p) == pytest.approx(reference.r2_score(y, p), rel=1e-5)
    p[0, 1] = 3.0
    assert metrics.R2Score()(y, p) == pytest.approx(reference.r2_score(y, p), rel=1e-5)


@pytest.mark.parametrize("k", [1, 3, 7, 9])
def test_top_k(k):
    expected = reference.top_k_accuracy_score(LABELS, OUTPUTS, k=min(k, 7), labels=range(7)) if k < 7 else 1.0
    assert metrics.SparseTopKCategoricalAccuracy(k)(LABELS, OUTPUTS) == pytest.approx(expected)
    assert metrics.TopKCategoricalAccuracy(k)(ONE_HOT, OUTPUTS) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_classes_that_tie_with_the_k_th_are_among_the_top_k(k):
    outputs = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]])
    labels = np.array([0, 1, 1, 2])
    expected = naive.METRICS["sparse_top_k_categorical_accuracy"](labels, outputs, k)
    assert metrics.SparseTopKCategoricalAccuracy(k)(labels, outputs) == expected == (0.75 if k == 1 else 1)
    assert metrics.TopKCategoricalAccuracy(k)(np.eye(3)[labels], outputs) == expected


def test_of_equal_outputs_the_first_is_the_answer():
    outputs, labels = [[0.5, 0.5, 0], [0.5, 0.5, 0]], [0, 1]
    assert metrics.SparseCategoricalAccuracy()(labels, outputs) == 0.5
    assert metrics.CategoricalAccuracy()(np.eye(3)[labels], outputs) == 0.5


@pytest.mark.parametrize("y", [[0.7, 0.2, 1.0, 0.0], [-1.0, 1.0, -1.0, 1.0], [0, 1, 0, 1]])
def test_binary_accuracy_compares_targets_as_they_are(y):
    outputs = np.array([0.9, 0.8, 0.1, 0.2])
    assert metrics.BinaryAccuracy()(y, outputs) == naive.METRICS["binary_accuracy"](np.array(y), outputs)


def test_threshold():
    assert metrics.BinaryAccuracy(threshold=0.3)([0, 1, 1], [0.2, 0.4, 0.1]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_k_is_a_positive_integer(k):
    for kind in (metrics.TopKCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy):
        with pytest.raises(ValueError, match="k must be a positive integer"):
            kind(k)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="does not fit"):
        metrics.MeanSquaredError()([1, 2, 3], [1, 2])


@pytest.mark.parametrize("columns", [1, 3])
def test_plain_functions_equal_scikit_learns(columns):
    y, p = GENERATOR.normal(size=(2, 20, columns)).squeeze()
    assert metrics.mean_squared_error(y, p) == pytest.approx(reference.mean_squared_error(y, p))
    assert metrics.root_mean_squared_error(y, p) == pytest.approx(reference.root_mean_squared_error(y, p))
    assert metrics.mean_squared_error(y.tolist(), p.tolist()) == pytest.approx(reference.mean_squared_error(y, p))


@pytest.mark.parametrize("shapes", [((9,), (9, 1)), ((9, 1), (9,)), ((1,), (1, 1))], ids=str)
def test_plain_functions_take_the_outputs_of_a_model(shapes):
    y, p = (GENERATOR.normal(size=shape) for shape in shapes)
    for name in ("mean_squared_error", "root_mean_squared_error"):
        value = getattr(metrics, name)(y, p)
        assert value == pytest.approx(getattr(reference, name)(y, p), rel=1e-12)


@pytest.mark.parametrize("shapes", [((3,), (1, 3)), ((3,), (3, 2)), ((3, 1), (3, 1, 1)), ((3,), (3, 1, 1))], ids=str)
def test_plain_functions_refuse_shapes_that_do_not_fit(shapes):
    y, p = map(np.ones, shapes)
    for function in (metrics.mean_squared_error, metrics.root_mean_squared_error):
        with pytest.raises(ValueError, match="they must be the same"):
            function(y, p)


def test_plain_functions_on_lists():
    assert metrics.mean_squared_error([1, 2, 3], [1, 2, 5]) == pytest.approx(4 / 3)
    assert metrics.root_mean_squared_error([1, 2, 3], [1, 2, 5]) == pytest.approx((4 / 3) ** 0.5)
    with pytest.raises(ValueError, match="they must be the same"):
        metrics.mean_squared_error([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="at least one number"):
        metrics.root_mean_squared_error([], [])


def test_names():
    assert metrics.resolve("accuracy", sparse=False, columns=1)[1] == metrics.BinaryAccuracy()
    assert metrics.resolve("acc", sparse=False, columns=3)[1] == metrics.CategoricalAccuracy()
    assert metrics.resolve("accuracy", sparse=True, columns=3)[1] == metrics.SparseCategoricalAccuracy()
    assert metrics.resolve("top_k_accuracy", sparse=False, columns=9)[1] == metrics.TopKCategoricalAccuracy()
    assert metrics.resolve("rmse", sparse=False, columns=9) == ("rmse", metrics.RootMeanSquaredError())
    with pytest.raises(TypeError, match="metrics must be names"):
        metrics.check(3)
