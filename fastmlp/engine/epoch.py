"""The compiled loops: steps of training and evaluation, interpreting a plan, by one or more threads.

One entry serves both, so that a process compiles or loads the engine once. A call runs without the GIL
and without an allocation; Python may look up between calls. Neither the split into calls nor the number of
threads changes a bit: work is cut by shape alone, and sums over rows are added piece by piece in their order.

One thread leads. For each phase it publishes a command, whose work is cut into shares; every thread takes shares
until none is left, and the leader goes on when all are done. Nobody waits for a thread that has taken nothing: a
helper may come late, or sleep because the processor has other programs to run.
"""

import numpy as np

from ..kernels.atomics import SPINS, Words, atomic_add, atomic_load, atomic_store, atomic_swap, relax
from ..kernels.denormals import flush_denormals, restore_denormals
from ..kernels.extension import Pack, pack
from ..kernels.gemm import padded_rows
from ..kernels.jit import entry, kernel
from ..kernels.meeting import END, call_meeting
from .interruption import given_up
from .parameters import (
    change_from_whole,
    change_parameters,
    constrain_share,
    make_factors,
    scale_by_norms,
    shard_rows,
    whole_gradients,
)
from .rows import extend, forward, gather, item_gradient, judge, train_rows
from .tables import (
    ALL_ROWS,
    ARRIVED,
    AT,
    BATCH_SIZE,
    BATCH_STATISTICS,
    BLOCK,
    CONSTRAINED,
    DIVERGED,
    DRAWS,
    EVALUATE,
    FIRST_STEP,
    IN_ORDER,
    ITEM_SHARES,
    ITERATION,
    JOINED,
    LAST_STEP,
    LOOK_AFTER,
    LOOK_AT,
    LOSS_SUM,
    MEETING_AT,
    MET_FINITE,
    MET_PIECES,
    METRIC_SUMS,
    MODE,
    NOWHERE,
    PENALISED,
    PENALTY,
    PIECE,
    PIECE_LOSS,
    PIECE_METRICS,
    PLACE,
    QUEUE_WORDS,
    QUEUES,
    ROW_SHARES,
    ROW_SUM,
    SAMPLES,
    SHARDS,
    SHORT_ALL_ROWS,
    SHORT_PLACE,
    SHORT_ROWS,
    SHORT_STEP,
    STOPPED,
    THREADS,
    TOLD_PIECES,
    TRAIN,
    WHOLE,
    Data,
    Float64,
    Int64,
    Network,
    Objective,
    Update,
    Workspace,
)

# A command is one word, so that nobody reads half of it: the step, the kind of work, and the next share that
# nobody has taken. Step and kind occur once in a run, so a share can only be taken of what is going on.
# Each thread has a queue, such a word of its own. What it finds there is the same part of the rows and of the
# parameters in every step, which are in its core's cache therefore: what another core has written comes more slowly.
# SHARE_ROWS comes last: the segments of a step's rows count on from it.
FINISH, SHARE_ITEMS, SHARE_WHOLE_ITEMS, SHARE_CONSTRAINTS, SHARE_OWN_ITEMS, SHARE_BLOCKS, SHARE_ROWS = range(1, 8)
SHARE_BITS, KIND_BITS = 24, 14
SHARE_MASK, KIND_MASK = (1 << SHARE_BITS) - 1, (1 << KIND_BITS) - 1
FINISHED = FINISH << SHARE_BITS

# A leader that waits looks up after so many spins, which are yields by then.
SPINS_A_LOOK = 64


@kernel
def batch_of(job: Int64, step: int) -> tuple[int, int, int]:
    """How many rows of a step are here, how many there are in all processes, and how many of those come before."""
    if job[MEETING_AT] == NOWHERE:
        rows = min(job[BATCH_SIZE], job[SAMPLES] - step * job[BATCH_SIZE])
        return rows, rows, 0
    if step == job[SHORT_STEP]:
        return job[SHORT_ROWS], job[SHORT_ALL_ROWS], job[SHORT_PLACE]
    return job[BATCH_SIZE], job[ALL_ROWS], job[PLACE]


@kernel
def shares_of(kind: int) -> int:
    """Which of the job's numbers is that of the shares of a command's work."""
    return ITEM_SHARES if kind < SHARE_BLOCKS else ROW_SHARES


@kernel
def publish(job: Int64, sync: Words, command: int, shares: int) -> None:
    """Give every thread its part of a command's shares, next to each other and the same for each such command."""
    threads = job[THREADS]
    for rank in range(threads):
        atomic_store(sync, QUEUES + rank * QUEUE_WORDS, command + -(-shares * rank // threads))


@kernel
def share_rows(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    rank: int,
    share: int,
    shares: int,
    step: int,
    segment: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """A share of a segment of a step's rows: whole pieces next to each other, or a shard with its gradients."""
    start = step * job[BATCH_SIZE]
    own, batch, place = batch_of(job, step)
    pieces = -(-own // job[PIECE])
    if job[SHARDS] == 0:
        low, high = pieces * share // shares * job[PIECE], min(pieces * (share + 1) // shares * job[PIECE], own)
        for first in range(low, high, job[BLOCK]):
            if given_up(job, rank, 0):
                return
            train_rows(
                network, space, objective, data, job, rank, start, first, first, min(job[BLOCK], high - first), batch,
                place, segment, frame, whole,
            )  # fmt: skip
        return
    for shard in range(job[SHARDS] * share // shares, job[SHARDS] * (share + 1) // shares):
        low, high = shard_rows(job, shard, own, batch, place)
        for first in range(low, high, job[BLOCK]):
            slab, rows = rank * job[BLOCK], min(job[BLOCK], high - first)
            if given_up(job, rank, 0):
                return
            train_rows(
                network, space, objective, data, job, rank, start, first, slab, rows, batch, place, 0, frame, whole
            )
            for index in range(network.items.shape[0]):
                item_gradient(
                    network, space, job, index, slab, rows, update.gradients,
                    shard * network.parameters.size + network.items[index, AT], first > low,
                )  # fmt: skip


@kernel
def share_block(
    network: Network,
    space: Workspace,
    objective: Objective,
    data: Data,
    job: Int64,
    rank: int,
    block: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """A share of an evaluation: one block."""
    first = job[FIRST_STEP] * job[BATCH_SIZE] + block * job[BLOCK]
    rows = min(job[BLOCK], min(job[LAST_STEP] * job[BATCH_SIZE], job[SAMPLES]) - first)
    slab = rank * job[BLOCK]
    gather(network, space, data, job, first, slab, rows)
    forward(network, space, job, 0, network.stages.shape[0], rank, 0, slab, padded_rows(rows), False, frame)
    if given_up(job, rank, 0):
        return
    judge(network, space, objective, data, job, rank, first, slab, rows, rows, block, frame, whole)


@kernel
def do_share(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    rank: int,
    kind: int,
    step: int,
    share: int,
    shares: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """Do one share of a command's work."""
    if kind >= SHARE_ROWS:
        share_rows(
            network,
            space,
            objective,
            update,
            data,
            job,
            rank,
            share,
            shares,
            step,
            kind - SHARE_ROWS,
            frame,
            whole,
        )
    elif kind == SHARE_BLOCKS:
        share_block(network, space, objective, data, job, rank, share, frame, whole)
    elif kind == SHARE_WHOLE_ITEMS:
        change_from_whole(network, update, job, rank, share, shares, whole)
    elif kind == SHARE_CONSTRAINTS:
        constrain_share(network, rank, share, shares, frame)
    else:
        rows, batch, place = batch_of(job, step)
        if job[WHOLE]:
            finished = kind == SHARE_ITEMS
            begun = finished and job[MEETING_AT] != NOWHERE
            whole_gradients(
                network, space, update, job, rank, share, shares, rows, batch, place, begun, finished, whole
            )
        else:
            change_parameters(network, space, update, job, rank, share, shares, batch, whole)


@kernel
def take_shares(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sync: Words,
    rank: int,
    command: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """Do a thread's own shares of a command, and then those that others have not come to."""
    kind, step = command >> SHARE_BITS & KIND_MASK, job[FIRST_STEP] + (command >> (SHARE_BITS + KIND_BITS))
    shares, threads = job[shares_of(kind)], job[THREADS]
    for place in range(rank, rank + threads):
        owner = place % threads
        queue, end = QUEUES + owner * QUEUE_WORDS, -(-shares * (owner + 1) // threads)
        word = atomic_load(sync, queue)
        while word >> SHARE_BITS == command >> SHARE_BITS and word & SHARE_MASK < end:
            if atomic_swap(sync, queue, word, word + 1):
                share = int(word & SHARE_MASK)
                do_share(network, space, objective, update, data, job, rank, kind, step, share, shares, frame, whole)
                atomic_add(sync, ARRIVED, 1)
            word = atomic_load(sync, queue)


@kernel
def work_off(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sync: Words,
    kind: int,
    step: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """Lead one command: publish it, take shares with the others, and wait until all are done."""
    shares = job[shares_of(kind)]
    if job[THREADS] == 1:
        for share in range(shares):
            do_share(network, space, objective, update, data, job, 0, kind, step, share, shares, frame, whole)
        return
    atomic_store(sync, ARRIVED, 0)
    command = ((step - job[FIRST_STEP]) << KIND_BITS | kind) << SHARE_BITS
    publish(job, sync, command, shares)
    take_shares(network, space, objective, update, data, job, sync, 0, command, frame, whole)
    spins = 0
    while atomic_load(sync, ARRIVED) < shares:
        spins = relax(spins)
        if spins > SPINS and spins % SPINS_A_LOOK == 0:
            given_up(job, 0, job[LOOK_AFTER])


@kernel
def leave_step(job: Int64, step: int) -> None:
    """Have a step not been made: its noise is drawn again, and the call ends before it."""
    job[DRAWS] -= 1
    job[LAST_STEP] = step


@kernel
def stopped(job: Int64, step: int) -> bool:
    """Say whether the step was given up; then it has not been made."""
    if job[LOOK_AT] == NOWHERE or not atomic_load(job, STOPPED):
        return False
    leave_step(job, step)
    return True


@kernel
def assist(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sync: Words,
    frame: Pack,
    whole: Pack,
) -> None:
    """Take shares of whatever the leader publishes, until it says to finish."""
    rank = 1 + atomic_add(sync, JOINED, 1)
    command = np.int64(0)
    spins = 0
    while True:
        word = atomic_load(sync, QUEUES + rank * QUEUE_WORDS) & ~SHARE_MASK
        if word == FINISHED:
            return
        if word == command:
            spins = relax(spins)
        else:
            command = word
            take_shares(network, space, objective, update, data, job, sync, rank, command, frame, whole)
            spins = 0


@kernel
def add_pieces(pieces: Float64, sums: Float64, count: int) -> None:
    """Add the sums of pieces to an epoch's, in order."""
    for piece in range(count):
        part = pieces[piece]
        sums[LOSS_SUM] += part[PIECE_LOSS]
        for i in range(PIECE_METRICS, part.size):
            sums[METRIC_SUMS + i - PIECE_METRICS] += part[i]


@kernel
def meet_statistics(job: Int64, segment: int, batch: int) -> bool:
    """Get the statistics of pieces in other processes after a segment; False ends the epoch before the step."""
    if job[MEETING_AT] == NOWHERE:
        return True
    pieces = -(-batch // job[PIECE])
    job[MET_PIECES] = pieces if segment == 1 else -pieces
    answer = call_meeting(job[MEETING_AT])
    job[MET_PIECES] = 0
    return bool(answer != END)


@kernel
def meet(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sync: Words,
    step: int,
    frame: Pack,
    whole: Pack,
) -> bool:
    """Make the rows' gradients here and have them added to those of other processes; False ends the epoch before.

    In order, the processes take turns: each goes on from the gradients and sums of the one before.
    """
    rows, _, _ = batch_of(job, step)
    if job[IN_ORDER] and call_meeting(job[MEETING_AT]):
        return False
    work_off(network, space, objective, update, data, job, sync, SHARE_OWN_ITEMS, step, frame, whole)
    if job[LOOK_AT] != NOWHERE and atomic_load(job, STOPPED):
        return False
    job[TOLD_PIECES] = -(-rows // job[PIECE])
    return bool(call_meeting(job[MEETING_AT]) != END)


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
    frame: Pack,
    whole: Pack,
) -> None:
    """Lead the steps ``FIRST_STEP`` to ``LAST_STEP``; a loss that is not finite ends them, parameters untouched.

    So does a step that is given up, which then has not been made. With ``GRADIENTS`` a step leaves the whole gradients
    in ``update``, whatever the loss, and changes nothing else.
    """
    changes = job[MODE] == TRAIN
    for step in range(job[FIRST_STEP], job[LAST_STEP]):
        rows, batch, _ = batch_of(job, step)
        pieces = -(-rows // job[PIECE])
        job[DRAWS] += 1
        for segment in range(2 * network.barriers.size + 1):
            if segment:
                if not meet_statistics(job, segment, batch):
                    leave_step(job, step)
                    return
                every = -(-batch // job[PIECE])
                extend(network.extension[0], frame, BATCH_STATISTICS, segment - 1, 0, job[PIECE], every, batch, True)
            work_off(network, space, objective, update, data, job, sync, SHARE_ROWS + segment, step, frame, whole)
            if stopped(job, step):
                return
        loss = np.float64(0)
        for piece in range(pieces):
            loss += space.sums[piece, PIECE_LOSS]
        if job[MEETING_AT] != NOWHERE:
            if not meet(network, space, objective, update, data, job, sync, step, frame, whole):
                leave_step(job, step)
                return
            loss = np.float64(update.gradients[(job[SHARDS] + 1) * network.parameters.size + MET_FINITE])
        if changes and not np.isfinite(loss):
            sums[DIVERGED] = 1
            return
        if changes:
            job[ITERATION] += 1
            make_factors(update, job, whole)
        work_off(network, space, objective, update, data, job, sync, SHARE_ITEMS, step, frame, whole)
        if job[WHOLE] and update.accumulated.size == 0 and stopped(job, step):
            if changes:
                job[ITERATION] -= 1
            return
        if changes and job[WHOLE]:
            scale_by_norms(job, whole)
            work_off(network, space, objective, update, data, job, sync, SHARE_WHOLE_ITEMS, step, frame, whole)
        if changes and job[CONSTRAINED]:
            work_off(network, space, objective, update, data, job, sync, SHARE_CONSTRAINTS, step, frame, whole)
        if job[MEETING_AT] == NOWHERE:
            add_pieces(space.sums, sums, pieces)
        sums[ROW_SUM] += batch
        if job[PENALISED]:
            for index in range(update.item_sums.shape[0]):
                sums[LOSS_SUM] += update.item_sums[index, PENALTY] * batch


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
    sync : int64 buffer
        New words, the same for the leader and its helpers, and anew for each run.
    helper : bool
        Whether this thread helps; it returns when the leader has finished.
    """
    frame, whole = pack((network, space, job)), pack((network, space, objective, update, job))
    state = flush_denormals()
    if helper:
        assist(network, space, objective, update, data, job, sync, frame, whole)
    elif job[MODE] != EVALUATE:
        train(network, space, objective, update, data, job, sums, sync, frame, whole)
    else:
        work_off(network, space, objective, update, data, job, sync, SHARE_BLOCKS, job[FIRST_STEP], frame, whole)
        rows = min(job[LAST_STEP] * job[BATCH_SIZE], job[SAMPLES]) - job[FIRST_STEP] * job[BATCH_SIZE]
        add_pieces(space.sums, sums, -(-rows // job[BLOCK]))
        sums[ROW_SUM] += rows
    if not helper:
        publish(job, sync, FINISHED, 0)
    restore_denormals(state)
