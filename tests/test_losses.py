"""Losses called on arrays, against the twin and at the ends of the number range."""

import naive
import numpy as np
import pytest

from fastmlp import losses

LOGITS = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]
REGRESSION = [losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.Huber(0.5), losses.LogCosh()]


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("size", [1.0, 50.0, 1e4])
def test_cross_entropies_are_stable_from_logits(name, size):
    loss = losses.TABLE[name](from_logits=True)
    z = np.array([[1, -1, 0], [-1, 1, 1], [0, 0, 0]], np.float32) * np.float32(size)
    y = np.array([1, 0, 2]) if name.startswith("sparse") else np.eye(3)[[1, 0, 2]]
    _, expected, _ = naive.loss_value_and_gradient(name, y, z.astype(float), from_logits=True)
    assert loss(y, z) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", REGRESSION, ids=repr)
@pytest.mark.parametrize("distance", [0.0, 1e-4, 0.3, 0.7, 30.0, 1e4])
def test_regression_losses_at_every_distance(loss, distance):
    y = np.array([0.0, 1.0])
    p = y + np.array([distance, -distance])
    settings = {"delta": 0.5} if loss.name == "huber" else {}
    _, expected, _ = naive.loss_value_and_gradient(loss.name, y[:, None], p[:, None], **settings)
    # the difference of two float32 numbers is only as exact as they are
    assert loss(y, p) == pytest.approx(expected, rel=2e-3 if distance == 1e-4 else 1e-5)


def test_one_dimension_is_one_column():
    assert losses.MeanSquaredError()([1, 2, 3], [1, 2, 5]) == pytest.approx(4 / 3)
    assert losses.SparseCategoricalCrossentropy()([[1]], [[0.25, 0.75]]) == pytest.approx(-np.log(0.75))


@pytest.mark.parametrize(
    ("y", "p", "words"),
    [
        ([1, 2], [[1, 2], [3, 4]], "does not fit"),
        ([], np.empty((0, 1)), "empty"),
    ],
)
def test_shapes_that_do_not_fit(y, p, words):
    with pytest.raises(ValueError, match=words):
        losses.MeanSquaredError()(y, p)


@pytest.mark.parametrize("label", [2, -1, 0.5])
def test_labels_outside_the_classes(label):
    with pytest.raises(ValueError, match="class numbers 0 to 1"):
        losses.SparseCategoricalCrossentropy()([label], [[0.5, 0.5]])


@pytest.mark.parametrize("delta", [0, -1.0, float("nan"), float("inf")])
def test_huber_needs_a_positive_delta(delta):
    with pytest.raises(ValueError, match=r"delta must be a (positive|finite) number"):
        losses.Huber(delta)


@pytest.mark.parametrize("kind", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_smoothing_is_a_share(kind):
    with pytest.raises(ValueError, match="label_smoothing"):
        kind(label_smoothing=1.5)


def test_names():
    assert losses.get("mse") == losses.MeanSquaredError()
    assert losses.get("logcosh") == losses.LogCosh()
    with pytest.raises(TypeError, match="loss must be"):
        losses.get(3)
