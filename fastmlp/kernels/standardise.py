"""Mean 0 and variance 1, by rows or by columns, and the way back through it.

For ``a = (x - m) d`` with ``d = 1 / sqrt(variance + epsilon)`` over the same n numbers,
``dx = d (da - mean(da) - a mean(a da))`` (Ioffe & Szegedy, arXiv 1502.03167, section 3, with the sums put together).
Blocks are flat buffers: rows of ``width`` padded columns, ``stride`` apart. Slopes are multiplied by dx.
"""

import numpy as np
from numpy.typing import NDArray

from .jit import SIMD_WIDTH, kernel, scalar
from .lanes import row_dot, row_squares, row_sum, tile_add, tile_load_part, tile_product, tile_scale, tile_shift
from .simd import TileShape, tile_fma_lanes, tile_rows, tile_store, tile_zeros

Buffer = NDArray[np.float32]

VECTOR = TileShape(1, 1)

ZERO, ONE = np.float32(0), np.float32(1)


@scalar
def factor_of(variance: np.float32, epsilon: np.float32) -> np.float32:
    """``1 / sqrt(variance + epsilon)``, and 0 in padding columns, where both may be 0."""
    spread = variance + epsilon
    factor = ONE / np.sqrt(spread)
    return factor if spread > ZERO else ZERO


@kernel
def standardise_columns(x: Buffer, first: int, out: int, stride: int, rows: int, mean: Buffer, factors: Buffer) -> None:
    """``x[out...] = (x[first...] - mean) factor``, by columns; the first row of the result may hold the factors."""
    width = mean.size
    for row in range(rows - 1, -1, -1):
        source = x[first + row * stride : first + row * stride + width]
        target = x[out + row * stride : out + row * stride + width]
        for j in range(width):
            target[j] = (source[j] - mean[j]) * factors[j]


@kernel
def columns_slopes(
    slopes: Buffer, first: int, gradient: int, stride: int, rows: int, variance: Buffer, epsilon: np.float32
) -> None:
    """The way back where mean and variance are constants: ``slopes[first...] *= da / sqrt(variance + epsilon)``."""
    width = variance.size
    for row in range(rows):
        target = slopes[first + row * stride : first + row * stride + width]
        da = slopes[gradient + row * stride : gradient + row * stride + width]
        for j in range(width):
            target[j] *= da[j] * factor_of(variance[j], epsilon)


@kernel
def column_moments(x: Buffer, first: int, stride: int, rows: int, mean: Buffer, squares: Buffer) -> None:
    """Mean of each column, and the sum of squares of the differences from it.

    What is summed are differences from the first row, since they are as large as the spread is and not as the mean.
    """
    share = -ONE / np.float32(rows)
    for j in range(0, mean.size, SIMD_WIDTH):
        shift = tile_scale(tile_rows(VECTOR, x, first + j), -ONE)
        total = tile_zeros(VECTOR)
        for row in range(1, rows):
            total = tile_add(total, tile_add(tile_rows(VECTOR, x, first + row * stride + j), shift))
        shift = tile_add(shift, tile_scale(total, share))
        total = tile_zeros(VECTOR)
        for row in range(rows):
            difference = tile_add(tile_rows(VECTOR, x, first + row * stride + j), shift)
            total = tile_add(total, tile_product(difference, difference))
        tile_store(tile_scale(shift, -ONE), mean, j, SIMD_WIDTH)
        tile_store(total, squares, j, SIMD_WIDTH)


@kernel
def column_sums(
    gradient: Buffer, first: int, a: Buffer, a_first: int, stride: int, rows: int, sums: Buffer, products: Buffer
) -> None:
    """The sum of each column of da, and of its products with a."""
    for j in range(0, sums.size, SIMD_WIDTH):
        total, product = tile_zeros(VECTOR), tile_zeros(VECTOR)
        for row in range(rows):
            at = row * stride + j
            total = tile_add(total, tile_rows(VECTOR, gradient, first + at))
            product = tile_fma_lanes(product, gradient, first + at, stride, a, a_first + at)
        tile_store(total, sums, j, SIMD_WIDTH)
        tile_store(product, products, j, SIMD_WIDTH)


@kernel
def columns_backward(
    a: Buffer,
    a_first: int,
    slopes: Buffer,
    first: int,
    gradient: int,
    stride: int,
    rows: int,
    factors: Buffer,
    gradient_mean: Buffer,
    product_mean: Buffer,
) -> None:
    """``slopes[first...] *= d (da - mean(da) - a mean(a da))``, by columns, with da at ``gradient``."""
    width = factors.size
    for row in range(rows):
        target = slopes[first + row * stride : first + row * stride + width]
        da = slopes[gradient + row * stride : gradient + row * stride + width]
        values = a[a_first + row * stride : a_first + row * stride + width]
        for j in range(width):
            target[j] *= factors[j] * (da[j] - gradient_mean[j] - values[j] * product_mean[j])


@kernel
def _row_moments(x: Buffer, first: int, columns: int, epsilon: np.float32) -> tuple[np.float32, np.float32]:
    """Mean of a row, and ``1 / sqrt(variance + epsilon)``."""
    count = np.float32(columns)
    mean = row_sum(x, first, columns) / count
    return mean, ONE / np.sqrt(row_squares(x, first, columns, mean) / count + epsilon)


@kernel
def standardise_rows(
    x: Buffer, first: int, out: Buffer, out_first: int, stride: int, rows: int, columns: int, epsilon: np.float32
) -> None:
    """``out = (x - mean) / sqrt(variance + epsilon)`` row by row, 0 in padding columns."""
    for row in range(rows):
        start = first + row * stride
        mean, factor = _row_moments(x, start, columns, epsilon)
        for j in range(0, columns, SIMD_WIDTH):
            tile = tile_scale(tile_shift(tile_load_part(x, start + j, columns - j, mean), -mean), factor)
            tile_store(tile, out, out_first + row * stride + j, SIMD_WIDTH)


@kernel
def rows_backward(
    x: Buffer,
    x_first: int,
    a: Buffer,
    a_first: int,
    slopes: Buffer,
    first: int,
    gradient: int,
    stride: int,
    rows: int,
    columns: int,
    width: int,
    epsilon: np.float32,
) -> None:
    """``slopes[first...] *= d (da - mean(da) - a mean(a da))`` row by row, with da at ``gradient``."""
    count = np.float32(columns)
    for row in range(rows):
        before = a_first + row * stride
        _, factor = _row_moments(x, x_first + row * stride, columns, epsilon)
        above = gradient + row * stride
        gradient_mean = row_sum(slopes, above, columns) / count
        product_mean = row_dot(slopes, above, a, before, columns) / count
        target = slopes[first + row * stride : first + row * stride + width]
        da, others = slopes[above : above + columns], a[before : before + columns]
        for j in range(columns):
            target[j] *= factor * (da[j] - gradient_mean - others[j] * product_mean)
        for j in range(columns, width):
            target[j] = 0
