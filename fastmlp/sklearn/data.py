"""What estimators make of data: checks, rows as the engine takes them, and their weights."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d, validate_data

from ..inputs import check_finite, surely_finite
from ..rows import Rows, SparseRows, is_sparse

Float32 = NDArray[np.float32]
# numbers of rows; None stands for all
Chosen = NDArray[np.int64] | None


def surely_fits(estimator: Any, X: Any) -> bool:
    """Say whether scikit-learn's checks would let data of a fitted estimator pass; they take 0.1 ms."""
    return (
        type(X) is np.ndarray and X.ndim == 2 and len(X) > 0 and X.dtype.kind == "f"
        and X.shape[1] == estimator.n_features_in_ and not hasattr(estimator, "feature_names_in_")
        and surely_finite(X)
    )  # fmt: skip


def surely_fits_targets(y: Any, rows: int, *, numeric: bool) -> bool:
    """Say so of targets, one a row."""
    kinds = "iub" if numeric else "iubU"
    return type(y) is np.ndarray and y.shape == (rows,) and (y.dtype.kind in kinds or surely_finite(y))


def checked_data(estimator: Any, X: Any, y: Any, *, numeric: bool, reset: bool) -> tuple[Any, NDArray[Any]]:
    """Return data and targets of a fit as arrays, or a sparse matrix, after scikit-learn's checks.

    Parameters
    ----------
    numeric : bool
        Whether targets must be numbers.
    reset : bool
        Whether the estimator learns the number and names of features, or must know them.

    Raises
    ------
    ValueError, TypeError
        For data that are none, or not finite in float32.
    """
    if not reset and surely_fits(estimator, X) and surely_fits_targets(y, len(X), numeric=numeric):
        return X, y
    X, y = validate_data(
        estimator, X, y, accept_sparse=("csr", "csc"), multi_output=True, dtype=(np.float64, np.float32),
        y_numeric=numeric, reset=reset,
    )  # fmt: skip
    check_finite("X", X.data if is_sparse(X) else X)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, y


def checked_weights(sample_weight: Any, rows: int) -> NDArray[np.float64] | None:
    """Return the weights of so many rows, of which a number is that of all, or raise ValueError or TypeError."""
    if sample_weight is None:
        return None
    given = np.full(rows, sample_weight) if isinstance(sample_weight, Real) else sample_weight
    weights: NDArray[np.float64] = check_array(given, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight must have the shape ({rows},), got {weights.shape}")
    check_weights("sample_weight", weights)
    return weights


def placed(values: Float32, chosen: Chosen, rows: int) -> Float32:
    """Return values of chosen rows, one for each, at the places that these have among all; zeros at the others."""
    if chosen is None:
        return values
    placed = np.zeros((rows, *values.shape[1:]), np.float32)
    placed[chosen] = values
    return placed


def as_feed_rows(X: Any) -> Rows:
    """Return checked data as a feed takes them; sparse numbers are converted here, and not in every batch."""
    return SparseRows(X.astype(np.float32)) if is_sparse(X) else X


def check_weights(name: str, weights: NDArray[np.float64]) -> None:
    """Raise ValueError for weights that are negative or NaN, or all zero."""
    if not (weights >= 0).all() or not weights.any():
        raise ValueError(f"{name} must not be negative or NaN, nor zero for all rows")


def constant_weights(weights: NDArray[np.float64] | None, rows: int, scale: float) -> Float32:
    """Return the weights of rows that make one batch; none where all would be 1."""
    if weights is None:
        return np.empty(0, np.float32) if scale == 1 else np.full(rows, scale, np.float32)
    total = float(weights.sum())
    return np.asarray(scale * weights * (rows / total if total else 0.0), np.float32)


def worth(weights: NDArray[np.float64] | None) -> float:
    """Return how many rows one counts for."""
    return 1.0 if weights is None else float(weights.mean())
