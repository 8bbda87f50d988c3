"""The register tile in NumPy: what :mod:`fastmlp.kernels.simd` is when Numba's compiler is switched off.

Same names, same arguments, same order of additions; a product and a sum round twice here, once in an FMA.
A tile is a float32 array of shape (rows, vectors * width).
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from .jit import SIMD_WIDTH

if TYPE_CHECKING:
    from .simd import TileShape

Tile = NDArray[np.float32]


def _block(buffer: Tile, offset: int, stride: int, rows: int, columns: int) -> Tile:
    """View ``rows`` x ``columns`` elements of a flat buffer; unlike machine code, it checks the bounds."""
    last = offset + (rows - 1) * stride + columns
    if not 0 <= offset <= last <= buffer.size:
        raise IndexError(f"a tile covers elements {offset} to {last} of a buffer of {buffer.size}")
    return as_strided(buffer[offset:], (rows, columns), (stride * buffer.itemsize, buffer.itemsize))


def tile_zeros(shape: "TileShape") -> Tile:
    """Return a tile of zeros."""
    return np.zeros((shape.rows, shape.vectors * SIMD_WIDTH), np.float32)


def tile_rows(shape: "TileShape", buffer: Tile, offset: int) -> Tile:
    """Return a tile whose every row is the one at ``offset``."""
    return tile_zeros(shape) + _block(buffer, offset, 0, 1, shape.vectors * SIMD_WIDTH)


def tile_load(shape: "TileShape", buffer: Tile, offset: int, stride: int) -> Tile:
    """Return a copy of the block at ``offset``."""
    return _block(buffer, offset, stride, shape.rows, shape.vectors * SIMD_WIDTH).copy()


def tile_fma(tile: Tile, left: Tile, left_offset: int, left_stride: int, right: Tile, right_offset: int) -> Tile:
    """Return the tile plus the outer product of a strided column of ``left`` and a row of ``right``."""
    rows, columns = tile.shape
    column = _block(left, left_offset, left_stride, rows, 1)
    return tile + column * _block(right, right_offset, 0, 1, columns)


def tile_fma_lanes(tile: Tile, left: Tile, left_offset: int, left_stride: int, right: Tile, right_offset: int) -> Tile:
    """Return the tile plus the product, lane by lane, of its rows of ``left`` and one vector of ``right``."""
    rows, columns = tile.shape
    return tile + _block(left, left_offset, left_stride, rows, columns) * _block(right, right_offset, 0, 1, columns)


def tile_lane_sums(tile: Tile, start: np.float32, buffer: Tile, offset: int, stride: int) -> None:
    """Write ``start`` plus the sum of each row's lanes, added in halves."""
    while tile.shape[1] > 1:
        half = tile.shape[1] // 2
        tile = tile[:, :half] + tile[:, half:]
    _block(buffer, offset, stride, len(tile), 1)[...] = start + tile


def tile_add_row(tile: Tile, buffer: Tile, offset: int) -> Tile:
    """Return the tile with a row added to each of its rows."""
    return tile + _block(buffer, offset, 0, 1, tile.shape[1])


def tile_multiply(tile: Tile, buffer: Tile, offset: int, stride: int) -> Tile:
    """Return the elementwise product with the block at ``offset``."""
    return tile * _block(buffer, offset, stride, *tile.shape)


def tile_store(tile: Tile, buffer: Tile, offset: int, stride: int) -> None:
    """Write the tile to the block at ``offset``."""
    _block(buffer, offset, stride, *tile.shape)[...] = tile


def transpose_block(
    source: Tile, offset: int, stride: int, target: Tile, target_offset: int, target_stride: int
) -> None:
    """Write the transpose of a width x width block of ``source`` to ``target``."""
    block = _block(source, offset, stride, SIMD_WIDTH, SIMD_WIDTH)
    _block(target, target_offset, target_stride, SIMD_WIDTH, SIMD_WIDTH)[...] = block.T
