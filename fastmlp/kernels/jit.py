"""The one place that says how kernels are compiled: flags, caching and the plain-Python mode.

Five decorators: :func:`kernel` for the building blocks that other kernels call, :func:`shape_function` for sizes and
other numbers that Python wants too,
:func:`scalar` for functions of one element, :func:`inlined` for what only kernels can call (its arguments stay
in registers), and :func:`entry` for what Python calls, the only ones that are cached (a cached entry contains
its callees).
Nothing is compiled at import.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import binding
from numba.core import config

from .cache import PackageCache
from .compiler import BlockDispatcher, EntryDispatcher

F = TypeVar("F", bound=Callable[..., Any])

# Products and sums may be contracted to FMA. Nothing else is relaxed: "reassoc" would make sums depend on
# what the vectoriser chose, "arcp" and "afn" turn vector (not scalar) divisions into a reciprocal estimate
# with one Newton step, which gives a vector body and its remainder different bits and 1/inf a NaN, and "nsz"
# loses tanh(-0). Sums that should be vectors say so in their source.
FASTMATH = {"contract"}
OPTIONS = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True, "_nrt": False}

JIT_DISABLED = bool(config.DISABLE_JIT)


def _simd_width() -> int:
    """How many float32 lanes a vector has: forced by ``FASTMLP_SIMD_WIDTH``, or what the processor has."""
    forced = os.environ.get("FASTMLP_SIMD_WIDTH")
    if forced is not None:
        if forced not in {"4", "8", "16"}:
            raise ValueError(f"FASTMLP_SIMD_WIDTH must be 4, 8 or 16, got {forced!r}")
        return int(forced)
    features = binding.get_host_cpu_features()
    if features.get("avx512f", False):
        return 16
    return 8 if features.get("avx2", False) else 4


SIMD_WIDTH = _simd_width()


def _quiet(function: F) -> F:
    """The plain-Python mode of a kernel: NumPy scalars must overflow as silently as machine code does."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return call  # type: ignore[return-value]


def _block(function: F, from_python: F | None = None, **options: Any) -> F:
    """Make a building block; tests and array functions call it from Python, through an entry of its own."""
    if JIT_DISABLED:
        return _quiet(function)
    return BlockDispatcher(function, OPTIONS | options, from_python or entry(function))


def kernel(function: F) -> F:
    """Compile a building block: called from other kernels, and for tests and array functions from Python."""
    return _block(function)


def shape_function(function: F) -> F:
    """Compile a building block on a few numbers; Python, which needs it now and then, runs the function as it is."""
    return function if JIT_DISABLED else _block(function, from_python=function)


def scalar(function: F) -> F:
    """Compile a function of numbers that LLVM must inline, or the loop around it is not vectorised."""
    return _block(function, forceinline=True)


def inlined(function: F) -> F:
    """Compile a building block that only kernels call and LLVM must inline, such as one that passes register tiles."""
    return function if JIT_DISABLED else _block(function, forceinline=True)


def entry(function: F) -> F:
    """Compile a function that Python calls; its machine code is kept between processes."""
    if JIT_DISABLED:
        return _quiet(function)
    dispatcher = EntryDispatcher(function, OPTIONS)
    # an entry of the cache is named by the function and made from the package's sources
    if function.__module__.startswith(f"{__package__.partition('.')[0]}.") and function.__closure__ is None:
        dispatcher._cache = PackageCache(function, f"{sorted(FASTMATH)} width {SIMD_WIDTH}")
    return dispatcher


def machine_code(function: F) -> F:
    """Return what calls an entry without a look at the arguments' types.

    Only for who has called the entry before, and always makes arguments of the same types.
    """
    return function.code if isinstance(function, EntryDispatcher) else function  # type: ignore[return-value]
