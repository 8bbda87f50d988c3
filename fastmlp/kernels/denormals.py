"""Numbers below the smallest normal float32 (1.2e-38), which many processors take a hundred times longer for.

Training comes to them by itself: the momentum of a weight whose gradient stays zero, such as of a dead ReLU, is
multiplied with 0.9 in each step, until rounding keeps it where it is for ever, at some 1e-45; and gradients vanish
through many saturated layers. The compiled loop of training has the processor take them for zeros, in its own thread
and for as long as the call takes; Python code that it calls meanwhile has them as ever.

Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 10.2.3 (MXCSR, FTZ and DAZ); Arm
Architecture Reference Manual, FPCR.FZ.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from .jit import JIT_DISABLED
from .simd import operation

WORD, STATE = ir.IntType(32), ir.IntType(64)
MACHINE = platform.machine().lower()
X86, ARM = MACHINE in {"x86_64", "amd64"}, MACHINE in {"aarch64", "arm64"}
# bits of the control register: results flushed to zero, and denormals in operands taken for zeros
FLUSH = 0x8040 if X86 else 1 << 24


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)


def _read(builder: Any) -> Any:
    """The control register, as 64 bits."""
    if X86:
        room = cgutils.alloca_once(builder, WORD)
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [builder.bitcast(room, cgutils.voidptr_t)])
        return builder.zext(builder.load(room), STATE)
    return _call(builder, "llvm.aarch64.get.fpcr", STATE, []) if ARM else STATE(0)


def _write(builder: Any, state: Any) -> None:
    """Set the control register."""
    if X86:
        room = cgutils.alloca_once(builder, WORD)
        builder.store(builder.trunc(state, WORD), room)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [builder.bitcast(room, cgutils.voidptr_t)])
    elif ARM:
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [state])


@contextmanager
def denormals_kept(builder: Any) -> Iterator[None]:
    """Make code that has denormals, in the midst of some that may not; for calls of functions that are not ours."""
    state = _read(builder)
    _write(builder, builder.and_(state, STATE(~FLUSH)))
    yield
    _write(builder, state)


@operation
def flush_denormals(_typing: Any) -> Any:
    """Take denormals for zeros from now on, and return what :func:`restore_denormals` puts back."""

    def emit(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        state = _read(builder)
        _write(builder, builder.or_(state, STATE(FLUSH)))
        return state

    return types.int64(), emit


@operation
def restore_denormals(_typing: Any, state: Any) -> Any:
    """End what :func:`flush_denormals` has begun."""

    def emit(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _write(builder, arguments[0])
        return context.get_dummy_value()

    return types.none(types.int64), emit


def _nothing_to_flush() -> int:
    return 0


def _nothing_to_restore(state: int) -> None:
    del state


if JIT_DISABLED:
    flush_denormals, restore_denormals = _nothing_to_flush, _nothing_to_restore
