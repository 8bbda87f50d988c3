"""Vectors along one row, whatever its length: its largest element, its sum, and its copy.

The operations are those of :mod:`fastmlp.kernels.simd` on tiles of a single vector; the last vector of a row is
loaded in part. The lanes are combined at the end, always in the same way.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.np.arrayobj import make_array, populate_array
from numpy.typing import NDArray

from .jit import JIT_DISABLED, SIMD_WIDTH, inlined
from .simd import (
    FLOAT_BYTES,
    INDEX,
    VECTOR,
    TileShape,
    TileType,
    address,
    broadcast,
    fold,
    fused,
    operation,
    tile_load,
    tile_store,
)

Buffer = NDArray[np.float32]

ONE_VECTOR = TileShape(1, 1)
LOWEST = np.float32(-np.inf)
ZERO = np.float32(0)


def _first_lanes(builder: Any, count: Any) -> Any:
    """A mask of the first ``count`` lanes."""
    # in 32 bits, one comparison serves a whole vector
    whole = ir.Constant(count.type, SIMD_WIDTH)
    count = builder.trunc(builder.select(builder.icmp_signed("<", count, whole), count, whole), INDEX)
    lanes_type = ir.VectorType(INDEX, SIMD_WIDTH)
    single = builder.insert_element(ir.Constant(lanes_type, ir.Undefined), count, INDEX(0))
    zeros = ir.Constant(ir.VectorType(INDEX, SIMD_WIDTH), [0] * SIMD_WIDTH)
    counts = builder.shuffle_vector(single, ir.Constant(lanes_type, ir.Undefined), zeros)
    return builder.icmp_signed("<", ir.Constant(lanes_type, list(range(SIMD_WIDTH))), counts)


@operation
def tile_load_part(_typing: Any, buffer: Any, offset: Any, count: Any, rest: Any) -> Any:
    """Return a tile of one vector: ``buffer[offset : offset + count]``, and ``rest`` in the lanes from ``count`` on.

    Nothing past the ``count`` elements is read; ``count`` may be more than a vector.
    """
    tile = TileType(1, 1)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, lanes, fill = arguments
        pointer = builder.bitcast(address(context, builder, signature.args[0], array, start), VECTOR.as_pointer())
        mask = _first_lanes(builder, lanes)
        load = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INDEX, mask.type, VECTOR]),
            f"llvm.masked.load.v{SIMD_WIDTH}f32.p0",
        )
        vector = builder.call(load, [pointer, INDEX(FLOAT_BYTES), mask, broadcast(builder, fill)])
        value = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        return builder.insert_value(value, vector, 0)

    return tile(buffer, types.intp, types.intp, types.float32), emit


@operation
def tile_store_part(_typing: Any, tile: Any, buffer: Any, offset: Any, count: Any) -> Any:
    """Write the first ``count`` lanes of a tile of one vector; ``count`` may be more than a vector."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, array, start, lanes = arguments
        pointer = builder.bitcast(address(context, builder, signature.args[1], array, start), VECTOR.as_pointer())
        mask = _first_lanes(builder, lanes)
        store = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), INDEX, mask.type]),
            f"llvm.masked.store.v{SIMD_WIDTH}f32.p0",
        )
        builder.call(store, [builder.extract_value(value, 0), pointer, INDEX(FLOAT_BYTES), mask])
        return context.get_dummy_value()

    return types.none(tile, buffer, types.intp, types.intp), emit


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers or of vectors' elements; ``a`` where one is NaN."""
    return builder.select(builder.fcmp_ordered(">", b, a), b, a)


def _placewise(builder: Any, tile: Any, value: Any, second: Callable[[int], Any], combine: Callable[..., Any]) -> Any:
    """A tile whose vector at each index is combined with ``second(index)``."""
    for index in range(tile.rows * tile.vectors):
        value = builder.insert_value(value, combine(builder.extract_value(value, index), second(index)), index)
    return value


def _of_two(tile: Any, other: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    """Signature and code of an operation on two tiles, place by place."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value, second = arguments
        return _placewise(
            builder, tile, value, lambda index: builder.extract_value(second, index), partial(combine, builder)
        )

    return tile(tile, other), emit


def _with_number(tile: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    """Signature and code of an operation on a tile and one number."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value, scalar = arguments
        vector = broadcast(builder, scalar)
        return _placewise(builder, tile, value, lambda _: vector, partial(combine, builder))

    return tile(tile, types.float32), emit


@operation
def tile_larger(_typing: Any, tile: Any, other: Any) -> Any:
    """Return the larger element of two tiles, place by place; where ``other`` is NaN, the tile's."""
    return _of_two(tile, other, _larger)


@operation
def tile_add(_typing: Any, tile: Any, other: Any) -> Any:
    """Return the sum of two tiles, place by place."""
    return _of_two(tile, other, ir.IRBuilder.fadd)


@operation
def tile_product(_typing: Any, tile: Any, other: Any) -> Any:
    """Return the product of two tiles, place by place."""
    return _of_two(tile, other, ir.IRBuilder.fmul)


@operation
def tile_shift(_typing: Any, tile: Any, amount: Any) -> Any:
    """Return the tile with ``amount`` added to every element."""
    return _with_number(tile, ir.IRBuilder.fadd)


@operation
def tile_scale(_typing: Any, tile: Any, factor: Any) -> Any:
    """Return the tile with every element multiplied by ``factor``."""
    return _with_number(tile, ir.IRBuilder.fmul)


@operation
def tile_add_scaled(_typing: Any, tile: Any, other: Any, factor: Any) -> Any:
    """Return ``tile + factor * other``, rounded once where the processor can."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value, second, scalar = arguments
        vector, add = broadcast(builder, scalar), fused(builder)

        def combine(own: Any, addend: Any) -> Any:
            return builder.call(add, [vector, addend, own])

        return _placewise(builder, tile, value, lambda index: builder.extract_value(second, index), combine)

    return tile(tile, other, types.float32), emit


@operation
def tile_over_root(_typing: Any, tile: Any, radicand: Any, epsilon: Any) -> Any:
    """Return ``tile / (sqrt(radicand) + epsilon)`` within a few units of the last place.

    Roots and divisions are the slowest operations of all; where LLVM knows of quicker estimates it takes those, and a
    step of Newton's. An infinite radicand gives NaN there.
    """

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value, second, scalar = arguments
        vector = broadcast(builder, scalar)
        function_type = ir.FunctionType(VECTOR, [VECTOR])
        root = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.sqrt.v{SIMD_WIDTH}f32")

        def combine(own: Any, under: Any) -> Any:
            divisor = builder.fadd(builder.call(root, [under], fastmath=("afn", "ninf")), vector)
            return builder.fdiv(own, divisor, flags=("arcp", "ninf"))

        return _placewise(builder, tile, value, lambda index: builder.extract_value(second, index), combine)

    return tile(tile, radicand, types.float32), emit


@operation
def lanes_sum(_typing: Any, tile: Any) -> Any:
    """Return the sum of the lanes of a tile of one vector, added in halves."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return fold(builder, builder.extract_value(arguments[0], 0), builder.fadd)

    return types.float32(tile), emit


@operation
def lanes_largest(_typing: Any, tile: Any) -> Any:
    """Return the largest lane of a tile of one vector."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return fold(builder, builder.extract_value(arguments[0], 0), partial(_larger, builder))

    return types.float32(tile), emit


@operation
def flat_rows(_typing: Any, table: Any, first: Any, count: Any) -> Any:
    """Return a flat view of ``table[first : first + count]``, whose rows lie without gaps."""
    flat = table.copy(ndim=1)

    def emit(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        rows = make_array(table)(context, builder, arguments[0])
        view = make_array(flat)(context, builder)
        columns = cgutils.unpack_tuple(builder, rows.shape)[1]
        populate_array(
            view, builder.gep(rows.data, [builder.mul(arguments[1], columns)]),
            [builder.mul(arguments[2], columns)], [rows.itemsize], rows.itemsize, rows.meminfo,
        )  # fmt: skip
        return view._getvalue()

    return flat(table, types.intp, types.intp), emit


def _flat_rows_python(table: NDArray[np.float32], first: int, count: int) -> Buffer:
    """Return the view by NumPy."""
    return table[first : first + count].reshape(-1)


if JIT_DISABLED:
    flat_rows = _flat_rows_python
    from .simd_numpy import (
        lanes_largest,
        lanes_sum,
        tile_add,
        tile_add_scaled,
        tile_larger,
        tile_load_part,
        tile_over_root,
        tile_product,
        tile_scale,
        tile_shift,
        tile_store_part,
    )

__all__ = [
    "copy_row", "flat_rows", "lanes_sum", "row_largest", "row_squares", "row_sum", "store_lanes", "tile_add",
    "tile_add_scaled", "tile_larger", "tile_load_part", "tile_over_root", "tile_product", "tile_scale", "tile_shift",
    "tile_store_part",
]  # fmt: skip


@inlined
def store_lanes(tile: Any, out: Buffer, first: int, count: int) -> None:
    """Write ``count`` lanes, or all if it is more; a partial store of all lanes costs several whole ones."""
    if count >= SIMD_WIDTH:
        tile_store(tile, out, first, SIMD_WIDTH)
    else:
        tile_store_part(tile, out, first, count)


@inlined
def copy_row(source: Buffer, first: int, count: int, out: Buffer, out_first: int, width: int) -> None:
    """Copy ``count`` elements, and write zeros up to ``width``; nothing past it is touched.

    A loop over so few elements as a row of a small net has would take twice as long.
    """
    whole = count // SIMD_WIDTH * SIMD_WIDTH
    for j in range(0, whole, SIMD_WIDTH):
        tile_store(tile_load(ONE_VECTOR, source, first + j, SIMD_WIDTH), out, out_first + j, SIMD_WIDTH)
    for j in range(whole, width, SIMD_WIDTH):
        store_lanes(tile_load_part(source, first + j, count - j, ZERO), out, out_first + j, width - j)


@inlined
def row_largest(values: Buffer, first: int, count: int) -> np.float32:
    """Return the largest of ``values[first : first + count]``; a NaN among them may be passed over."""
    tile = tile_load_part(values, first, count, LOWEST)
    for j in range(SIMD_WIDTH, count, SIMD_WIDTH):
        tile = tile_larger(tile, tile_load_part(values, first + j, count - j, LOWEST))
    return np.float32(lanes_largest(tile))


@inlined
def row_sum(values: Buffer, first: int, count: int) -> np.float32:
    """Return the sum of ``values[first : first + count]``."""
    tile = tile_load_part(values, first, count, ZERO)
    for j in range(SIMD_WIDTH, count, SIMD_WIDTH):
        tile = tile_add(tile, tile_load_part(values, first + j, count - j, ZERO))
    return np.float32(lanes_sum(tile))


@inlined
def row_squares(values: Buffer, first: int, count: int, centre: np.float32) -> np.float32:
    """Return the sum of ``(values[first : first + count] - centre)^2``."""
    part = tile_shift(tile_load_part(values, first, count, centre), -centre)
    tile = tile_product(part, part)
    for j in range(SIMD_WIDTH, count, SIMD_WIDTH):
        part = tile_shift(tile_load_part(values, first + j, count - j, centre), -centre)
        tile = tile_add(tile, tile_product(part, part))
    return np.float32(lanes_sum(tile))
