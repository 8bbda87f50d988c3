"""scikit-learn's estimators and ours side by side, and data for both."""

import inspect

import numpy as np
import pytest
from sklearn import neural_network

import fastmlp.sklearn

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (150, 4))
THREE = np.digitize(X[:, 0] + 0.3 * X[:, 1] ** 2, [-0.4, 0.6])
TWO = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
LABELS = (X[:, :3] > [0.0, 0.3, -0.5]).astype(int)
ONE = X @ [1.0, -2.0, 0.5, 0.0] + np.sin(3 * X[:, 3])
MANY = np.stack([ONE, X[:, 0] * X[:, 1], X[:, 2] ** 2], axis=1)
PROBLEMS = {
    "two classes": ("Classifier", np.where(TWO == "same", 1, -1)),
    "three classes": ("Classifier", THREE),
    "labels": ("Classifier", LABELS),
    "number": ("Regressor", ONE),
    "numbers": ("Regressor", MANY),
}
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 3, "batch_size": 32}
ATTRIBUTES = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")


def pair(kind, **settings):
    """scikit-learn's estimator and ours."""
    return [getattr(module, f"MLP{kind}")(**{**SMALL, **settings}) for module in (neural_network, fastmlp.sklearn)]


def ours(kind, **settings):
    return getattr(fastmlp.sklearn, f"MLP{kind}")(**{**SMALL, **settings})


def alike(theirs, mine, rtol=1e-4):
    for name in ATTRIBUTES:
        assert getattr(mine, name) == getattr(theirs, name), name
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=rtol)
    assert mine.loss_ == mine.loss_curve_[-1]
    if theirs.validation_scores_ is None:
        assert mine.best_loss_ == pytest.approx(theirs.best_loss_, rel=rtol)
        assert mine.validation_scores_ is None
    else:
        assert mine.best_loss_ is None
        assert mine.best_validation_score_ == pytest.approx(theirs.best_validation_score_, rel=rtol)
        np.testing.assert_allclose(mine.validation_scores_, theirs.validation_scores_, rtol=rtol)
    for name in ("coefs_", "intercepts_"):
        for got, expected in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-4)


def takes_weights():
    """Whether this scikit-learn's networks take sample weights."""
    return "sample_weight" in inspect.signature(neural_network.MLPClassifier.fit).parameters


def bag(kind, **settings):
    return getattr(fastmlp.sklearn, f"MLPEnsemble{kind}")(**{"n_estimators": 3, **SMALL, **settings})


def member_alone(ensemble, number):
    """The estimator that a member is, to be trained on copies of its rows."""
    kind = getattr(fastmlp.sklearn, type(ensemble).__name__.replace("Ensemble", ""))
    own = [name for name in inspect.signature(kind).parameters if name not in ("n_jobs", "warm_start", "random_state")]
    settings = {name: getattr(ensemble, name) for name in own}
    return kind(**settings, random_state=ensemble.estimators_[number].random_state)


def same_bits(one, other):
    for name in ("coefs_", "intercepts_"):
        for got, expected in zip(getattr(one, name), getattr(other, name), strict=True):
            assert got.tobytes() == expected.tobytes()
    assert one.loss_curve_ == other.loss_curve_
    assert one.validation_scores_ == other.validation_scores_
