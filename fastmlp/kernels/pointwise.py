"""Rows that are copied, added, scaled and shifted, and the way back: flat buffers, rows ``stride`` apart."""

import numpy as np
from numpy.typing import NDArray

from .jit import SIMD_WIDTH, kernel
from .lanes import copy_row, tile_load_part, tile_product
from .simd import TileShape, tile_fma_lanes, tile_rows, tile_store, tile_zeros

Buffer = NDArray[np.float32]

SUM = TileShape(1, 1)
ZERO = np.float32(0)


@kernel
def copy_rows(
    source: Buffer,
    first: int,
    stride: int,
    target: Buffer,
    target_first: int,
    target_stride: int,
    rows: int,
    columns: int,
    width: int,
) -> None:
    """Copy rows of ``columns`` numbers from ``stride`` to ``target_stride`` apart, with zeros up to ``width``."""
    for row in range(rows):
        copy_row(source, first + row * stride, columns, target, target_first + row * target_stride, width)


@kernel
def multiply_rows(
    slopes: Buffer, first: int, stride: int, gradient: Buffer, rows: int, columns: int, width: int
) -> None:
    """``slopes *= da`` with rows of da without gaps; zeros from ``columns`` up to ``width``, in whole vectors."""
    for row in range(rows):
        start, da = first + row * stride, row * columns
        for j in range(0, width, SIMD_WIDTH):
            slope = tile_load_part(slopes, start + j, columns - j, ZERO)
            product = tile_product(slope, tile_load_part(gradient, da + j, columns - j, ZERO))
            tile_store(product, slopes, start + j, SIMD_WIDTH)


@kernel
def add_rows(x: Buffer, first: int, other: int, out: int, count: int, add: bool) -> None:
    """``x[out...] = x[first...]``, plus ``x[other...]`` with ``add``, over ``count`` elements."""
    source, target = x[first : first + count], x[out : out + count]
    if add:
        second = x[other : other + count]
        for i in range(count):
            target[i] = source[i] + second[i]
    else:
        for i in range(count):
            target[i] = source[i]


@kernel
def multiply_slopes(slopes: Buffer, first: int, gradient: int, other: int, count: int, add: bool) -> None:
    """``slopes[first...] *= da`` with da at ``gradient``, and what is at ``other`` added to it with ``add``."""
    target, source = slopes[first : first + count], slopes[gradient : gradient + count]
    if add:
        second = slopes[other : other + count]
        for i in range(count):
            target[i] *= source[i] + second[i]
    else:
        for i in range(count):
            target[i] *= source[i]


@kernel
def scale_rows(x: Buffer, first: int, out: int, stride: int, rows: int, scale: Buffer, offset: Buffer) -> None:
    """``x[out...] = x[first...] * scale + offset``, by columns."""
    width = scale.size
    for row in range(rows):
        source = x[first + row * stride : first + row * stride + width]
        target = x[out + row * stride : out + row * stride + width]
        for j in range(width):
            target[j] = source[j] * scale[j] + offset[j]


@kernel
def scale_slopes(slopes: Buffer, first: int, gradient: int, stride: int, rows: int, scale: Buffer) -> None:
    """``slopes[first...] *= da * scale`` with da at ``gradient``, by columns."""
    width = scale.size
    for row in range(rows):
        target = slopes[first + row * stride : first + row * stride + width]
        da = slopes[gradient + row * stride : gradient + row * stride + width]
        for j in range(width):
            target[j] *= da[j] * scale[j]


@kernel
def scale_gradient(
    x: Buffer,
    x_first: int,
    dz: Buffer,
    dz_first: int,
    stride: int,
    rows: int,
    columns: int,
    gradient: Buffer,
    first: int,
    add: bool,
) -> None:
    """``ds = sum over b of dz[b, :] x[b, :]``, or added with ``add``; ``columns`` is padded."""
    for column in range(0, columns, SIMD_WIDTH):
        total = tile_zeros(SUM)
        if add:
            total = tile_rows(SUM, gradient, first + column)
        for b in range(rows):
            at = b * stride + column
            total = tile_fma_lanes(total, x, x_first + at, stride, dz, dz_first + at)
        tile_store(total, gradient, first + column, SIMD_WIDTH)
