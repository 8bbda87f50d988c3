"""A step that is a run by itself, made again with other rows as in a stream: what does not change is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..inputs import FLOAT32, LARGEST
from ..kernels import memory
from ..kernels.jit import entry, kernel, machine_code
from .feed import NO_ORDER, NO_WEIGHTS, Feed, read_only
from .tables import DRAWS, ITERATION, Data, Float32, Float64, Int64, Network, Objective, Update, Workspace

BOUND = np.float32(LARGEST)


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


@entry
def all_finite(values: Float32) -> bool:
    """Say whether all numbers are finite."""
    outside = np.int32(0)
    for i in range(values.size):
        outside += np.int32(0) if abs(values[i]) <= BOUND else np.int32(1)
    return bool(outside == 0)


@entry
def take_rows(
    x: Float32,
    y: Float32,
    weights: Float32,
    own_x: Float32,
    own_y: Float32,
    own_weights: Float32,
    job: Int64,
    own_job: Int64,
    low: float,
    high: float,
    iterations: int,
) -> bool:
    """Copy a batch to where a step reads it, and that step's job; False if a number is none that a step may see.

    Parameters
    ----------
    x, y, weights : float32 (n, K), (n, columns), (n,) or (0,)
        The batch.
    own_x, own_y, own_weights : float32 of the same shapes
        Overwritten in any case.
    job, own_job : int64 (JOB_FIELDS,)
        The second one replaces the first one, but for what is counted.
    low, high : float
        Bounds of the targets.
    iterations : int
        The batches that the optimizer has seen.
    """
    fine = copy_within(weights, own_weights, 0, BOUND)
    for row in range(own_x.shape[0]):
        fine &= copy_within(x[row], own_x[row], -BOUND, BOUND)
        fine &= copy_within(y[row], own_y[row], max(low, -BOUND), min(high, BOUND))
    draws = job[DRAWS]
    for i in range(job.size):
        job[i] = own_job[i]
    job[DRAWS], job[ITERATION] = draws, iterations
    return bool(fine)


def _is_floats(array: Any, shape: tuple[int, ...]) -> bool:
    """Say whether an object is an array that machine code can read, of this shape."""
    # not a subclass, which may give its numbers another meaning; there is one object for the native dtype
    if type(array) is not np.ndarray or array.shape != shape or array.dtype is not FLOAT32:
        return False
    flags = array.flags
    return flags.c_contiguous and flags.aligned


class Again:
    """A step that one thread has made, and room for other rows of the same number.

    Parameters
    ----------
    run_steps : callable
        Machine code of the compiled loop.
    network, objective, update, space
        Of that step; it cannot be made again with others.
    job : int64 array
        The session's, as for that step. Everything in it follows from the others, but for what is counted.
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
        words: Int64,
        feed: Feed,
    ) -> None:
        self._objective, self._update = objective, update
        self._shapes = feed.x.shape, feed.y.shape, feed.weights.shape
        x, y, weights = (memory.zeros(shape) for shape in self._shapes)
        data = Data(read_only(x), read_only(y), read_only(weights), NO_ORDER)
        self._own = x, y, weights, job, job.copy()
        self._words = words
        self._run_steps, self._arguments = run_steps, (network, space, objective, update, data, job)
        # one signature for all, of arrays that are only read; machine code looks at no types
        take_rows(data.x, data.y, data.weights, x, y, weights, job, self._own[-1], -np.inf, np.inf, 0)
        all_finite(network.parameters)
        self._take_rows: Callable[..., bool] = machine_code(take_rows)
        self._all_finite: Callable[..., bool] = machine_code(all_finite)

    def fits(self, objective: Objective, update: Update, x: Any, y: Any, weights: Float32) -> bool:
        """Say whether this is the step to make, and rows are as many, and float32 that machine code can read."""
        of_x, of_y, of_weights = self._shapes
        return (
            objective is self._objective and update is self._update and _is_floats(x, of_x) and _is_floats(y, of_y)
            and (weights is NO_WEIGHTS if of_weights == (0,) else _is_floats(weights, of_weights))
        )  # fmt: skip

    def make(
        self, x: Float32, y: Float32, weights: Float32, bounds: tuple[float, float], sums: Float64, iterations: int
    ) -> bool:
        """Make the step with rows that fit; False, and nothing is done, if a number is not finite or out of bounds."""
        if not self._take_rows(x, y, weights, *self._own, *bounds, iterations):
            return False
        self._run_steps(*self._arguments, sums, self._words, False)
        return True

    def has_finite(self, parameters: Float32) -> bool:
        """Say whether all parameters are finite."""
        return bool(self._all_finite(parameters))
