"""Guard bytes around every buffer that kernels write to, and around data that they read.

:func:`fenced` replaces the package's allocations (``fastmlp.kernels.memory``) while it lasts. The guards are bytes of
255: NaN as float32 and float64, so that what reads past an end spoils its result, and -1 as an integer. A write past an
end is found by :meth:`Fences.check`. What nobody has to have set is NaN as well.
"""

import math
from contextlib import contextmanager

import numpy as np

from fastmlp.kernels import memory

GUARD_BYTES = 4096
GUARD = 255


class Fences:
    """The buffers of a block of code."""

    def __init__(self):
        self.raws = []
        self.sizes = []

    def allocate(self, shape, dtype, fill):
        """An array with guards on both sides, right behind its last byte too, that begins at a cache line."""
        size = (shape if isinstance(shape, int) else math.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.full(2 * GUARD_BYTES + size + memory.CACHE_LINE, GUARD, np.uint8)
        skip = -raw.ctypes.data % memory.CACHE_LINE
        raw = raw[skip : skip + 2 * GUARD_BYTES + size]
        raw[GUARD_BYTES : GUARD_BYTES + size] = fill
        self.raws.append(raw)
        self.sizes.append(size)
        return raw[GUARD_BYTES : GUARD_BYTES + size].view(dtype).reshape(shape)

    def zeros(self, shape, dtype=np.float32):
        return self.allocate(shape, dtype, 0)

    def few_zeros(self, count):
        return self.allocate(count, np.float64, 0)

    def empty(self, shape, dtype=np.float32):
        return self.allocate(shape, dtype, GUARD)

    def copied(self, array):
        array = np.asarray(array)
        copy = self.allocate(array.shape, array.dtype, GUARD)
        copy[...] = array
        return copy

    def check(self):
        """Fail if a byte outside of a buffer has changed; return how many buffers there are."""
        for number, (raw, size) in enumerate(zip(self.raws, self.sizes, strict=True)):
            before, after = raw[:GUARD_BYTES], raw[GUARD_BYTES + size :]
            for side, guard in (("before", before), ("behind", after)):
                changed = np.flatnonzero(guard != GUARD)
                assert not changed.size, f"{changed.size} bytes {side} buffer {number} of {size} bytes were written to"
        return len(self.raws)


@contextmanager
def fenced():
    """All memory of kernels stands between guards, which are checked at the end."""
    fences, names = Fences(), ("zeros", "few_zeros", "empty", "copied")
    before = {name: getattr(memory, name) for name in names}
    for name in names:
        setattr(memory, name, getattr(fences, name))
    try:
        yield fences
    finally:
        for name, function in before.items():
            setattr(memory, name, function)
    assert fences.check()
