"""What happens to rows: gathered, sent forward through the layers, judged, and their gradients sent backward.

No row depends on another here, so threads share the rows of a batch without waiting for each other, and any
cut of them into blocks gives the same bits. Sums over rows are kept by piece, a cut that follows from shapes.
"""

import numpy as np

from ..activations import LINEAR, SIGMOID, SOFTMAX, TANH, common_elementwise
from ..kernels.extension import Pack, call_extension
from ..kernels.gemm import (
    PANEL,
    bias_gradient,
    padded_rows,
    panel_gradient,
    panel_product,
    rows_product,
    transpose_panel,
)
from ..kernels.jit import SIMD_WIDTH, kernel
from ..kernels.lanes import copy_row, flat_rows
from ..kernels.narrow import narrow_forward
from ..kernels.pointwise import copy_rows, multiply_rows, scale_gradient
from ..kernels.softmax import softmax_backward, softmax_crossentropy, softmax_forward
from ..losses.kinds import CATEGORICAL_LOGITS, SMOOTHING, SPARSE, SPARSE_LOGITS
from ..losses.table import common_value_and_grad, weighted_total
from ..metrics.kinds import FIRST_PARAMETER, FIRST_SUM, R2, WEIGHTED
from ..metrics.kinds import KIND as METRIC_KIND
from ..metrics.table import common_update
from .interruption import given_up
from .tables import (
    ACTIVATION,
    ACTIVATION_AT,
    ACTIVATION_PARAMETER,
    BACK,
    BIAS,
    CAPACITY,
    COLUMN,
    COLUMNS,
    COUNT,
    DENSE,
    DOTS,
    EVALUATE,
    GRADIENT,
    INPUTS,
    KERNEL,
    KIND,
    LEFT,
    LEFT_STRIDE,
    LOGITS,
    LOOK_AT,
    LOSS_AT,
    LOSS_CALLBACK,
    LOSS_KIND,
    METRICS_AT,
    MODE,
    NARROW,
    NOISE,
    NOWHERE,
    OF_OFFSET,
    OF_SCALE,
    ORIGIN,
    OUT,
    OUT_STRIDE,
    PACK_ROOM,
    PANEL_COLUMNS,
    PANEL_ROWS,
    PIECE,
    PIECE_BACKWARD,
    PIECE_FORWARD,
    PIECE_LOSS,
    PIECE_METRICS,
    ROW,
    ROWS,
    SHUFFLED,
    STAGE,
    STAGE_BACKWARD,
    STAGE_FORWARD,
    STAGE_NOISE,
    TARGET_COLUMNS,
    UNITS,
    Data,
    Float32,
    Int64,
    Network,
    Objective,
    Workspace,
)

ONE = np.float32(1)


@kernel
def source_row(data: Data, job: Int64, row: int) -> int:
    """Where the epoch's row ``row`` lies in the data."""
    return int(data.order[row] if job[SHUFFLED] else row - job[ORIGIN])


@kernel
def gather(network: Network, space: Workspace, data: Data, job: Int64, first: int, slab: int, rows: int) -> None:
    """Copy ``rows`` rows of the epoch, from its row ``first``, to the workspace's row ``slab``."""
    stride = network.stages[0, LEFT_STRIDE]
    features = data.x.shape[1]
    for row in range(rows):
        source = data.x[source_row(data, job, first + row)]
        copy_row(source, 0, features, space.rows, (slab + row) * stride, features)


@kernel
def gather_targets(
    data: Data, job: Int64, first: int, rows: int, units: int, targets: Float32, weights: Float32
) -> None:
    """Copy the targets and sample weights of ``rows`` rows of the epoch.

    One target for several outputs, or for a loss of class numbers, is a class number. Another thread may have changed
    it since it was checked, and it must be no place outside of the outputs, which a loss would write to.
    """
    columns = job[TARGET_COLUMNS]
    sparse = units > 1 or job[LOSS_KIND] == SPARSE or job[LOSS_KIND] == SPARSE_LOGITS
    classes = columns == 1 and sparse and job[LOSS_CALLBACK] == NOWHERE
    if not job[SHUFFLED]:
        # at once: the masks of rows as short as targets take most of the time that a copy does
        own = flat_rows(data.y, first - job[ORIGIN], rows)
        for i in range(targets.size):
            targets[i] = own[i]
    for row in range(rows if job[SHUFFLED] or classes or weights.size else 0):
        source = source_row(data, job, first + row)
        if job[SHUFFLED]:
            copy_row(data.y[source], 0, columns, targets, row * columns, columns)
        if classes and not 0 <= targets[row] < units:
            targets[row] = 0
        if weights.size:
            weights[row] = data.weights[source]


@kernel
def extend(
    address: int, frame: Pack, what: int, index: int, rank: int, first: int, slab: int, rows: int, training: bool
) -> None:
    """Have an extension of the stages do something; see :func:`fastmlp.engine.stages.run_stage`."""
    call_extension(address, frame, (what, index, rank, first, slab, rows, training))


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
    frame: Pack,
) -> None:
    """``a = f(z)`` of one stage in place, in training with slopes; padding columns of a become zero."""
    stage = network.stages[index]
    stride, units = stage[OUT_STRIDE], stage[UNITS]
    out = stage[OUT] * capacity + slab * stride
    if stage[ACTIVATION] == SOFTMAX:
        softmax_forward(activations, out, stride, rows, units, stage[COLUMNS])
        if training:
            # its way back is a step of its own
            slopes[out : out + rows * stride] = ONE
    elif stage[ACTIVATION_AT] != NOWHERE:
        extend(stage[ACTIVATION_AT], frame, 0, index, 0, 0, slab, rows, training)
    else:
        common_elementwise(
            stage[ACTIVATION], network.settings[index, ACTIVATION_PARAMETER], activations, out, slopes, out,
            rows * stride, training,
        )  # fmt: skip
    # f(0) may not be 0, and the weights' gradient reads whole vectors of a row
    if units < stage[COLUMNS] and activations[out + units] != 0:
        last = stage[COLUMNS] - SIMD_WIDTH
        copy_rows(
            activations, out + last, stride, activations, out + last, stride, rows, units - last, SIMD_WIDTH
        )  # fmt: skip


@kernel
def dense_forward(network: Network, space: Workspace, job: Int64, index: int, rank: int, slab: int, rows: int) -> None:
    """``z = x w + b`` of one dense stage."""
    stage = network.stages[index]
    left = stage[LEFT] * job[CAPACITY] + slab * stage[LEFT_STRIDE]
    out = stage[OUT] * job[CAPACITY] + slab * stage[OUT_STRIDE]
    if stage[NARROW] == DOTS:
        narrow_forward(
            network.parameters, stage[BIAS], space.rows, left, stage[LEFT_STRIDE], network.parameters, stage[KERNEL],
            stage[PANEL_ROWS], stage[PANEL_COLUMNS], stage[UNITS], space.rows, out, stage[OUT_STRIDE], rows,
        )  # fmt: skip
        return
    panels, panel, panel_rows = network.parameters, stage[KERNEL], stage[PANEL_ROWS]
    if stage[NARROW]:
        transpose_panel(
            panels, panel, panel_rows, stage[PANEL_COLUMNS], 0, stage[COLUMNS], space.packed, rank * job[PACK_ROOM]
        )
        panels, panel = space.packed, rank * job[PACK_ROOM]
    columns = stage[COLUMNS] if job[LOOK_AT] == NOWHERE else PANEL
    for column in range(0, stage[COLUMNS], columns):
        if given_up(job, rank, rows * stage[INPUTS] * columns):
            return
        rows_product(
            network.parameters, stage[BIAS] + column, space.rows, left, stage[LEFT_STRIDE], panels,
            panel + column * panel_rows, panel_rows, stage[INPUTS], min(columns, stage[COLUMNS] - column), space.rows,
            out + column, stage[OUT_STRIDE], rows,
        )  # fmt: skip


@kernel
def stage_forward(
    network: Network, space: Workspace, job: Int64, index: int, rank: int, first: int, slab: int, rows: int,
    training: bool, frame: Pack,
) -> None:  # fmt: skip
    """``z`` of one stage."""
    if network.stages[index, KIND] == DENSE:
        dense_forward(network, space, job, index, rank, slab, rows)
    else:
        extend(network.extension[0], frame, STAGE_FORWARD, index, rank, first, slab, rows, training)


@kernel
def forward(
    network: Network, space: Workspace, job: Int64, begin: int, end: int, rank: int, first: int, slab: int, rows: int,
    training: bool, frame: Pack,
) -> None:  # fmt: skip
    """``z`` and ``a = f(z)`` of the stages ``begin`` to ``end``; in training with slopes and noise. The last z stays.

    ``rows`` is padded; what stands in padding rows is finite or not, and used by nothing. ``first`` is the batch's
    row at ``slab``.
    """
    for index in range(begin, end):
        if given_up(job, rank, 0):
            return
        stage = network.stages[index]
        stage_forward(network, space, job, index, rank, first, slab, rows, training, frame)
        if index < network.stages.shape[0] - 1:
            activate(network, space.rows, space.slopes, job[CAPACITY], index, slab, rows, training, frame)
            if training and stage[NOISE]:
                extend(network.extension[0], frame, STAGE_NOISE, index, rank, first, slab, rows, True)


@kernel
def compact(source: Float32, first: int, stride: int, rows: int, columns: int, target: Float32) -> None:
    """Copy rows from ``stride`` apart to without gaps."""
    copy_rows(source, first, stride, target, 0, columns, rows, columns, columns)


@kernel
def rooms(
    space: Workspace, job: Int64, rank: int, rows: int, units: int
) -> tuple[Float32, Float32, Float32, Float32, Float32, Float32]:
    """A thread's outputs, predictions, targets, weights, scratch of the loss and gradient, of ``rows`` rows."""
    room, size = rank * job[PIECE], rows * units
    columns = job[TARGET_COLUMNS]
    return (
        space.outputs[room * units : room * units + size],
        space.predictions[room * units : room * units + size],
        space.targets[room * columns : (room + rows) * columns],
        space.weights[room : room + rows],
        space.values[room * (units + 2) : (room + rows) * (units + 2)],
        space.gradient[room * units : room * units + size],
    )


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
    frame: Pack,
    whole: Pack,
) -> None:
    """Write the loss and the metrics of a piece of rows to its sums, and the loss' gradient to the last slopes.

    With ``LOGITS`` the loss takes the last z, and the activation is applied only where metrics want it.
    """
    index = network.stages.shape[0] - 1
    stage = network.stages[index]
    stride, units = stage[OUT_STRIDE], stage[UNITS]
    out = stage[OUT] * job[CAPACITY] + slab * stride
    outputs, predictions, targets, weights, values, gradient = rooms(space, job, rank, rows, units)
    sums = space.sums[piece]
    logits, metrics = job[LOGITS] != 0, objective.metrics.shape[0]
    # what the loss takes is z itself
    of_z = logits or stage[ACTIVATION] == LINEAR
    training = job[MODE] != EVALUATE
    gather_targets(data, job, first, rows, units, targets, weights)
    padded = padded_rows(rows)
    softmax = job[LOSS_KIND] == CATEGORICAL_LOGITS or job[LOSS_KIND] == SPARSE_LOGITS
    # straight from the place of z to that of its gradient
    direct = training and softmax and of_z
    if direct:
        softmax_crossentropy(
            space.rows, out, stride, targets, job[LOSS_KIND] == SPARSE_LOGITS, objective.loss_parameters[SMOOTHING],
            weights, np.float32(1 / batch), rows, units, values, space.slopes, out, stride, stage[COLUMNS],
        )  # fmt: skip
        sums[PIECE_LOSS] = weighted_total(values, weights, rows, 1)
    elif logits:
        compact(space.rows, out, stride, rows, units, outputs)
    room = rank * job[PIECE] * units
    vectors = -(-rows * units // SIMD_WIDTH) * SIMD_WIDTH
    # so few outputs that most of a row's vector is padding go through f without it
    gapless = units < SIMD_WIDTH and vectors <= job[PIECE] * units and stage[ACTIVATION_AT] == NOWHERE
    gapless = gapless and (stage[ACTIVATION] == TANH or stage[ACTIVATION] == SIGMOID)
    if gapless and (not logits or metrics):
        compact(space.rows, out, stride, rows, units, predictions)
        common_elementwise(
            stage[ACTIVATION], network.settings[index, ACTIVATION_PARAMETER], space.predictions, room, space.outputs,
            room, vectors, training and not of_z,
        )  # fmt: skip
    elif not logits or metrics:
        activate(network, space.rows, space.slopes, job[CAPACITY], index, slab, padded, training and not of_z, frame)
        compact(space.rows, out, stride, rows, units, predictions)
    if job[LOSS_AT] != NOWHERE:
        call_extension(job[LOSS_AT], whole, (rank, rows, batch, piece))
    elif not direct:
        sums[PIECE_LOSS] = common_value_and_grad(
            job[LOSS_KIND], objective.loss_parameters[0], outputs if logits else predictions, targets, weights, rows,
            units, batch, values, gradient,
        )  # fmt: skip
    for i in range(PIECE_METRICS, sums.size):
        sums[i] = 0
    for index in range(metrics):
        metric = objective.metrics[index]
        if metric[METRIC_KIND] < R2:
            common_update(
                metric[METRIC_KIND], objective.metric_parameters[metric[FIRST_PARAMETER]], predictions, targets,
                weights if metric[WEIGHTED] else weights[:0], rows, units, sums, PIECE_METRICS + metric[FIRST_SUM],
            )  # fmt: skip
        else:
            call_extension(job[METRICS_AT], whole, (index, rank, rows, piece))
    if training and not direct:
        if gapless and not of_z:
            for i in range(gradient.size):
                gradient[i] *= outputs[i]
        spread_gradient(space, stage, out, gradient, rows, of_z or gapless)


@kernel
def spread_gradient(space: Workspace, stage: Int64, out: int, gradient: Float32, rows: int, of_z: bool) -> None:
    """Turn the gradient of the outputs (or ``of_z``) into that of the last z, in the slopes' place; padding is zero."""
    stride, units = stage[OUT_STRIDE], stage[UNITS]
    softmax = stage[ACTIVATION] == SOFTMAX
    if of_z or softmax:
        copy_rows(gradient, 0, units, space.slopes, out, stride, rows, units, stage[COLUMNS])
    else:
        multiply_rows(space.slopes, out, stride, gradient, rows, units, stage[COLUMNS])
    if softmax and not of_z:
        softmax_backward(space.rows, out, stride, space.slopes, out, stride, rows, units)


@kernel
def dense_backward(network: Network, space: Workspace, job: Int64, index: int, rank: int, slab: int, rows: int) -> None:
    """``slopes below *= dz w^T`` of one dense stage.

    A panel of w^T is made where it is used, and stays in the cache meanwhile.
    """
    stage = network.stages[index]
    left = stage[LEFT] * job[CAPACITY] + slab * stage[LEFT_STRIDE]
    out = stage[OUT] * job[CAPACITY] + slab * stage[OUT_STRIDE]
    for column in range(0, stage[PANEL_COLUMNS] if stage[NARROW] else stage[PANEL_ROWS], PANEL):
        if given_up(job, rank, rows * stage[UNITS] * PANEL):
            return
        if stage[NARROW]:
            width = min(PANEL, stage[PANEL_COLUMNS] - column)
            panels, panel = network.parameters, stage[KERNEL] + column * stage[PANEL_ROWS]
        else:
            width = min(PANEL, stage[PANEL_ROWS] - column)
            panels, panel = space.packed, rank * job[PACK_ROOM]
            transpose_panel(
                network.parameters, stage[KERNEL], stage[PANEL_ROWS], stage[COLUMNS], column, width, panels, panel
            )
        panel_product(
            space.zeros, 0, space.slopes, out, stage[OUT_STRIDE], panels, panel, width == PANEL, stage[UNITS],
            space.slopes, left + column, stage[LEFT_STRIDE], rows, True,
        )  # fmt: skip


@kernel
def backward(
    network: Network,
    space: Workspace,
    job: Int64,
    high: int,
    low: int,
    rank: int,
    slab: int,
    rows: int,
    frame: Pack,
) -> None:
    """From ``dz`` of the stage ``high`` to that of every stage whose outputs the stages down to ``low`` read.

    ``dz_below = (dz w^T) * slope``, and so for every kind of stage; it ends where nothing below is trained.
    """
    for index in range(high, low - 1, -1):
        stage = network.stages[index]
        if not stage[BACK] or given_up(job, rank, 0):
            return
        if stage[KIND] == DENSE:
            dense_backward(network, space, job, index, rank, slab, rows)
        else:
            extend(network.extension[0], frame, STAGE_BACKWARD, index, rank, 0, slab, rows, True)
        if network.stages[index - 1, ACTIVATION] == SOFTMAX:
            left = stage[LEFT] * job[CAPACITY] + slab * stage[LEFT_STRIDE]
            softmax_backward(
                space.rows, left, stage[LEFT_STRIDE], space.slopes, left, stage[LEFT_STRIDE], rows, stage[INPUTS]
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
    """``dw = x^T dz``, ``db = sum dz`` or ``ds = sum x dz`` of one item over ``rows`` rows, or added with ``add``."""
    item = network.items[index]
    stage = network.stages[item[STAGE]]
    x = stage[LEFT] * job[CAPACITY] + slab * stage[LEFT_STRIDE]
    dz = stage[OUT] * job[CAPACITY] + slab * stage[OUT_STRIDE]
    if item[GRADIENT] == OF_OFFSET:
        bias_gradient(space.slopes, dz + item[COLUMN], stage[OUT_STRIDE], rows, item[COUNT], gradients, first, add)
        return
    if item[GRADIENT] == OF_SCALE:
        scale_gradient(
            space.rows, x + item[COLUMN], space.slopes, dz + item[COLUMN], stage[OUT_STRIDE], rows, item[COUNT],
            gradients, first, add,
        )  # fmt: skip
        return
    # dw = x^T dz, or of a narrow layer dw^T = dz^T x
    left, left_at, left_stride = space.rows, x + item[ROW], stage[LEFT_STRIDE]
    right, right_at, right_stride = space.slopes, dz + item[COLUMN], stage[OUT_STRIDE]
    if stage[NARROW]:
        left, left_at, left_stride = space.slopes, dz, stage[OUT_STRIDE]
        right, right_at, right_stride = space.rows, x + item[COLUMN], stage[LEFT_STRIDE]
    panel_gradient(
        left, left_at, left_stride, right, right_at, right_stride, rows, gradients, first,
        item[COUNT] == item[ROWS] * PANEL, item[ROWS], add,
    )  # fmt: skip


@kernel
def piece_statistics(
    network: Network,
    space: Workspace,
    job: Int64,
    what: int,
    index: int,
    first: int,
    slab: int,
    rows: int,
    frame: Pack,
) -> None:
    """What a stage that standardises by the batch needs of each piece of a block, whose first row is ``first``.

    Rows in other processes, which come before those here, are whole pieces.
    """
    for row in range(0, rows, job[PIECE]):
        piece = (first + row) // job[PIECE]
        extend(network.extension[0], frame, what, index, piece, 0, slab + row, min(job[PIECE], rows - row), True)


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
    place: int,
    segment: int,
    frame: Pack,
    whole: Pack,
) -> None:
    """Everything but the parameters' gradients for a block of a batch, or one segment of it.

    With m stages that standardise by the batch, every row waits for all others 2 m times: before each of them on the
    way up, and on the way down. So there are 2 m + 1 segments, with the loss in the middle one.

    Parameters
    ----------
    start : int
        The batch's first row in the epoch.
    first : int
        The block's first row in the batch.
    batch, place : int
        How many rows the batch has in all processes, and how many of them come before those of this one.
    slab, rows : int
        Where the block lies in the workspace, and how many rows it has.
    """
    padded = padded_rows(rows)
    barriers, stages = network.barriers, network.stages.shape[0]
    middle = barriers.size
    if segment == 0:
        gather(network, space, data, job, start + first, slab, rows)
    if segment <= middle:
        begin = barriers[segment - 1] if segment else 0
        end = barriers[segment] if segment < middle else stages
        forward(network, space, job, begin, end, rank, place + first, slab, padded, True, frame)
        if given_up(job, rank, 0):
            return
    if segment < middle:
        piece_statistics(network, space, job, PIECE_FORWARD, barriers[segment], place + first, slab, rows, frame)
        return
    if segment == middle:
        for row in range(0, rows, job[PIECE]):
            judge(
                network, space, objective, data, job, rank, start + first + row, slab + row,
                min(job[PIECE], rows - row), batch, (first + row) // job[PIECE], frame, whole,
            )  # fmt: skip
    below = 2 * middle - segment - 1
    high = stages - 1 if segment == middle else barriers[below + 1]
    backward(network, space, job, high, barriers[below] + 1 if below >= 0 else 0, rank, slab, padded, frame)
    if below >= 0:
        piece_statistics(network, space, job, PIECE_BACKWARD, barriers[below], place + first, slab, rows, frame)
