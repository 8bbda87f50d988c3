"""Trainings that have nothing to do with each other, at the same time: in threads, or wherever joblib is set to.

A training leaves the GIL, so threads are enough on one machine, and share the data. Whoever has chosen one of joblib's
backends that has no such threads (``joblib.parallel_config("dask")``) wants the trainings there: jobs and data are then
pickled, and results come back.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from .display import Bar, duration, progress
from .threads import available_cores, get_num_threads, limited

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")
# how often whoever has been told to stop is told again, in seconds
REMINDER = 0.1


class Job(Protocol, Generic[Result_co]):
    """A training to be done; it can be pickled as far as its model can."""

    def run(self, *shared: Any) -> Result_co:
        """Train, with the data that all jobs share."""

    def stop(self) -> None:
        """End a training that goes on in another thread, soon; may be called often, and at any time."""


def run_jobs(
    jobs: Sequence[Job[Result]], shared: tuple[Any, ...], n_jobs: int | None, show: Callable[[int, Result], None]
) -> list[Result]:
    """Do jobs at the same time and return their results in order.

    Parameters
    ----------
    jobs : list of Job
        At least one.
    shared : tuple
        What :meth:`Job.run` gets.
    n_jobs : int, optional
        How many at a time, -1 for as many as there are cores. By default what joblib has been set to; else
        :func:`fastmlp.get_num_threads`, or one at a time in a thread or process of joblib's, which has others beside
        it. What threads are left go to each.
    show : callable
        Called with each job's number and result, in the order in which they end.

    Raises
    ------
    BaseException
        What a job has raised, or a signal's handler; jobs that go on are stopped before.
    """
    backend, chosen, nested = _joblib()
    wanted = n_jobs if n_jobs is not None else chosen
    if backend is not None:
        wanted = -1 if wanted is None else wanted
        at_once = max(1, min(backend.effective_n_jobs(wanted), len(jobs)))
        return _run_elsewhere(jobs, shared, backend, wanted, max(1, get_num_threads() // at_once), show)
    wanted = (1 if nested else get_num_threads()) if wanted is None else as_threads(wanted)
    at_once = min(len(jobs), wanted)
    return _run_here(jobs, shared, at_once, max(1, get_num_threads() // at_once), show)


def as_threads(n_jobs: int) -> int:
    """Return the number of threads that ``n_jobs`` stands for, as joblib counts."""
    if n_jobs > 0:
        return n_jobs
    return max(1, available_cores() + 1 + n_jobs)


def _joblib() -> tuple[Any, int | None, bool]:
    """Which backend of joblib's without threads has been chosen, how many jobs at a time, and whether this is one."""
    joblib = sys.modules.get("joblib.parallel")
    if joblib is None or not hasattr(joblib, "parallel_config"):
        # nobody has chosen anything, or could (before joblib 1.3)
        return None, None, False
    # a backend that nobody has chosen is of threads where these are preferred, and then says nothing of a number
    backend, _ = joblib.get_active_backend(prefer="threads")
    _, n_jobs = joblib.get_active_backend()
    threads = getattr(backend, "uses_threads", False) or getattr(backend, "supports_sharedmem", False)
    return None if threads else backend, n_jobs, bool(backend.nesting_level)


def _run_here(
    jobs: Sequence[Job[Result]],
    shared: tuple[Any, ...],
    at_once: int,
    threads: int,
    show: Callable[[int, Result], None],
) -> list[Result]:
    """Do jobs in threads of this process."""
    with ThreadPoolExecutor(at_once, "fastmlp-job") as pool:
        numbers = {pool.submit(_run, job, threads, *shared): number for number, job in enumerate(jobs)}
        pending: set[Future[Result]] = set(numbers)
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=numbers.__getitem__):
                    show(numbers[future], future.result())
        except BaseException:
            # such as Ctrl-C: nothing begins any more, and what goes on ends with its step
            pool.shutdown(wait=False, cancel_futures=True)
            while pending := {future for future in pending if not future.done()}:
                for job in jobs:
                    job.stop()
                wait(pending, REMINDER)
            raise
    return [future.result() for future in numbers]


def _run_elsewhere(
    jobs: Sequence[Job[Result]],
    shared: tuple[Any, ...],
    backend: Any,
    n_jobs: int,
    threads: int,
    show: Callable[[int, Result], None],
) -> list[Result]:
    """Do jobs by a backend of joblib's."""
    from joblib import Parallel, delayed

    # some backends, such as Ray's, return all results at once
    return_as = "generator" if backend.supports_return_generator else "list"
    results: list[Result] = []
    for result in Parallel(n_jobs, return_as=return_as)(delayed(_run)(job, threads, *shared) for job in jobs):
        show(len(results), result)
        results.append(result)
    return results


def _run(job: Job[Result], threads: int, *shared: Any) -> Result:
    with limited(threads):
        return job.run(*shared)


@contextmanager
def shown(verbose: str | int, total: int, what: str) -> Iterator[Callable[[int, Callable[[], str]], None]]:
    """Show how many are done as much as asked for.

    Parameters
    ----------
    verbose : {"auto", 0, 1, 2}
        Nothing (0), a bar (1), a line for each (2); "auto" is a bar on a terminal, else nothing.
    total : int
        How many there are.
    what : str
        What they are, such as "Model".

    Yields
    ------
    callable
        To be called with the number of one that is done, and with a function that says what became of it.
    """
    progressing = progress(verbose)
    if isinstance(progressing, Bar):
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn(f"{what}s"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda number, tell: bar.advance(task)
    elif verbose == 2:
        begun = perf_counter()

        def line(number: int, tell: Callable[[], str]) -> None:
            print(f"{what} {number + 1}/{total}  {duration(perf_counter() - begun)}  {tell()}", flush=True)

        yield line
    else:
        yield lambda number, tell: None
