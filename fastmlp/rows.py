"""Targets and outputs as the compiled losses and metrics take them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


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
