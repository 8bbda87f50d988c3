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


@pytest.mark.parametrize("weights", [None, GENERATOR.uniform(0.5, 2, 30)])
def test_r2_by_columns_by_variance_and_adjusted(weights):
    y = GENERATOR.normal(size=(30, 4)) * [1, 0, 10, 0.1]
    p = (y + GENERATOR.normal(size=y.shape)).astype(np.float32)
    names = {None: "raw_values", "uniform_average": "uniform_average", "variance_weighted_average": "variance_weighted"}
    for aggregation, multioutput in names.items():
        expected = reference.r2_score(y, p, sample_weight=weights, multioutput=multioutput)
        assert metrics.R2Score(aggregation)(y, p, weights) == pytest.approx(expected, rel=1e-5)
        if weights is None:
            adjusted = 1 - (1 - expected) * 29 / 25
            assert metrics.R2Score(aggregation, num_regressors=4)(y, p) == pytest.approx(adjusted, rel=1e-5)
        # too many of them for so few rows
        assert metrics.R2Score(aggregation, 60)(y, p, weights) == pytest.approx(expected, rel=1e-5)
    assert (metrics.R2Score(None)(y, p, np.zeros(30)) == np.zeros(4)).all()
    constant = np.ones((5, 2))
    assert metrics.R2Score("variance_weighted_average")(constant, constant) == 1
    with pytest.raises(ValueError, match="class_aggregation must be None, 'uniform_average'"):
        metrics.R2Score("mean")
    with pytest.raises(ValueError, match="num_regressors must be an integer from 0, got -1"):
        metrics.R2Score(num_regressors=-1)


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


BINARY = (GENERATOR.uniform(0, 1, (211, 3)) > 0.6).astype(float)
SCORES = np.clip(0.3 * BINARY + GENERATOR.normal(0.35, 0.2, BINARY.shape), 0, 1).astype(np.float32)
WEIGHTS = GENERATOR.uniform(0, 2, len(BINARY)).astype(np.float32)


@pytest.mark.parametrize("name", ["precision", "recall"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"thresholds": 0.3}, {"class_id": 2}, {"top_k": 1}, {"top_k": 2, "thresholds": 0.4}, {"top_k": 9}],
    ids=str,
)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_precision_and_recall(name, settings, weights):
    twin = dict(settings)
    if "thresholds" in settings or "top_k" in settings:
        twin["threshold"] = np.float32(twin.pop("thresholds", -np.inf))
    expected = naive.METRICS[name](BINARY, SCORES, weights=weights, **twin)
    assert metrics.TABLE[name](**settings)(BINARY, SCORES, weights) == pytest.approx(expected)
    if settings in ({}, {"class_id": 2}):
        y, p = (BINARY.ravel(), SCORES.ravel()) if not settings else (BINARY[:, 2], SCORES[:, 2])
        w = None if weights is None else np.repeat(weights, 3) if not settings else weights
        function = getattr(reference, f"{name}_score")
        assert expected == pytest.approx(function(y, p > 0.5, sample_weight=w))


def test_equal_outputs_in_the_top_k_are_taken_in_their_order():
    y, p = np.array([[0, 1, 1, 0.0]]), np.array([[0.5, 0.5, 0.5, 0.1]])
    assert metrics.Precision(top_k=1)(y, p) == 0
    assert metrics.Precision(top_k=2)(y, p) == 0.5
    assert metrics.Precision(top_k=3)(y, p) == pytest.approx(2 / 3)


def test_several_thresholds_in_their_order():
    found = metrics.Recall(thresholds=[0.7, 0.2, 0.5])(BINARY, SCORES)
    assert found.tolist() == [metrics.Recall(thresholds=t)(BINARY, SCORES) for t in (0.7, 0.2, 0.5)]


def test_nothing_positive_gives_zero():
    for metric in (metrics.Precision(), metrics.Recall(), metrics.F1Score(average="macro"), metrics.AUC()):
        assert metric([0, 0], [0.1, 0.2]) == 0
    assert metrics.Precision()([0, 1], [np.nan, np.nan]) == 0


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_f1(average, weights):
    expected = reference.f1_score(BINARY, SCORES > 0.5, average=average, sample_weight=weights)
    assert metrics.F1Score(average, 0.5)(BINARY, SCORES, weights) == pytest.approx(expected)
    one_hot = np.eye(3)[GENERATOR.integers(0, 3, len(SCORES))]
    distinct = SCORES + GENERATOR.uniform(1e-4, 2e-4, SCORES.shape).astype(np.float32)
    expected = reference.f1_score(
        one_hot.argmax(1), distinct.argmax(1), labels=range(3), average=average, sample_weight=weights
    )
    assert metrics.F1Score(average)(one_hot, distinct, weights) == pytest.approx(expected)
    if average is None:
        ties = np.array([[0.5, 0.5, 0], [0, 0, 0], [0.2, 0.3, 0.3]])
        assert metrics.F1Score()(np.eye(3), ties) == pytest.approx(naive.f1_score(np.eye(3), ties))


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
@pytest.mark.parametrize("count", [2, 3, 200])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_area(curve, method, count, weights):
    p = SCORES.copy()
    p[:6, 0] = [0, 1, 0.5, np.float32(1 / 199), np.float32(100 / 199), 0.25]
    expected = naive.auc(BINARY, p, count, curve, method, weights)
    metric = metrics.AUC(count, curve, method)
    assert metric(BINARY, p, weights) == pytest.approx(expected, rel=1e-12)
    if count == 200 and method == "interpolation":
        y, flat, w = BINARY.ravel(), p.ravel(), None if weights is None else np.repeat(weights, 3)
        exact = reference.roc_auc_score if curve == "ROC" else reference.average_precision_score
        assert expected == pytest.approx(exact(y, flat, sample_weight=w), abs=0.01)


def test_area_from_logits_and_with_given_thresholds():
    z = np.log(SCORES.astype(float) + 1e-4) - np.log1p(1e-4 - SCORES.astype(float))
    p = 1 / (1 + np.exp(-z))
    assert metrics.AUC(from_logits=True)(BINARY, z) == pytest.approx(metrics.AUC()(BINARY, p), abs=1e-3)
    assert metrics.AUC(thresholds=[0.75, 0.25, 0.5])(BINARY, SCORES) == metrics.AUC(5)(BINARY, SCORES)
    extreme = metrics.AUC(from_logits=True)([0, 1, 1, 0], [-1e4, 1e4, 80, -80])
    assert extreme == 1


def test_percentage_error_is_scikit_learns_times_100():
    y, p = GENERATOR.normal(size=(2, 30))
    expected = 100 * reference.mean_absolute_percentage_error(y.astype(np.float32), p.astype(np.float32))
    assert metrics.MeanAbsolutePercentageError()(y, p) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("middle", [0.0, 1e6, -3e7, 1e12])
def test_r2_far_from_zero(middle):
    y = (middle + np.spacing(np.float32(middle)) * GENERATOR.integers(-3, 4, (50, 2))).astype(np.float32)
    y += GENERATOR.normal(size=y.shape).astype(np.float32) * (middle == 0)
    p = y.copy()
    p[::4] += np.spacing(np.float32(middle))
    for weights in (None, WEIGHTS[:50]):
        expected = reference.r2_score(y.astype(float), p.astype(float), sample_weight=weights)
        assert metrics.R2Score()(y, p, weights) == pytest.approx(expected, rel=1e-9)
    constant = np.full((9, 1), np.float32(1e9) / 3)
    assert metrics.R2Score()(constant, constant) == 1
    assert metrics.R2Score()(constant, constant + 64) == 0


@pytest.mark.parametrize("name", sorted(set(metrics.TABLE) - {"f1_score", "auc"}))
def test_weights_are_repetitions(name):
    metric = metrics.TABLE[name]()
    times = GENERATOR.integers(0, 4, len(OUTPUTS))
    y = LABELS if metric.sparse else ONE_HOT
    repeated = metric(np.repeat(y, times, axis=0), np.repeat(OUTPUTS, times, axis=0))
    assert metric(y, OUTPUTS, times) == pytest.approx(repeated, rel=1e-12)
    assert metric(y, OUTPUTS, np.zeros(len(OUTPUTS))) == 0


def test_confusion_matrix():
    answers = OUTPUTS.argmax(axis=1)
    expected = reference.confusion_matrix(LABELS, answers, labels=range(7))
    assert np.array_equal(metrics.confusion_matrix(LABELS, answers, 7), expected)
    for y in (LABELS, LABELS[:, None], ONE_HOT):
        assert np.array_equal(metrics.ConfusionMatrix(7)(y, OUTPUTS), expected)
    weights = WEIGHTS[:40]
    expected = reference.confusion_matrix(LABELS, answers, labels=range(7), sample_weight=weights)
    assert metrics.ConfusionMatrix(7)(LABELS, OUTPUTS, weights) == pytest.approx(expected)
    binary = metrics.ConfusionMatrix(2)(BINARY[:, :1], SCORES[:, :1])
    assert np.array_equal(binary, reference.confusion_matrix(BINARY[:, 0], SCORES[:, 0] > 0.5))
    assert metrics.confusion_matrix([2], [0]).shape == (3, 3)
    for y, p, classes, words in (
        ([0, 1], [0], None, "as many"), ([0.5], [0], None, "whole class numbers"), ([0, 3], [0, 1], 3, "below"),
        ([], [], None, "class numbers"), ([[0, 1]], [0], None, "shape"),
        ([0, 10**9], [0, 1], None, "y_true must hold class numbers below 8,192.*np.unique"),
        ([0, 1], [0, 1e300], None, "y_pred must hold class numbers below"), ([0], [0], 10**6, "num_classes must be at"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            metrics.confusion_matrix(y, p, classes)
    with pytest.raises(ValueError, match="7 columns"):
        metrics.ConfusionMatrix(7)(BINARY, SCORES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.Precision(thresholds=1.5), "thresholds"),
        (lambda: metrics.Precision(thresholds=[]), "thresholds"),
        (lambda: metrics.Recall(top_k=0), "top_k"),
        (lambda: metrics.Recall(class_id=-1), "class_id"),
        (lambda: metrics.Recall(class_id=3)(BINARY, SCORES), "class_id must be below the number of outputs, 3"),
        (lambda: metrics.F1Score("mean"), "average"),
        (lambda: metrics.F1Score(threshold=0.0), "threshold"),
        (lambda: metrics.AUC(1), "num_thresholds"),
        (lambda: metrics.AUC(65_537), "num_thresholds"),
        (lambda: metrics.AUC(curve="roc"), "curve"),
        (lambda: metrics.AUC(summation_method="simpson"), "summation_method"),
        (lambda: metrics.AUC(thresholds=[-0.1]), "thresholds"),
        (lambda: metrics.ConfusionMatrix(0), "num_classes"),
        (lambda: metrics.Precision()(BINARY, SCORES, [1.0]), "sample_weight"),
    ],
)
def test_settings_that_make_no_sense(make, words):
    with pytest.raises(ValueError, match=words):
        make()


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


def test_keys_are_keras():
    chosen = [("precision", metrics.Precision(class_id=i)) for i in range(3)]
    weighted = [("precision", metrics.Precision()), ("recall", metrics.Recall()), ("precision", metrics.Precision(0.1))]
    assert metrics.keys(chosen, weighted) == [
        "precision", "precision_1", "precision_2", "weighted_precision", "recall", "weighted_precision_1",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", sorted(metrics.TABLE))
def test_a_name_of_ones_own_is_the_key(kind):
    metric = metrics.TABLE[kind](name="mine")
    assert metrics.TABLE[kind]().name == metrics.TABLE[kind](name=None).name == kind
    assert metrics.resolve(metric, sparse=metric.sparse, columns=3)[0] == "mine"
    assert metrics.TABLE[kind].from_config(metric.get_config()) == metric != metrics.TABLE[kind]()
    for name in ("", 3):
        with pytest.raises(TypeError, match=f"name must be a text, got {name!r}"):
            metrics.TABLE[kind](name=name)


def test_names_of_ones_own_that_are_taken():
    a, b, c = metrics.Precision(name="p"), metrics.Recall(name="p"), metrics.Recall(name="p_1")
    loss = metrics.MeanSquaredError(name="loss")
    chosen = [(metric.name, metric) for metric in (a, b, c, loss)]
    assert metrics.keys(chosen, []) == ["p", "p_1", "p_1_1", "loss_1"]


def test_one_metric_by_two_names():
    same = metrics.BinaryAccuracy()
    assert metrics.keys([("acc", same), ("binary_accuracy", same)], []) == ["acc", "binary_accuracy"]
    with pytest.raises(ValueError, match="'acc' twice"):
        metrics.keys([("acc", same), ("acc", same)], [])


def test_names():
    assert metrics.resolve("mape", sparse=False, columns=9)[1] == metrics.MeanAbsolutePercentageError()
    assert metrics.resolve("accuracy", sparse=False, columns=1)[1] == metrics.BinaryAccuracy()
    assert metrics.resolve("acc", sparse=False, columns=3)[1] == metrics.CategoricalAccuracy()
    assert metrics.resolve("accuracy", sparse=True, columns=3)[1] == metrics.SparseCategoricalAccuracy()
    assert metrics.resolve("top_k_accuracy", sparse=False, columns=9)[1] == metrics.TopKCategoricalAccuracy()
    assert metrics.resolve("rmse", sparse=False, columns=9) == ("rmse", metrics.RootMeanSquaredError())
    with pytest.raises(TypeError, match="metrics must be names"):
        metrics.check(3)
