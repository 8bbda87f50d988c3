"""Compiled code that is called by its address: what most models never need is compiled only where one does.

An entry contains everything that it can reach, so a rare feature inside it costs every user seconds of compilation.
A feature that is called through :func:`call_extension` is an entry of its own instead. With
``NUMBA_DISABLE_JIT=1`` an address is a number in a list of Python functions.

Arrays that a feature may need are put in a *pack* once, at the top, and what lies between hands one pointer on. As
arguments of their own they would burden every function on the way: an array is seven words.

A call that is made again and again with the same arrays is *kept*: Python's objects are turned into those words once,
by :func:`keep_call`, and not in every call, where an array takes 12 ns.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import typeof
from numba.core import cgutils, config, types
from numba.core.types.misc import unliteral
from numba.extending import models, register_model

from .jit import JIT_DISABLED
from .memory import zeros
from .simd import address as pointer_to
from .simd import operation

# a pointer from :func:`pack`
Pack = Any
# what arguments of a kept call may take
ROOM_WORDS = 1024
VOID, WORD = ir.VoidType(), ir.IntType(64)
CALLER = ir.FunctionType(VOID, [WORD, cgutils.voidptr_t, cgutils.voidptr_t])

_functions: list[Callable[..., Any]] = []


class PackType(types.Type):
    """The Numba type of a pointer to packed arguments of some types."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        super().__init__(name=f"Pack{parts}")


@register_model(PackType)
class PackModel(models.PrimitiveModel):  # type: ignore[misc]
    """An untyped pointer."""

    def __init__(self, manager: Any, pack: PackType) -> None:
        super().__init__(manager, pack, cgutils.voidptr_t)


def address_of(function: Any, *arguments: Any) -> int:
    """Return the address of an entry, compiled or loaded for arguments of these types.

    Parameters
    ----------
    function : callable
        Made by :func:`fastmlp.kernels.jit.entry`; returns nothing.
    *arguments
        Examples, in the types of a call.
    """
    if JIT_DISABLED:
        if function not in _functions:
            _functions.append(function)
        return _functions.index(function)
    signature = tuple(typeof(argument) for argument in arguments)
    # Numba's compiler takes a lock, even for what is there already
    compiled = function.overloads.get(signature)
    if compiled is None:
        function.compile(signature)
        compiled = function.overloads[signature]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def _packed(context: Any, builder: Any, given: tuple[Any, ...], kind: Any, value: Any) -> Any:
    """The elements of a tuple as a structure of the given types."""
    parts = [
        context.cast(builder, builder.extract_value(value, index), argument, wanted)
        for index, (argument, wanted) in enumerate(zip(kind.types, given, strict=True))
    ]
    return context.get_data_packer(given).as_data(builder, parts)


def _stored(context: Any, builder: Any, given: tuple[Any, ...], kind: Any, value: Any) -> Any:
    """Pointer to the elements of a tuple, which lie in the frame of the function."""
    packed = _packed(context, builder, given, kind, value)
    room = cgutils.alloca_once(builder, packed.type)
    builder.store(packed, room)
    return builder.bitcast(room, cgutils.voidptr_t)


def _caller(context: Any, module: Any, shared: tuple[Any, ...], own: tuple[Any, ...]) -> Any:
    """The function that unpacks arguments and makes the call, apart from the loops of the engine."""
    name = f"fastmlp_call_{hashlib.sha256(str((shared, own)).encode()).hexdigest()[:16]}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, CALLER, name)
    function.linkage = "linkonce_odr"
    for attribute in ("cold", "noinline", "nounwind"):
        function.attributes.add(attribute)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    address, *rooms = function.args
    values: list[Any] = []
    for room, given in zip(rooms, (shared, own), strict=True):
        packer = context.get_data_packer(given)
        layout = ir.LiteralStructType([context.get_data_type(part) for part in given])
        values += [value for _, value in packer.load(builder, builder.bitcast(room, layout.as_pointer()))]
    convention = context.call_conv
    given = (*shared, *own)
    target = builder.inttoptr(address, ir.PointerType(convention.get_function_type(types.none, given)))
    status, _ = convention.call_function(builder, target, types.none, given, values)
    if config.BOUNDSCHECK:
        # the one error that a kernel can have, and nobody above would hear of it
        with builder.if_then(status.is_error, likely=False):
            builder.call(cgutils.get_or_insert_function(module, ir.FunctionType(VOID, []), "llvm.trap"), [])
    builder.ret_void()
    return function


@operation
def pack(_typing: Any, arguments: Any) -> Any:
    """Return a pointer to the elements of a tuple, which is good until the calling function returns."""
    given = tuple(unliteral(argument) for argument in arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _stored(context, builder, given, signature.args[0], values[0])

    return PackType(given)(arguments), emit


@operation
def call_extension(_typing: Any, address: Any, packed: Any, arguments: Any) -> Any:
    """Call the function at ``address`` (from :func:`address_of`) with what was packed, and the elements of a tuple."""
    given = tuple(unliteral(argument) for argument in arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        room = _stored(context, builder, given, signature.args[2], values[2])
        builder.call(_caller(context, builder.module, packed.parts, given), [values[0], values[1], room])
        return context.get_dummy_value()

    return types.none(types.int64, packed, arguments), emit


def new_room() -> Any:
    """Return where the arguments of a kept call are written."""
    return [] if JIT_DISABLED else zeros(ROOM_WORDS, np.int64)


@operation
def keep_call(_typing: Any, arguments: Any, room: Any) -> Any:
    """Write the elements of a tuple to a room, and return the address of what can call an entry with them.

    They are good for as long as the arrays live.
    """
    given = tuple(unliteral(argument) for argument in arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        packed = _packed(context, builder, given, signature.args[0], values[0])
        if context.get_abi_sizeof(packed.type) > 8 * ROOM_WORDS:
            raise ValueError(f"a kept call has room for {ROOM_WORDS} words of arguments")
        first = pointer_to(context, builder, room, values[1], ir.Constant(WORD, 0))
        builder.store(packed, builder.bitcast(first, packed.type.as_pointer()), align=8)
        return builder.ptrtoint(_caller(context, builder.module, given, ()), WORD)

    return types.int64(arguments, room), emit


@operation
def call_kept(_typing: Any, caller: Any, address: Any, room: Any) -> Any:
    """Call the entry at ``address`` (from :func:`address_of`) with the arguments in a room, by their ``caller``."""

    def emit(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        first = pointer_to(context, builder, room, values[2], ir.Constant(WORD, 0))
        arguments = [values[1], builder.bitcast(first, cgutils.voidptr_t), cgutils.voidptr_t(None)]
        builder.call(builder.inttoptr(values[0], CALLER.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, room), emit


def _pack_python(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the tuple itself."""
    return arguments


def _call_python(address: int, packed: tuple[Any, ...], arguments: tuple[Any, ...]) -> None:
    """Call the Python function with that number."""
    _functions[address](*packed, *arguments)


def _keep_python(arguments: tuple[Any, ...], room: list[Any]) -> int:
    """Put the tuple itself in a room."""
    room[:] = [arguments]
    return 0


def _call_kept_python(_caller: int, address: int, room: list[Any]) -> None:
    """Call the Python function with that number."""
    _functions[address](*room[0])


if JIT_DISABLED:
    pack, call_extension, keep_call, call_kept = _pack_python, _call_python, _keep_python, _call_kept_python
