"""The three products of a dense layer with few outputs, such as the one of a regression or of two classes.

Padded to a vector, a kernel (K,1) would be mostly zeros. With at most :data:`NARROW_UNITS` outputs the roles are
exchanged: the layer keeps *panels of w^T* (N,K), and vectors run over k. Then backward is an ordinary product of the
rows dz with these panels, and the gradient ``dw^T = dz^T x`` an ordinary gradient of them, of ``LOW_ROWS`` rows.
Forward is a dot product of two rows, whose lanes are added at the end; where K is so small that this addition takes
longer than the padding, it is an ordinary product with a panel of w, which is made of those of w^T.
"""

import numpy as np
from numpy.typing import NDArray

from .gemm import LOW_ROWS, PANEL
from .jit import SIMD_WIDTH, kernel
from .simd import TileShape, tile_fma_lanes, tile_lane_sums, tile_zeros

Buffer = NDArray[np.float32]

NARROW_UNITS = LOW_ROWS
# Vector operations that adding the lanes of one dot product takes.
LANE_SUM = 9
DOTS = TileShape(LOW_ROWS, 1)


def takes_dots(inputs: int, units: int) -> bool:
    """Say whether a layer (K,N) of few outputs goes forward by dot products, by vector operations for a row.

    Dot products take ``N (K / width + LANE_SUM)``; with a panel of w, padded to a vector, there are K.
    """
    return units * (inputs / SIMD_WIDTH + LANE_SUM) < inputs


@kernel
def narrow_forward(
    bias: Buffer,
    bias_offset: int,
    x: Buffer,
    x_offset: int,
    x_stride: int,
    panels: Buffer,
    panels_offset: int,
    panel_rows: int,
    columns: int,
    units: int,
    out: Buffer,
    out_offset: int,
    out_stride: int,
    rows: int,
) -> None:
    """``z (B,N) = b + x (B,K) w (K,N)`` from the panels of w^T.

    Parameters
    ----------
    x : flat buffer
        Rows (``rows``, ``columns``), ``x_stride`` apart, zero past K; ``rows`` is at least ``LOW_ROWS``.
    panels : flat buffer
        w^T: ``panel_rows`` rows and ``columns`` (padded K) columns, zero past N and K.
    out : flat buffer
        Rows (``rows``, ``units``), ``out_stride`` apart, and nothing beside them is written.
    """
    for unit in range(units):
        row = 0
        while row < rows:
            # the last rows once more rather than a tile of another height
            row = min(row, rows - LOW_ROWS)
            tile = tile_zeros(DOTS)
            for column in range(0, columns, PANEL):
                width = min(PANEL, columns - column)
                start = panels_offset + column * panel_rows + unit * width
                for lane in range(0, width, SIMD_WIDTH):
                    tile = tile_fma_lanes(
                        tile, x, x_offset + row * x_stride + column + lane, x_stride, panels, start + lane
                    )
            tile_lane_sums(tile, bias[bias_offset + unit], out, out_offset + row * out_stride + unit, out_stride)
            row += LOW_ROWS
