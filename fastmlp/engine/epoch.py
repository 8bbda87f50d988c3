"""The compiled loops: steps of training and evaluation, interpreting a plan, by one or more threads.

One entry serves both, so that a process compiles or loads the engine once. A call runs without the GIL
and without an allocation; Python may look up between calls. Neither the split into calls nor the number of
threads changes a bit: work is cut by shape alone, and sums over rows are added piece by piece in their order.

Rank 0 leads. Before each phase it publishes one word that says what to do, and afterwards it waits until all of
its team have arrived; what one thread has to do for all happens in between. A helper may come late: it is
counted in from the next phase on, and until then the leader works without it.
"""

import numpy as np

from ..kernels.atomics import Words, atomic_add, atomic_load, atomic_store, relax
from ..kernels.gemm import padded_rows
from ..kernels.jit import entry, kernel
from ..optimizers import step_factors
from .parameters import PENALTY, change_by_norm, change_parameters, norms_to_factors, shard_pieces, whole_gradients
from .rows import forward, gather, item_gradient, judge, train_rows
from .tables import (
    ARRIVED,
    AT,
    BATCH_SIZE,
    BLOCK,
    BY_NORM,
    CAPACITY,
    CLIPS,
    COMMAND,
    DIVERGED,
    FIRST_STEP,
    ITERATION,
    JOINED,
    LAST_STEP,
    LOSS_SUM,
    METRIC_SUMS,
    MODE,
    NEXT,
    OPTIMIZER,
    PENALISED,
    PIECE,
    PIECE_LOSS,
    PIECE_METRICS,
    ROW_SUM,
    SAMPLES,
    SHARDS,
    THREADS,
    TRAIN,
    Data,
    Float64,
    Int64,
    Network,
    Objective,
    Update,
    Workspace,
)

# A command is one word, so that nobody reads half of it: a kind, the size of the team, the step, and a number
# that no two neighbouring commands share.
FINISH, SHARE_ROWS, SHARE_ITEMS, SHARE_SCALED_ITEMS, SHARE_BLOCKS = range(5)
KIND_BITS, TEAM_BITS, STEP_BITS = 4, 12, 32
LARGEST_TEAM = (1 << TEAM_BITS) - 1


@kernel
def publish(sync: Words, kind: int, team: int, step: int) -> None:
    """Tell the helpers what comes; only the leader does."""
    number = ((atomic_load(sync, COMMAND) >> (KIND_BITS + TEAM_BITS + STEP_BITS)) + 1) & 0x7FFF
    atomic_store(sync, ARRIVED, 0)
    word = ((number << STEP_BITS | step) << TEAM_BITS | team) << KIND_BITS | kind
    atomic_store(sync, COMMAND, word)


@kernel
def await_team(sync: Words, team: int) -> None:
    """Wait until all helpers of the team have finished what was published."""
    spins = 0
    while atomic_load(sync, ARRIVED) < team - 1:
        spins = relax(spins)


@kernel
def team_size(sync: Words, job: Int64) -> int:
    """How many threads can take part in what is published next."""
    return min(job[THREADS], 1 + atomic_load(sync, JOINED)) if job[THREADS] > 1 else 1


@kernel
def share_rows(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    rank: int,
    team: int,
    step: int,
) -> None:
    """One thread's rows of a step: whole pieces next to each other, or whole shards with their gradients."""
    start = step * job[BATCH_SIZE]
    batch = min(job[BATCH_SIZE], job[SAMPLES] - start)
    pieces = -(-batch // job[PIECE])
    if job[SHARDS] == 0:
        low, high = pieces * rank // team * job[PIECE], min(pieces * (rank + 1) // team * job[PIECE], batch)
        for first in range(low, high, job[BLOCK]):
            train_rows(
                network, space, objective, data, job, rank, start, first, first, min(job[BLOCK], high - first), batch
            )
        return
    for shard in range(job[SHARDS] * rank // team, job[SHARDS] * (rank + 1) // team):
        low_piece, high_piece = shard_pieces(shard, job[SHARDS], pieces)
        low, high = low_piece * job[PIECE], min(high_piece * job[PIECE], batch)
        for first in range(low, high, job[BLOCK]):
            slab, rows = rank * job[BLOCK], min(job[BLOCK], high - first)
            train_rows(network, space, objective, data, job, rank, start, first, slab, rows, batch)
            for index in range(network.items.shape[0]):
                item_gradient(
                    network, space, job, index, slab, rows, update.gradients,
                    shard * network.parameters.size + network.items[index, AT], first > low,
                )  # fmt: skip


@kernel
def share_blocks(
    network: Network,
    space: Workspace,
    objective: Objective,
    data: Data,
    job: Int64,
    sync: Words,
    rank: int,
) -> None:
    """One thread's part of an evaluation: blocks that nobody has taken yet, one after the other."""
    slab, begin = rank * job[BLOCK], job[FIRST_STEP] * job[BATCH_SIZE]
    end = min(job[LAST_STEP] * job[BATCH_SIZE], job[SAMPLES])
    block = atomic_add(sync, NEXT, 1)
    while begin + block * job[BLOCK] < end:
        first = begin + block * job[BLOCK]
        rows = min(job[BLOCK], end - first)
        padded = min(padded_rows(rows), job[CAPACITY] - slab)
        gather(network, space, data, job, first, slab, rows)
        forward(network, space.rows, space.slopes, job[CAPACITY], slab, padded, False)
        judge(network, space, objective, data, job, rank, first, slab, rows, rows, block)
        block = atomic_add(sync, NEXT, 1)


@kernel
def add_pieces(space: Workspace, sums: Float64, pieces: int) -> None:
    """Add the sums of pieces to an epoch's, in order."""
    for piece in range(pieces):
        part = space.sums[piece]
        sums[LOSS_SUM] += part[PIECE_LOSS]
        for i in range(PIECE_METRICS, part.size):
            sums[METRIC_SUMS + i - PIECE_METRICS] += part[i]


@kernel
def train(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sums: Float64,
    sync: Words,
) -> None:
    """Lead the steps ``FIRST_STEP`` to ``LAST_STEP``; a loss that is not finite ends them, parameters untouched."""
    for step in range(job[FIRST_STEP], job[LAST_STEP]):
        batch = min(job[BATCH_SIZE], job[SAMPLES] - step * job[BATCH_SIZE])
        pieces = -(-batch // job[PIECE])
        team = team_size(sync, job)
        if team > 1:
            publish(sync, SHARE_ROWS, team, step)
        share_rows(network, space, objective, update, data, job, 0, team, step)
        await_team(sync, team)
        loss = np.float64(0)
        for piece in range(pieces):
            loss += space.sums[piece, PIECE_LOSS]
        if not np.isfinite(loss):
            sums[DIVERGED] = 1
            return
        job[ITERATION] += 1
        step_factors(job[OPTIMIZER], update.settings, job[ITERATION], update.factors)
        team = team_size(sync, job)
        if team > 1:
            publish(sync, SHARE_ITEMS, team, step)
        share_items(network, space, update, job, 0, team, step)
        await_team(sync, team)
        if job[CLIPS] >= BY_NORM:
            norms_to_factors(network, update, job)
            if team > 1:
                publish(sync, SHARE_SCALED_ITEMS, team, step)
            change_by_norm(network, update, job, 0, team)
            await_team(sync, team)
        add_pieces(space, sums, pieces)
        sums[ROW_SUM] += batch
        if job[PENALISED]:
            for index in range(update.item_sums.shape[0]):
                sums[LOSS_SUM] += update.item_sums[index, PENALTY] * batch


@kernel
def share_items(
    network: Network, space: Workspace, update: Update, job: Int64, rank: int, team: int, step: int
) -> None:
    """One thread's items of a step."""
    batch = min(job[BATCH_SIZE], job[SAMPLES] - step * job[BATCH_SIZE])
    if job[CLIPS] >= BY_NORM:
        whole_gradients(network, space, update, job, rank, team, batch)
    else:
        change_parameters(network, space, update, job, rank, team, batch)


@kernel
def sweep(
    network: Network,
    space: Workspace,
    objective: Objective,
    data: Data,
    job: Int64,
    sums: Float64,
    sync: Words,
) -> None:
    """Lead an evaluation of the rows of the steps ``FIRST_STEP`` to ``LAST_STEP``."""
    team = team_size(sync, job)
    if team > 1:
        publish(sync, SHARE_BLOCKS, team, 0)
    share_blocks(network, space, objective, data, job, sync, 0)
    await_team(sync, team)
    rows = min(job[LAST_STEP] * job[BATCH_SIZE], job[SAMPLES]) - job[FIRST_STEP] * job[BATCH_SIZE]
    add_pieces(space, sums, -(-rows // job[BLOCK]))
    sums[ROW_SUM] += rows


@kernel
def assist(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sync: Words,
) -> None:
    """Do a helper's part of what the leader publishes, until it says to finish."""
    before = atomic_load(sync, COMMAND)
    rank = 1 + atomic_add(sync, JOINED, 1)
    spins = 0
    while True:
        word = atomic_load(sync, COMMAND)
        kind = word & ((1 << KIND_BITS) - 1)
        team = (word >> KIND_BITS) & LARGEST_TEAM
        if word == before:
            if word != 0 and kind == FINISH:
                return
            spins = relax(spins)
            continue
        before = word
        spins = 0
        if kind == FINISH:
            return
        if rank < team:
            step = (word >> (KIND_BITS + TEAM_BITS)) & ((1 << STEP_BITS) - 1)
            if kind == SHARE_ROWS:
                share_rows(network, space, objective, update, data, job, rank, team, step)
            elif kind == SHARE_ITEMS:
                share_items(network, space, update, job, rank, team, step)
            elif kind == SHARE_SCALED_ITEMS:
                change_by_norm(network, update, job, rank, team)
            else:
                share_blocks(network, space, objective, data, job, sync, rank)
            atomic_add(sync, ARRIVED, 1)


@entry
def run_steps(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sums: Float64,
    sync: Words,
    helper: bool,
) -> None:
    """Run the steps ``FIRST_STEP`` to ``LAST_STEP`` of an epoch over ``data``, or help with them.

    Parameters
    ----------
    job : int64 (JOB_FIELDS,)
        The numbers of the run; ``ITERATION`` counts on.
    sums : float64 buffer
        Running sums of the epoch; a loss that is not finite sets ``DIVERGED`` and ends the run.
    sync : int64 (SYNC_WORDS,)
        Zeros, the same for the leader and its helpers, and anew for each run.
    helper : bool
        Whether this thread helps; it returns when the leader has finished.
    """
    if helper:
        assist(network, space, objective, update, data, job, sync)
        return
    if job[MODE] == TRAIN:
        train(network, space, objective, update, data, job, sums, sync)
    else:
        sweep(network, space, objective, data, job, sums, sync)
    publish(sync, FINISH, 0, 0)
