"""The three products of a dense layer around one microkernel.

Dimensions: B batch rows, K inputs, N outputs. Storage:

- *Rows* (activations and their gradients) are row-major with a leading dimension (:func:`leading_dimension`)
  of whole vectors; columns past the true width are zero. Their number of rows is padded
  (:func:`padded_rows`); a padding row may hold anything finite and is never read by :func:`panel_gradient`.
- *Panels* (weights) are blocks of ``PANEL`` columns, one after the other; inside a panel the rows follow each
  other without a gap, so that the microkernel streams through memory whatever N is. The last panel is one
  vector wide where that suffices. Columns and rows past the true size are zero.

The microkernel adds ``left[i, k] * right[k, :]`` to a register tile for k = 0, 1, 2...: the order of the sum
for one element depends on nothing but k, so results have the same bits for any tile height and any split of
the rows. The design follows Goto & van de Geijn (ACM TOMS 34, 2008) and BLIS (Van Zee & van de Geijn, ACM
TOMS 41, 2015), without packing of the left side: the leading dimensions are chosen so that no stride maps a
tile's rows onto few cache sets.
"""

import numpy as np
from numpy.typing import NDArray

from .jit import SIMD_WIDTH, inlined, kernel, shape_function
from .simd import (
    TileShape,
    tile_add_row,
    tile_fma,
    tile_load,
    tile_multiply,
    tile_rows,
    tile_store,
    tile_zeros,
    transpose_block,
)

Buffer = NDArray[np.float32]

# One table for all processors: the accumulators of the tallest tile, two vectors of the right side and one
# factor fill the registers (32 on AVX-512, else 16), and the lowest tile still has the eight accumulators
# that hide the FMA's latency (4 cycles, 2 a cycle).
TALL_ROWS = {16: 12, 8: 6, 4: 6}[SIMD_WIDTH]
LOW_ROWS = 4
GRANULE = TALL_ROWS - {16: 8, 8: 4, 4: 4}[SIMD_WIDTH]
MIDDLE_ROWS = TALL_ROWS - GRANULE

PANEL = 2 * SIMD_WIDTH

TALL, TALL_NARROW = TileShape(TALL_ROWS, 2), TileShape(TALL_ROWS, 1)
MIDDLE, MIDDLE_NARROW = TileShape(MIDDLE_ROWS, 2), TileShape(MIDDLE_ROWS, 1)
LOW, LOW_NARROW = TileShape(LOW_ROWS, 2), TileShape(LOW_ROWS, 1)
ROW_SUM = TileShape(1, 1)

# A leading dimension of an even number of cache lines maps the rows of a block onto few of the 64 sets of an
# L1 cache; from this many floats on, it is made odd.
CACHE_LINE = 16
LONG_ROW = 128


@shape_function
def padded_rows(rows: int) -> int:
    """Round up a number of rows to what the tile heights add up to."""
    return max(LOW_ROWS, -(-rows // GRANULE) * GRANULE) if rows else 0


@shape_function
def padded_columns(columns: int) -> int:
    """Round up a number of columns to whole vectors."""
    return -(-columns // SIMD_WIDTH) * SIMD_WIDTH


@shape_function
def leading_dimension(columns: int) -> int:
    """Elements from one row to the next: whole vectors, and an odd number of cache lines for long rows."""
    padded = padded_columns(columns)
    if padded >= LONG_ROW:
        lines = -(-padded // CACHE_LINE)
        padded = (lines + 1 - lines % 2) * CACHE_LINE
    return padded


@shape_function
def next_height(left: int) -> int:
    """Return how many of the ``left`` rows the next tile takes, so that no rest is lower than ``LOW_ROWS``."""
    if left == TALL_ROWS + GRANULE or (MIDDLE_ROWS <= left < TALL_ROWS):
        # with a tall tile next, GRANULE rows would be left, which is too few accumulators
        return MIDDLE_ROWS
    return TALL_ROWS if left >= TALL_ROWS else LOW_ROWS


@inlined
def _product_tile(
    shape: TileShape,
    first: Buffer,
    first_offset: int,
    left: Buffer,
    left_offset: int,
    left_stride: int,
    right: Buffer,
    right_offset: int,
    right_stride: int,
    depth: int,
    out: Buffer,
    out_offset: int,
    out_stride: int,
    scale: bool,
) -> None:
    """One tile of :func:`panel_product`; the microkernel with k contiguous on the left side."""
    tile = tile_rows(shape, first, first_offset)
    for k in range(depth):
        tile = tile_fma(tile, left, left_offset + k, left_stride, right, right_offset + k * right_stride)
    if scale:
        tile = tile_multiply(tile, out, out_offset, out_stride)
    tile_store(tile, out, out_offset, out_stride)


@kernel
def panel_product(
    first: Buffer,
    first_offset: int,
    left: Buffer,
    left_offset: int,
    left_stride: int,
    panel: Buffer,
    panel_offset: int,
    wide: bool,
    depth: int,
    out: Buffer,
    out_offset: int,
    out_stride: int,
    rows: int,
    scale: bool,
) -> None:
    """``out = first + left @ panel``, or ``out *= first + left @ panel`` with ``scale``, for one panel's columns.

    Backward: ``dx (B,K) = dz (B,N) w^T (N,K)``, and with ``scale`` times the slopes of the activation below, which
    ``out`` holds before. A panel is ``PANEL`` columns wide, or one vector; everything else as :func:`rows_product`.
    """
    row = 0
    while row < rows:
        height = next_height(rows - row)
        above = left_offset + row * left_stride
        below = out_offset + row * out_stride
        if wide:
            if height == TALL_ROWS:
                _product_tile(
                    TALL, first, first_offset, left, above, left_stride, panel, panel_offset, PANEL, depth,
                    out, below, out_stride, scale,
                )  # fmt: skip
            elif height == MIDDLE_ROWS:
                _product_tile(
                    MIDDLE, first, first_offset, left, above, left_stride, panel, panel_offset, PANEL, depth,
                    out, below, out_stride, scale,
                )  # fmt: skip
            else:
                _product_tile(
                    LOW, first, first_offset, left, above, left_stride, panel, panel_offset, PANEL, depth,
                    out, below, out_stride, scale,
                )  # fmt: skip
        elif height == TALL_ROWS:
            _product_tile(
                TALL_NARROW, first, first_offset, left, above, left_stride, panel, panel_offset, SIMD_WIDTH, depth,
                out, below, out_stride, scale,
            )  # fmt: skip
        elif height == MIDDLE_ROWS:
            _product_tile(
                MIDDLE_NARROW, first, first_offset, left, above, left_stride, panel, panel_offset, SIMD_WIDTH, depth,
                out, below, out_stride, scale,
            )  # fmt: skip
        else:
            _product_tile(
                LOW_NARROW, first, first_offset, left, above, left_stride, panel, panel_offset, SIMD_WIDTH, depth,
                out, below, out_stride, scale,
            )  # fmt: skip
        row += height


@kernel
def rows_product(
    first: Buffer,
    first_offset: int,
    left: Buffer,
    left_offset: int,
    left_stride: int,
    panels: Buffer,
    panels_offset: int,
    panel_rows: int,
    depth: int,
    columns: int,
    out: Buffer,
    out_offset: int,
    out_stride: int,
    rows: int,
) -> None:
    """``out = first + left @ panels``: forward, ``z (B,N) = b + x (B,K) w (K,N)``.

    Parameters
    ----------
    first : flat buffer
        The row (``columns``,) that every sum starts from: the bias.
    left : flat buffer
        Rows (``rows``, ``depth``), ``left_stride`` apart; ``rows`` from :func:`padded_rows`.
    panels : flat buffer
        Panels of ``panel_rows`` rows, ``columns`` columns in all (padded).
    out : flat buffer
        Rows (``rows``, ``columns``), ``out_stride`` apart; may not overlap the others.
    """
    for column in range(0, columns, PANEL):
        panel_product(
            first, first_offset + column, left, left_offset, left_stride, panels, panels_offset + column * panel_rows,
            columns - column >= PANEL, depth, out, out_offset + column, out_stride, rows, False,
        )  # fmt: skip


@kernel
def transpose_panel(
    w: Buffer,
    w_offset: int,
    panel_rows: int,
    columns: int,
    first: int,
    width: int,
    panel: Buffer,
    panel_offset: int,
) -> None:
    """Write the panel of ``w^T (N,K)`` with the columns ``first`` to ``first + width``, from the panels of w.

    Blocks of vector by vector are transposed in registers; ``columns`` (padded N) and ``width`` are whole vectors.
    """
    for column in range(0, columns, SIMD_WIDTH):
        source_panel = column // PANEL * PANEL
        source_width = min(PANEL, columns - source_panel)
        source = w_offset + source_panel * panel_rows + (column - source_panel)
        for row in range(0, width, SIMD_WIDTH):
            transpose_block(
                w, source + (first + row) * source_width, source_width, panel, panel_offset + column * width + row,
                width,
            )  # fmt: skip


@inlined
def _gradient_tile(
    shape: TileShape,
    x: Buffer,
    x_offset: int,
    x_stride: int,
    dz: Buffer,
    dz_offset: int,
    dz_stride: int,
    batch: int,
    dw: Buffer,
    dw_offset: int,
    dw_stride: int,
    add: bool,
) -> None:
    """One tile of :func:`panel_gradient`; the microkernel with i contiguous on the left side."""
    tile = tile_zeros(shape)
    if add:
        tile = tile_load(shape, dw, dw_offset, dw_stride)
    for b in range(batch):
        tile = tile_fma(tile, x, x_offset + b * x_stride, 1, dz, dz_offset + b * dz_stride)
    tile_store(tile, dw, dw_offset, dw_stride)


@kernel
def panel_gradient(
    x: Buffer,
    x_offset: int,
    x_stride: int,
    dz: Buffer,
    dz_offset: int,
    dz_stride: int,
    batch: int,
    dw: Buffer,
    dw_offset: int,
    wide: bool,
    rows: int,
    add: bool,
) -> None:
    """``dw (K,N) = x^T (K,B) dz (B,N)`` for some rows of one panel, or added to them with ``add``.

    Parameters
    ----------
    x : flat buffer
        Rows (``batch``, ``rows``), ``x_stride`` apart; columns past K are zero up to ``rows``.
    dz : flat buffer
        Rows (``batch``, width of the panel), ``dz_stride`` apart.
    batch : int
        The true number of rows B, which is the depth of the sum and needs no padding.
    dw : flat buffer
        The panel's ``rows`` rows (a number from :func:`padded_rows`), one after the other.
    """
    width = PANEL if wide else SIMD_WIDTH
    row = 0
    while row < rows:
        height = next_height(rows - row)
        above = x_offset + row
        below = dw_offset + row * width
        if wide:
            if height == TALL_ROWS:
                _gradient_tile(TALL, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, PANEL, add)
            elif height == MIDDLE_ROWS:
                _gradient_tile(MIDDLE, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, PANEL, add)
            else:
                _gradient_tile(LOW, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, PANEL, add)
        elif height == TALL_ROWS:
            _gradient_tile(TALL_NARROW, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, width, add)
        elif height == MIDDLE_ROWS:
            _gradient_tile(MIDDLE_NARROW, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, width, add)
        else:
            _gradient_tile(LOW_NARROW, x, above, x_stride, dz, dz_offset, dz_stride, batch, dw, below, width, add)
        row += height


@kernel
def bias_gradient(
    dz: Buffer,
    dz_offset: int,
    dz_stride: int,
    batch: int,
    columns: int,
    db: Buffer,
    db_offset: int,
    add: bool,
) -> None:
    """``db (N,) = sum over b of dz[b, :]``, or added to ``db`` with ``add``; ``columns`` is padded N."""
    for column in range(0, columns, SIMD_WIDTH):
        total = tile_zeros(ROW_SUM)
        if add:
            total = tile_rows(ROW_SUM, db, db_offset + column)
        for b in range(batch):
            total = tile_add_row(total, dz, dz_offset + b * dz_stride + column)
        tile_store(total, db, db_offset + column, SIMD_WIDTH)
