"""Compiled code that is called by its address: what most models never need is compiled only where one does.

An entry contains everything that it can reach, so a rare feature inside it costs every user seconds of compilation.
A feature that is called through :func:`call_extension` is an entry of its own instead. With
``NUMBA_DISABLE_JIT=1`` an address is a number in a list of Python functions.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import typeof
from numba.core import types
from numba.core.types.misc import unliteral

from .jit import JIT_DISABLED
from .simd import operation

_functions: list[Callable[..., Any]] = []


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
    function.compile(signature)
    compiled = function.overloads[signature]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


@operation
def call_extension(_typing: Any, address: Any, arguments: Any) -> Any:
    """Call the function at ``address`` (from :func:`address_of`) with the elements of a tuple."""
    given = tuple(unliteral(argument) for argument in arguments.types)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(types.none, given)
        function = builder.inttoptr(values[0], ir.PointerType(kind))
        unpacked = [
            context.cast(builder, builder.extract_value(values[1], index), argument, wanted)
            for index, (argument, wanted) in enumerate(zip(signature.args[1].types, given, strict=True))
        ]
        convention.call_function(builder, function, types.none, given, unpacked)
        return context.get_dummy_value()

    return types.none(types.int64, arguments), emit


def _call_function(address: int, arguments: tuple[Any, ...]) -> None:
    """Call the Python function with that number."""
    _functions[address](*arguments)


if JIT_DISABLED:
    call_extension = _call_function
