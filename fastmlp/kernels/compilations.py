"""Who is told that kernels are being compiled, which takes seconds in which nothing else happens."""

import threading
from time import perf_counter
from typing import Protocol


class Listener(Protocol):
    """What :func:`listen` takes."""

    def compiling(self) -> None:
        """Something that no cache has is about to be compiled."""

    def compiled(self, seconds: float) -> None:
        """It has been compiled and kept, in so many seconds."""


# a listener draws where its own thread draws, so nobody hears of the compilations of another thread
_here = threading.local()


def listen(listener: Listener | None) -> Listener | None:
    """Tell ``listener`` of this thread's compilations from now on, or nobody; return who was told until now."""
    before: Listener | None = getattr(_here, "listener", None)
    _here.listener = listener
    return before


def begin() -> None:
    """Tell this thread's listener that a compilation begins."""
    listener: Listener | None = getattr(_here, "listener", None)
    if listener is not None:
        _here.begun = perf_counter()
        listener.compiling()


def end() -> None:
    """Tell this thread's listener that it is over, if one began."""
    begun: float | None = getattr(_here, "begun", None)
    listener: Listener | None = getattr(_here, "listener", None)
    if begun is not None and listener is not None:
        _here.begun = None
        listener.compiled(perf_counter() - begun)
