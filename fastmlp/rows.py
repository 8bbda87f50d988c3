"""Rows as the compiled loops take them: features that are sparse, targets with outputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def is_sparse(x: object) -> bool:
    """Say whether data are one of SciPy's sparse matrices or arrays, by what these have in common."""
    return hasattr(x, "tocsr") and hasattr(x, "toarray")


class SparseRows:
    """Rows of a sparse matrix, which become dense where they are used and no earlier.

    Parameters
    ----------
    matrix : sparse matrix or array of SciPy's (n, K)
        Of any format; all but CSR is converted.
    """

    ndim = 2

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix.tocsr()
        self.shape: tuple[int, int] = self.matrix.shape
        self.dtype: np.dtype[Any] = self.matrix.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "SparseRows":
        return SparseRows(self.matrix[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        dense: NDArray[Any] = self.matrix.toarray()
        return dense if dtype is None else dense.astype(dtype, copy=False)


Rows = NDArray[Any] | SparseRows


def paired_rows(y_true: Any, y_pred: Any, *, sparse: bool) -> tuple[Float32, Float32]:
    """Return targets and outputs as float32 (rows, columns) without gaps; one dimension is one column.

    Raises
    ------
    ValueError
        When the shapes do not belong together, there is no row, or class numbers (``sparse``) are none.
    """
    targets, outputs = (np.ascontiguousarray(values, np.float32) for values in (y_true, y_pred))
    rows = len(outputs)
    if outputs.size == 0:
        raise ValueError(f"y_pred is empty, with the shape {np.shape(y_pred)}; at least one row is needed")
    outputs = outputs.reshape(rows, -1)
    columns = outputs.shape[1]
    wanted = (rows, 1) if sparse else (rows, columns)
    if targets.shape not in (wanted, *([(rows,)] if wanted[1] == 1 else [])):
        raise ValueError(f"y_true has the shape {np.shape(y_true)}, which does not fit y_pred's {np.shape(y_pred)}")
    targets = targets.reshape(wanted)
    if sparse and not bool(np.all((targets >= 0) & (targets < columns) & (targets == np.floor(targets)))):
        raise ValueError(f"y_true must hold class numbers 0 to {columns - 1}")
    return targets, outputs


def centre(targets: Float32, weights: Float32) -> NDArray[np.float64]:
    """Return the mean of each column of targets (rows, columns), by weights (rows,) if there are some."""
    weighted = weights if weights.size and weights.any() else None
    means: NDArray[np.float64] = np.average(targets.astype(np.float64), axis=0, weights=weighted)
    return means
