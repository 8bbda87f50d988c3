"""Where a compiled loop meets the world outside in the midst of a step: a C function, called by its address.

What it raises is kept, and raised again when the compiled call has returned. With ``NUMBA_DISABLE_JIT=1`` an address
is a number in a table of meetings.
"""

import ctypes
import weakref
from collections.abc import Callable, Iterator

from .callback import Callback, call_address
from .jit import JIT_DISABLED

C_MEETING = ctypes.CFUNCTYPE(ctypes.c_int64)
GO_ON, END = range(2)

_meetings: "weakref.WeakValueDictionary[int, Meeting]" = weakref.WeakValueDictionary()


class Meeting(Callback):
    """A C function that calls a Python function.

    Parameters
    ----------
    function : callable
        Without arguments; returns whether the loop is to end, as it does after an exception.
    """

    def __init__(self, function: Callable[[], bool]) -> None:
        super().__init__("a meeting")
        self._function = function
        turns = self._turns()
        next(turns)
        if JIT_DISABLED:
            self.address, self.turn = id(self), turns.__next__
            _meetings[self.address] = self
        else:
            self.kept = C_MEETING(turns.__next__)
            self.address = int(ctypes.cast(self.kept, ctypes.c_void_p).value or 0)

    def _turns(self) -> Iterator[int]:
        # a generator, so that signals' handlers run within the try block; see signals.py
        answer = GO_ON
        while True:
            try:
                while True:
                    yield answer
                    answer = END if self._function() else GO_ON
            except GeneratorExit:
                return
            except BaseException as error:
                self.error, answer = error, END


def _call_meeting_python(function: int) -> int:
    """Call the Python function of the meeting with that number."""
    return _meetings[function].turn()


# calls the meeting at an address, which answers with GO_ON or END
call_meeting = _call_meeting_python if JIT_DISABLED else call_address
