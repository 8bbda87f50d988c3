"""A step that is a run by itself, made again with other rows as in a stream: what does not change is kept."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..inputs import LARGEST
from ..kernels import memory
from ..kernels.extension import address_of, call_kept, keep_call, new_room
from ..kernels.jit import entry, kernel, machine_code
from ..kernels.lanes import flat_rows
from .feed import NO_ORDER, NO_WEIGHTS, Feed, read_only
from .tables import DRAWS, ITERATION, Data, Float32, Float64, Int64, Network, Objective, Update, Workspace

BOUND = np.float32(LARGEST)
# what came of a step
REFUSED, NOT_FINITE, FINITE = range(3)


@kernel
def copy_within(values: Float32, copy: Float32, low: Any, high: Any) -> bool:
    """Copy numbers, and say whether all are from ``low`` to ``high``; NaN is not."""
    least, most = np.float32(low), np.float32(high)
    outside = np.int32(0)
    for i in range(copy.size):
        value = values[i]
        copy[i] = value
        # a sum of comparisons is vectors, a loop that ends early is not
        outside += np.int32(0) if least <= value <= most else np.int32(1)
    return bool(outside == 0)


@kernel
def are_finite(values: Float32) -> bool:
    """Say whether all numbers are finite."""
    outside = np.int32(0)
    for i in range(values.size):
        outside += np.int32(0) if abs(values[i]) <= BOUND else np.int32(1)
    return bool(outside == 0)


@entry
def keep_step(
    network: Network, space: Workspace, objective: Objective, update: Update, data: Data, job: Int64, sums: Float64,
    sync: Int64, room: Int64,
) -> int:  # fmt: skip
    """Keep a call of ``run_steps`` by a thread alone; returns what calls it."""
    return int(keep_call((network, space, objective, update, data, job, sums, sync, False), room))


@entry
def make_step(
    own_x: Float32,
    own_y: Float32,
    own_weights: Float32,
    own_sums: Float64,
    job: Int64,
    own_job: Int64,
    parameters: Float32,
    run_steps: int,
    caller: int,
    room: Int64,
    x: Float32,
    y: Float32,
    weights: Float32,
    sums: Float64,
    low: float,
    high: float,
    iterations: int,
) -> int:
    """Copy a batch to where a kept step reads it, set its job up, and make it.

    Parameters
    ----------
    own_x, own_y, own_weights, own_sums : of the batch's shapes
        Overwritten in any case.
    job, own_job : int64 (JOB_FIELDS,)
        The second one replaces the first one, but for what is counted.
    parameters : float32 buffer
        What the step changes.
    run_steps, caller, room : int, int, int64 buffer
        The call that is kept.
    x, y, weights : float32 (n, K), (n, columns), (n,) or (0,)
        The batch.
    sums : float64 buffer
        Running sums, with which the step goes on.
    low, high : float
        Bounds of the targets.
    iterations : int
        The batches that the optimizer has seen.

    Returns
    -------
    int
        ``REFUSED`` if a number is none that a step may see, and no step was made; else ``FINITE`` or ``NOT_FINITE``,
        which is about the parameters.
    """
    rows = own_x.shape[0]
    fine = copy_within(weights, own_weights, 0, BOUND)
    fine &= copy_within(flat_rows(x, 0, rows), flat_rows(own_x, 0, rows), -BOUND, BOUND)
    fine &= copy_within(flat_rows(y, 0, rows), flat_rows(own_y, 0, rows), max(low, -BOUND), min(high, BOUND))
    draws = job[DRAWS]
    for i in range(job.size):
        job[i] = own_job[i]
    job[DRAWS], job[ITERATION] = draws, iterations
    if not fine:
        return REFUSED
    for i in range(sums.size):
        own_sums[i] = sums[i]
    call_kept(caller, run_steps, room)
    for i in range(sums.size):
        sums[i] = own_sums[i]
    return FINITE if are_finite(parameters) else NOT_FINITE


def _is_readable(array: Any, shape: tuple[int, ...]) -> bool:
    """Say whether float32 are as machine code reads them, and of this shape."""
    flags = array.flags
    return bool(array.shape == shape and flags.c_contiguous and flags.aligned)


class Again:
    """A step that one thread has made, and room for other rows of the same number.

    Parameters
    ----------
    run_steps : callable
        The compiled loop, which has been called.
    network, objective, update, space
        Of that step; it cannot be made again with others.
    job : int64 array
        The session's, as for that step. Everything in it follows from the others, but for what is counted.
    sums : float64 array
        The session's.
    words : int64 array
        Those of a thread alone.
    feed : Feed
        The rows of that step.
    """

    def __init__(
        self,
        run_steps: Callable[..., None],
        network: Network,
        space: Workspace,
        objective: Objective,
        update: Update,
        job: Int64,
        sums: Float64,
        words: Int64,
        feed: Feed,
    ) -> None:
        self._objective, self._update = objective, update
        self._shapes = feed.x.shape, feed.y.shape, feed.weights.shape
        x, y, weights = (memory.zeros(shape) for shape in self._shapes)
        data, own_sums, room = Data(read_only(x), read_only(y), read_only(weights), NO_ORDER), sums.copy(), new_room()
        # the room has no references: these are
        self._kept = network, space, objective, update, data, job, own_sums, words
        caller = keep_step(*self._kept, room)
        address = address_of(run_steps, *self._kept, False)
        own = x, y, weights, own_sums, job, job.copy(), network.parameters, address, caller, room
        # one signature for all, of arrays that are only read; a row that is none makes no step
        nothing = read_only(np.full(x.shape, np.nan, np.float32))
        make_step(*own, nothing, data.y, data.weights, sums, -np.inf, np.inf, 0)
        self._make_step: Callable[..., int] = partial(machine_code(make_step), *own)

    def fits(self, objective: Objective, update: Update, x: Any, y: Any, weights: Float32) -> bool:
        """Say whether this is the step to make, and rows are as many, and float32 that machine code can read."""
        of_x, of_y, of_weights = self._shapes
        return (
            objective is self._objective and update is self._update and _is_readable(x, of_x) and _is_readable(y, of_y)
            and (weights is NO_WEIGHTS if of_weights == (0,) else _is_readable(weights, of_weights))
        )  # fmt: skip

    def make(
        self, x: Float32, y: Float32, weights: Float32, bounds: tuple[float, float], sums: Float64, iterations: int
    ) -> int:
        """Make the step with rows that fit, and say what came of it.

        ``REFUSED``, and nothing is done, if a number is not finite or out of bounds; else whether the parameters are
        finite.
        """
        low, high = bounds
        return self._make_step(x, y, weights, sums, low, high, iterations)
