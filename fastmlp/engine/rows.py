"""What happens to rows: gathered, sent forward through the layers, judged, and their gradients sent backward.

No row depends on another here, so threads share the rows of a batch without waiting for each other, and any
cut of them into blocks gives the same bits. Sums over rows are kept by piece, a cut that follows from shapes.
"""

import numpy as np

from ..activations import LINEAR, SOFTMAX, elementwise
from ..kernels.gemm import (
    PANEL,
    bias_gradient,
    padded_rows,
    panel_gradient,
    panel_product,
    rows_product,
    transpose_panel,
)
from ..kernels.jit import kernel
from ..kernels.narrow import narrow_forward
from ..kernels.softmax import softmax_backward, softmax_crossentropy, softmax_forward
from ..losses import CATEGORICAL_LOGITS, SMOOTHING, SPARSE_LOGITS, loss_value_and_grad, weighted_total
from ..metrics import metric_updates
from .tables import (
    ACTIVATION,
    BIAS,
    CAPACITY,
    COLUMN,
    COLUMNS,
    COUNT,
    INPUTS,
    KERNEL,
    LAYER,
    LEFT,
    LEFT_STRIDE,
    LOGITS,
    LOSS_KIND,
    MODE,
    NARROW,
    ORIGIN,
    OUT,
    OUT_STRIDE,
    PACK_ROOM,
    PANEL_COLUMNS,
    PANEL_ROWS,
    PIECE,
    PIECE_LOSS,
    PIECE_METRICS,
    ROW,
    ROWS,
    SHUFFLED,
    TARGET_COLUMNS,
    TRAIN,
    UNITS,
    Data,
    Float32,
    Int64,
    Network,
    Objective,
    Workspace,
)


@kernel
def source_row(data: Data, job: Int64, row: int) -> int:
    """Where the epoch's row ``row`` lies in the data."""
    return int(data.order[row] if job[SHUFFLED] else row - job[ORIGIN])


@kernel
def gather(network: Network, space: Workspace, data: Data, job: Int64, first: int, slab: int, rows: int) -> None:
    """Copy ``rows`` rows of the epoch, from its row ``first``, to the workspace's row ``slab``."""
    stride = network.layers[0, LEFT_STRIDE]
    features = data.x.shape[1]
    for row in range(rows):
        source = data.x[source_row(data, job, first + row)]
        target = space.rows[(slab + row) * stride : (slab + row) * stride + features]
        for j in range(features):
            target[j] = source[j]


@kernel
def gather_targets(data: Data, job: Int64, first: int, rows: int, targets: Float32, weights: Float32) -> None:
    """Copy the targets and sample weights of ``rows`` rows of the epoch."""
    columns = job[TARGET_COLUMNS]
    for row in range(rows):
        source = source_row(data, job, first + row)
        y = data.y[source]
        target = targets[row * columns : (row + 1) * columns]
        for j in range(columns):
            target[j] = y[j]
        if weights.size:
            weights[row] = data.weights[source]


@kernel
def activate(
    network: Network,
    activations: Float32,
    slopes: Float32,
    capacity: int,
    index: int,
    slab: int,
    rows: int,
    training: bool,
) -> None:
    """``a = f(z)`` of one layer in place, in training with slopes; padding columns of a become zero."""
    layer = network.layers[index]
    stride, units = layer[OUT_STRIDE], layer[UNITS]
    out = layer[OUT] * capacity + slab * stride
    if layer[ACTIVATION] == SOFTMAX:
        softmax_forward(activations, out, stride, rows, units, layer[COLUMNS])
    else:
        elementwise(
            layer[ACTIVATION], network.activation_parameters[index], activations, out, slopes, out,
            rows * stride, training,
        )  # fmt: skip
    # f(0) may not be 0, and the weights' gradient reads whole vectors of a row
    if units < layer[COLUMNS] and activations[out + units] != 0:
        for row in range(rows):
            for j in range(out + row * stride + units, out + row * stride + layer[COLUMNS]):
                activations[j] = 0


@kernel
def forward(
    network: Network, activations: Float32, slopes: Float32, capacity: int, slab: int, rows: int, training: bool
) -> None:
    """``z = x w + b``, ``a = f(z)`` layer by layer; in training ``slopes = f'(z)``. The last z is left as it is.

    ``rows`` is padded; what stands in padding rows is finite or not, and used by nothing.
    """
    last = network.layers.shape[0] - 1
    for index in range(last + 1):
        layer = network.layers[index]
        left = layer[LEFT] * capacity + slab * layer[LEFT_STRIDE]
        out = layer[OUT] * capacity + slab * layer[OUT_STRIDE]
        if layer[NARROW]:
            narrow_forward(
                network.parameters, layer[BIAS], activations, left, layer[LEFT_STRIDE], network.parameters,
                layer[KERNEL], layer[PANEL_COLUMNS], layer[UNITS], activations, out, layer[OUT_STRIDE], rows,
            )  # fmt: skip
        else:
            rows_product(
                network.parameters, layer[BIAS], activations, left, layer[LEFT_STRIDE], network.parameters,
                layer[KERNEL], layer[PANEL_ROWS], layer[INPUTS], layer[COLUMNS], activations, out, layer[OUT_STRIDE],
                rows,
            )  # fmt: skip
        if index < last:
            activate(network, activations, slopes, capacity, index, slab, rows, training)


@kernel
def compact(source: Float32, first: int, stride: int, rows: int, columns: int, target: Float32) -> None:
    """Copy rows from ``stride`` apart to without gaps."""
    for row in range(rows):
        packed = target[row * columns : (row + 1) * columns]
        loose = source[first + row * stride : first + row * stride + columns]
        for j in range(columns):
            packed[j] = loose[j]


@kernel
def judge(
    network: Network,
    space: Workspace,
    objective: Objective,
    data: Data,
    job: Int64,
    rank: int,
    first: int,
    slab: int,
    rows: int,
    batch: int,
    piece: int,
) -> None:
    """Write the loss and the metrics of a piece of rows to its sums, and the loss' gradient to the last slopes.

    With ``LOGITS`` the loss takes the last z, and the activation is applied only where metrics want it.
    """
    index = network.layers.shape[0] - 1
    layer = network.layers[index]
    stride, units = layer[OUT_STRIDE], layer[UNITS]
    out = layer[OUT] * job[CAPACITY] + slab * stride
    size, room = rows * units, rank * job[PIECE] * units
    outputs, predictions = space.outputs[room : room + size], space.predictions[room : room + size]
    gradient = space.gradient[room : room + size]
    value_room = rank * job[PIECE] * (units + 2)
    values = space.values[value_room : value_room + rows * (units + 2)]
    target_room = rank * job[PIECE] * job[TARGET_COLUMNS]
    targets = space.targets[target_room : target_room + rows * job[TARGET_COLUMNS]]
    weights = space.weights[rank * job[PIECE] : rank * job[PIECE] + rows]
    sums = space.sums[piece]
    logits, metrics = job[LOGITS] != 0, objective.metrics.shape[0]
    training = job[MODE] == TRAIN
    gather_targets(data, job, first, rows, targets, weights)
    padded = padded_rows(rows)
    softmax = job[LOSS_KIND] == CATEGORICAL_LOGITS or job[LOSS_KIND] == SPARSE_LOGITS
    # straight from the place of z to that of its gradient
    direct = training and softmax and (logits or layer[ACTIVATION] == LINEAR)
    if direct:
        softmax_crossentropy(
            space.rows, out, stride, targets, job[LOSS_KIND] == SPARSE_LOGITS, objective.loss_parameters[SMOOTHING],
            weights, np.float32(1 / batch), rows, units, values, space.slopes, out, stride, layer[COLUMNS],
        )  # fmt: skip
        sums[PIECE_LOSS] = weighted_total(values, weights, rows, 1)
    elif logits:
        compact(space.rows, out, stride, rows, units, outputs)
    if not logits or metrics:
        activate(
            network,
            space.rows,
            space.slopes,
            job[CAPACITY],
            index,
            slab,
            padded,
            training and not logits and not direct,
        )
        compact(space.rows, out, stride, rows, units, predictions)
    if not direct:
        sums[PIECE_LOSS] = loss_value_and_grad(
            job[LOSS_KIND], objective.loss_parameters, outputs if logits else predictions, targets, weights, rows,
            units, batch, values, gradient,
        )  # fmt: skip
    for metric in range(PIECE_METRICS, sums.size):
        sums[metric] = 0
    metric_updates(
        objective.metrics, objective.metric_parameters, predictions, targets, weights, rows, units, sums, PIECE_METRICS
    )
    if training and not direct:
        spread_gradient(space, layer, out, gradient, rows, logits)


@kernel
def spread_gradient(space: Workspace, layer: Int64, out: int, gradient: Float32, rows: int, logits: bool) -> None:
    """Turn the gradient of the outputs into that of the last z, in the slopes' place; padding is zero."""
    stride, units = layer[OUT_STRIDE], layer[UNITS]
    plain = logits or layer[ACTIVATION] == SOFTMAX
    for row in range(rows):
        dz = space.slopes[out + row * stride : out + row * stride + layer[COLUMNS]]
        da = gradient[row * units : (row + 1) * units]
        if plain:
            for j in range(units):
                dz[j] = da[j]
        else:
            for j in range(units):
                dz[j] *= da[j]
        for j in range(units, dz.size):
            dz[j] = 0
    if layer[ACTIVATION] == SOFTMAX and not logits:
        softmax_backward(space.rows, out, stride, space.slopes, out, stride, rows, units)


@kernel
def backward(network: Network, space: Workspace, job: Int64, rank: int, slab: int, rows: int) -> None:
    """``dz`` of every layer but the last, from that of the layer above: ``dz_below = (dz w^T) * slope``.

    A panel of w^T is made where it is used, and stays in the cache meanwhile.
    """
    for index in range(network.layers.shape[0] - 1, 0, -1):
        layer = network.layers[index]
        left = layer[LEFT] * job[CAPACITY] + slab * layer[LEFT_STRIDE]
        softmax = network.layers[index - 1, ACTIVATION] == SOFTMAX
        out = layer[OUT] * job[CAPACITY] + slab * layer[OUT_STRIDE]
        for column in range(0, layer[PANEL_COLUMNS] if layer[NARROW] else layer[PANEL_ROWS], PANEL):
            if layer[NARROW]:
                width = min(PANEL, layer[PANEL_COLUMNS] - column)
                panels, panel = network.parameters, layer[KERNEL] + column * layer[PANEL_ROWS]
            else:
                width = min(PANEL, layer[PANEL_ROWS] - column)
                panels, panel = space.packed, rank * job[PACK_ROOM]
                transpose_panel(
                    network.parameters, layer[KERNEL], layer[PANEL_ROWS], layer[COLUMNS], column, width, panels, panel
                )
            panel_product(
                space.zeros, 0, space.slopes, out, layer[OUT_STRIDE], panels, panel, width == PANEL, layer[UNITS],
                space.slopes, left + column, layer[LEFT_STRIDE], rows, not softmax,
            )  # fmt: skip
        if softmax:
            softmax_backward(
                space.rows, left, layer[LEFT_STRIDE], space.slopes, left, layer[LEFT_STRIDE], rows, layer[INPUTS]
            )


@kernel
def item_gradient(
    network: Network,
    space: Workspace,
    job: Int64,
    index: int,
    slab: int,
    rows: int,
    gradients: Float32,
    first: int,
    add: bool,
) -> None:
    """``dw = x^T dz`` or ``db = sum dz`` of one item over ``rows`` rows from ``slab``, or added with ``add``."""
    item = network.items[index]
    layer = network.layers[item[LAYER]]
    x = layer[LEFT] * job[CAPACITY] + slab * layer[LEFT_STRIDE]
    dz = layer[OUT] * job[CAPACITY] + slab * layer[OUT_STRIDE]
    if not item[ROWS]:
        bias_gradient(space.slopes, dz + item[COLUMN], layer[OUT_STRIDE], rows, item[COUNT], gradients, first, add)
        return
    # dw = x^T dz, or of a narrow layer dw^T = dz^T x
    left, left_at, left_stride = space.rows, x + item[ROW], layer[LEFT_STRIDE]
    right, right_at, right_stride = space.slopes, dz + item[COLUMN], layer[OUT_STRIDE]
    if layer[NARROW]:
        left, left_at, left_stride = space.slopes, dz, layer[OUT_STRIDE]
        right, right_at, right_stride = space.rows, x + item[COLUMN], layer[LEFT_STRIDE]
    panel_gradient(
        left, left_at, left_stride, right, right_at, right_stride, rows, gradients, first,
        item[COUNT] == item[ROWS] * PANEL, item[ROWS], add,
    )  # fmt: skip


@kernel
def train_rows(
    network: Network,
    space: Workspace,
    objective: Objective,
    data: Data,
    job: Int64,
    rank: int,
    start: int,
    first: int,
    slab: int,
    rows: int,
    batch: int,
) -> None:
    """Everything but the parameters' gradients for a block of a batch.

    Parameters
    ----------
    start : int
        The batch's first row in the epoch.
    first : int
        The block's first row in the batch.
    slab, rows : int
        Where the block lies in the workspace, and how many rows it has.
    """
    padded = padded_rows(rows)
    gather(network, space, data, job, start + first, slab, rows)
    forward(network, space.rows, space.slopes, job[CAPACITY], slab, padded, True)
    for row in range(0, rows, job[PIECE]):
        judge(
            network, space, objective, data, job, rank, start + first + row, slab + row, min(job[PIECE], rows - row),
            batch, (first + row) // job[PIECE],
        )  # fmt: skip
    backward(network, space, job, rank, slab, padded)
