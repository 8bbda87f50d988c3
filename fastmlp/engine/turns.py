"""Whose turn it is when several threads use one model: one trains it at a time, and any number predict meanwhile.

Compiled calls change the weights in place and without the GIL, so whoever else read them then would see a mixture.
A training keeps the weights from before the present epoch anyway, for the case that it diverges; predictions of
other threads read those. Predictions that have begun before the training are waited for.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from ..errors import ModelBusyError
from ..kernels import memory
from .tables import Float32, Network

R = TypeVar("R")
# seconds; the shortest predictions take a tenth of it
A_MOMENT = 5e-5


class Turns:
    """Who may read and write the parameters of a network.

    Parameters
    ----------
    network : Network
        Its parameters are those that training changes.
    """

    def __init__(self, network: Network) -> None:
        self._live = self._kept = network
        self.forget_threads()
        _everyone.add(self)

    def forget_threads(self) -> None:
        """Have no thread at work, as in a forked child: only the thread that forked lives on in it."""
        # job, sums and workspaces are one set a model
        self.lock = threading.RLock()
        # guards the fields below, for moments only
        self._gate = threading.Lock()
        # the thread that may write at present, and whether it is within fit
        self._writer: int | None = None
        self._fitting = False
        # how many predictions read what training changes, and whether any has read what is kept
        self._readers = 0
        self._lent = False

    @contextmanager
    def reading(self) -> Iterator[Network]:
        """Have a network to read from, whose parameters nobody changes meanwhile."""
        # all in one function: Ctrl-C may come before the first line of another, and the reader must be counted off
        counted = False
        try:
            with self._gate:
                if self._writer is None:
                    self._readers += 1
                    counted = True
                if self._writer is None or self._writer == threading.get_ident():
                    network = self._live
                else:
                    self._lent = True
                    network = self._kept
            yield network
        finally:
            if counted:
                with self._gate:
                    self._readers -= 1

    def keep(self) -> None:
        """Remember the parameters, for other threads' predictions and :meth:`restore`."""
        with self._gate:
            self._keep()

    def _keep(self) -> None:
        if self._kept is self._live or self._lent:
            # somebody may still read the old ones
            self._kept = self._live._replace(parameters=memory.zeros(self._live.parameters.size))
            self._copied, self._copy = self._live.parameters.data, self._kept.parameters.data
            self._lent = False
        # by NumPy it takes up to twice as long where they are few
        self._copy[:] = self._copied

    def kept(self) -> Float32:
        """Return the remembered parameters, not to be written to."""
        return self._kept.parameters

    def restore(self) -> None:
        """Put back the remembered parameters."""
        np.copyto(self._live.parameters, self._kept.parameters)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the model for this thread; what other threads do is waited for, but a ``fit``.

        Raises
        ------
        ModelBusyError
            While another thread is in ``fit``.
        """
        self._refuse()
        with self.lock:
            # it may have begun while we waited
            self._refuse()
            yield

    def _refuse(self) -> None:
        if self._fitting and self._writer != threading.get_ident():
            raise ModelBusyError(
                "the model is being trained by fit in another thread, and one thread can train or evaluate it at a "
                "time. Wait for that one, or use a copy: copy.deepcopy(model). predict needs neither"
            )

    def _writes(self) -> bool:
        return self._writer is not None

    @contextmanager
    def changing(self) -> Iterator[Callable[[], None]]:
        """Be alone with the model, and free to change its parameters; as :meth:`alone`.

        What is yielded puts the parameters back to what they are now. Within a ``fit`` of this thread what that keeps
        stays as it is.
        """
        self._refuse()
        with self.lock:
            self._refuse()
            before = self._writer, self._fitting
            within = self._writer == threading.get_ident()
            try:
                self._begin(self._fitting)
                here = self._live.parameters.copy() if within else self._kept.parameters
                yield lambda: np.copyto(self._live.parameters, here)
            finally:
                with self._gate:
                    self._writer, self._fitting = before

    def once(self, change: Callable[..., R], *arguments: Any) -> R | None:
        """Be alone for a function that changes the parameters; None, and it is not called, while they are changed.

        As :meth:`changing`, in a third of the time; :meth:`restore` puts back what the parameters were before.
        """
        if self._writer is not None:
            return None
        with self.lock:
            # somebody may have come first
            if self._writes():
                return None
            try:
                with self._gate:
                    self._keep()
                    self._writer = threading.get_ident()
                self._await_readers()
                return change(*arguments)
            finally:
                # a single store needs no gate
                self._writer = None

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Be the thread that trains for as long as a ``fit`` takes; as :meth:`changing`.

        Between epochs, and while it is :meth:`open`, other threads may read everything, such as for a file.
        """
        self._refuse()
        before = kept = None
        try:
            with self.lock:
                self._refuse()
                if self._writer == threading.get_ident():
                    # a fit around this one goes on with what it has kept
                    kept, self._lent = self._kept, True
                before = self._writer, self._fitting
                self._begin(True)
            yield
        finally:
            if kept is not None:
                self._kept, self._lent = kept, True
            # not by a function, before whose first line Ctrl-C may come
            if before is not None:
                with self._gate:
                    self._writer, self._fitting = before

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let other threads read everything meanwhile, if this one is in ``fit``: no step is half done."""
        depth = 0
        if self._fitting:
            # the lock says so when this thread has it no more
            with suppress(RuntimeError):
                while True:
                    self.lock.release()
                    depth += 1
        try:
            yield
        finally:
            for _ in range(depth):
                self.lock.acquire()

    def _begin(self, fitting: bool) -> None:
        """Have other threads' predictions read what is kept from now on, until the turn is over."""
        with self._gate:
            if self._writer != threading.get_ident():
                self._keep()
            self._writer, self._fitting = threading.get_ident(), fitting
        self._await_readers()

    def _await_readers(self) -> None:
        """Wait for predictions that have begun to read what is about to change."""
        # not by a condition: Ctrl-C in its wait can come while it has not got its lock back
        while self._readers:
            time.sleep(A_MOMENT)


_everyone: weakref.WeakSet[Turns] = weakref.WeakSet()


def _forget_threads() -> None:
    for turns in _everyone:
        turns.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
