"""How much work a compiled call has, by how many threads, and whether those help.

On a processor that other programs use, a thread may wait for a helper that does not run.
"""

from ..kernels.jit import JIT_DISABLED
from ..threads import get_num_threads
from .workspace import Cut

# Ctrl-C, the progress bar and other threads get their turn this often
SECONDS_A_CALL = 0.05
# a clock may be coarse, or stand still
SHORTEST = 1e-7
# what a slow core manages; only the first call of a run is sized by it
FLOPS_A_SECOND = 5e9
# multiply-adds after which a call that is not yet timed looks up
WORK_A_LOOK = FLOPS_A_SECOND / 2 * SECONDS_A_CALL
# With less work a step than this for each thread, waiting for each other takes more than it saves; with less
# a run, waking another thread does.
FLOPS_A_THREAD_AND_STEP = 250_000
FLOPS_A_THREAD_AND_RUN = 20_000_000
# blocks of an evaluation or prediction that are run by one call at most: they have sums of their own
MOST_BLOCKS = 256

# Shares for each thread, where the work is large enough: one that is held up leaves the rest to others.
SHARES_A_THREAD = 4
# A share of fewer rows would spend its time on making panels of w^T.
ROWS_A_SHARE = 96

# compiled calls after which a team that was slower than its leader alone is tried again
CALLS_ALONE = 8


class Pace:
    """The seconds of a step, alone and with helpers, as measured by the calls of a run. It decides no bit."""

    def __init__(self) -> None:
        self._alone: float | None = None
        self._rest = 0

    def threads(self, team: int) -> int:
        """Return how many threads of a team should do the next call; the first one measures the leader alone."""
        if team == 1 or self._alone is None:
            return 1
        if self._rest:
            self._rest -= 1
            return 1
        return team

    def record(self, threads: int, seconds: float) -> None:
        """Take note of a call with so many threads that took so many seconds a step."""
        if threads == 1:
            self._alone = seconds
        elif self._alone is not None and seconds > self._alone:
            self._rest = CALLS_ALONE


def threads_for(shares: int, by_step: float, flops: float) -> int:
    """Return how many threads to use: for so many shares, as a step has work for, for a run of so many flops."""
    if JIT_DISABLED:
        return 1
    return int(max(1, min(get_num_threads(), shares, by_step, flops / FLOPS_A_THREAD_AND_RUN)))


def item_shares(items: int, threads: int) -> int:
    """Return how many shares work on items of parameters has."""
    return 1 if threads == 1 else min(items, SHARES_A_THREAD * threads)


def row_shares(rows: int, cut: Cut, threads: int) -> int:
    """Return how many shares training on so many rows has."""
    if threads == 1:
        return 1
    most = max(threads, min(SHARES_A_THREAD * threads, rows // ROWS_A_SHARE))
    return cut.shards or min(-(-rows // cut.piece), most)
