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


def tile_load_part(buffer: Tile, offset: int, count: int, rest: np.float32) -> Tile:
    """Return one vector: ``count`` elements of ``buffer``, then ``rest``."""
    tile = np.full((1, SIMD_WIDTH), rest, np.float32)
    count = min(count, SIMD_WIDTH)
    tile[:, :count] = _block(buffer, offset, 0, 1, count)
    return tile


def tile_store_part(tile: Tile, buffer: Tile, offset: int, count: int) -> None:
    """Write the first ``count`` lanes of a tile of one vector."""
    count = min(count, SIMD_WIDTH)
    _block(buffer, offset, 0, 1, count)[...] = tile[:, :count]


def tile_larger(tile: Tile, other: Tile) -> Tile:
    """Return the larger elements of two tiles."""
    return np.where(other > tile, other, tile)


def tile_add(tile: Tile, other: Tile) -> Tile:
    """Return the sum of two tiles."""
    return tile + other


def tile_product(tile: Tile, other: Tile) -> Tile:
    """Return the product of two tiles, place by place."""
    return tile * other


def tile_shift(tile: Tile, amount: np.float32) -> Tile:
    """Return the tile with a number added to every element."""
    return tile + amount


def tile_scale(tile: Tile, factor: np.float32) -> Tile:
    """Return the tile with every element multiplied by a number."""
    return tile * factor


def tile_add_scaled(tile: Tile, other: Tile, factor: np.float32) -> Tile:
    """Return ``tile + factor * other``."""
    return tile + factor * other


def tile_over_root(tile: Tile, radicand: Tile, epsilon: np.float32) -> Tile:
    """Return ``tile / (sqrt(radicand) + epsilon)``."""
    quotient: Tile = np.divide(tile, np.sqrt(radicand) + epsilon, dtype=np.float32)
    return quotient


def lanes_sum(tile: Tile) -> np.float32:
    """Return the sum of a tile's one row, added in halves."""
    while tile.size > 1:
        half = tile.size // 2
        tile = tile[:, :half] + tile[:, half:]
    return np.float32(tile[0, 0])


def lanes_largest(tile: Tile) -> np.float32:
    """Return the largest element of a tile's one row."""
    while tile.size > 1:
        half = tile.size // 2
        tile = tile_larger(tile[:, :half], tile[:, half:])
    return np.float32(tile[0, 0])


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
