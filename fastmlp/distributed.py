"""Training by several processes at a time, on one machine or many; needs the extra ``mpi``.

``mpi4py`` itself is imported by :class:`MPI` alone, when one is made.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .agreement import Facts, disagreement
from .engine.ranks import Numbers, Ranks
from .errors import check_flag
from .history import History
from .threads import available_cores, chosen_threads, limited

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

__all__ = ["MPI"]

# what the processes of a job return to mpiexec: after an error, and after Ctrl-C
FAILED, INTERRUPTED = 1, 130
SECONDS_TO_TELL = 0.2
# an attribute of exceptions that all ranks raise together
SHARED = "_fastmlp_at_all_ranks"


class MPI:
    """Synchronous data-parallel training by the processes of an MPI job, each of which is a *rank*.

    Hand it to ``fit`` at every rank::

        model.fit(x, y, batch_size=64, distribute=fastmlp.distributed.MPI())

    and start the program by ``mpiexec -n 4 python train.py``. Each step takes ``batch_size`` rows at every rank, and
    so has the n-fold batch of one process, whose result it equals but for the order in which float32 numbers are
    added. Started without ``mpiexec``, there is one rank, and ``fit`` is what it is without ``distribute``.

    An exception at one rank during ``fit`` is printed with the number of the rank and ends the whole job; so does one
    that nobody catches, as soon as there is an ``MPI``. What is wrong at all ranks alike is an ordinary exception at
    all of them.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        The processes that train; by default all of the job. ``fit`` uses a duplicate of its own.
    deterministic : bool
        Whether results are to have the bits of one process with the n-fold batch. Ranks then make their parts of a
        gradient one after the other, in the order in which one process would, so that this third of a step is not
        shared; see docs/distributed.md.
    sharded : bool
        Whether every rank hands over rows of its own, of which all have equally many. By default every rank is handed
        the same rows, of which it takes its part of each batch; an ``np.memmap`` costs no memory for those of others.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are.

    Raises
    ------
    ImportError
        Without mpi4py, or where it finds no MPI.
    ValueError
        When `deterministic` and `sharded` are asked for together: one process has no such order of rows.
    """

    def __init__(self, comm: "Comm | None" = None, *, deterministic: bool = False, sharded: bool = False) -> None:
        self.deterministic = check_flag("deterministic", deterministic)
        self.sharded = check_flag("sharded", sharded)
        if self.deterministic and self.sharded:
            raise ValueError(
                "deterministic=True adds in the order of one process that has all rows, so every rank must be handed "
                "all of them; it cannot be combined with sharded=True"
            )
        self._mpi = _mpi4py()
        if comm is not None and not isinstance(comm, self._mpi.Intracomm):
            raise TypeError(f"comm must be an intracommunicator of mpi4py's, got {comm!r}")
        self._comm: Comm = self._mpi.COMM_WORLD if comm is None else comm
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        if self._mpi.COMM_WORLD.Get_size() > 1 and not isinstance(sys.excepthook, _Hook):
            sys.excepthook = _Hook(self._mpi.COMM_WORLD, sys.excepthook)

    def __repr__(self) -> str:
        return f"MPI(deterministic={self.deterministic}, sharded={self.sharded})"


def _mpi4py() -> Any:
    """mpi4py's module MPI, whose import starts MPI in this process if nobody has."""
    try:
        from mpi4py import MPI as module  # noqa: N811 - it is no constant
    except ImportError as error:
        raise ImportError(
            f'fastmlp.distributed needs the package mpi4py and an MPI library: pip install "fastmlp[mpi]", and '
            f"pip install mpich where there is none ({error})"
        ) from error
    except RuntimeError as error:
        # mpi4py's wheels look for the library themselves
        raise ImportError(
            f"mpi4py has found no MPI library; on one machine pip install mpich gives one ({error})"
        ) from error
    return module


class _Hook:
    """What Python calls for an exception that nobody has caught: other ranks would wait for this one for ever."""

    def __init__(self, world: "Comm", before: Any) -> None:
        self._world, self._before = world, before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not getattr(error, SHARED, False):
            _fail(self._world, error)
        elif self._world.Get_rank() == 0:
            self._before(kind, error, trace)


def _fail(world: "Comm", error: BaseException) -> NoReturn:
    """Say what has happened at this rank, and end all processes of the job."""
    code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
    who = f"rank {world.Get_rank()} of {world.Get_size()}"
    sys.stdout.flush()
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write(f"{who} was interrupted, which ends the job\n")
    else:
        # as one text, so that those of several ranks do not mix
        sys.stderr.write(f"{who} has failed, which ends the job:\n{''.join(traceback.format_exception(error))}")
    sys.stderr.flush()
    # mpiexec ends with the first process, and drops what it has not passed on by then
    time.sleep(SECONDS_TO_TELL)
    world.Abort(code)
    # MPICH's Abort may return before the process is ended
    os._exit(code)


def at_all_ranks(error: Exception) -> Exception:
    """Mark an exception that all ranks raise together, so that none of them has to be ended."""
    setattr(error, SHARED, True)
    return error


class _Wire:
    """Arrays between the ranks of a communicator."""

    def __init__(self, mpi: Any, comm: "Comm") -> None:
        self._comm, self._in_place = comm, mpi.IN_PLACE
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def add(self, array: Numbers) -> None:
        self._comm.Allreduce(self._in_place, array)

    def broadcast(self, array: Numbers, root: int) -> None:
        self._comm.Bcast(array, root)

    def gather(self, array: Numbers, counts: list[int]) -> None:
        self._comm.Allgatherv(self._in_place, (array[: sum(counts)], counts))

    def send(self, array: Numbers, to: int) -> None:
        self._comm.Send(array, to)

    def receive(self, array: Numbers, source: int) -> None:
        self._comm.Recv(array, source)


class Group:
    """The ranks of one call of ``fit``.

    Parameters
    ----------
    strategy : MPI
        Of more than one rank; its communicator is duplicated, so that no message is taken for another one's.
    """

    def __init__(self, strategy: MPI) -> None:
        # whether all ranks know that nothing is wrong with what fit was given
        self.checked = False
        self._mpi, self._comm = strategy._mpi, strategy._comm.Dup()
        self.rank, self.size = strategy.rank, strategy.size
        self.deterministic, self.sharded = strategy.deterministic, strategy.sharded
        self.wire = _Wire(self._mpi, self._comm)

    @property
    def first(self) -> bool:
        """Whether this is the rank that prints and writes."""
        return self.rank == 0

    def ranks(self, model: Any) -> Ranks:
        """What the engine needs to know; the training of the model may be asked to stop at any rank."""
        return Ranks(
            self.wire, in_order=self.deterministic, sharded=self.sharded, wants_end=lambda: bool(model.stop_training)
        )

    def threads(self) -> int | None:
        """How many threads this rank is to use, or None where somebody has said so: its part of the machine's cores."""
        local = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        affinity = getattr(os, "sched_getaffinity", None)
        # a launcher may have given every rank cores of its own
        mine = frozenset(affinity(0)) if affinity else frozenset(range(os.cpu_count() or 1))
        cores = len(frozenset.union(*local.allgather(mine)))
        share = max(1, min(available_cores(), cores // local.Get_size()))
        local.Free()
        return None if chosen_threads() else share

    def check(self, error: Exception | None = None) -> None:
        """Tell all ranks how the check of the arguments of ``fit`` has ended; raise where it has failed at one."""
        self.checked = True
        told = self._comm.allgather(None if error is None else f"{type(error).__name__}: {error}")
        failed = [rank for rank, text in enumerate(told) if text is not None]
        if not failed:
            return
        if error is None:
            error = RuntimeError(f"rank {failed[0]} of {self.size} cannot train: {told[failed[0]]}")
        elif len(failed) < self.size:
            error.add_note(f"raised at rank {', '.join(map(str, failed))} of {self.size}")
        raise at_all_ranks(error)

    def agree(self, facts: Facts) -> None:
        """Raise ValueError at all ranks unless all have the same facts."""
        text = disagreement(self._comm.allgather(facts))
        if text is not None:
            raise at_all_ranks(ValueError(text))

    def from_first(self, value: Any) -> Any:
        """Return what the first rank has, which can be pickled."""
        return self._comm.bcast(value)

    def any(self, flag: bool) -> bool:
        """Say whether something is so at any rank."""
        flags = np.array([flag], np.int64)
        self.wire.add(flags)
        return int(flags[0]) > 0

    def check_alike(self, digest: int, what: str) -> None:
        """Raise RuntimeError at all ranks unless all have the same digest of what the training goes on from."""
        digests = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([digest], np.int64), digests)
        others = np.flatnonzero(digests != digests[0])
        if others.size:
            raise at_all_ranks(
                RuntimeError(
                    f"{what} at rank {', '.join(map(str, others))} are not those at rank 0. Something has changed them "
                    "at some ranks alone, such as a callback that does not do the same everywhere"
                )
            )

    def free(self) -> None:
        """Give the communicator back."""
        self._comm.Free()


def fit_together(fit: Callable[..., History], strategy: Any, arguments: dict[str, Any]) -> History:
    """Call ``fit`` with the ranks of an MPI job; one that fails meanwhile ends the job.

    Parameters
    ----------
    fit : callable
        A model's; ``distribute`` is then a :class:`Group`, or None where there is one process.
    strategy : MPI
        What ``fit`` was given.

    Raises
    ------
    TypeError
        When it was given something else.
    """
    if not isinstance(strategy, MPI):
        raise TypeError(f"distribute must be a fastmlp.distributed.MPI, got {strategy!r}")
    if strategy.size == 1:
        return fit(**arguments)
    try:
        group = Group(strategy)
        with limited(group.threads()):
            try:
                history = fit(**arguments, distribute=group)
            except Exception as error:
                if group.checked:
                    raise
                group.check(error)
                raise
    except BaseException as error:
        if not getattr(error, SHARED, False):
            _fail(strategy._mpi.COMM_WORLD, error)
        group.free()
        raise
    group.free()
    return history
