"""What happens to parameters: the gradient of each item, penalties, clipping, and the optimizer's step.

Threads share the items. A gradient is made in a small scratch buffer and used up while it is in the cache,
unless all of it is needed first: for clipping by a norm, and in a step so long that it may be given up.
"""

import numpy as np

from ..kernels.extension import Pack, call_extension
from ..kernels.jit import kernel
from ..kernels.sums import sum_of
from ..optimizers.base import LEARNING_RATE
from ..optimizers.table import common_factors, common_optimizer_step
from ..regularizers import penalty_value_and_grad
from .interruption import given_up
from .rows import extend, item_gradient
from .tables import (
    ALL_SHARDS,
    AT,
    BY_NORM,
    CLIPS,
    CONSTRAINT,
    COUNT,
    FIRST_SHARD,
    IN_ORDER,
    ITERATION,
    NOWHERE,
    OPTIMIZER,
    PARTIAL,
    PENALISED,
    PENALTY,
    PIECE,
    SHARDS,
    SQUARED_NORM,
    STAGE_CONSTRAINT,
    UPDATE_FACTORS,
    UPDATE_GRADIENT,
    UPDATE_NORMS,
    UPDATE_PARAMETERS,
    UPDATE_SCALE,
    UPDATES_AT,
    VARIABLE,
    Int64,
    Network,
    Update,
    Workspace,
)

# Floats of neighbouring items that are updated at once: with the weights and Adam's moments of the same place
# they fit a first-level cache.
GROUP = 1536

# Multiply-adds that take as long as the optimizer's part for one parameter, which waits for memory.
PASS = 100


@kernel
def share_of_items(network: Network, share: int, shares: int) -> tuple[int, int]:
    """First and last item of a share: the items in their order, cut where the elements are about even."""
    total = 0
    for item in range(network.items.shape[0]):
        total += network.items[item, COUNT]
    low, high = total * share // shares, total * (share + 1) // shares
    first = last = before = 0
    for item in range(network.items.shape[0]):
        # an item belongs to whom its middle falls
        middle = before + network.items[item, COUNT] // 2
        if middle < low:
            first += 1
        if middle < high:
            last += 1
        before += network.items[item, COUNT]
    return first, last


@kernel
def shard_pieces(shard: int, shards: int, pieces: int) -> tuple[int, int]:
    """First and last piece of a shard."""
    return pieces * shard // shards, pieces * (shard + 1) // shards


@kernel
def shard_rows(job: Int64, shard: int, rows: int, batch: int, place: int) -> tuple[int, int]:
    """First and last row of a shard, of ``rows`` rows here that follow ``place`` others of a batch."""
    before = 0
    if job[IN_ORDER]:
        # the shards of one process with the whole batch, of which some are here
        low, high = shard_pieces(shard + job[FIRST_SHARD], job[ALL_SHARDS], -(-batch // job[PIECE]))
        before = place
    else:
        low, high = shard_pieces(shard, job[SHARDS], -(-rows // job[PIECE]))
    return low * job[PIECE] - before, min(high * job[PIECE] - before, rows)


@kernel
def penalty_factors(network: Network, variable: int, rows: int) -> tuple[np.float32, np.float32]:
    """The factors l1 and l2 of a variable's penalty for a batch of so many rows."""
    l1, l2, _, worth = network.penalties[variable]
    divisor = worth * np.float32(rows) if worth else np.float32(1)
    return l1 / divisor, l2 / divisor


@kernel
def loss_gradient(
    network: Network,
    space: Workspace,
    update: Update,
    job: Int64,
    index: int,
    first: int,
    rows: int,
    batch: int,
    place: int,
) -> None:
    """The gradient of an item for all rows here at ``gradients[first]``; in order it goes on from what is there."""
    item = network.items[index]
    count = item[COUNT]
    if job[SHARDS]:
        target = update.gradients[first : first + count]
        begun = job[IN_ORDER] != 0 and place > 0
        if rows == 0 and not begun:
            target[:] = 0
        for shard in range(job[SHARDS]):
            low, high = shard_rows(job, shard, rows, batch, place)
            if low < high:
                at = shard * network.parameters.size + item[AT]
                part = update.gradients[at : at + count]
                if begun:
                    for i in range(count):
                        target[i] += part[i]
                else:
                    for i in range(count):
                        target[i] = part[i]
                begun = True
    else:
        item_gradient(network, space, job, index, 0, rows, update.gradients, first, job[IN_ORDER] != 0)


@kernel
def update_by_extension(job: Int64, whole: Pack, what: int, at: int, first: int, count: int) -> None:
    """Have the extension of the update do something; see :func:`fastmlp.engine.extensions.run_update`."""
    call_extension(job[UPDATES_AT], whole, (what, at, first, count))


@kernel
def finish_gradient(
    network: Network,
    update: Update,
    job: Int64,
    index: int,
    first: int,
    batch: int,
    whole: Pack,
) -> None:
    """Add an item's penalty, and earlier batches' gradients, to its gradient at ``gradients[first]``."""
    item = network.items[index]
    count = item[COUNT]
    if job[PENALISED]:
        l1, l2 = penalty_factors(network, item[VARIABLE], batch)
        update.item_sums[index, PENALTY] = penalty_value_and_grad(
            l1, l2, network.parameters, item[AT], update.gradients, first, count, True
        )
    if update.accumulated.size:
        update_by_extension(job, whole, UPDATE_GRADIENT, item[AT], first, count)


@kernel
def make_factors(update: Update, job: Int64, whole: Pack) -> None:
    """What the optimizer's settings come to in the present step; one thread for all."""
    if job[UPDATES_AT] != NOWHERE:
        update_by_extension(job, whole, UPDATE_FACTORS, 0, 0, 0)
    else:
        common_factors(job[OPTIMIZER], update.settings, update.settings[LEARNING_RATE], job[ITERATION], update.factors)


@kernel
def apply_gradient(network: Network, update: Update, job: Int64, at: int, first: int, count: int, whole: Pack) -> None:
    """Step the optimizer for ``count`` parameters from ``at``, whose gradients begin at ``first``."""
    if job[UPDATES_AT] != NOWHERE:
        update_by_extension(job, whole, UPDATE_PARAMETERS, at, first, count)
    else:
        common_optimizer_step(
            job[OPTIMIZER], update.factors, network.parameters, at, update.gradients, first, update.slots, count
        )


@kernel
def change_parameters(
    network: Network,
    space: Workspace,
    update: Update,
    job: Int64,
    rank: int,
    share: int,
    shares: int,
    batch: int,
    whole: Pack,
) -> None:
    """Gradients and the optimizer's step for a share of the items, in groups of neighbours."""
    begin, end = share_of_items(network, share, shares)
    room = job[SHARDS] * network.parameters.size + rank * GROUP
    at = count = 0
    for index in range(begin, end):
        item = network.items[index]
        # what is left of so large an update is left undone
        if job[PARTIAL] and given_up(job, rank, (batch + PASS) * item[COUNT]):
            break
        if count and (item[AT] != at + count or count + item[COUNT] > GROUP):
            apply_gradient(network, update, job, at, room, count, whole)
            count = 0
        if not count:
            at = item[AT]
        loss_gradient(network, space, update, job, index, room + count, batch, batch, 0)
        finish_gradient(network, update, job, index, room + count, batch, whole)
        count += item[COUNT]
    if count:
        apply_gradient(network, update, job, at, room, count, whole)


@kernel
def whole_gradients(
    network: Network,
    space: Workspace,
    update: Update,
    job: Int64,
    rank: int,
    share: int,
    shares: int,
    rows: int,
    batch: int,
    place: int,
    begun: bool,
    finished: bool,
    whole: Pack,
) -> None:
    """Gradients of a share of the items at their parameters' places, with the squared norms that clipping wants.

    In two parts where those of the rows here are to be added to other processes': they are ``begun``, by the loss, and
    what follows is ``finished`` when they have met.
    """
    start, end = share_of_items(network, share, shares)
    room = job[SHARDS] * network.parameters.size
    for index in range(start, end):
        item = network.items[index]
        # in what follows, gradients of earlier batches change
        leaves = not finished or update.accumulated.size == 0 or job[PARTIAL]
        if leaves and given_up(job, rank, rows * item[COUNT]):
            return
        if not begun:
            loss_gradient(network, space, update, job, index, room + item[AT], rows, batch, place)
        if not finished:
            continue
        finish_gradient(network, update, job, index, room + item[AT], batch, whole)
        if job[CLIPS] >= BY_NORM:
            gradient = update.gradients[room + item[AT] : room + item[AT] + item[COUNT]]
            update.item_sums[index, SQUARED_NORM] = sum_of(gradient, True)


@kernel
def scale_by_norms(job: Int64, whole: Pack) -> None:
    """Have the norms of whole gradients say what they are multiplied with; one thread for all."""
    if job[CLIPS] >= BY_NORM:
        update_by_extension(job, whole, UPDATE_NORMS, 0, 0, 0)


@kernel
def change_from_whole(
    network: Network, update: Update, job: Int64, rank: int, share: int, shares: int, whole: Pack
) -> None:
    """Step the optimizer from the whole gradients of a share of the items, scaled where they are clipped by norms."""
    begin, end = share_of_items(network, share, shares)
    room = job[SHARDS] * network.parameters.size
    for index in range(begin, end):
        item = network.items[index]
        if job[PARTIAL] and given_up(job, rank, PASS * item[COUNT]):
            return
        if job[CLIPS] >= BY_NORM:
            update_by_extension(job, whole, UPDATE_SCALE, index, room + item[AT], item[COUNT])
        apply_gradient(network, update, job, item[AT], room + item[AT], item[COUNT], whole)


@kernel
def constrain_share(network: Network, rank: int, share: int, shares: int, frame: Pack) -> None:
    """Make a share of each kernel's weights fulfil its constraint."""
    for index in range(network.variables.shape[0]):
        if network.variables[index, CONSTRAINT]:
            extend(network.extension[0], frame, STAGE_CONSTRAINT, index, rank, share, 0, shares, True)


@kernel
def penalties(network: Network, rows: int) -> float:
    """The regularizers' share of the loss of so many rows."""
    total = np.float64(0)
    for index in range(network.items.shape[0]):
        item = network.items[index]
        l1, l2 = penalty_factors(network, item[VARIABLE], rows)
        total += penalty_value_and_grad(
            l1, l2, network.parameters, item[AT], network.parameters, item[AT], item[COUNT], False
        )
    return total
