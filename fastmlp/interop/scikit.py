"""Networks that scikit-learn has trained."""

from typing import TYPE_CHECKING, Any

from ..errors import NotBuiltError
from ..layers import Dense, Input

if TYPE_CHECKING:
    from ..model import Sequential

# scikit-learn's names of activations; "exp" is above the outputs of a Poisson regression
ACTIVATIONS = {
    "identity": "linear",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
    "exp": "exponential",
}


def from_sklearn(estimator: Any) -> "Sequential":
    """Return a model with the same predictions as a network of scikit-learn's.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted. Its weights are rounded to float32.

    Returns
    -------
    Sequential
        Not compiled. Its ``predict`` returns (rows, outputs): what a regressor predicts, and a classifier's
        probabilities, whose column j is that of ``estimator.classes_[j]``. A classifier of two classes has one
        output, the probability of ``estimator.classes_[1]``.

    Raises
    ------
    TypeError
        For another estimator; one inside a pipeline or a search must be taken out.
    NotBuiltError
        When it is not fitted.
    ImportError
        When scikit-learn is not installed.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    from ..model import Sequential

    if isinstance(getattr(estimator, "model_", None), Sequential):
        raise TypeError("estimator is one of fastmlp.sklearn, which has its model already: estimator.model_")
    if not isinstance(estimator, (MLPClassifier, MLPRegressor)):
        raise TypeError(
            f"estimator must be an MLPClassifier or MLPRegressor, got {type(estimator).__name__}; "
            "take it out of a pipeline or a search first"
        )
    if not hasattr(estimator, "coefs_"):
        raise NotBuiltError(f"the {type(estimator).__name__} is not fitted, so it has no weights; call its fit first")
    hidden = [estimator.activation] * (len(estimator.coefs_) - 1)
    model = Sequential([Input(shape=(estimator.coefs_[0].shape[0],))])
    for kernel, name in zip(estimator.coefs_, [*hidden, estimator.out_activation_], strict=True):
        model.add(Dense(kernel.shape[1], activation=ACTIVATIONS[name]))
    pairs = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    model.set_weights([weight for pair in pairs for weight in pair])
    return model
