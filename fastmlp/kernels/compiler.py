"""How Numba compiles kernels: building blocks are only translated, and optimised once, inside an entry.

Left to itself, Numba optimises every function when it is compiled and again inside each of its callers, and
makes machine code of it that nobody calls: with nested kernels the same loops are optimised once a level.
Here a block stops at LLVM's plain code. An entry links all blocks that it reaches, optimises the whole once,
and alone becomes machine code.
"""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import CPUDispatcher
from numba.core.sigutils import normalize_signature
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.types.misc import unliteral
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

from . import compilations
from .unraised import nothing_dropped


@contextmanager
def _some_folder() -> Iterator[None]:
    """Be in a folder that exists: Numba asks for the present one, which may have been deleted."""
    try:
        Path.cwd()
    except OSError:
        pass
    else:
        yield
        return
    try:
        # what is deleted can be gone back to, but has no name
        deleted = os.open(".", os.O_RDONLY)
    except OSError:
        yield
        return
    os.chdir(Path(__file__).parent)
    try:
        yield
    finally:
        os.fchdir(deleted)
        os.close(deleted)


def _release_compiler() -> None:
    """Make Numba's lock anew: a thread that held it while another one forked does not live on in the child."""
    global_compiler_lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_compiler)


class BlockLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of one building block, neither optimised nor linked with what it calls."""

    def finalize(self) -> None:
        """Close the library; whoever links it optimises it."""
        self._raise_if_finalized()
        self._finalized = True


class EntryLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of an entry with every block that it reaches."""

    def finalize(self) -> None:
        """Link, optimise and make machine code."""
        # callers before callees: LLVM's linker takes only those functions that something already refers to
        callees_first: dict[Any, None] = {}
        _reach(self, callees_first)
        del callees_first[self]
        self._linking_libraries = list(reversed(callees_first))
        super().finalize()

    def _optimize_final_module(self) -> None:
        """Optimise, knowing that nobody else calls the blocks: LLVM then drops arguments that they do not use."""
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = "internal"
        super()._optimize_final_module()


def _reach(library: Any, callees_first: dict[Any, None]) -> None:
    """Add what ``library`` links, then itself."""
    if library not in callees_first:
        for callee in library._linking_libraries:
            _reach(callee, callees_first)
        callees_first[library] = None


class KernelFlags(Flags):  # type: ignore[misc]
    """Numba's flags of one compilation, compared by what they were when that was first done.

    Numba looks up the type of every operation by the flags among other things, and gathers some forty settings anew for
    each comparison: 38,000 times for the engine, a fifteenth of the time that it takes to compile.
    """

    __slots__ = ("_settings",)

    def __init__(self, copy_from: Flags | None = None) -> None:
        super().__init__(copy_from)
        self._settings: dict[str, Any] | None = None

    def _at_first(self) -> dict[str, Any]:
        if self._settings is None:
            self._settings = self.values()
        return self._settings

    def __hash__(self) -> int:
        return FLAGS_HASH

    def __eq__(self, other: object) -> bool:
        if isinstance(other, KernelFlags):
            return self is other or self._at_first() == other._at_first()
        return bool(super().__eq__(other))


# of flags of any kind: Numba's is one of their names
FLAGS_HASH = hash(Flags())


class KernelCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's pipeline without the passes for what kernels never have: closures, with, prange, objects."""

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        return_type: Any,
        flags: Flags,
        locals: Any,  # noqa: A002 - Numba's name
    ) -> None:
        super().__init__(typingctx, targetctx, library, args, return_type, KernelFlags(flags), locals)

    def define_pipelines(self) -> list[Any]:
        """Return the one pipeline."""
        passes = PassManager("kernel")
        for step in (
            TranslateByteCode, FixupArgs, IRProcessing, GenericRewrites, ReconstructSSA, NopythonTypeInference,
            PreLowerStripPhis, IRLegalization, AnnotateTypes, NativeLowering, NoPythonBackend,
        ):  # fmt: skip
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


class BlockCompiler(KernelCompiler):
    """Numba's pipeline up to the plain code of a :class:`BlockLibrary`."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        super().__init__(typingctx, targetctx, library, *rest)
        self.state.flags.no_compile = True
        self.state.library = BlockLibrary(targetctx.codegen(), "block")


class EntryCompiler(KernelCompiler):
    """Numba's pipeline into an :class:`EntryLibrary`, whose machine code can be kept."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        super().__init__(typingctx, targetctx, library, *rest)
        self.state.library = EntryLibrary(targetctx.codegen(), "entry")
        self.state.library.enable_object_caching()

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        """Compile; only what the cache has not comes here."""
        compilations.begin()
        return super().compile_extra(function)


class BlockDispatcher(CPUDispatcher):  # type: ignore[misc]
    """A building block: compiled code calls it as part of an entry, Python through an entry of its own.

    Parameters
    ----------
    function : callable
        The kernel.
    options : dict
        Numba's options.
    from_python : callable
        What a call from Python runs: an entry.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], from_python: Any) -> None:
        super().__init__(
            py_func=function,
            targetoptions={"nopython": True, "no_cpython_wrapper": True, **options},
            pipeline_class=BlockCompiler,
        )
        self._from_python = from_python

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel from Python."""
        return self._from_python(*arguments)

    def inspect_asm(self, signature: Any = None) -> Any:
        """Return the assembly of what a call from Python runs."""
        return self._from_python.inspect_asm(signature)

    def inspect_llvm(self, signature: Any = None) -> Any:
        """Return LLVM's code, optimised, of what a call from Python runs."""
        return self._from_python.inspect_llvm(signature)

    def compile(self, sig: Any) -> Any:
        """Compile for a signature, without Numba's timers: those of all callers would hear of each call of LLVM's."""
        with global_compiler_lock, self._compiling_counter:
            arguments, return_type = normalize_signature(sig)
            if tuple(arguments) not in self.overloads:
                self.add_overload(self._compiler.compile(arguments, return_type))
            return self.overloads[tuple(arguments)].entry_point

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Compile for a call; a constant is a value of its type, not a signature of its own."""
        return super().get_call_template(tuple(unliteral(argument) for argument in args), kws)

    def add_overload(self, cres: Any) -> None:
        """Let callers find the block, which has no machine code to register."""
        # Numba finds a callee by its entry point, so what stands for one must be unique
        block = cres._replace(entry_point=cres.library)
        self.targetctx.insert_user_function(block.entry_point, block.fndesc, [block.library])
        self.overloads[tuple(block.signature.args)] = block


class EntryDispatcher(CPUDispatcher):  # type: ignore[misc]
    """What Python calls: compiled with everything that it reaches.

    Parameters
    ----------
    function : callable
        The kernel.
    options : dict
        Numba's options.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(py_func=function, targetoptions={"nopython": True, **options}, pipeline_class=EntryCompiler)

    @property
    def code(self) -> Callable[..., Any]:
        """The machine code of calls so far, if all had the same types, else the dispatcher itself.

        To find the types of an engine's arrays takes 5 us of each call. Machine code does not look at them.
        """
        compiled = list(self.overloads.values())
        return compiled[0].entry_point if len(compiled) == 1 else self

    def compile(self, sig: Any) -> Any:
        """Compile for a signature; the collector would search Numba's many live objects in vain again and again."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            with _some_folder(), nothing_dropped():
                return super().compile(sig)
        finally:
            if collecting:
                gc.enable()
            compilations.end()
