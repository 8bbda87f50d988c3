"""Predictions of a plan: any number of threads may ask at once, and few rows cost little beside their arithmetic."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..threads import Team
from . import tables as t
from .epoch import NEXT, SYNC_WORDS, run_steps
from .feed import NO_ORDER, Feed, read_only
from .plan import Plan
from .session import MOST_BLOCKS, NOTHING, UNCHANGED, UNJUDGED, threads_for
from .workspace import cut_batch, make_workspace

NO_TARGETS = read_only(np.empty((0, 0), np.float32))
NO_WEIGHTS = read_only(np.empty(0, np.float32))


class _Context(NamedTuple):
    """What one prediction at a time works with."""

    space: t.Workspace
    job: t.Int64
    sums: t.Float64
    sync: t.Int64


class Predictor:
    """Outputs of a plan's network for rows of features.

    Parameters
    ----------
    plan : Plan
        The model's tables and parameters, which are read as they are at the time.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cut = cut_batch(plan, MOST_BLOCKS, training=False)
        self._contexts: list[_Context] = []

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (n, N) for checked features (n, K) of any real dtype and layout."""
        rows, units = x.shape[0], self._plan.units
        out = np.empty((rows, units), np.float32)
        flat = out.reshape(-1)
        if 0 < rows <= self._cut.block:
            data = t.Data(read_only(np.ascontiguousarray(x, np.float32)), NO_TARGETS, NO_WEIGHTS, NO_ORDER)
            # taking from and adding to a list are atomic, so nobody else has this context meanwhile
            context = self._contexts.pop() if self._contexts else self._make_context(1)
            self._run(context, data, 0, 1, rows, 0, flat, None)
            self._contexts.append(context)
        elif rows:
            self._predict_blocks(x, flat)
        return out

    def _predict_blocks(self, x: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Fill ``out`` with the outputs of many rows, in threads where that pays."""
        block = self._cut.block
        feed = Feed(x, np.empty((len(x), 0), np.float32), NOTHING)
        steps = -(-len(x) // block)
        longest = min(MOST_BLOCKS, steps if feed.direct else max(1, feed.block // block))
        threads = threads_for(min(longest, steps), np.inf, self._plan.forward_flops * len(x))
        with Team(threads) as team:
            context = self._make_context(team.size)
            for step in range(0, steps, longest):
                stop = min(step + longest, steps)
                data, origin = feed.data(NO_ORDER, step * block, min(stop * block, len(x)))
                self._run(context, data, step, stop, len(x), origin, out, team)

    def _make_context(self, threads: int) -> _Context:
        cut = self._cut
        space, capacity = make_workspace(
            self._plan, cut, cut.block, 0, 0, threads=threads, training=False, weighted=False, pieces=0
        )
        job = np.zeros(t.JOB_FIELDS, np.int64)
        job[t.MODE], job[t.BATCH_SIZE], job[t.BLOCK], job[t.PIECE] = t.PREDICT, cut.block, cut.block, cut.piece
        job[t.CAPACITY], job[t.THREADS] = capacity, threads
        return _Context(space, job, np.zeros(t.METRIC_SUMS), np.zeros(SYNC_WORDS, np.int64))

    def _run(
        self,
        context: _Context,
        data: t.Data,
        step: int,
        stop: int,
        rows: int,
        origin: int,
        out: NDArray[np.float32],
        team: Team | None,
    ) -> None:
        """Fill the rows of the blocks ``step`` to ``stop``."""
        space, job, sums, sync = context
        job[t.FIRST_STEP], job[t.LAST_STEP], job[t.SAMPLES], job[t.ORIGIN] = step, stop, rows, origin
        if team is not None and team.size > 1:
            # a helper that comes late must not find the words of the next call
            sync = np.zeros(SYNC_WORDS, np.int64)
        else:
            sync[NEXT] = 0
        network = self._plan.network
        if team is not None:
            work = (network, space, UNJUDGED, UNCHANGED, data, job, sums, out, sync, True)
            team.help(run_steps, work, team.size - 1)
        run_steps(network, space, UNJUDGED, UNCHANGED, data, job, sums, out, sync, False)
