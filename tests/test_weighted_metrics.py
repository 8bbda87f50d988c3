"""Metrics in training and evaluation: weights, keys, several numbers, and labels of their own in every column."""

import naive
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, metrics, set_num_threads
from fastmlp.optimizers import SGD

ROWS = 101
GENERATOR = np.random.default_rng(12)
X = GENERATOR.normal(size=(ROWS, 5)).astype(np.float32)
Y = (X[:, :3] + 0.5 * GENERATOR.normal(size=(ROWS, 3)) > 0.2).astype(np.float32)
WEIGHTS = GENERATOR.uniform(0, 2, ROWS).astype(np.float32)
TWINS = {"auc": naive.auc, "precision": naive.precision, "recall": naive.recall}


def network(units=3, activation="sigmoid", seed=3):
    return Sequential([Input(shape=(5,)), Dense(8, activation="tanh"), Dense(units, activation=activation)], seed=seed)


@pytest.mark.parametrize("batch_size", [7, 32, 200])
def test_evaluation_is_the_twins_with_and_without_weights(batch_size):
    model = network()
    names = ["precision", "recall", "auc"]
    score = metrics.F1Score(average="weighted", threshold=0.4)
    model.compile("sgd", "binary_crossentropy", [*names, score], weighted_metrics=[*names, score, "binary_accuracy"])
    found = model.evaluate(X, Y, batch_size, sample_weight=WEIGHTS, return_dict=True)
    p = model.predict(X)
    assert list(found) == [
        "loss",
        *names,
        "f1_score",
        *(f"weighted_{n}" for n in (*names, "f1_score")),
        "binary_accuracy",
    ]
    for name in names:
        assert found[name] == pytest.approx(TWINS[name](Y, p)), name
        assert found[f"weighted_{name}"] == pytest.approx(TWINS[name](Y, p, weights=WEIGHTS)), name
    for key, weights in (("f1_score", np.ones(ROWS)), ("weighted_f1_score", WEIGHTS)):
        support = (weights[:, None] * Y).sum(axis=0)
        assert found[key] == pytest.approx(np.average(naive.f1_score(Y, p, 0.4, weights), weights=support))
    assert found["binary_accuracy"] == pytest.approx(np.average(((p > 0.5) == Y).mean(axis=1), weights=WEIGHTS))


def test_class_weights_count_in_weighted_metrics():
    model = network(1)
    y, factors = Y[:, 0], {0: 0.5, 1: 3.0}
    model.compile(SGD(1e-12), "binary_crossentropy", ["accuracy"], weighted_metrics=["accuracy", "mse"])
    history = model.fit(X, y, sample_weight=WEIGHTS, class_weight=factors, verbose=0, batch_size=16).history
    weights = WEIGHTS * np.where(y == 1, 3.0, 0.5)
    p = model.predict(X)[:, 0]
    assert history["accuracy"] == [pytest.approx(np.mean(y == (p > 0.5)))]
    assert history["weighted_accuracy"] == [pytest.approx(np.average(y == (p > 0.5), weights=weights))]
    assert history["mse"] == [pytest.approx(np.average((y - p) ** 2, weights=weights), rel=1e-5)]


def test_weighted_metrics_without_weights_are_plain():
    model = network()
    model.compile("sgd", "binary_crossentropy", ["auc", "r2"], weighted_metrics=["auc", "r2"])
    found = model.evaluate(X, Y, return_dict=True)
    assert found["auc"] == found["weighted_auc"]
    assert found["r2"] == found["weighted_r2"]


def test_the_same_for_any_number_of_threads():
    found = []
    for threads in (1, 3):
        set_num_threads(threads)
        model = network()
        model.compile("adam", "binary_crossentropy", ["auc", "r2"], weighted_metrics=["precision"])
        found.append(model.fit(X, Y, sample_weight=WEIGHTS, epochs=2, batch_size=50, verbose=0).history)
    assert found[0] == found[1]


@pytest.mark.parametrize("middle", [0.0, 1e7])
def test_r2_of_training_and_validation_far_from_zero(middle):
    model = network(2, "linear")
    y = (middle + X[:, :2] * max(1.0, middle * 1e-6)).astype(np.float32)
    model.layers[1].set_weights([np.zeros((8, 2)), y.mean(axis=0)])
    model.compile(SGD(1e-12), "mse", ["r2"])
    history = model.fit(X[:70], y[:70], validation_data=(X[70:], y[70:]), shuffle=False, verbose=0).history
    p = model.predict(X)
    assert history["r2"] == [pytest.approx(naive.r2(y[:70].astype(float), p[:70].astype(float)), rel=1e-6, abs=1e-9)]
    assert history["val_r2"] == [pytest.approx(naive.r2(y[70:].astype(float), p[70:].astype(float)), rel=1e-6)]


def test_numbers_in_the_logs_are_single():
    model = network()
    for several in (metrics.Precision(thresholds=[0.2, 0.5]), metrics.ConfusionMatrix(3)):
        with pytest.raises(ValueError, match="logs take one"):
            model.compile("sgd", "binary_crossentropy", [several])
    # one for each output
    model.compile("sgd", "binary_crossentropy", [metrics.F1Score()])
    with pytest.raises(ValueError, match="logs take one"):
        model.evaluate(X, Y)
    model = network(1)
    model.compile("sgd", "binary_crossentropy", ["f1_score", metrics.Precision(), metrics.Precision(0.2)])
    assert list(model.evaluate(X, Y[:, 0], return_dict=True)) == ["loss", "f1_score", "precision", "precision_1"]


@pytest.mark.parametrize("wrong", ["accuracy", 3])
def test_weighted_metrics_are_a_list(wrong):
    with pytest.raises(TypeError, match="weighted_metrics must be a list"):
        network().compile("sgd", "mse", weighted_metrics=wrong)


def test_accuracy_of_several_labels_goes_by_shapes_as_in_keras():
    model = network()
    model.compile("sgd", "binary_crossentropy", ["accuracy", "binary_accuracy"])
    found = model.evaluate(X, Y, return_dict=True)
    p = model.predict(X)
    assert found["accuracy"] == pytest.approx(naive.categorical_accuracy(Y, p))
    assert found["binary_accuracy"] == pytest.approx(np.mean((p > 0.5) == Y))


def test_several_labels_train_as_in_pytorch():
    torch = pytest.importorskip("torch")
    model = network()
    twin = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for layer, mine in zip((twin[0], twin[2]), model.layers, strict=True):
            kernel, bias = mine.get_weights()
            layer.weight.copy_(torch.tensor(kernel.T))
            layer.bias.copy_(torch.tensor(bias))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.9)
    expected = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(twin(torch.tensor(X)), torch.tensor(Y))
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    model.compile(SGD(0.5, momentum=0.9), "binary_crossentropy", ["binary_accuracy"])
    history = model.fit(X, Y, epochs=50, batch_size=ROWS, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx(expected, rel=1e-4)
    with torch.no_grad():
        right = ((twin(torch.tensor(X)) > 0).float() == torch.tensor(Y)).float().mean(dim=0)
    columns = [metrics.BinaryAccuracy()(Y[:, j], model.predict(X)[:, j]) for j in range(3)]
    assert columns == pytest.approx(right.numpy(), abs=1 / ROWS)
