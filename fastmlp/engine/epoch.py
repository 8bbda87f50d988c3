"""The compiled loops: steps of training, evaluation and prediction, interpreting a plan.

One entry serves all three, so that a process compiles or loads the engine once. A call runs a range of steps
without the GIL and without an allocation; Python may look up between calls, and the split into calls changes
no bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..activations import SOFTMAX, elementwise, softmax_backward, softmax_forward
from ..kernels.gemm import (
    bias_gradient,
    padded_columns,
    padded_rows,
    rows_product,
    transpose_panels,
    weights_gradient,
)
from ..kernels.jit import entry, kernel
from ..losses import loss_value_and_grad
from ..metrics import metric_update
from ..optimizers import clip_gradients, optimizer_step
from ..regularizers import penalty_value_and_grad
from .plan import (
    ACTIVATION,
    BIAS,
    COLUMNS,
    INPUTS,
    KERNEL,
    LEFT,
    LEFT_STRIDE,
    OFFSET,
    OUT,
    OUT_STRIDE,
    PANEL_ROWS,
    SIZE,
    TRAINABLE,
    TRANSPOSED,
    UNITS,
    Network,
    Workspace,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

TRAIN, EVALUATE, PREDICT = range(3)

# The job's numbers.
(
    MODE, FIRST_STEP, LAST_STEP, BATCH_SIZE, CAPACITY, SAMPLES, ORIGIN, SHUFFLED, ITERATION, LOSS_KIND, LOGITS,
    TARGET_COLUMNS, OPTIMIZER, CLIPS, PENALISED, JOB_FIELDS,
) = range(16)  # fmt: skip

# Running sums of an epoch: losses times rows, rows, 1 after a loss that is not finite; then the metrics'.
LOSS_SUM, ROW_SUM, DIVERGED, METRIC_SUMS = range(4)


class Objective(NamedTuple):
    """What the compiled loops need to judge outputs."""

    loss_parameter: Float32  # (1,)
    metrics: Int64  # (metrics, 2): kind, first sum
    metric_parameters: Float64  # (metrics,)


class Update(NamedTuple):
    """What the compiled loops need to change parameters."""

    gradients: Float32  # flat, as the parameters
    slots: Float32  # flat: slot s of parameter i at s * size + i
    settings: Float64  # (optimizers.SETTINGS,)


class Data(NamedTuple):
    """Rows that a call may read; never written."""

    x: Float32  # (rows, K)
    y: Float32  # (rows, target columns)
    weights: Float32  # (rows,) or (0,)
    order: Int64  # the epoch's permutation, or empty


@kernel
def gather(data: Data, space: Workspace, job: Int64, first: int, rows: int, stride: int) -> None:
    """Copy the batch's rows, in the epoch's order, to the front of the workspace."""
    features = data.x.shape[1]
    columns = job[TARGET_COLUMNS]
    for row in range(rows):
        source = data.order[first + row] if job[SHUFFLED] else first + row - job[ORIGIN]
        features_row = space.rows[row * stride : row * stride + features]
        for j in range(features):
            features_row[j] = data.x[source, j]
        if job[MODE] != PREDICT:
            for j in range(columns):
                space.targets[row * columns + j] = data.y[source, j]
            if space.weights.size:
                space.weights[row] = data.weights[source]


@kernel
def forward(network: Network, space: Workspace, capacity: int, rows: int, training: bool) -> None:
    """``z = x w + b``, ``a = f(z)`` layer by layer; in training ``slopes = f'(z)``. The last z is left as it is.

    ``rows`` is padded; what stands in padding rows is finite or not, and used by nothing.
    """
    last = network.layers.shape[0] - 1
    for index in range(last + 1):
        layer = network.layers[index]
        out = layer[OUT] * capacity
        rows_product(
            network.parameters, layer[BIAS], space.rows, layer[LEFT] * capacity, layer[LEFT_STRIDE],
            network.parameters, layer[KERNEL], layer[PANEL_ROWS], layer[INPUTS], layer[COLUMNS],
            space.rows, out, layer[OUT_STRIDE], rows, False,
        )  # fmt: skip
        if index < last:
            activate(network, space, capacity, rows, index, training)


@kernel
def activate(network: Network, space: Workspace, capacity: int, rows: int, index: int, training: bool) -> None:
    """``a = f(z)`` of one layer in place, in training with slopes; padding columns of a become zero."""
    layer = network.layers[index]
    out, stride, units = layer[OUT] * capacity, layer[OUT_STRIDE], layer[UNITS]
    if layer[ACTIVATION] == SOFTMAX:
        softmax_forward(space.rows, out, stride, rows, units)
    else:
        elementwise(
            layer[ACTIVATION], network.activation_parameters[index], space.rows, out, space.slopes, out,
            rows * stride, training,
        )  # fmt: skip
    # f(0) may not be 0, and the weights' gradient reads whole vectors of the row
    if units < stride:
        for row in range(rows):
            for j in range(out + row * stride + units, out + (row + 1) * stride):
                space.rows[j] = 0


@kernel
def compact(source: Float32, first: int, stride: int, rows: int, columns: int, target: Float32) -> None:
    """Copy rows from ``stride`` apart to without gaps."""
    for row in range(rows):
        packed = target[row * columns : (row + 1) * columns]
        loose = source[first + row * stride : first + row * stride + columns]
        for j in range(columns):
            packed[j] = loose[j]


@kernel
def spread_gradient(network: Network, space: Workspace, capacity: int, rows: int, logits: bool) -> None:
    """Turn the gradient of the outputs into that of the last z, in the slopes' place; padding is zero."""
    index = network.layers.shape[0] - 1
    layer = network.layers[index]
    out, stride, units = layer[OUT] * capacity, layer[OUT_STRIDE], layer[UNITS]
    plain = logits or layer[ACTIVATION] == SOFTMAX
    padded = padded_columns(units)
    for row in range(rows):
        at = out + row * stride
        for j in range(units):
            slope = np.float32(1) if plain else space.slopes[at + j]
            space.slopes[at + j] = space.gradient[row * units + j] * slope
        for j in range(units, padded):
            space.slopes[at + j] = 0
    if layer[ACTIVATION] == SOFTMAX and not logits:
        softmax_backward(space.rows, out, stride, space.slopes, out, stride, rows, units)


@kernel
def backward(network: Network, space: Workspace, update: Update, capacity: int, batch: int, rows: int) -> None:
    """``dw = x^T dz``, ``db = sum dz`` and ``dz`` of the layer below, from the last layer to the first."""
    for index in range(network.layers.shape[0] - 1, -1, -1):
        layer = network.layers[index]
        out = layer[OUT] * capacity
        left = layer[LEFT] * capacity
        weights_gradient(
            space.rows, left, layer[LEFT_STRIDE], space.slopes, out, layer[OUT_STRIDE], batch, update.gradients,
            layer[KERNEL], layer[PANEL_ROWS], padded_rows(layer[INPUTS]), layer[COLUMNS], False,
        )  # fmt: skip
        bias_gradient(space.slopes, out, layer[OUT_STRIDE], batch, layer[COLUMNS], update.gradients, layer[BIAS], False)
        if index:
            below = network.layers[index - 1]
            softmax = below[ACTIVATION] == SOFTMAX
            rows_product(
                space.zeros, 0, space.slopes, out, layer[OUT_STRIDE], network.transposed, layer[TRANSPOSED],
                layer[COLUMNS], layer[UNITS], padded_columns(layer[INPUTS]), space.slopes, left,
                layer[LEFT_STRIDE], rows, not softmax,
            )  # fmt: skip
            if softmax:
                softmax_backward(
                    space.rows,
                    left,
                    layer[LEFT_STRIDE],
                    space.slopes,
                    left,
                    layer[LEFT_STRIDE],
                    rows,
                    layer[INPUTS],
                )


@kernel
def penalties(network: Network, gradients: Float32, training: bool) -> float:
    """Return the regularizers' share of the loss; in training their gradients are added."""
    total = np.float64(0)
    for row in range(network.variables.shape[0]):
        l1, l2 = network.penalties[row]
        if l1 != 0 or l2 != 0:
            total += penalty_value_and_grad(
                l1, l2, network.parameters, gradients, network.variables[row, OFFSET], network.variables[row, SIZE],
                training,
            )  # fmt: skip
    return total


@kernel
def apply_update(network: Network, update: Update, job: Int64) -> None:
    """Clip the gradients, step the optimizer over neighbouring trainable variables at once, transpose."""
    variables = network.variables
    if job[CLIPS]:
        clip_gradients(update.gradients, variables, TRAINABLE, OFFSET, SIZE, update.settings)
    first = count = 0
    for row in range(variables.shape[0]):
        if not variables[row, TRAINABLE]:
            continue
        if count and variables[row, OFFSET] == first + count:
            count += variables[row, SIZE]
        else:
            if count:
                optimizer_step(
                    job[OPTIMIZER], update.settings, job[ITERATION], network.parameters, update.gradients,
                    update.slots, first, count,
                )  # fmt: skip
            first, count = variables[row, OFFSET], variables[row, SIZE]
    if count:
        optimizer_step(
            job[OPTIMIZER], update.settings, job[ITERATION], network.parameters, update.gradients, update.slots,
            first, count,
        )  # fmt: skip
    for index in range(1, network.layers.shape[0]):
        layer = network.layers[index]
        transpose_panels(
            network.parameters, layer[KERNEL], layer[PANEL_ROWS], layer[COLUMNS], network.transposed,
            layer[TRANSPOSED],
        )  # fmt: skip


@kernel
def judge(
    network: Network, space: Workspace, objective: Objective, job: Int64, sums: Float64, rows: int, batch: int
) -> float:
    """Return the batch's summed loss; write the gradient of its mean, and add the batch to the metrics.

    With ``LOGITS`` the loss takes the last z, and the activation is applied only where metrics want it.
    """
    index = network.layers.shape[0] - 1
    layer = network.layers[index]
    out, stride, units = layer[OUT] * job[CAPACITY], layer[OUT_STRIDE], layer[UNITS]
    logits, metrics = job[LOGITS] != 0, objective.metrics.shape[0]
    training = job[MODE] == TRAIN
    if logits:
        compact(space.rows, out, stride, batch, units, space.outputs)
        if metrics:
            activate(network, space, job[CAPACITY], rows, index, False)
            compact(space.rows, out, stride, batch, units, space.predictions)
    else:
        activate(network, space, job[CAPACITY], rows, index, training)
        compact(space.rows, out, stride, batch, units, space.outputs)
    loss = loss_value_and_grad(
        job[LOSS_KIND], objective.loss_parameter[0], space.outputs, space.targets, space.weights, batch, units,
        space.values, space.gradient,
    )  # fmt: skip
    predictions = space.predictions if logits else space.outputs
    for metric in range(metrics):
        metric_update(
            objective.metrics[metric, 0], objective.metric_parameters[metric], predictions, space.targets, batch,
            units, sums, METRIC_SUMS + objective.metrics[metric, 1],
        )  # fmt: skip
    return loss


@kernel
def train_step(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    job: Int64,
    sums: Float64,
    rows: int,
    batch: int,
) -> bool:
    """One step on the gathered batch; return False, with the parameters untouched, if the loss is not finite."""
    capacity = job[CAPACITY]
    forward(network, space, capacity, rows, True)
    loss = judge(network, space, objective, job, sums, rows, batch)
    if not np.isfinite(loss):
        return False
    spread_gradient(network, space, capacity, batch, job[LOGITS] != 0)
    backward(network, space, update, capacity, batch, rows)
    if job[PENALISED]:
        loss += penalties(network, update.gradients, True) * batch
    job[ITERATION] += 1
    apply_update(network, update, job)
    sums[LOSS_SUM] += loss
    sums[ROW_SUM] += batch
    return True


@entry
def run_steps(
    network: Network,
    space: Workspace,
    objective: Objective,
    update: Update,
    data: Data,
    job: Int64,
    sums: Float64,
    out: Float32,
) -> None:
    """Run the steps ``FIRST_STEP`` to ``LAST_STEP`` of an epoch over ``data``.

    Parameters
    ----------
    job : int64 (JOB_FIELDS,)
        The numbers of the run; ``ITERATION`` counts on.
    sums : float64 buffer
        Running sums of the epoch; a loss that is not finite sets ``DIVERGED`` and ends the run.
    out : float32 buffer
        In prediction the outputs (n, N) of all rows; otherwise empty.
    """
    size, samples = job[BATCH_SIZE], job[SAMPLES]
    stride = network.layers[0, LEFT_STRIDE]
    last = network.layers.shape[0] - 1
    for step in range(job[FIRST_STEP], job[LAST_STEP]):
        first = step * size
        batch = min(size, samples - first)
        rows = min(padded_rows(batch), job[CAPACITY])
        gather(data, space, job, first, batch, stride)
        if job[MODE] == TRAIN:
            if not train_step(network, space, objective, update, job, sums, rows, batch):
                sums[DIVERGED] = 1
                return
            continue
        forward(network, space, job[CAPACITY], rows, False)
        if job[MODE] == EVALUATE:
            sums[LOSS_SUM] += judge(network, space, objective, job, sums, rows, batch)
            sums[ROW_SUM] += batch
        else:
            layer = network.layers[last]
            activate(network, space, job[CAPACITY], rows, last, False)
            at = first * layer[UNITS]
            compact(space.rows, layer[OUT] * job[CAPACITY], layer[OUT_STRIDE], batch, layer[UNITS], out[at:])
