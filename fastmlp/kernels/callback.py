"""Functions of users inside the compiled loops, called as C functions by their addresses.

A Numba-jitted function becomes machine code of its own and runs without the GIL. A plain Python function takes the GIL
while it runs; what it raises is kept, and raised again when the compiled call has returned. With
``NUMBA_DISABLE_JIT=1`` an address is a number in a list of Python functions.
"""

import ctypes
import math
import reprlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from .denormals import denormals_kept
from .jit import JIT_DISABLED
from .simd import address, operation

Float32 = NDArray[np.float32]

C_LOSS = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 3)
FLOATS = types.CPointer(types.float32)  # type: ignore[attr-defined]
JITTED_LOSS = types.float64(FLOATS, FLOATS, FLOATS, types.int64, types.int64, types.int64)
JITTED_ACTIVATION = types.int32(FLOATS, FLOATS, types.int64, types.boolean)
INTEGER = ir.IntType(64)
DONE = 1
# kinds of dtypes
REAL = "biuf"
# what a gradient holds before a loss has written it
UNWRITTEN = np.float32(-1.7014118e38)

_functions: list[Callable[..., Any]] = []


class Callback:
    """The address of a C function, and what must live as long as it.

    Parameters
    ----------
    name : str
        What messages call the function.

    Attributes
    ----------
    error : BaseException or None
        What a Python function has raised.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = -1
        self.kept: Any = None
        self.error: BaseException | None = None

    def raise_error(self) -> None:
        """Raise what the function has raised, if it has, and forget it."""
        error, self.error = self.error, None
        if error is not None:
            raise error


@operation
def call_address(_typing: Any, function: Any) -> Any:
    """Call the function at an address, which has no arguments, without the GIL, and return its int64."""

    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(INTEGER, [])
        with denormals_kept(builder):
            return builder.call(builder.inttoptr(values[0], kind.as_pointer()), [])

    return types.int64(types.int64), emit


def is_jitted(function: object) -> bool:
    """Say whether a function is compiled by Numba."""
    return isinstance(function, Dispatcher)


def name_of(function: object) -> str:
    """Return what messages call a function of a user's."""
    return repr(getattr(function, "__name__", function))


def value_and_gradient(function: Callable[..., Any], y_true: Float32, y_pred: Float32) -> tuple[float, NDArray[Any]]:
    """Call a loss over arrays and return its value and gradient.

    Raises
    ------
    TypeError, ValueError
        When they are not a real number and real numbers of y_pred's shape.
    """
    result = function(y_true, y_pred)
    wanted = f"the loss {name_of(function)} must return (value, d_value / d_y_pred)"
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(f"{wanted}, got {reprlib.repr(result)} of type {type(result).__name__}")
    value, slopes = result
    if np.ndim(value) or np.asarray(value).dtype.kind not in REAL:
        raise TypeError(f"{wanted} with a number as value, got {reprlib.repr(value)} of type {type(value).__name__}")
    try:
        gradient = np.asarray(slopes)
    except ValueError as error:
        raise ValueError(f"{wanted} with an array as gradient: {error}") from None
    if gradient.dtype.kind not in REAL:
        raise TypeError(f"{wanted} with real numbers as gradient, got {reprlib.repr(slopes)} of dtype {gradient.dtype}")
    if gradient.shape != y_pred.shape:
        raise ValueError(f"{wanted} with a gradient of y_pred's shape {y_pred.shape}, got {gradient.shape}")
    return float(value), gradient


def loss_callback(function: Callable[..., Any], *, sparse: bool) -> Callback:
    """Make a C function of a loss ``(y_true, y_pred) -> (value, d_value / d_y_pred)`` over arrays.

    Parameters
    ----------
    function : callable
        Plain or jitted; gets float32 arrays (B, N), ``y_true`` (B,) if ``sparse``.

    Raises
    ------
    TypeError
        When a jitted function does not compile for such arrays.
    """
    callback = Callback(name_of(function))
    if is_jitted(function) and not JIT_DISABLED:
        callback.kept = _jitted_loss(function, sparse)
        callback.address = int(callback.kept.address)
        return callback

    def call(y_true: Float32, y_pred: Float32, gradient: Float32) -> float:
        try:
            # copies, which the function may keep or change
            value, slopes = value_and_gradient(function, y_true.copy(), y_pred.copy())
            gradient[...] = slopes
            return value
        except BaseException as error:
            callback.error = error
            return float("nan")

    if JIT_DISABLED:

        def called(true: Float32, pred: Float32, out: Float32, rows: int, columns: int, units: int) -> float:
            y_true = true[: rows * columns].reshape((rows,) if sparse else (rows, columns))
            return call(y_true, pred[: rows * units].reshape(rows, units), out[: rows * units].reshape(rows, units))

        _functions.append(called)
        callback.address = len(_functions) - 1
        return callback

    def called_by_c(true: int, pred: int, out: int, rows: int, columns: int, units: int) -> float:
        y_true = _floats(true, (rows,) if sparse else (rows, columns))
        return call(y_true, _floats(pred, (rows, units)), _floats(out, (rows, units)))

    callback.kept = C_LOSS(called_by_c)
    callback.address = int(ctypes.cast(callback.kept, ctypes.c_void_p).value or 0)
    return callback


def _floats(pointer: int, shape: tuple[int, ...]) -> Float32:
    """View memory as an array."""
    memory = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(memory, shape)


def _jitted_loss(function: Any, sparse: bool) -> Any:
    target_shape = numba.njit((lambda rows, columns: (rows,)) if sparse else (lambda rows, columns: (rows, columns)))

    def c_loss(true: Any, pred: Any, out: Any, rows: int, columns: int, units: int) -> float:
        y_pred = numba.carray(pred, (rows, units))
        value, slopes = function(numba.carray(true, target_shape(rows, columns)), y_pred)
        if slopes.shape != y_pred.shape:
            return math.nan
        gradient = numba.carray(out, (rows, units))
        for row in range(rows):
            for unit in range(units):
                gradient[row, unit] = slopes[row, unit]
        return value  # type: ignore[no-any-return]  # what a user's function returns is not known

    return _compiled(c_loss, JITTED_LOSS, f"the loss {name_of(function)} for float32 arrays (B, N)")


def activation_callback(value: Callable[..., Any], slope: Callable[..., Any]) -> Callback:
    """Make a C function of an activation's ``value(z)`` and ``slope(z, a)`` over arrays; plain functions are jitted.

    Raises
    ------
    TypeError
        When a function does not compile for float32.
    """
    callback = Callback(name_of(value))
    if JIT_DISABLED:

        def called(z: Float32, slopes: Float32, training: bool) -> int:
            for i, before in enumerate(z):
                z[i] = value(before)
                if training:
                    slopes[i] = slope(before, z[i])
            return DONE

        _functions.append(called)
        callback.address = len(_functions) - 1
        return callback
    f, d = (function if is_jitted(function) else _jitted(function) for function in (value, slope))

    def c_activation(z: Any, slopes: Any, count: int, training: bool) -> int:
        a = numba.carray(z, (count,))
        if training:
            s = numba.carray(slopes, (count,))
            for i in range(count):
                before = a[i]
                after = np.float32(f(before))
                s[i] = d(before, after)
                a[i] = after
        else:
            for i in range(count):
                a[i] = f(a[i])
        # what a C function that raises returns is 0
        return DONE

    callback.kept = _compiled(c_activation, JITTED_ACTIVATION, f"the activation {name_of(value)} for float32")
    callback.address = int(callback.kept.address)
    return callback


def _jitted(function: Callable[..., Any]) -> Any:
    """Compile a plain function; a division by 0 is what it is in NumPy."""
    try:
        return numba.njit(error_model="numpy")(function)
    except TypeError as error:
        raise TypeError(f"an activation must be a Python function of numbers, got {function!r}") from error


def _compiled(function: Callable[..., Any], signature: Any, what: str) -> Any:
    try:
        return numba.cfunc(signature, nogil=True)(function)
    except numba.core.errors.NumbaError as error:
        raise TypeError(f"Numba cannot compile {what}: {error}") from error


@operation
def call_loss(
    _typing: Any, function: Any, y_true: Any, y_pred: Any, gradient: Any, rows: Any, columns: Any, units: Any
) -> Any:
    """Return the value of the loss at an address, which writes its gradient; flat buffers without gaps."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start = ir.Constant(INTEGER, 0)
        buffers = [
            address(context, builder, kind, array, start)
            for kind, array in zip(signature.args[1:4], values[1:4], strict=True)
        ]
        kind = ir.FunctionType(ir.DoubleType(), [buffer.type for buffer in buffers] + [INTEGER] * 3)
        with denormals_kept(builder):
            return builder.call(builder.inttoptr(values[0], kind.as_pointer()), [*buffers, *values[4:]])

    return types.float64(types.int64, y_true, y_pred, gradient, types.int64, types.int64, types.int64), emit


@operation
def call_activation(_typing: Any, function: Any, z: Any, slopes: Any, first: Any, count: Any, training: Any) -> Any:
    """Apply the activation at an address to ``count`` elements from ``first``, with slopes at the same place.

    Return ``DONE``, or 0 where the function has raised.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        buffers = [
            address(context, builder, kind, array, values[3])
            for kind, array in zip(signature.args[1:3], values[1:3], strict=True)
        ]
        flag = builder.zext(values[5], ir.IntType(8))
        kind = ir.FunctionType(ir.IntType(32), [buffer.type for buffer in buffers] + [INTEGER, ir.IntType(8)])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), [*buffers, values[4], flag])

    return types.int32(types.int64, z, slopes, types.int64, types.int64, types.boolean), emit


def _call_loss_python(function: int, *arguments: Any) -> float:
    return float(_functions[function](*arguments))


def _call_activation_python(function: int, z: Float32, slopes: Float32, first: int, count: int, training: bool) -> int:
    return int(_functions[function](z[first : first + count], slopes[first : first + count], training))


if JIT_DISABLED:
    call_loss, call_activation = _call_loss_python, _call_activation_python
