"""Networks of scikit-learn's, as models with the same predictions."""

import warnings

import numpy as np
import pytest

import fastmlp
from fastmlp import errors

sklearn = pytest.importorskip("sklearn")
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

X = np.random.default_rng(0).normal(0, 1, (60, 5))


def fitted(estimator, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.set_params(max_iter=20, random_state=0).fit(X, y)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("sizes", [(), (7,), (11, 1, 4)])
def test_regressors(activation, sizes):
    estimator = fitted(MLPRegressor(hidden_layer_sizes=sizes, activation=activation), X[:, 0] * 3 + X[:, 1])
    model = fastmlp.from_sklearn(estimator)
    assert [layer.units for layer in model.layers] == [*sizes, 1]
    close(model.predict(X)[:, 0], estimator.predict(X))


def test_several_outputs():
    estimator = fitted(MLPRegressor(hidden_layer_sizes=(7,)), X[:, :3] * [1, 2, 3])
    close(fastmlp.from_sklearn(estimator).predict(X), estimator.predict(X))


def test_two_classes():
    estimator = fitted(MLPClassifier(hidden_layer_sizes=(7,)), np.where(X[:, 0] > 0, "yes", "no"))
    close(fastmlp.from_sklearn(estimator).predict(X)[:, 0], estimator.predict_proba(X)[:, 1])


def test_many_classes():
    estimator = fitted(MLPClassifier(hidden_layer_sizes=(7,), activation="tanh"), np.digitize(X[:, 0], [-1, 0, 1]) * 10)
    probabilities = fastmlp.from_sklearn(estimator).predict(X)
    close(probabilities, estimator.predict_proba(X))
    assert (estimator.classes_[probabilities.argmax(axis=1)] == estimator.predict(X)).all()


def test_several_labels():
    estimator = fitted(MLPClassifier(hidden_layer_sizes=(7,)), (X[:, :3] > 0).astype(int))
    close(fastmlp.from_sklearn(estimator).predict(X), estimator.predict_proba(X))


def test_poisson_regression():
    try:
        estimator = fitted(MLPRegressor(hidden_layer_sizes=(7,), loss="poisson"), np.exp(X[:, 0]))
    except TypeError:
        pytest.skip("this scikit-learn has no such loss")
    close(fastmlp.from_sklearn(estimator).predict(X)[:, 0], estimator.predict(X))


def test_a_model_goes_on_training():
    estimator = fitted(MLPRegressor(hidden_layer_sizes=(7,)), X[:, 0])
    model = fastmlp.from_sklearn(estimator)
    model.compile("adam", "mse")
    before = model.evaluate(X, X[:, 0], verbose=0)
    model.fit(X, X[:, 0], epochs=20, verbose=0)
    assert model.evaluate(X, X[:, 0], verbose=0) < before


def test_what_is_refused():
    with pytest.raises(errors.NotBuiltError, match="MLPRegressor is not fitted"):
        fastmlp.from_sklearn(MLPRegressor())
    with pytest.raises(TypeError, match="got Pipeline; take it out"):
        fastmlp.from_sklearn(make_pipeline(MLPRegressor()))


def test_an_estimator_of_fastmlp_has_its_model():
    from fastmlp.sklearn import MLPRegressor as Ours

    estimator = Ours(hidden_layer_sizes=(2,), solver="lbfgs", tol=1).fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(TypeError, match=r"has its model already: estimator\.model_"):
        fastmlp.from_sklearn(estimator)
