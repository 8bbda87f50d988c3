"""Which data are read as a Source, though they were not given as one."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from ..rows import is_sparse
from .parquet import is_arrow
from .source import Source

# what is in memory: it lends it, or has rows by other means than slices
IN_MEMORY = ("__array_interface__", "__array_struct__", "__dlpack__", "iloc", "columns")


def is_lazy(x: object) -> bool:
    """Say whether something has rows of numbers that are read when they are asked for, such as arrays of Zarr's."""
    shape = getattr(x, "shape", None)
    return (
        isinstance(shape, tuple)
        and len(shape) >= 2
        and hasattr(x, "__getitem__")
        and not any(hasattr(x, name) for name in IN_MEMORY)
        and not is_sparse(x)
        and not is_arrow(x)
    )


def has_rows(x: object) -> bool:
    """Say whether an object of somebody's own, whose shape is not known, gives rows of numbers by slices."""
    if isinstance(x, (Sequence, Mapping, Set, Iterator)) or hasattr(x, "__array__") or hasattr(x, "iloc"):
        return False
    if not (hasattr(x, "__len__") and hasattr(x, "__getitem__")):
        return False
    try:
        rows = x[0:1]
        return np.ndim(rows) >= 2 and len(rows) == 1 and not isinstance(rows, tuple)
    except Exception:
        # then it is something else, such as blocks by number
        return False


def as_source(x: Any, y: Any, sample_weight: Any, *, as_array: bool) -> Source | None:
    """Return data as a Source, or None where they are arrays or blocks, or a memory map to be used ``as_array``.

    Raises
    ------
    ValueError, TypeError
        For what can only be read as a Source, and is none.
    """
    if isinstance(x, Source):
        return x
    if is_arrow(x):
        if isinstance(y, str) or (isinstance(y, list) and y and all(isinstance(name, str) for name in y)):
            return Source(x, target=y, sample_weight=sample_weight)
        if hasattr(x, "slice"):
            # a table is in memory, and NumPy reads it as an array
            return None
        if y is not None or sample_weight is not None:
            raise TypeError(
                f"y must be the name of the target's column in a {type(x).__name__}, got {type(y).__name__}"
            )
        return Source(x)
    mapped = isinstance(x, np.memmap) and x.ndim >= 2 and getattr(x, "_mmap", None) is not None
    if (mapped and not as_array) or is_lazy(x) or (y is not None and not mapped and has_rows(x)):
        if mapped and (0 in x.shape or x.dtype.kind not in "biuf"):
            return None
        source = Source(x, y, sample_weight)
        # whatever can be an array without us is one while it is small
        return None if source.fits and hasattr(x, "__array__") else source
    return None
