"""How many threads fastmlp uses, and the threads themselves.

Threads are Python's own and leave the GIL inside the compiled call, where they wait for each other by spinning:
no threading layer of Numba's is involved, so none of their troubles is either. They are made when first needed
and wait for work afterwards. Each of them helps one caller at a time; a caller that gets none works alone, with
the same bits. A forked child starts without any and makes its own.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from .errors import check_count

VARIABLE = "FASTMLP_NUM_THREADS"
LARGEST = 256

# what a helper is to call, or nothing any more
Work = list[tuple[Callable[..., None], tuple[Any, ...]]]


def available_cores() -> int:
    """Return how many cores this process may use: its affinity, and the processor quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _quota()
    return max(1, min(cores, math.floor(quota))) if quota is not None else cores


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the cores that a Linux control group grants (version 2, then 1), or None where there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        limit = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None
    return limit if limit > 0 else None


class _Helper(threading.Thread):
    """A thread that waits for work and does it; never joined, so that it cannot delay the end of the process."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"fastmlp-{number}", daemon=True)
        self.inbox: SimpleQueue[Work] = SimpleQueue()

    def run(self) -> None:
        while True:
            work = self.inbox.get()
            try:
                function, arguments = work.pop()
            except IndexError:
                # it came too late
                continue
            function(*arguments)
            # keep nobody's arrays alive while waiting
            del function, arguments


class _Pool:
    """All helpers of the process."""

    def __init__(self) -> None:
        self.chosen: int | None = None
        # whether that was said by set_num_threads
        self.given = False
        self.forget()

    def forget(self) -> None:
        """Start without helpers, as a forked child must: only the thread that forked lives on in it."""
        self.lock = threading.Lock()
        self.idle: list[_Helper] = []
        self.made = 0

    def borrow(self, count: int) -> list[_Helper]:
        """Take up to ``count`` helpers that nobody has; new ones are made while there are fewer than threads."""
        with self.lock:
            taken = [self.idle.pop() for _ in range(min(count, len(self.idle)))]
            while len(taken) < count and self.made < get_num_threads() - 1:
                helper = _Helper(self.made + 1)
                try:
                    helper.start()
                except RuntimeError:
                    # the system refuses, or the interpreter is about to end: who wanted help works without
                    break
                self.made += 1
                taken.append(helper)
        return taken

    def give_back(self, helpers: list[_Helper]) -> None:
        """Return what :meth:`borrow` gave."""
        with self.lock:
            self.idle.extend(helpers)


_pool = _Pool()
_limit: ContextVar[int | None] = ContextVar("threads", default=None)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


class Team:
    """A caller and its helpers, for as long as the ``with`` block lasts.

    Parameters
    ----------
    size : int
        How many threads there should be, the caller included; there may be fewer.
    """

    def __init__(self, size: int) -> None:
        self._wanted = size - 1
        self._helpers: list[_Helper] = []
        self._pool = _pool

    def __enter__(self) -> "Team":
        if self._wanted > 0:
            self._helpers = self._pool.borrow(self._wanted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        helpers, self._helpers = self._helpers, []
        self._pool.give_back(helpers)

    @property
    def size(self) -> int:
        """How many threads there are, the caller included."""
        return 1 + len(self._helpers)

    @contextmanager
    def helping(self, function: Callable[..., None], arguments: tuple[Any, ...], count: int) -> Iterator[None]:
        """Have ``count`` helpers run ``function(*arguments)`` meanwhile, each when it gets to it.

        Who has not begun at the end never will, so that the arguments of a late one do not pile up.
        """
        given: list[Work] = []
        try:
            for helper in self._helpers[:count]:
                given.append([(function, arguments)])
                helper.inbox.put(given[-1])
            yield
        finally:
            for work in given:
                work.clear()


def set_num_threads(threads: int | None) -> None:
    """Set how many threads training, evaluation and prediction may use.

    Results have the same bits for any number, and little work is done by fewer threads than allowed.

    Parameters
    ----------
    threads : int or None
        From 1 to 256. None is the default: ``FASTMLP_NUM_THREADS``, or the cores that this process may use
        by its affinity and its container's quota.

    Raises
    ------
    ValueError
        For anything else.
    """
    if threads is not None and check_count("threads", threads) > LARGEST:
        raise ValueError(f"threads must be at most {LARGEST}, got {threads}")
    _pool.chosen, _pool.given = threads, threads is not None


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Have another number of threads for what this thread, or asyncio task, does meanwhile; None changes nothing."""
    token = _limit.set(_limit.get() if threads is None else threads)
    try:
        yield
    finally:
        _limit.reset(token)


def chosen_threads() -> bool:
    """Say whether somebody has said how many threads may be used, so that they are not simply all cores."""
    return _limit.get() is not None or VARIABLE in os.environ or _pool.given


def get_num_threads() -> int:
    """Return how many threads may be used.

    Raises
    ------
    ValueError
        When ``FASTMLP_NUM_THREADS`` is set to anything but a number from 1 to 256.
    """
    limit = _limit.get()
    if limit is not None:
        return limit
    if _pool.chosen is None:
        named = os.environ.get(VARIABLE)
        if named is not None and not (named.isdecimal() and 1 <= int(named) <= LARGEST):
            raise ValueError(f"the environment variable {VARIABLE} must be a number from 1 to {LARGEST}, got {named!r}")
        _pool.chosen = int(named) if named is not None else min(available_cores(), LARGEST)
    return _pool.chosen
