"""How threads inside a compiled call wait for each other: atomic int64 words, and a polite way to spin.

Beside :mod:`fastmlp.kernels.simd` the only file that speaks LLVM. With ``NUMBA_DISABLE_JIT=1`` the operations
are plain Python under a lock.
"""

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .jit import JIT_DISABLED, kernel

Words = NDArray[np.int64]
WORD_BYTES = 8

# Spinning costs no system call and sees a change within the cores' own latency, but it takes the processor away
# from whoever is awaited where there are more threads than cores. A pause takes 10 to 60 ns.
SPINS = 2000
YIELD = "fastmlp_yield"
# LLVM's name of the processor's hint for spin loops, and its argument
HINTS = {
    "x86_64": ("llvm.x86.sse2.pause", None), "amd64": ("llvm.x86.sse2.pause", None),
    "aarch64": ("llvm.aarch64.hint", 1), "arm64": ("llvm.aarch64.hint", 1),
}  # fmt: skip


def _yield_function() -> Any:
    """The system's call that lets another thread run."""
    if os.name == "nt":
        return ctypes.windll.kernel32.SwitchToThread  # type: ignore[attr-defined,unused-ignore]
    return ctypes.CDLL(None).sched_yield


_yield = _yield_function()
# by a name of our own, so that machine code loaded from the cache finds it on every system
binding.add_symbol(YIELD, ctypes.cast(_yield, ctypes.c_void_p).value)


def _operation(typing_function: Callable[..., Any]) -> Any:
    return intrinsic(typing_function)


def _word(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Pointer to the word that the first two arguments name."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@_operation
def atomic_load(_typing: Any, words: Any, index: Any) -> Any:
    """Return ``words[index]``; what its writer wrote before is visible afterwards."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(context, builder, signature, arguments), "acquire", WORD_BYTES)

    return types.int64(words, types.intp), emit


@_operation
def atomic_store(_typing: Any, words: Any, index: Any, value: Any) -> Any:
    """``words[index] = value``, after everything written before."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], _word(context, builder, signature, arguments), "release", WORD_BYTES)
        return context.get_dummy_value()

    return types.none(words, types.intp, types.int64), emit


@_operation
def atomic_add(_typing: Any, words: Any, index: Any, value: Any) -> Any:
    """Add to ``words[index]`` and return what it was."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _word(context, builder, signature, arguments), arguments[2], "acq_rel")

    return types.int64(words, types.intp, types.int64), emit


@_operation
def atomic_swap(_typing: Any, words: Any, index: Any, expected: Any, value: Any) -> Any:
    """Set ``words[index]`` to ``value`` if it is ``expected``, and say whether it was (compare and swap)."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _word(context, builder, signature, arguments)
        result = builder.cmpxchg(word, arguments[2], arguments[3], "acq_rel", "acquire")
        return builder.extract_value(result, 1)

    return types.boolean(words, types.intp, types.int64, types.int64), emit


@_operation
def _pause(_typing: Any) -> Any:
    """Tell the processor that this is a spin loop."""

    def emit(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        name, hint = HINTS.get(platform.machine().lower(), (None, None))
        if name is not None:
            operands = [] if hint is None else [ir.Constant(ir.IntType(32), hint)]
            function_type = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), operands)
        return context.get_dummy_value()

    return types.none(), emit


@_operation
def _let_others_run(_typing: Any) -> Any:
    """Give the rest of the time slice to another thread."""

    def emit(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        function_type = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, YIELD), [])
        return context.get_dummy_value()

    return types.none(), emit


if JIT_DISABLED:
    _lock = threading.Lock()

    def atomic_load(words: Words, index: int) -> int:
        """Return ``words[index]``."""
        with _lock:
            return int(words[index])

    def atomic_store(words: Words, index: int, value: int) -> None:
        """``words[index] = value``."""
        with _lock:
            words[index] = value

    def atomic_add(words: Words, index: int, value: int) -> int:
        """Add to ``words[index]`` and return what it was."""
        with _lock:
            words[index] += value
            return int(words[index]) - value

    def atomic_swap(words: Words, index: int, expected: int, value: int) -> bool:
        """Set ``words[index]`` to ``value`` if it is ``expected``, and say whether it was."""
        with _lock:
            same = bool(words[index] == expected)
            if same:
                words[index] = value
            return same

    def _pause() -> None:
        """Do nothing."""

    def _let_others_run() -> None:
        """Let another thread run."""
        time.sleep(0)


@kernel
def relax(spins: int) -> int:
    """Wait a moment in a loop that has waited ``spins`` times, and return how often it has then."""
    if spins < SPINS:
        _pause()
    else:
        _let_others_run()
    return spins + 1
