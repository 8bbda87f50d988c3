"""The one place that says how many threads, and on which cores, every side of a comparison has.

Most thread pools are made when a library is imported: the number goes into the environment of a process that
has imported nothing yet, and its cores are set before anything else. What can be set later is set as well.
"""

import os
from collections.abc import Mapping, Sequence

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "FASTMLP_NUM_THREADS",
    "NPROC",  # XLA's CPU client, where it does not ask the operating system
)
# Left over from elsewhere, these can slow a library down: each is to choose its best kernels itself.
OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_VERBOSE", "MKL_ENABLE_INSTRUCTIONS", "XLA_FLAGS")


def environment(threads: int, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process whose libraries have so many threads."""
    kept = {name: value for name, value in base.items() if name not in OVERRIDES}
    return {**kept, **dict.fromkeys(VARIABLES, str(threads))}


def available() -> list[int]:
    """Return the cores this process may use; an empty list where the system does not say."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return sorted(affinity(0)) if affinity else []


def cores_for(threads: int, chosen: Sequence[int] | None = None) -> list[int]:
    """Return the cores to pin to.

    Parameters
    ----------
    threads : int
        How many.
    chosen : sequence of int, optional
        Where to take the first so many from. By default they are the last ones this process may use: the first is
        where interrupts and other programs tend to be.

    Raises
    ------
    ValueError
        There are fewer, or this process may not use them.
    """
    cores = available()
    count = len(cores) or os.cpu_count() or 1
    if threads > count:
        raise ValueError(f"threads must be at most the {count} cores of this process, got {threads}")
    if chosen is None or not cores:
        return cores[-threads:]
    if len(chosen) < threads or not set(chosen) <= set(cores):
        raise ValueError(f"cores must be {threads} or more of {cores}, got {list(chosen)}")
    return list(chosen[:threads])


def pin(cores: Sequence[int]) -> None:
    """Keep this process and its threads to these cores; nothing for an empty list, or where it cannot be done."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def limit(threads: int, sides: Sequence[str]) -> None:
    """Tell the libraries that can be told after their import."""
    from ..threads import set_num_threads  # imports NumPy, so not before the cores are set

    set_num_threads(threads)
    if any(side.startswith("torch") for side in sides):
        import torch

        torch.set_num_threads(threads)
