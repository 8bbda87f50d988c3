"""Every stage but a dense one, noise, constraints, and activations that are not common: entries of their own.

The engine calls them by their addresses. So only who uses one of them waits for its compilation, and the plain engine
stays what it is.
"""

import numpy as np

from ..activations import CUSTOM, custom, elementwise
from ..constraints import MAX_NORM, NON_NEG
from ..kernels.constraint import clip_negative, constrain_columns, constrain_row
from ..kernels.extension import address_of
from ..kernels.gemm import PANEL
from ..kernels.jit import SIMD_WIDTH, entry, kernel
from ..kernels.noise import DROPOUT, dropout_row, gaussian_row, random_words
from ..kernels.pointwise import add_rows, multiply_slopes, scale_rows, scale_slopes
from ..kernels.standardise import (
    column_moments,
    column_sums,
    columns_backward,
    columns_slopes,
    factor_of,
    rows_backward,
    standardise_columns,
    standardise_rows,
)
from .tables import (
    ACTIVATION,
    ACTIVATION_PARAMETER,
    AFFINE,
    BACK,
    BATCH_STATISTICS,
    BIAS,
    CALLBACK,
    CALLBACK_FAILED,
    CAPACITY,
    COLUMNS,
    CONSTRAINT,
    DRAWS,
    FACTOR,
    GRADIENT_MEAN,
    JOIN,
    KERNEL,
    KIND,
    LEFT,
    LEFT_STRIDE,
    MEAN,
    MODE,
    NARROW,
    NOISE,
    NOISE_AMOUNT,
    NOISE_SEED,
    OF_STAGE,
    OFFSET,
    OUT,
    OUT_STRIDE,
    PACK_ROOM,
    PANEL_COLUMNS,
    PANEL_ROWS,
    PIECE_FORWARD,
    PIECE_MEAN,
    PIECE_SQUARES,
    PRODUCT_MEAN,
    SIZE,
    SKIP,
    STAGE_BACKWARD,
    STAGE_CONSTRAINT,
    STAGE_EPSILON,
    STAGE_FORWARD,
    STAGE_MOMENTUM,
    STAGE_NOISE,
    STANDARD_COLUMNS,
    STANDARD_ROWS,
    STATISTICS,
    TRAIN,
    UNITS,
    WORD_ROOM,
    Float32,
    Int64,
    Network,
    UInt32,
    Workspace,
)


@kernel
def moving_statistics(network: Network, index: int) -> tuple[Float32, Float32]:
    """Mean and variance of a stage's columns, which lie behind its offset."""
    stage = network.stages[index]
    mean, columns = stage[BIAS] + stage[COLUMNS], stage[COLUMNS]
    return network.parameters[mean : mean + columns], network.parameters[mean + columns : mean + 2 * columns]


@kernel
def stage_forward(
    network: Network, activations: Float32, slopes: Float32, statistics: Float32, capacity: int, index: int, slab: int,
    rows: int, training: bool,
) -> None:  # fmt: skip
    """``z`` of one stage for ``rows`` rows from ``slab``, before its activation."""
    stage = network.stages[index]
    stride, columns = stage[LEFT_STRIDE], stage[COLUMNS]
    left, out = stage[LEFT] * capacity + slab * stride, stage[OUT] * capacity + slab * stride
    scale = network.parameters[stage[KERNEL] : stage[KERNEL] + columns]
    offset = network.parameters[stage[BIAS] : stage[BIAS] + columns]
    epsilon = network.settings[index, STAGE_EPSILON]
    if stage[KIND] == AFFINE:
        scale_rows(activations, left, out, stride, rows, scale, offset)
    elif stage[KIND] == STANDARD_ROWS:
        back = training and stage[BACK] != 0
        standardise_rows(activations, left, out, slopes, stride, rows, stage[UNITS], epsilon, scale, offset, back)
    elif stage[KIND] == STANDARD_COLUMNS:
        if training and stage[STATISTICS] >= 0:
            mean = statistics[MEAN, stage[STATISTICS] : stage[STATISTICS] + columns]
            factors = statistics[FACTOR, stage[STATISTICS] : stage[STATISTICS] + columns]
        else:
            mean, variance = moving_statistics(network, index)
            factors = activations[out : out + columns]
            for j in range(columns):
                factors[j] = factor_of(variance[j], epsilon)
        standardise_columns(activations, left, out, stride, rows, mean, factors, scale, offset)
    else:
        skip = stage[SKIP] * capacity + slab * stride
        add_rows(activations, left, skip, out, rows * stride, stage[KIND] == JOIN)


@kernel
def stage_backward(
    network: Network, activations: Float32, slopes: Float32, statistics: Float32, capacity: int, index: int,
    slab: int, rows: int,
) -> None:  # fmt: skip
    """Multiply the slopes of a stage's inputs by their gradient; those of its outputs are the gradient of its z."""
    stage = network.stages[index]
    stride, columns = stage[LEFT_STRIDE], stage[COLUMNS]
    left, out = stage[LEFT] * capacity + slab * stride, stage[OUT] * capacity + slab * stride
    scale = network.parameters[stage[KERNEL] : stage[KERNEL] + columns]
    if stage[KIND] == AFFINE:
        scale_slopes(slopes, left, out, stride, rows, scale)
    elif stage[KIND] == STANDARD_ROWS:
        rows_backward(activations, slopes, left, out, stride, rows, stage[UNITS], scale)
    elif stage[KIND] == STANDARD_COLUMNS:
        if stage[STATISTICS] >= 0:
            begin, end = stage[STATISTICS], stage[STATISTICS] + columns
            columns_backward(
                activations, slopes, left, out, stride, rows, statistics[FACTOR, begin:end], scale,
                statistics[GRADIENT_MEAN, begin:end], statistics[PRODUCT_MEAN, begin:end],
            )  # fmt: skip
        else:
            _, variance = moving_statistics(network, index)
            epsilon = network.settings[index, STAGE_EPSILON]
            columns_slopes(slopes, left, out, stride, rows, variance, epsilon, scale)
    else:
        # a fork adds what has passed by; a join hands its gradient on, and its fork the other part
        skip = stage[SKIP] * capacity + slab * stride
        multiply_slopes(slopes, left, out, skip, rows * stride, stage[KIND] != JOIN and stage[SKIP] >= 0)


@kernel
def stage_noise(
    network: Network, activations: Float32, slopes: Float32, words: UInt32, numbers: Int64, capacity: int, index: int,
    rank: int, slab: int, first: int, rows: int,
) -> None:  # fmt: skip
    """Noise on a stage's outputs; ``first`` is the batch's row at ``slab``."""
    stage = network.stages[index]
    amount, units = network.settings[index, NOISE_AMOUNT], stage[UNITS]
    own = words[rank * numbers[WORD_ROOM] : (rank + 1) * numbers[WORD_ROOM]]
    needed = (units + 1) // 2 if stage[NOISE] == DROPOUT else units
    for row in range(rows):
        random_words(own, needed, np.uint64(stage[NOISE_SEED]), numbers[DRAWS], index, first + row)
        at = stage[OUT] * capacity + (slab + row) * stage[OUT_STRIDE]
        values = activations[at : at + units]
        if stage[NOISE] == DROPOUT:
            dropout_row(values, slopes[at : at + units], own, amount)
        else:
            # the numbers come in pairs: where the columns are odd, the last one falls into padding, which stays 0
            gaussian_row(activations[at : at + units + units % 2], own, amount)
            activations[at + units : at + units + units % 2] = 0


@kernel
def batch_moments(
    network: Network, statistics: Float32, parts: Float32, index: int, piece: int, pieces: int, batch: int, moves: bool
) -> None:
    """Mean and deviation of a batch's columns from the moments of its pieces; in training the averages of them move.

    The squares of n_i rows with the mean m_i are ``s_i + n_i (m_i - m)^2`` about another mean (Chan, Golub & LeVeque,
    The American Statistician 37, 1983).
    """
    stage = network.stages[index]
    begin, end = stage[STATISTICS], stage[STATISTICS] + stage[COLUMNS]
    mean, variance = statistics[MEAN, begin:end], statistics[FACTOR, begin:end]
    origin = parts[0, PIECE_MEAN, begin:end]
    mean[:] = 0
    variance[:] = 0
    for number in range(1, pieces):
        own = parts[number, PIECE_MEAN, begin:end]
        share = np.float32(min(piece, batch - number * piece) / batch)
        for j in range(mean.size):
            mean[j] += (own[j] - origin[j]) * share
    for j in range(mean.size):
        mean[j] += origin[j]
    for number in range(pieces):
        own, squares = parts[number, PIECE_MEAN, begin:end], parts[number, PIECE_SQUARES, begin:end]
        rows = np.float32(min(piece, batch - number * piece))
        for j in range(mean.size):
            distance = own[j] - mean[j]
            variance[j] += squares[j] + distance * distance * rows
    count, epsilon = np.float32(batch), network.settings[index, STAGE_EPSILON]
    rest = np.float32(1) - network.settings[index, STAGE_MOMENTUM] if moves else np.float32(0)
    moving_mean, moving_variance = moving_statistics(network, index)
    for j in range(mean.size):
        moving_mean[j] += (mean[j] - moving_mean[j]) * rest
        moving_variance[j] += (variance[j] / count - moving_variance[j]) * rest
        variance[j] = factor_of(variance[j] / count, epsilon)


@kernel
def batch_sums(network: Network, statistics: Float32, parts: Float32, index: int, pieces: int, batch: int) -> None:
    """The means that the way back needs, from the sums of pieces."""
    begin, end = network.stages[index, STATISTICS], network.stages[index, STATISTICS] + network.stages[index, COLUMNS]
    gradient, product = statistics[GRADIENT_MEAN, begin:end], statistics[PRODUCT_MEAN, begin:end]
    gradient[:] = 0
    product[:] = 0
    for number in range(pieces):
        own, products = parts[number, PIECE_MEAN, begin:end], parts[number, PIECE_SQUARES, begin:end]
        for j in range(gradient.size):
            gradient[j] += own[j]
            product[j] += products[j]
    share = np.float32(1 / batch)
    for j in range(gradient.size):
        gradient[j] *= share
        product[j] *= share


@kernel
def constrain(network: Network, room: Float32, index: int, share: int, shares: int) -> None:
    """Make a share of a variable's weights fulfil its constraint: some units, or whole vectors of them."""
    variable = network.variables[index]
    stage = network.stages[variable[OF_STAGE]]
    w = network.parameters[variable[OFFSET] : variable[OFFSET] + variable[SIZE]]
    limit, at_most = network.penalties[index, 2], variable[CONSTRAINT] == MAX_NORM
    rows, columns = stage[PANEL_ROWS], stage[PANEL_COLUMNS]
    if variable[CONSTRAINT] == NON_NEG:
        clip_negative(w[w.size * share // shares : w.size * (share + 1) // shares])
    elif stage[NARROW]:
        for unit in range(stage[UNITS] * share // shares, stage[UNITS] * (share + 1) // shares):
            constrain_row(w, rows, columns, unit, limit, at_most)
    else:
        vectors = columns // SIMD_WIDTH
        for vector in range(vectors * share // shares, vectors * (share + 1) // shares):
            panel = vector * SIMD_WIDTH // PANEL * PANEL
            first = panel * rows + vector * SIMD_WIDTH - panel
            constrain_columns(w, first, min(PANEL, columns - panel), rows, limit, at_most, room)


@entry
def run_stage(
    network: Network,
    space: Workspace,
    job: Int64,
    what: int,
    index: int,
    rank: int,
    first: int,
    slab: int,
    rows: int,
    training: bool,
) -> None:
    """Do one thing that the plain engine cannot.

    Parameters
    ----------
    what : int
        One of ``tables``' constants for extensions of the stages.
    index : int
        The stage, the variable of a constraint, or the segment of rows after which a batch's statistics are made.
    rank : int
        The thread, or the piece whose statistics are made.
    first, slab, rows : int
        The batch's row, the workspace's row where it lies, and how many there are. For a batch's statistics: the
        rows of a piece, the number of pieces, the rows of the batch. For a constraint: the share and, as rows, of
        how many.
    training : bool
        Whether a batch's own statistics are used.
    """
    activations, slopes, statistics, capacity = space.rows, space.slopes, space.statistics, job[CAPACITY]
    if what == STAGE_FORWARD:
        stage_forward(network, activations, slopes, statistics, capacity, index, slab, rows, training)
    elif what == STAGE_BACKWARD:
        stage_backward(network, activations, slopes, statistics, capacity, index, slab, rows)
    elif what == STAGE_NOISE:
        stage_noise(network, activations, slopes, space.words, job, capacity, index, rank, slab, first, rows)
    elif what == BATCH_STATISTICS:
        middle = network.barriers.size
        stage = network.barriers[index if index < middle else 2 * middle - index - 1]
        if index < middle:
            batch_moments(network, statistics, space.piece_statistics, stage, first, slab, rows, job[MODE] == TRAIN)
        else:
            batch_sums(network, statistics, space.piece_statistics, stage, slab, rows)
    elif what == STAGE_CONSTRAINT:
        constrain(network, space.packed[rank * job[PACK_ROOM] :], index, first, rows)
    else:
        row = network.stages[index]
        stride, begin = row[LEFT_STRIDE], row[STATISTICS]
        left, out = row[LEFT] * capacity + slab * stride, row[OUT] * capacity + slab * stride
        one = space.piece_statistics[rank, PIECE_MEAN, begin : begin + row[COLUMNS]]
        other = space.piece_statistics[rank, PIECE_SQUARES, begin : begin + row[COLUMNS]]
        if what == PIECE_FORWARD:
            column_moments(activations, left, stride, rows, one, other)
        else:
            column_sums(slopes, out, activations, left, stride, rows, one, other)


@entry
def run_activation(
    network: Network,
    space: Workspace,
    job: Int64,
    what: int,
    index: int,
    rank: int,
    first: int,
    slab: int,
    rows: int,
    training: bool,
) -> None:
    """Apply an activation that is not common; the arguments are :func:`run_stage`'s."""
    stage = network.stages[index]
    out = stage[OUT] * job[CAPACITY] + slab * stage[OUT_STRIDE]
    if stage[ACTIVATION] == CUSTOM:
        if not custom(stage[CALLBACK], space.rows, space.slopes, out, stage[OUT_STRIDE], rows, stage[UNITS], training):
            stage[CALLBACK_FAILED] = 1
        return
    elementwise(
        stage[ACTIVATION], network.settings[index, ACTIVATION_PARAMETER], space.rows, out,
        space.slopes, out, rows * stage[OUT_STRIDE], training,
    )  # fmt: skip


def stages_address(network: Network, space: Workspace) -> int:
    """Return the address of :func:`run_stage`, compiled or loaded for these types."""
    return address_of(run_stage, network, space, np.empty(0, np.int64), 0, 0, 0, 0, 0, 0, False)


def activation_address(network: Network, space: Workspace) -> int:
    """Return the address of :func:`run_activation`, compiled or loaded for these types."""
    return address_of(run_activation, network, space, np.empty(0, np.int64), 0, 0, 0, 0, 0, 0, False)
