"""Mean 0 and variance 1, by rows or by columns, then a scale and an offset; and the way back through it.

For ``a = (x - m) d`` with ``d = 1 / sqrt(variance + epsilon)`` over the same n numbers,
``dx = d (da - mean(da) - a mean(a da))`` (Ioffe & Szegedy, arXiv 1502.03167, section 3, with the sums put together).
Blocks are flat buffers: rows of padded columns, ``stride`` apart. On the way up a takes the place of x, which nobody
needs again, and stays for the way back. Slopes are multiplied by dx; dy is the gradient of ``y = a scale + offset``.
"""

import numpy as np
from numpy.typing import NDArray

from .jit import SIMD_WIDTH, kernel, scalar
from .lanes import lanes_sum, row_squares, row_sum, tile_add, tile_load_part, tile_product, tile_scale, tile_shift
from .simd import TileShape, tile_add_row, tile_fma_lanes, tile_multiply, tile_rows, tile_store, tile_zeros

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
def standardise_columns(
    x: Buffer, first: int, out: int, stride: int, rows: int, mean: Buffer, factors: Buffer, scale: Buffer,
    offset: Buffer,
) -> None:  # fmt: skip
    """``x[first...] = (x[first...] - mean) factor``, by columns, and ``x[out...]`` is that times scale plus offset.

    The first row of the result may hold the factors.
    """
    for j in range(0, mean.size, SIMD_WIDTH):
        shift, factor = tile_scale(tile_rows(VECTOR, mean, j), -ONE), tile_rows(VECTOR, factors, j)
        gamma, beta = tile_rows(VECTOR, scale, j), tile_rows(VECTOR, offset, j)
        for row in range(rows):
            at = row * stride + j
            a = tile_product(tile_add(tile_rows(VECTOR, x, first + at), shift), factor)
            tile_store(a, x, first + at, SIMD_WIDTH)
            tile_store(tile_add(tile_product(a, gamma), beta), x, out + at, SIMD_WIDTH)


@kernel
def columns_slopes(
    slopes: Buffer, first: int, gradient: int, stride: int, rows: int, variance: Buffer, epsilon: np.float32,
    scale: Buffer,
) -> None:  # fmt: skip
    """The way back where mean and variance are constants: ``slopes[first...] *= d scale dy``."""
    width = variance.size
    for row in range(rows):
        target = slopes[first + row * stride : first + row * stride + width]
        dy = slopes[gradient + row * stride : gradient + row * stride + width]
        for j in range(width):
            target[j] *= dy[j] * (scale[j] * factor_of(variance[j], epsilon))


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
    """The sum of each column of dy, and of its products with a."""
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
    a: Buffer, slopes: Buffer, first: int, gradient: int, stride: int, rows: int, factors: Buffer, scale: Buffer,
    gradient_mean: Buffer, product_mean: Buffer,
) -> None:  # fmt: skip
    """``slopes[first...] *= d scale (dy - mean(dy) - a mean(a dy))``, by columns, with dy at ``gradient``."""
    for j in range(0, factors.size, SIMD_WIDTH):
        factor = tile_product(tile_rows(VECTOR, factors, j), tile_rows(VECTOR, scale, j))
        shift = tile_scale(tile_rows(VECTOR, gradient_mean, j), -ONE)
        turn = tile_scale(tile_rows(VECTOR, product_mean, j), -ONE)
        for row in range(rows):
            at = row * stride + j
            dx = tile_add(tile_rows(VECTOR, slopes, gradient + at), shift)
            dx = tile_add(dx, tile_product(tile_rows(VECTOR, a, first + at), turn))
            dx = tile_multiply(tile_product(dx, factor), slopes, first + at, stride)
            tile_store(dx, slopes, first + at, SIMD_WIDTH)


@kernel
def standardise_rows(
    x: Buffer, first: int, out: int, slopes: Buffer, stride: int, rows: int, columns: int, epsilon: np.float32,
    scale: Buffer, offset: Buffer, back: bool,
) -> None:  # fmt: skip
    """``x[first...] = (x[first...] - mean) d`` row by row, and ``x[out...]`` is that times scale plus offset.

    Padding columns become 0. With ``back`` the slopes are multiplied by d, which the way back then need not know.
    """
    count = np.float32(columns)
    for row in range(rows):
        start, end = first + row * stride, out + row * stride
        mean = row_sum(x, start, columns) / count
        factor = ONE / np.sqrt(row_squares(x, start, columns, mean) / count + epsilon)
        for j in range(0, columns, SIMD_WIDTH):
            a = tile_scale(tile_shift(tile_load_part(x, start + j, columns - j, mean), -mean), factor)
            tile_store(a, x, start + j, SIMD_WIDTH)
            tile_store(tile_add_row(tile_multiply(a, scale, j, 0), offset, j), x, end + j, SIMD_WIDTH)
            if back:
                tile_store(tile_scale(tile_rows(VECTOR, slopes, start + j), factor), slopes, start + j, SIMD_WIDTH)


@kernel
def rows_backward(
    a: Buffer, slopes: Buffer, first: int, gradient: int, stride: int, rows: int, columns: int, scale: Buffer
) -> None:
    """``slopes[first...] *= da - mean(da) - a mean(a da)`` row by row, with da = dy scale and dy at ``gradient``."""
    count = np.float32(columns)
    for row in range(rows):
        start, above = first + row * stride, gradient + row * stride
        total, product = tile_zeros(VECTOR), tile_zeros(VECTOR)
        for j in range(0, columns, SIMD_WIDTH):
            da = tile_multiply(tile_rows(VECTOR, slopes, above + j), scale, j, 0)
            total = tile_add(total, da)
            product = tile_add(product, tile_multiply(da, a, start + j, 0))
        gradient_mean, product_mean = lanes_sum(total) / count, lanes_sum(product) / count
        for j in range(0, columns, SIMD_WIDTH):
            dx = tile_shift(tile_multiply(tile_rows(VECTOR, slopes, above + j), scale, j, 0), -gradient_mean)
            dx = tile_add(dx, tile_scale(tile_rows(VECTOR, a, start + j), -product_mean))
            dx = tile_multiply(dx, slopes, start + j, 0)
            tile_store(dx, slopes, start + j, SIMD_WIDTH)
        slopes[start + columns : start + scale.size] = 0
