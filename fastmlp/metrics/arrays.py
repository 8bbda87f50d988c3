"""Plain functions on arrays of numbers or of class numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import check_count
from ..inputs import check_sample_weight

# whose matrix takes half a GiB
MOST_CLASSES = 8192


def _pair(y_true: Any, y_pred: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64 arrays of one shape; (n,) and (n, 1) fit, as the outputs of a model do."""
    true, predicted = np.atleast_1d(np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64))
    if true.ndim + predicted.ndim == 3 and true.shape[0] == predicted.shape[0] and true.size == predicted.size:
        true, predicted = true.reshape(-1), predicted.reshape(-1)
    if true.shape != predicted.shape:
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {predicted.shape}; they must be the same, or (n,) and (n, 1)"
        )
    if true.size == 0:
        raise ValueError("y_true is empty; a mean needs at least one number")
    return true, predicted


def mean_squared_error(y_true: Any, y_pred: Any) -> float:
    """Return the mean of ``(y_true - y_pred)^2`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like
        Numbers of one shape; (n,) and (n, 1) fit.

    Raises
    ------
    ValueError
        When the shapes differ, or there is nothing to average.

    Examples
    --------
    >>> mean_squared_error([1, 2, 3], [1, 2, 5])
    1.3333333333333333
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean((true - predicted) ** 2))


def root_mean_squared_error(y_true: Any, y_pred: Any) -> float:
    """Return the root of the mean squared error; for (B, N) arrays the mean of the columns' roots.

    This is scikit-learn's definition for several outputs. The arguments and errors are those of
    :func:`mean_squared_error`.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(np.sqrt(np.mean((true - predicted) ** 2, axis=0))))


def _labels(name: str, values: Any) -> NDArray[np.int64]:
    """Return class numbers (n,), checked."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold class numbers of the shape (n,), got the shape {array.shape}")
    if not bool(np.all((array >= 0) & (array == np.floor(array)))):
        raise ValueError(f"{name} must hold whole class numbers from 0")
    if array.max() >= MOST_CLASSES:
        raise ValueError(
            f"{name} must hold class numbers below {MOST_CLASSES:,}, since a matrix has a row and a column for each, "
            f"got {array.max()}; number the classes first, for example with np.unique({name}, return_inverse=True)[1]"
        )
    return array.astype(np.int64)


def confusion_matrix(
    y_true: Any, y_pred: Any, num_classes: int | None = None, sample_weight: Any = None
) -> NDArray[Any]:
    """Count how often class i was taken for class j.

    Parameters
    ----------
    y_true, y_pred : array_like (n,)
        Class numbers, such as ``model.predict(x).argmax(axis=1)``.
    num_classes : int, optional
        How many classes there are, at most 8192; by default up to the largest number given.
    sample_weight : array_like (n,), optional
        How much each row counts.

    Returns
    -------
    ndarray of int64, or float64 with weights, (classes, classes)
        Row i has the rows of true class i, by the class that they were taken for.

    Raises
    ------
    ValueError
        When the lengths differ, there is no row, a number is no class number, or there are too many classes.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = _labels("y_true", y_true), _labels("y_pred", y_pred)
    if true.shape != predicted.shape:
        raise ValueError(f"y_true has {true.size} rows and y_pred {predicted.size}; they must be as many")
    weights = check_sample_weight(sample_weight, true.size)
    largest = int(max(true.max(), predicted.max()))
    classes = largest + 1 if num_classes is None else check_count("num_classes", num_classes)
    if classes > MOST_CLASSES:
        raise ValueError(f"num_classes must be at most {MOST_CLASSES:,}, got {classes}")
    if largest >= classes:
        raise ValueError(f"class numbers must be below num_classes, {classes}, got {largest}")
    counts = np.bincount(true * classes + predicted, weights if weights.size else None, classes * classes)
    return counts.reshape(classes, classes)
