"""Losses, metrics and updates that few models need, each an entry of its own.

The engine calls them by their addresses, with everything it has at hand (a pack) and a few numbers, so that only who
uses one waits for its compilation.
"""

import math

import numpy as np

from ..kernels.callback import UNWRITTEN, call_loss
from ..kernels.extension import address_of
from ..kernels.jit import entry, kernel
from ..losses.table import loss_value_and_grad
from ..metrics.kinds import FIRST_PARAMETER, FIRST_SUM, KIND, LAST_PARAMETER, WEIGHTED
from ..metrics.table import metric_update
from ..optimizers.averages import average_step
from ..optimizers.base import BATCHES, CLIP_NORM, CLIP_VALUE, GLOBAL_CLIP_NORM
from ..optimizers.gradients import accumulate, clip_by_value, scale
from ..optimizers.table import optimizer_step, step_factors
from .rows import rooms
from .tables import (
    BY_NORM,
    BY_VALUE,
    CLIPS,
    ITERATION,
    LOGITS,
    LOSS_CALLBACK,
    LOSS_FAILED,
    LOSS_KIND,
    OPTIMIZER,
    PIECE_LOSS,
    PIECE_METRICS,
    SQUARED_NORM,
    TARGET_COLUMNS,
    UNITS,
    UPDATE_FACTORS,
    UPDATE_GRADIENT,
    UPDATE_NORMS,
    UPDATE_SCALE,
    VARIABLE,
    Int64,
    Network,
    Objective,
    Update,
    Workspace,
)


@entry
def run_loss(
    network: Network, space: Workspace, objective: Objective, update: Update, job: Int64, rank: int, rows: int,
    batch: int, piece: int,
) -> None:  # fmt: skip
    """Loss and gradient of a piece of rows; the loss goes to its place among the sums of the piece."""
    units = network.stages[network.stages.shape[0] - 1, UNITS]
    outputs, predictions, targets, weights, values, gradient = rooms(space, job, rank, rows, units)
    space.sums[piece, PIECE_LOSS] = loss_value_and_grad(
        job[LOSS_KIND], objective.loss_parameters, outputs if job[LOGITS] else predictions, targets, weights, rows,
        units, batch, values, gradient,
    )  # fmt: skip


@entry
def run_custom_loss(
    network: Network, space: Workspace, objective: Objective, update: Update, job: Int64, rank: int, rows: int,
    batch: int, piece: int,
) -> None:  # fmt: skip
    """:func:`run_loss` for a user's function over a whole batch."""
    units = network.stages[network.stages.shape[0] - 1, UNITS]
    outputs, predictions, targets, _, _, gradient = rooms(space, job, rank, rows, units)
    gradient[:] = UNWRITTEN
    value = call_loss(
        job[LOSS_CALLBACK], targets, outputs if job[LOGITS] else predictions, gradient, rows, job[TARGET_COLUMNS], units
    )
    if gradient[0] == UNWRITTEN:
        job[LOSS_FAILED], value = 1, np.nan
    space.sums[piece, PIECE_LOSS] = value * rows


@entry
def run_metric(
    network: Network, space: Workspace, objective: Objective, update: Update, job: Int64, index: int, rank: int,
    rows: int, piece: int,
) -> None:  # fmt: skip
    """Add a piece of rows to the sums of one metric."""
    units = network.stages[network.stages.shape[0] - 1, UNITS]
    _, predictions, targets, weights, _, _ = rooms(space, job, rank, rows, units)
    metric = objective.metrics[index]
    parameters = objective.metric_parameters[metric[FIRST_PARAMETER] : metric[LAST_PARAMETER]]
    metric_update(
        metric[KIND], parameters, predictions, targets,
        weights if metric[WEIGHTED] else weights[:0], rows, units, space.sums[piece], PIECE_METRICS + metric[FIRST_SUM],
    )  # fmt: skip


@kernel
def norms_to_factors(network: Network, update: Update, by_variable: bool) -> None:
    """Replace the items' squared norms by what their gradients are multiplied with; one thread for all."""
    limit = update.settings[CLIP_NORM if by_variable else GLOBAL_CLIP_NORM]
    items = network.items.shape[0]
    first = 0
    while first < items:
        last = first
        total = np.float64(0)
        while last < items and (not by_variable or network.items[last, VARIABLE] == network.items[first, VARIABLE]):
            total += update.item_sums[last, SQUARED_NORM]
            last += 1
        norm = math.sqrt(total)
        for index in range(first, last):
            update.item_sums[index, SQUARED_NORM] = limit / norm if norm > limit else 1.0
        first = last


@entry
def run_update(
    network: Network, space: Workspace, objective: Objective, update: Update, job: Int64, what: int, at: int,
    first: int, count: int,
) -> None:  # fmt: skip
    """Do one thing for an optimizer that is not common, or has a schedule, averages or accumulated gradients.

    Parameters
    ----------
    what : int
        ``UPDATE_FACTORS``: the factors of the present step. ``UPDATE_GRADIENT``: accumulate ``count`` gradients from
        ``first``, of the parameters from ``at``. ``UPDATE_PARAMETERS``: change these. ``UPDATE_NORMS``: make factors
        of the items' norms. ``UPDATE_SCALE``: multiply the gradients with that of item ``at``.
    """
    if what == UPDATE_FACTORS:
        step_factors(job[OPTIMIZER], update.settings, job[ITERATION], update.factors)
    elif what == UPDATE_GRADIENT:
        accumulate(update.gradients, first, update.accumulated, at, count, update.factors[BATCHES])
    elif what == UPDATE_NORMS:
        norms_to_factors(network, update, job[CLIPS] == BY_NORM)
    elif what == UPDATE_SCALE:
        factor = update.item_sums[at, SQUARED_NORM]
        if factor != 1:
            scale(update.gradients, first, count, np.float32(factor))
    else:
        parameters = network.parameters
        if update.factors[BATCHES] != 0:
            if job[CLIPS] == BY_VALUE:
                clip_by_value(update.gradients, first, count, np.float32(update.settings[CLIP_VALUE]))
            optimizer_step(job[OPTIMIZER], update.factors, parameters, at, update.gradients, first, update.slots, count)
        # a batch whose gradients are only accumulated counts for the averages, as in Keras
        if update.averages.size:
            average_step(parameters, update.averages, at, count, update.factors)


Whole = tuple[Network, Workspace, Objective, Update]


def loss_address(whole: Whole) -> int:
    """Return the address of :func:`run_loss`, compiled or loaded for these types."""
    return address_of(run_loss, *whole, np.empty(0, np.int64), 0, 0, 0, 0)


def custom_loss_address(whole: Whole) -> int:
    """Return the address of :func:`run_custom_loss`, compiled or loaded for these types."""
    return address_of(run_custom_loss, *whole, np.empty(0, np.int64), 0, 0, 0, 0)


def metric_address(whole: Whole) -> int:
    """Return the address of :func:`run_metric`, compiled or loaded for these types."""
    return address_of(run_metric, *whole, np.empty(0, np.int64), 0, 0, 0, 0)


def update_address(whole: Whole) -> int:
    """Return the address of :func:`run_update`, compiled or loaded for these types."""
    return address_of(run_update, *whole, np.empty(0, np.int64), 0, 0, 0, 0)
