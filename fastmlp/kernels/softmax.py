"""Softmax over the rows of a block, and its cross-entropy from logits.

A block's rows have ``columns`` numbers and are ``stride`` apart. What is written is ``width`` columns a row, with
zeros past ``columns``: a layer's padding is part of it, and nothing beside the rows is touched where there is none.
The largest number of a row is subtracted first, so that no exponent is positive.
"""

import numpy as np
from numpy.typing import NDArray

from . import vmath
from .jit import SIMD_WIDTH, kernel
from .lanes import row_largest, row_sum, store_lanes, tile_load_part, tile_scale, tile_shift

Buffer = NDArray[np.float32]

ZERO, ONE = np.float32(0), np.float32(1)


@kernel
def _shift_row(z: Buffer, first: int, columns: int, out: Buffer, out_first: int, width: int) -> np.float32:
    """``out = z - max z`` of one row, 0 past ``columns``; return max z."""
    largest = row_largest(z, first, columns)
    for j in range(0, width, SIMD_WIDTH):
        store_lanes(
            tile_shift(tile_load_part(z, first + j, columns - j, largest), -largest), out, out_first + j, width - j
        )
    return largest


@kernel
def _exponentials(values: Buffer, first: int, stride: int, rows: int, width: int) -> None:
    """``exp`` of a block in place; rows without a gap are one run, long enough for whole vectors."""
    runs, length = (1, rows * width) if stride == width else (rows, width)
    for run in range(runs):
        part = values[first + run * stride : first + run * stride + length]
        for i in range(length):
            part[i] = vmath.exp(part[i])


@kernel
def _scale_row(values: Buffer, first: int, columns: int, width: int, factor: np.float32) -> None:
    """One row times ``factor``, 0 past ``columns``, also where ``factor`` is not finite."""
    for j in range(0, width, SIMD_WIDTH):
        store_lanes(
            tile_scale(tile_load_part(values, first + j, columns - j, ZERO), factor), values, first + j, width - j
        )
    if columns < width and ZERO * factor != ZERO:
        values[first + columns : first + width] = ZERO


@kernel
def softmax_forward(z: Buffer, first: int, stride: int, rows: int, columns: int, width: int) -> None:
    """``a = exp(z - max) / sum`` row by row, in place."""
    for row in range(rows):
        _shift_row(z, first + row * stride, columns, z, first + row * stride, width)
    _exponentials(z, first, stride, rows, width)
    for row in range(rows):
        start = first + row * stride
        _scale_row(z, start, columns, width, ONE / row_sum(z, start, columns))


@kernel
def softmax_backward(
    a: Buffer, first: int, stride: int, da: Buffer, da_first: int, da_stride: int, rows: int, columns: int
) -> None:
    """``dz_j = a_j (da_j - sum_k a_k da_k)`` row by row, over ``da`` in place."""
    for row in range(rows):
        start, da_start = first + row * stride, da_first + row * da_stride
        total = np.float32(0)
        for j in range(columns):
            total += a[start + j] * da[da_start + j]
        for j in range(columns):
            da[da_start + j] = a[start + j] * (da[da_start + j] - total)


@kernel
def softmax_crossentropy(
    z: Buffer,
    first: int,
    stride: int,
    targets: Buffer,
    sparse: bool,
    smoothing: np.float32,
    weights: Buffer,
    share: np.float32,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
    gradient_first: int,
    gradient_stride: int,
    width: int,
) -> None:
    """Cross-entropy of softmax(z): ``sum_j y_j (log sum_k exp(z_k - m) - (z_j - m))``, m = max z, for each row.

    Its gradient with respect to z is ``softmax(z) sum(y) - y`` (Bridle, 1990).

    Parameters
    ----------
    z : flat buffer
        The logits; not changed.
    targets : flat buffer
        Without gaps: probabilities (``rows``, ``columns``), or with ``sparse`` class numbers (``rows``,).
    smoothing : float32
        How much of each label is spread over all classes; of ``sparse`` ones nothing.
    weights : flat buffer
        (``rows``,), or of size 0 for none.
    share : float32
        What a row counts: the gradient is multiplied by it and by the row's weight.
    values : flat buffer
        (3 * ``rows``,): first the losses of the rows, without weights; the rest is scratch.
    gradient : flat buffer
        Rows of ``width`` columns, overwritten; may not overlap ``z``.
    """
    kept, spread = ONE - smoothing, smoothing / np.float32(columns)
    for row in range(rows):
        start = first + row * stride
        largest = _shift_row(z, start, columns, gradient, gradient_first + row * gradient_stride, width)
        if sparse:
            values[row] = largest - z[start + np.intp(targets[row])]
        else:
            loss = ZERO
            for j in range(columns):
                loss += (targets[row * columns + j] * kept + spread) * (largest - z[start + j])
            values[row] = loss
    _exponentials(gradient, gradient_first, gradient_stride, rows, width)
    totals, logs = values[rows : 2 * rows], values[2 * rows : 3 * rows]
    for row in range(rows):
        totals[row] = row_sum(gradient, gradient_first + row * gradient_stride, columns)
    for row in range(rows):
        logs[row] = vmath.log(totals[row])
    for row in range(rows):
        start = gradient_first + row * gradient_stride
        factor = share * weights[row] if weights.size else share
        mass = ONE
        if not sparse:
            mass = ZERO
            for j in range(columns):
                mass += targets[row * columns + j] * kept + spread
        values[row] += mass * logs[row]
        _scale_row(gradient, start, columns, width, mass * factor / totals[row])
        if sparse:
            gradient[start + np.intp(targets[row])] -= factor
        else:
            for j in range(columns):
                gradient[start + j] -= (targets[row * columns + j] * kept + spread) * factor
