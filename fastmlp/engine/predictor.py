"""Predictions of a plan: any number of threads may ask at once, and few rows cost little beside their arithmetic."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..inputs import floats
from ..kernels import memory
from ..kernels.atomics import SPINS, atomic_add, atomic_load, relax
from ..kernels.extension import pack
from ..kernels.gemm import padded_rows
from ..kernels.jit import entry, machine_code
from ..kernels.lanes import copy_row
from ..rows import Rows
from ..threads import Team
from . import tables as t
from .epoch import SPINS_A_LOOK
from .feed import NO_ORDER, Feed, read_only
from .interruption import begin_looking, given_up, new_job
from .pace import FLOPS_A_SECOND, MOST_BLOCKS, SECONDS_A_CALL, SHORTEST, WORK_A_LOOK, threads_for
from .plan import Plan
from .rows import activate, compact, forward
from .state import NOTHING
from .tables import (
    ARRIVED,
    BLOCK,
    CAPACITY,
    JOINED,
    LEFT_STRIDE,
    LOOK_AFTER,
    NEXT,
    OUT,
    OUT_STRIDE,
    PACK_ROOM,
    UNITS,
    Float32,
    Int64,
    Network,
    Workspace,
)
from .turns import Turns
from .workspace import cut_batch, prediction_space


@entry
def predict_rows(
    network: Network, space: Workspace, x: Float32, job: Int64, out: Float32, sync: Int64, helper: bool
) -> None:
    """Fill the outputs of all rows, block by block; every thread takes blocks until there are none.

    One thread leads, and returns when all blocks are done. A helper returns as soon as there is nothing to take.

    Parameters
    ----------
    space : Workspace
        Slabs of ``CAPACITY`` rows, ``BLOCK`` of them for each thread.
    x : float32 (n, K)
        Features.
    job : int64 (JOB_FIELDS,)
        How the rows are cut.
    out : float32 (n, N), flat
        Overwritten.
    sync : int64 buffer
        New words.
    """
    last = network.stages.shape[0] - 1
    stage = network.stages[last]
    stride, features, units = network.stages[0, LEFT_STRIDE], x.shape[1], stage[UNITS]
    activations, frame = space.rows, pack((network, space, job))
    rank = 1 + atomic_add(sync, JOINED, 1) if helper else 0
    slab, capacity = rank * job[BLOCK], job[CAPACITY]
    blocks = -(-x.shape[0] // job[BLOCK])
    block = atomic_add(sync, NEXT, 1)
    while block < blocks:
        first = block * job[BLOCK]
        rows = min(job[BLOCK], x.shape[0] - first)
        for row in range(rows):
            copy_row(x[first + row], 0, features, activations, (slab + row) * stride, features)
        padded = padded_rows(rows)
        forward(network, space, job, 0, last + 1, rank, 0, slab, padded, False, frame)
        if not given_up(job, rank, 0):
            activate(network, activations, activations, capacity, last, slab, padded, False, frame)
            compact(
                activations, stage[OUT] * capacity + slab * stage[OUT_STRIDE], stage[OUT_STRIDE], rows, units,
                out[first * units : (first + rows) * units],
            )  # fmt: skip
        atomic_add(sync, ARRIVED, 1)
        block = atomic_add(sync, NEXT, 1)
    if not helper:
        spins = 0
        while atomic_load(sync, ARRIVED) < blocks:
            spins = relax(spins)
            if spins > SPINS and spins % SPINS_A_LOOK == 0:
                given_up(job, 0, job[LOOK_AFTER])


class _Context(NamedTuple):
    """What one prediction at a time works with."""

    space: Workspace
    job: Int64
    sync: Int64


class Predictor:
    """Outputs of a plan's network for rows of features.

    Parameters
    ----------
    plan : Plan
        The model's tables.
    turns : Turns
        Which parameters are read: as they are at the time, or while another thread trains, as they were before the
        present epoch.
    """

    def __init__(self, plan: Plan, turns: Turns) -> None:
        self._plan, self._turns = plan, turns
        self._block = cut_batch(plan, MOST_BLOCKS, training=False).block
        # more rows may take longer than a call should
        self._short_rows = SECONDS_A_CALL * FLOPS_A_SECOND / max(1, plan.forward_flops)
        self._contexts: list[_Context] = []
        # its machine code after the first call
        self._predict_rows = predict_rows
        self._called = False

    def __call__(self, x: Rows, watch: Callable[[int], None] | None = None) -> Float32:
        """Return the outputs (n, N) for checked features (n, K) of any real dtype and layout.

        ``watch`` is called with the rows that are done, now and then.
        """
        rows = len(x)
        out = memory.empty((rows, self._plan.units))
        if 0 < rows <= self._block:
            # taking from and adding to a list are atomic, so nobody else has this context meanwhile
            context = self._contexts.pop() if self._contexts else self._make_context(1)
            space, job, sync = context
            sync[NEXT] = sync[ARRIVED] = 0
            x = read_only(floats(x))
            # nobody else is late in such a call, so the job stays as it was
            looking = begin_looking(job, WORK_A_LOOK, long=True) if rows > self._short_rows else None
            with self._turns.reading() as network:
                self._predict_rows(network, space, x, job, out.reshape(-1), sync, False)
            if looking is not None:
                looking.raise_error()
                begin_looking(job, 0, long=False)
            if not self._called:
                self._predict_rows, self._called = machine_code(predict_rows), True
            self._contexts.append(context)
            if watch is not None:
                watch(rows)
        elif rows:
            with self._turns.reading() as network:
                self._predict_blocks(network, x, out, watch)
        if self._plan.custom:
            self._plan.raise_error(finite=bool(np.isfinite(out).all()))
        return out

    def _predict_blocks(self, network: Network, x: Rows, out: Float32, watch: Callable[[int], None] | None) -> None:
        """Fill ``out`` with the outputs of many rows, in threads where that pays."""
        block = self._block
        feed = Feed(x, np.empty((len(x), 0), np.float32), NOTHING)
        longest = MOST_BLOCKS * block if feed.direct else max(1, feed.block // block) * block
        threads = threads_for(-(-min(longest, len(x)) // block), np.inf, self._plan.forward_flops * len(x))
        seconds_a_block = block * self._plan.forward_flops / FLOPS_A_SECOND + 1e-6
        first = 0
        with Team(threads) as team:
            space, job, _ = self._make_context(team.size)
            while first < len(x):
                blocks = max(team.size, int(SECONDS_A_CALL / seconds_a_block))
                last = min(first + min(longest, blocks * block), len(x))
                begun = time.perf_counter()
                rows = feed.data(NO_ORDER, first, last)[0].x
                part = read_only(rows[first:last]) if feed.direct else rows
                # words of their own for each call: a helper may come late
                work = (
                    network, space, part, job, out[first:last].reshape(-1), t.new_words(team.size),
                )  # fmt: skip
                looking = begin_looking(job, WORK_A_LOOK, long=seconds_a_block > SECONDS_A_CALL)
                with team.helping(predict_rows, (*work, True), team.size - 1):
                    predict_rows(*work, False)
                if looking is not None:
                    looking.raise_error()
                seconds_a_block = max(SHORTEST, time.perf_counter() - begun) / -(-(last - first) // block)
                first = last
                if watch is not None:
                    watch(last)

    def _make_context(self, threads: int) -> _Context:
        space = prediction_space(self._plan, self._block * threads, threads)
        self._plan.prepare(space)
        job = new_job()
        job[BLOCK], job[CAPACITY], job[PACK_ROOM] = self._block, self._block * threads, self._plan.pack_floats
        return _Context(space, job, t.new_words(1))
