"""Sums in float64 over long ranges, in a fixed order."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from .jit import JIT_DISABLED, kernel
from .simd import FLOAT_BYTES, address, fold, operation

Buffer = NDArray[np.float32]

# An addition waits for the one before it, about four cycles; so many sums go on at a time, in vectors written out,
# since LLVM makes none of a sum whose order is not its to choose.
LANES = 32
FLOATS, DOUBLES = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)


def _lane_sums(values: Any, worth: Callable[[Any, Any], Any]) -> Any:
    """Signature and code of a sum over what elements are worth, for a whole number of vectors from the first on."""

    def emit(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        array, count = arguments
        sums = cgutils.alloca_once_value(builder, ir.Constant(DOUBLES, [0.0] * LANES))
        with cgutils.for_range_slice(builder, count.type(0), count, count.type(LANES), inc=True) as (first, _):
            pointer = builder.bitcast(address(context, builder, values, array, first), FLOATS.as_pointer())
            elements = builder.fpext(builder.load(pointer, align=FLOAT_BYTES), DOUBLES)
            builder.store(builder.fadd(builder.load(sums), worth(builder, elements)), sums)
        return fold(builder, builder.load(sums), builder.fadd)

    return types.float64(values, types.intp), emit


def _absolute(builder: Any, elements: Any) -> Any:
    function_type = ir.FunctionType(DOUBLES, [DOUBLES])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fabs.v{LANES}f64")
    return builder.call(function, [elements])


@operation
def sum_of_squares(_typing: Any, values: Any, _count: Any) -> Any:
    """Return the sum of the squares of so many elements, a multiple of ``LANES``."""
    # a square of a float32 is exact, so it is the same whether it is added by an FMA
    return _lane_sums(values, lambda builder, elements: builder.fmul(elements, elements))


@operation
def sum_of_sizes(_typing: Any, values: Any, _count: Any) -> Any:
    """Return the sum of the absolute values of so many elements, a multiple of ``LANES``."""
    return _lane_sums(values, _absolute)


@operation
def sum_of_lanes(_typing: Any, values: Any, _count: Any) -> Any:
    """Return the sum of so many elements, a multiple of ``LANES``."""
    return _lane_sums(values, lambda _builder, elements: elements)


def _folded(worth: NDArray[np.float64]) -> np.float64:
    """Add rows of ``LANES`` in their order, then the lanes in halves."""
    sums = worth.reshape(-1, LANES).sum(axis=0)
    while sums.size > 1:
        sums = sums[: sums.size // 2] + sums[sums.size // 2 :]
    return np.float64(sums[0])


def _sum_of_squares_python(values: Buffer, count: int) -> np.float64:
    return _folded(np.square(values[:count], dtype=np.float64))


def _sum_of_sizes_python(values: Buffer, count: int) -> np.float64:
    return _folded(np.abs(values[:count], dtype=np.float64))


def _sum_of_lanes_python(values: Buffer, count: int) -> np.float64:
    return _folded(values[:count].astype(np.float64))


if JIT_DISABLED:
    sum_of_squares, sum_of_sizes = _sum_of_squares_python, _sum_of_sizes_python
    sum_of_lanes = _sum_of_lanes_python


@kernel
def total_of(values: Buffer) -> float:
    """Return the sum of all elements."""
    whole = values.size // LANES * LANES
    total = np.float64(sum_of_lanes(values, whole))
    for i in range(whole, values.size):
        total += np.float64(values[i])
    return float(total)


@kernel
def sum_of(values: Buffer, squared: bool) -> float:
    """Return the sum of the squares of all elements, or of their absolute values."""
    whole = values.size // LANES * LANES
    total = np.float64(sum_of_squares(values, whole) if squared else sum_of_sizes(values, whole))
    for i in range(whole, values.size):
        value = np.float64(abs(values[i]))
        total += value * value if squared else value
    return float(total)
