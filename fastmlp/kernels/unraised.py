"""Exceptions that ctypes prints and drops: those of signal handlers, where C code calls Python in the main thread.

A handler runs before the first line of whatever Python function comes next. If that is one that LLVM or a compiled loop
calls, Ctrl-C would do no more than print a message.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def nothing_dropped() -> Iterator[None]:
    """Raise at the end what ctypes would have dropped in this block; for the main thread, where handlers run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept: list[BaseException] = []
    before = sys.unraisablehook

    def keep(dropped: Any) -> None:
        if "ctypes callback" in (dropped.err_msg or ""):
            kept.append(dropped.exc_value)
        else:
            before(dropped)

    sys.unraisablehook = keep
    try:
        yield
    finally:
        sys.unraisablehook = before
        if kept:
            raise kept[0]
