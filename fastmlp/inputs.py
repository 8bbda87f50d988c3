"""Checks of what users hand over: nothing passes that a kernel could stumble on."""

import reprlib
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .losses import Loss
from .rows import Rows, SparseRows, is_sparse

# how many numbers are checked or converted at a time
BLOCK_NUMBERS = 1 << 20
LARGEST = float(np.finfo(np.float32).max)
FLOAT32 = np.dtype(np.float32)


def check_array(name: str, value: Any) -> NDArray[Any]:
    """Return ``value`` as an array of real numbers; a bool, integer or float dtype of any byte order.

    Raises
    ------
    TypeError
        For objects, texts, dates and complex numbers.
    ValueError
        For ragged nested lists, and for masked elements, whose values mean nothing.
    """
    if type(value) is np.ndarray:
        array = value
    elif np.ma.is_masked(value):
        raise ValueError(f"{name} must have no masked elements; fill them or drop their rows first")
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be a regular array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        if array.ndim == 0:
            raise TypeError(f"{name} must be an array of real numbers, got {reprlib.repr(value)}")
        if array.dtype.kind in "US":
            how = f"encode texts as numbers first, for example with np.unique({name}, return_inverse=True)[1]"
        else:
            how = f"convert or encode it first, for example with {name}.astype('float32')"
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; {how}")
    return array


def surely_finite(array: NDArray[Any]) -> bool:
    """Say whether the sum of squares is below the largest float32: true for most data, and quick to know."""
    if array.dtype.char not in "fd" or not array.flags.c_contiguous:
        return False
    # unlike np.dot, it warns of no overflow
    return bool(np.vdot(array, array) < LARGEST)


def floats(array: Rows) -> NDArray[np.float32]:
    """Return an array as kernels take it, C-contiguous and aligned float32; the same one if it is such."""
    array = np.ascontiguousarray(array, np.float32)
    return array if array.flags.aligned else array.copy()


def plain(array: Any) -> NDArray[np.float32] | None:
    """Return an array as float32 if it surely fits; of what is float32 already nothing else is looked at."""
    if type(array) is not np.ndarray:
        return None
    if array.dtype is FLOAT32:
        return array
    whole = array.dtype.kind in "biu"
    return floats(array) if whole or (array.dtype.kind == "f" and surely_finite(array)) else None


def check_finite(
    name: str, array: NDArray[Any], advice: str = "remove or impute such rows", first_row: int = 0
) -> None:
    """Raise ValueError if an element is NaN, infinite or too large for float32, saying where and what would do.

    The index in the message counts from ``first_row``.
    """
    if array.dtype.kind != "f" or array.size == 0 or surely_finite(array):
        return
    array = np.atleast_1d(array)
    rows = max(1, BLOCK_NUMBERS // max(1, array.size // len(array)))
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        with np.errstate(over="ignore"):
            finite = np.isfinite(block if block.dtype == np.float32 else block.astype(np.float32))
        if not finite.all():
            where = np.argwhere(~finite)[0]
            found = block[tuple(where)]
            where[0] += start + first_row
            index = tuple(int(i) for i in where)
            if np.isfinite(found):
                advice = "scale the numbers down, for float32 ends at 3.4e+38"
            raise ValueError(f"{name} must be finite in float32, got {found} at index {index}; {advice}")


def check_x(x: Any, shape: tuple[int, ...] | None) -> Rows:
    """Return the samples as an array of real finite numbers; ``shape`` is that of one, if it is known."""
    array: Rows = x if isinstance(x, SparseRows) else SparseRows(x) if is_sparse(x) else check_array("x", x)
    if array.shape == (0,):
        raise ValueError("x must have the shape (rows, features), got nothing: it is empty")
    if array.ndim < 2 or (shape is not None and array.ndim != len(shape) + 1):
        wanted = "(rows, features)" if shape is None or len(shape) == 1 else f"(rows, {', '.join(map(str, shape))})"
        hint = "; use x.reshape(-1, 1) for one feature or x.reshape(1, -1) for one row" if array.ndim == 1 else ""
        raise ValueError(f"x must have the shape {wanted}, got {array.shape}{hint}")
    if 0 in array.shape[1:]:
        raise ValueError(f"x must have at least one feature, got the shape {array.shape}")
    if shape is not None and array.shape[1:] != shape:
        if len(shape) == 1:
            raise ValueError(f"x must have {shape[0]} features as the model's input, got {array.shape[1]}")
        raise ValueError(f"x must have samples of the shape {shape} as the model's input, got {array.shape[1:]}")
    if isinstance(array, SparseRows):
        check_finite("x", check_array("x", array.matrix.data))
    else:
        check_finite("x", array)
    return array


def check_y(y: Any, rows: int, units: int, loss: Loss) -> NDArray[np.float32]:
    """Return the targets as float32 (rows, columns), checked against the loss and the model's outputs."""
    array = check_array("y", y)
    if array.ndim == 0 or len(array) != rows:
        got = "is a single number" if array.ndim == 0 else f"has {len(array)} rows"
        raise ValueError(f"y must have as many rows as x: x has {rows}, y {got}")
    columns = 1 if loss.sparse else units
    if array.shape != (rows, columns) and (columns > 1 or array.shape != (rows,)):
        wanted = f"({rows},) with class numbers" if loss.sparse else f"({rows}, {units})"
        raise ValueError(
            f"y must have the shape {wanted} for {loss.name} and an output of {units} units, got {array.shape}"
        )
    check_finite("y", array)
    if loss.sparse:
        if array.size and not (array == np.floor(array)).all():
            odd = array[array != np.floor(array)].flat[0]
            raise ValueError(f"y must hold whole class numbers for {loss.name}, got {odd}")
        if array.size and not ((array >= 0) & (array < units)).all():
            odd = array[(array < 0) | (array >= units)].flat[0]
            raise ValueError(f"y must hold class numbers 0 to {units - 1} for an output of {units} units, got {odd}")
    low, high = loss.target_range
    bounded = low > -np.inf or high < np.inf
    if bounded and array.size and not (low <= array.min() and array.max() <= high):
        odd = array.min() if array.min() < low else array.max()
        bounds = f"at least {low:g}" if high == np.inf else f"in [{low:g}, {high:g}]"
        raise ValueError(f"y must be {bounds} for {loss.name}, got {odd}")
    return floats(array).reshape(rows, columns)


def check_sample_weight(weights: Any, rows: int) -> NDArray[np.float32]:
    """Return sample weights as float32 (rows,), finite and not negative; None gives an empty array."""
    if weights is None:
        return np.empty(0, np.float32)
    array = check_array("sample_weight", weights)
    if array.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"sample_weight must have the shape ({rows},), got {array.shape}")
    check_finite("sample_weight", array)
    if array.size and array.min() < 0:
        raise ValueError(f"sample_weight must not be negative, got {array.min()}")
    return floats(array).reshape(rows)


def check_indices(name: str, indices: Any, rows: int, count: int | None = None) -> NDArray[np.int64]:
    """Return numbers of rows, of which there are so many, as int64 (count,); at least one where the count is free.

    They are a copy: kernels go to memory by them, and another thread may change what was given after the check.

    Raises
    ------
    ValueError, TypeError
        For anything else.
    """
    array = np.array(check_array(name, indices), order="C")
    if array.dtype.kind not in "iu" or array.ndim != 1 or array.size != (array.size or 1 if count is None else count):
        wanted = "a list of" if count is None else f"{count}"
        raise ValueError(f"{name} must be {wanted} indices, got dtype {array.dtype} and the shape {array.shape}")
    if not (array.min() >= 0 and array.max() < rows):
        raise ValueError(f"{name} must be indices from 0 to {rows - 1}, got {array.min()} to {array.max()}")
    return array.astype(np.int64, copy=False)


def as_rows(samples: Rows) -> Rows:
    """Return samples of any shape, or none, as rows."""
    if isinstance(samples, SparseRows) or samples.ndim == 2:
        return samples
    return samples.reshape(len(samples), prod(samples.shape[1:]))
