"""Constraints on a kernel: by the norm of each unit's weights, or by the sign. Formulas are Keras 3's."""

import numpy as np
from numpy.typing import NDArray

from .gemm import PANEL
from .jit import SIMD_WIDTH, kernel, scalar
from .lanes import row_squares, tile_add, tile_product
from .simd import TileShape, tile_load, tile_multiply, tile_store, tile_zeros

Buffer = NDArray[np.float32]

# Keras' fuzz factor beside a norm
EPSILON = np.float32(1e-7)
ZERO = np.float32(0)
# two sums go on at a time, since an addition waits for the one before it
PAIR = TileShape(2, 1)


@kernel
def clip_negative(w: Buffer) -> None:
    """``w = max(w, 0)``."""
    for i in range(w.size):
        w[i] = max(w[i], np.float32(0))


@scalar
def factor_to_norm(squares: np.float32, limit: np.float32, at_most: bool) -> np.float32:
    """``wanted / (1e-7 + norm)``: what brings a unit's weights to the norm ``limit``, or with ``at_most`` only down."""
    norm = np.sqrt(squares)
    wanted = min(norm, limit) if at_most else limit
    return np.float32(wanted / (EPSILON + norm))


@kernel
def constrain_columns(
    w: Buffer, first: int, stride: int, rows: int, limit: np.float32, at_most: bool, room: Buffer
) -> None:
    """Scale the columns of one vector, whose ``rows`` (an even number) lie ``stride`` apart, to a norm."""
    squares = tile_zeros(PAIR)
    for k in range(0, rows, 2):
        part = tile_load(PAIR, w, first + k * stride, stride)
        squares = tile_add(squares, tile_product(part, part))
    tile_store(squares, room, 0, SIMD_WIDTH)
    even, odd = room[:SIMD_WIDTH], room[SIMD_WIDTH : 2 * SIMD_WIDTH]
    for j in range(SIMD_WIDTH):
        even[j] = factor_to_norm(even[j] + odd[j], limit, at_most)
    for k in range(0, rows, 2):
        at = first + k * stride
        tile_store(tile_multiply(tile_load(PAIR, w, at, stride), room, 0, 0), w, at, stride)


@kernel
def constrain_row(w: Buffer, panel_rows: int, panel_columns: int, unit: int, limit: np.float32, at_most: bool) -> None:
    """Scale one unit's weights, a row in the panels of w^T, to a norm."""
    squares = ZERO
    for panel in range(0, panel_columns, PANEL):
        width = min(PANEL, panel_columns - panel)
        squares += row_squares(w, panel * panel_rows + unit * width, width, ZERO)
    factor = factor_to_norm(squares, limit, at_most)
    for panel in range(0, panel_columns, PANEL):
        width = min(PANEL, panel_columns - panel)
        first = panel * panel_rows + unit * width
        row = w[first : first + width]
        for j in range(width):
            row[j] *= factor
