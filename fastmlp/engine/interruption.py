"""How a long call lets Python look up, and gives up what it is at when a handler has raised something.

Only the leader looks, after some work; the others see a word that it sets. Where nobody looks, which is so in all calls
that are short, a look is a comparison.
"""

import numpy as np

from ..kernels import memory
from ..kernels.atomics import atomic_load, atomic_store
from ..kernels.jit import kernel
from ..kernels.signals import Look, call_look, look
from .tables import (
    JOB_FIELDS,
    LOOK_AFTER,
    LOOK_AT,
    MEETING_AT,
    NOWHERE,
    STOPPED,
    WORKED,
    Int64,
)


def new_job() -> Int64:
    """Return the numbers of a job that does not look up, nor meets anyone."""
    job = memory.zeros(JOB_FIELDS, np.int64)
    job[LOOK_AT] = job[MEETING_AT] = NOWHERE
    return job


def begin_looking(job: Int64, work: float, *, long: bool) -> Look | None:
    """Have a call look up after so many multiply-adds of its leader, if it is long and of the main thread.

    Returns
    -------
    Look or None
        Whose error is to be raised when the call has returned.
    """
    # a look costs some microseconds, and in a short call nobody would wait for it
    looking = look() if long else None
    job[LOOK_AT] = NOWHERE if looking is None else looking.address
    job[LOOK_AFTER] = int(work)
    job[WORKED] = job[STOPPED] = 0
    return looking


@kernel
def given_up(job: Int64, rank: int, work: int) -> bool:
    """Say whether what is being done is to be left undone; the leader (rank 0) lets Python look up after some work."""
    if job[LOOK_AT] == NOWHERE:
        return False
    if rank == 0:
        job[WORKED] += work
        if job[WORKED] >= job[LOOK_AFTER]:
            job[WORKED] = 0
            if call_look(job[LOOK_AT]):
                atomic_store(job, STOPPED, 1)
    return bool(atomic_load(job, STOPPED))
