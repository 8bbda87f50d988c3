"""The memory that kernels work in: every array that one of them writes to comes from here.

The tests replace these functions by others that put guard bytes around what they return, so whatever is allocated here
is watched. Callers therefore write ``memory.zeros(...)``, and never import a function by its name.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

CACHE_LINE = 64
Shape = int | tuple[int, ...]


def zeros(shape: Shape, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a C-contiguous array of zeros that begins at a cache line."""
    size = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    skip = -int(raw.__array_interface__["data"][0]) % CACHE_LINE
    return raw[skip : skip + size].view(dtype).reshape(shape)


def few_zeros(count: int) -> NDArray[np.float64]:
    """Return float64 zeros that begin anywhere, in a twentieth of the time: for what every call needs anew."""
    return np.zeros(count)


def empty(shape: Shape, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a C-contiguous array with anything in it, that begins anywhere, for who writes all of it."""
    return np.empty(shape, dtype)


def copied(array: NDArray[Any]) -> NDArray[Any]:
    """Return a C-contiguous copy that begins anywhere."""
    return np.array(array, order="C")
