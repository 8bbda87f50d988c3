"""Signals in the midst of a compiled call: Python runs its handlers between bytecodes of the main thread only.

A call that takes long lets Python look up now and then. What a handler raises, such as KeyboardInterrupt, is kept and
raised again when the call has returned.
"""

import ctypes
import inspect
import threading
from collections.abc import Generator
from functools import cache

from .callback import Callback, call_address
from .jit import JIT_DISABLED

C_LOOK = ctypes.CFUNCTYPE(ctypes.c_int64)


class Look(Callback):
    """A C function that lets Python handle signals, and says whether a handler has raised something."""

    def __init__(self) -> None:
        super().__init__("a look at signals")
        turns = self._turns()
        self._generator = turns
        next(turns)
        self.kept = C_LOOK(turns.__next__)
        self.address = int(ctypes.cast(self.kept, ctypes.c_void_p).value or 0)

    @property
    def busy(self) -> bool:
        """Whether a handler runs within a look, which cannot look then."""
        return inspect.getgeneratorstate(self._generator) == inspect.GEN_RUNNING

    def _turns(self) -> Generator[int, None, None]:
        # Handlers run when this goes on, which is within the try block. A function would run them before its first
        # line, and ctypes drops what a function raises.
        while True:
            try:
                while True:
                    yield self.error is not None
            except GeneratorExit:
                return
            except BaseException as error:
                self.error = error


@cache
def _look() -> Look:
    return Look()


def look() -> Look | None:
    """Return what the main thread lets Python look up by; None in a handler, and in threads, which get no signals."""
    if JIT_DISABLED or threading.current_thread() is not threading.main_thread():
        return None
    found = _look()
    if found.busy:
        return None
    found.error = None
    return found


def _call_look_python(_function: int) -> int:
    """Do nothing: interpreted kernels are interrupted as all Python is."""
    return 0


# calls the look at an address, which answers whether a handler has raised something
call_look = _call_look_python if JIT_DISABLED else call_address
