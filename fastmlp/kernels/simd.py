"""The register tile: ``rows`` x ``vectors`` SIMD vectors of float32 as one value of a Numba type.

A tile's data model is an LLVM array of vectors, so LLVM keeps it in registers while a loop adds to it:
``tile = tile_fma(tile, ...)``. All code that speaks LLVM lives in this file; with ``NUMBA_DISABLE_JIT=1``
the same operations are the NumPy functions of :mod:`fastmlp.kernels.simd_numpy`.

Every operation takes a flat float32 buffer and an offset in elements; bounds are the caller's duty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, register_model, typeof_impl

from .jit import JIT_DISABLED, SIMD_WIDTH

FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, SIMD_WIDTH)
INDEX = ir.IntType(32)
FLOAT_BYTES = 4


@dataclass(frozen=True)
class TileShape:
    """A tile's compile-time size: ``rows`` by ``vectors`` of ``SIMD_WIDTH`` float32 lanes each."""

    rows: int
    vectors: int


class TileShapeType(types.Type):
    """The Numba type of one :class:`TileShape`: the numbers are in the type, the value is empty."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors = rows, vectors
        super().__init__(name=f"TileShape({rows}, {vectors})")


class TileType(types.Type):
    """The Numba type of a tile's value."""

    def __init__(self, rows: int, vectors: int) -> None:
        self.rows, self.vectors = rows, vectors
        super().__init__(name=f"Tile({rows}, {vectors}, {SIMD_WIDTH})")


register_model(TileShapeType)(models.OpaqueModel)


@register_model(TileType)
class TileModel(models.PrimitiveModel):  # type: ignore[misc]
    """Row-major array of the tile's vectors."""

    def __init__(self, manager: Any, tile: TileType) -> None:
        super().__init__(manager, tile, ir.ArrayType(VECTOR, tile.rows * tile.vectors))


def _typeof_shape(shape: TileShape, _context: Any) -> TileShapeType:
    return TileShapeType(shape.rows, shape.vectors)


def _lower_shape(context: Any, _builder: Any, _type: Any, _value: Any) -> Any:
    return context.get_dummy_value()


typeof_impl.register(TileShape)(_typeof_shape)
lower_constant(TileShapeType)(_lower_shape)


def operation(typing_function: Callable[..., Any]) -> Any:
    """Numba's ``intrinsic``: the function gets the types of its arguments, behind the typing context."""
    return intrinsic(typing_function)


def address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, extra: int = 0) -> Any:
    """Pointer to element ``offset + extra`` of a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    data = builder.gep(data, [offset])
    return builder.gep(data, [ir.Constant(ir.IntType(64), extra)]) if extra else data


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, VECTOR.as_pointer()), align=FLOAT_BYTES)


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, VECTOR.as_pointer()), align=FLOAT_BYTES)


def broadcast(builder: Any, scalar: Any) -> Any:
    single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, INDEX(0))
    lanes = ir.Constant(ir.VectorType(INDEX, SIMD_WIDTH), [0] * SIMD_WIDTH)
    return builder.shuffle_vector(single, ir.Constant(VECTOR, ir.Undefined), lanes)


def fused(builder: Any) -> Any:
    """LLVM's product and sum of vectors, one instruction where the processor has it."""
    return cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fmuladd.v{SIMD_WIDTH}f32"
    )


def fold(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine a vector's lanes in halves, always in the same way, into one number."""
    width = vector.type.count
    while width > 1:
        width //= 2
        low, high = (
            builder.shuffle_vector(
                vector, vector, ir.Constant(ir.VectorType(INDEX, width), list(range(half, half + width)))
            )
            for half in (0, width)
        )
        vector = combine(low, high)
    return builder.extract_element(vector, INDEX(0))


def _row_starts(builder: Any, data: Any, stride: Any, rows: int) -> list[Any]:
    """Pointers to the rows of a strided block.

    They are built in threes around a base (base, base + stride, base + 2 stride): an x86 address holds
    ``base + stride * {1, 2}``, so twelve rows need four base registers, not twelve.
    """
    starts = []
    base = data
    two = builder.mul(stride, ir.Constant(stride.type, 2))
    three = builder.mul(stride, ir.Constant(stride.type, 3))
    for row in range(rows):
        if row and row % 3 == 0:
            base = builder.gep(base, [three])
        starts.append(base if row % 3 == 0 else builder.gep(base, [stride if row % 3 == 1 else two]))
    return starts


@operation
def tile_zeros(_typing: Any, shape: Any) -> Any:
    """Return a tile of zeros of the given :class:`TileShape`."""
    tile = TileType(shape.rows, shape.vectors)

    def emit(context: Any, _builder: Any, signature: Any, _arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(signature.return_type), None)

    return tile(shape), emit


@operation
def tile_rows(_typing: Any, shape: Any, buffer: Any, offset: Any) -> Any:
    """Return a tile whose every row is ``buffer[offset : offset + vectors * width]``."""
    tile = TileType(shape.rows, shape.vectors)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, array, start = arguments
        vectors = [
            _load(builder, address(context, builder, signature.args[1], array, start, v * SIMD_WIDTH))
            for v in range(shape.vectors)
        ]
        value = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        for index in range(shape.rows * shape.vectors):
            value = builder.insert_value(value, vectors[index % shape.vectors], index)
        return value

    return tile(shape, buffer, types.intp), emit


@operation
def tile_load(_typing: Any, shape: Any, buffer: Any, offset: Any, stride: Any) -> Any:
    """Return the tile at ``offset`` of a row-major block whose rows are ``stride`` elements apart."""
    tile = TileType(shape.rows, shape.vectors)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, array, start, step = arguments
        data = address(context, builder, signature.args[1], array, start)
        value = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
        for row, pointer in enumerate(_row_starts(builder, data, step, shape.rows)):
            for v in range(shape.vectors):
                lanes = builder.gep(pointer, [ir.Constant(ir.IntType(64), v * SIMD_WIDTH)])
                value = builder.insert_value(value, _load(builder, lanes), row * shape.vectors + v)
        return value

    return tile(shape, buffer, types.intp, types.intp), emit


@operation
def tile_fma(
    _typing: Any, tile: Any, left: Any, left_offset: Any, left_stride: Any, right: Any, right_offset: Any
) -> Any:
    """Return ``tile[i, :] + left[left_offset + i * left_stride] * right[right_offset : ...]`` for every row i."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, left_array, left_start, stride, right_array, right_start = arguments
        fma = fused(builder)
        vectors = [
            _load(
                builder,
                address(context, builder, signature.args[4], right_array, right_start, v * SIMD_WIDTH),
            )
            for v in range(tile.vectors)
        ]
        data = address(context, builder, signature.args[1], left_array, left_start)
        for row, pointer in enumerate(_row_starts(builder, data, stride, tile.rows)):
            factor = broadcast(builder, builder.load(pointer))
            for v in range(tile.vectors):
                index = row * tile.vectors + v
                total = builder.call(fma, [factor, vectors[v], builder.extract_value(value, index)])
                value = builder.insert_value(value, total, index)
        # An empty statement that loads may not cross: LLVM unrolls the loop over k, and would load the factors of
        # several k at once, which spills the accumulators.
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
        return value

    return tile(tile, left, types.intp, types.intp, right, types.intp), emit


@operation
def tile_fma_lanes(
    _typing: Any, tile: Any, left: Any, left_offset: Any, left_stride: Any, right: Any, right_offset: Any
) -> Any:
    """Return the tile plus the product, lane by lane, of its rows of ``left`` and one vector of ``right``.

    For tiles of one vector a row; row i of ``left`` begins at ``left_offset + i * left_stride``.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, left_array, left_start, stride, right_array, right_start = arguments
        factor = _load(builder, address(context, builder, signature.args[4], right_array, right_start))
        data = address(context, builder, signature.args[1], left_array, left_start)
        for row, pointer in enumerate(_row_starts(builder, data, stride, tile.rows)):
            total = builder.call(fused(builder), [factor, _load(builder, pointer), builder.extract_value(value, row)])
            value = builder.insert_value(value, total, row)
        return value

    return tile(tile, left, types.intp, types.intp, right, types.intp), emit


@operation
def tile_lane_sums(_typing: Any, tile: Any, start: Any, buffer: Any, offset: Any, stride: Any) -> Any:
    """Write ``start`` plus the sum of row i's lanes to ``buffer[offset + i * stride]``; one vector a row only.

    The lanes are added in halves, always in the same way.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, first, array, begin, step = arguments
        data = address(context, builder, signature.args[2], array, begin)
        for row, pointer in enumerate(_row_starts(builder, data, step, tile.rows)):
            total = fold(builder, builder.extract_value(value, row), builder.fadd)
            builder.store(builder.fadd(first, total), pointer)
        return context.get_dummy_value()

    return types.none(tile, types.float32, buffer, types.intp, types.intp), emit


@operation
def tile_add_row(_typing: Any, tile: Any, buffer: Any, offset: Any) -> Any:
    """Return the tile with ``buffer[offset : offset + vectors * width]`` added to every row."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, array, start = arguments
        for v in range(tile.vectors):
            pointer = address(context, builder, signature.args[1], array, start, v * SIMD_WIDTH)
            addend = _load(builder, pointer)
            for row in range(tile.rows):
                index = row * tile.vectors + v
                total = builder.fadd(builder.extract_value(value, index), addend)
                value = builder.insert_value(value, total, index)
        return value

    return tile(tile, buffer, types.intp), emit


@operation
def tile_multiply(_typing: Any, tile: Any, buffer: Any, offset: Any, stride: Any) -> Any:
    """Return the elementwise product of the tile and a row-major block of its size."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, array, start, step = arguments
        data = address(context, builder, signature.args[1], array, start)
        for row, pointer in enumerate(_row_starts(builder, data, step, tile.rows)):
            for v in range(tile.vectors):
                index = row * tile.vectors + v
                lanes = builder.gep(pointer, [ir.Constant(ir.IntType(64), v * SIMD_WIDTH)])
                product = builder.fmul(builder.extract_value(value, index), _load(builder, lanes))
                value = builder.insert_value(value, product, index)
        return value

    return tile(tile, buffer, types.intp, types.intp), emit


@operation
def tile_store(_typing: Any, tile: Any, buffer: Any, offset: Any, stride: Any) -> Any:
    """Write the tile to ``offset`` of a row-major block whose rows are ``stride`` elements apart."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, array, start, step = arguments
        data = address(context, builder, signature.args[1], array, start)
        for row, pointer in enumerate(_row_starts(builder, data, step, tile.rows)):
            for v in range(tile.vectors):
                lanes = builder.gep(pointer, [ir.Constant(ir.IntType(64), v * SIMD_WIDTH)])
                _store(builder, builder.extract_value(value, row * tile.vectors + v), lanes)
        return context.get_dummy_value()

    return types.none(tile, buffer, types.intp, types.intp), emit


@operation
def transpose_block(
    _typing: Any, source: Any, offset: Any, stride: Any, target: Any, target_offset: Any, target_stride: Any
) -> Any:
    """Write the transpose of a width x width block of ``source`` to ``target``, in registers.

    Round by round, blocks of 1, 2, 4... rows and columns exchange places with those across the diagonal (Eklundh,
    IEEE Trans. Comp. C-21, 1972): most of these shuffles stay within a part of a vector and need no table.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, step, target_array, target_start, target_step = arguments
        data = address(context, builder, signature.args[0], array, start)
        rows = [_load(builder, pointer) for pointer in _row_starts(builder, data, step, SIMD_WIDTH)]
        lanes_type = ir.VectorType(INDEX, SIMD_WIDTH)
        for size in (1 << power for power in range(SIMD_WIDTH.bit_length() - 1)):
            # lanes of the second vector count on from those of the first
            upper = [lane + (SIMD_WIDTH - size if lane & size else 0) for lane in range(SIMD_WIDTH)]
            lower = [lane + (SIMD_WIDTH if lane & size else size) for lane in range(SIMD_WIDTH)]
            for row in range(SIMD_WIDTH):
                if not row & size:
                    pair = rows[row], rows[row + size]
                    rows[row] = builder.shuffle_vector(*pair, ir.Constant(lanes_type, upper))
                    rows[row + size] = builder.shuffle_vector(*pair, ir.Constant(lanes_type, lower))
        data = address(context, builder, signature.args[3], target_array, target_start)
        for vector, pointer in zip(rows, _row_starts(builder, data, target_step, SIMD_WIDTH), strict=True):
            _store(builder, vector, pointer)
        return context.get_dummy_value()

    return types.none(source, types.intp, types.intp, target, types.intp, types.intp), emit


if JIT_DISABLED:
    from .simd_numpy import (
        tile_add_row,
        tile_fma,
        tile_fma_lanes,
        tile_lane_sums,
        tile_load,
        tile_multiply,
        tile_rows,
        tile_store,
        tile_zeros,
        transpose_block,
    )

__all__ = [
    "SIMD_WIDTH",
    "TileShape",
    "tile_add_row",
    "tile_fma",
    "tile_fma_lanes",
    "tile_lane_sums",
    "tile_load",
    "tile_multiply",
    "tile_rows",
    "tile_store",
    "tile_zeros",
    "transpose_block",
]
