"""The words of the compiled loops: columns of tables, numbers of a job, and the buffers that they work on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels import memory

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]

# Kinds of stages: a dense layer, the same numbers (for an activation, noise, or a fork), a scale and an offset for
# each column, the same after mean 0 and variance 1 by columns or by rows, and the sum of two tensors.
DENSE, COPY, AFFINE, STANDARD_COLUMNS, STANDARD_ROWS, JOIN = range(6)

# Columns of the stage table. COLUMNS is UNITS padded. LEFT, OUT and SKIP count floats of one row of the workspace: the
# slab of a tensor begins at LEFT * capacity. KERNEL and BIAS are offsets of two variables, whatever they are to the
# stage; where there are a mean and a variance, they follow. A dense layer's kernel lies in panels of PANEL_ROWS rows
# and PANEL_COLUMNS columns in all: those of w, or (NARROW) those of w^T. ACTIVATION_AT is the address of what runs an
# activation that is not common, CALLBACK that of a user's function; CALLBACK_FAILED is set when that has raised. BACK:
# something below is trained. STATISTICS: the first column of the batch's statistics, or -1 for moving ones.
(
    KIND, INPUTS, UNITS, COLUMNS, LEFT, LEFT_STRIDE, OUT, OUT_STRIDE, KERNEL, PANEL_ROWS, PANEL_COLUMNS, NARROW, BIAS,
    ACTIVATION, ACTIVATION_AT, CALLBACK, CALLBACK_FAILED, BACK, SKIP, NOISE, NOISE_SEED, STATISTICS,
    STAGE_FIELDS,
) = range(23)  # fmt: skip

# How a narrow layer goes forward: by dot products, or with a panel of w that is made of those of w^T.
DOTS, PACKED = 1, 2

# Columns of the stages' float32 settings.
ACTIVATION_PARAMETER, NOISE_AMOUNT, STAGE_EPSILON, STAGE_MOMENTUM, STAGE_SETTINGS = range(5)

# Columns of the variable table: where it is, how many elements with its padding, whether it is trained, its stage.
OFFSET, SIZE, TRAINABLE, OF_STAGE, CONSTRAINT, VARIABLE_FIELDS = range(6)

# Columns of the item table. An item is a piece of a trained variable that one thread makes the gradient of and
# updates: ROWS rows of the panel at COLUMN of a kernel, or some columns of a vector.
STAGE, VARIABLE, GRADIENT, AT, COUNT, COLUMN, ROW, ROWS, ITEM_FIELDS = range(9)
# How the gradient comes about: a product, a sum over the rows, or a sum of products with the stage's inputs.
OF_KERNEL, OF_OFFSET, OF_SCALE = range(3)

# Rows of the batch's statistics (FACTOR is what brings a column to variance 1), and of those of a piece of it: on the
# way back, the means of the gradient and of its product with the standardised column, first as sums.
MEAN, FACTOR, GRADIENT_MEAN, PRODUCT_MEAN, STATISTIC_ROWS = range(5)
PIECE_MEAN, PIECE_SQUARES, PIECE_STATISTICS = range(3)

# Sums of an item of parameters.
SQUARED_NORM, PENALTY = range(2)

# No address.
NOWHERE = -1
# What an extension of the update is asked to do.
UPDATE_FACTORS, UPDATE_GRADIENT, UPDATE_PARAMETERS, UPDATE_NORMS, UPDATE_SCALE = range(5)
# What an extension of the stages is asked to do.
(
    STAGE_FORWARD, STAGE_BACKWARD, STAGE_NOISE, PIECE_FORWARD, PIECE_BACKWARD, BATCH_STATISTICS, STAGE_CONSTRAINT,
) = range(7)  # fmt: skip

# GRADIENTS is a step that ends before the optimizer's: whole gradients, and nothing changed.
TRAIN, EVALUATE, GRADIENTS = range(3)
UNCLIPPED, BY_VALUE, BY_NORM, BY_GLOBAL_NORM = range(4)

# The job's numbers; the last ones are addresses of extensions, or NOWHERE, whether a loss of the user's has failed, and
# how a long step looks up: where to, after how much work, how much was done since, and whether it is to be given up.
# WHOLE: all gradients are made before a parameter changes. PARTIAL: an update may be left half done. MEETING_AT: where
# a step meets other processes that have rows of the same batch, or NOWHERE; BATCH_SIZE and SAMPLES are then of the rows
# here, ALL_ROWS are a batch's, of which PLACE come before those here; the last one, SHORT_STEP, has numbers of its own.
# IN_ORDER: rows here and elsewhere are added as one process would, and FIRST_SHARD of its ALL_SHARDS is the first one
# here. MET_PIECES, if not 0: what meets are the statistics of so many pieces of a batch; negative after the first time
# in a step. TOLD_PIECES: the pieces here whose sums meet with the gradients. ITEM_SHARES, ROW_SHARES: how many shares
# work on items of parameters, and on rows or blocks, has.
(
    MODE, FIRST_STEP, LAST_STEP, BATCH_SIZE, SAMPLES, ORIGIN, SHUFFLED, ITERATION, LOSS_KIND, LOGITS, TARGET_COLUMNS,
    OPTIMIZER, CLIPS, WHOLE, PENALISED, CONSTRAINED, BLOCK, PIECE, CAPACITY, SHARDS, PACK_ROOM, WORD_ROOM, DRAWS,
    THREADS, LOSS_AT, LOSS_CALLBACK, LOSS_FAILED, METRICS_AT, UPDATES_AT, LOOK_AT, LOOK_AFTER, WORKED, STOPPED,
    PARTIAL, MEETING_AT, ALL_ROWS, PLACE, SHORT_STEP, SHORT_ROWS, SHORT_ALL_ROWS, SHORT_PLACE, IN_ORDER, FIRST_SHARD,
    ALL_SHARDS, MET_PIECES, TOLD_PIECES, ITEM_SHARES, ROW_SHARES, JOB_FIELDS,
) = range(49)  # fmt: skip

# Running sums of an epoch: losses times rows, rows, 1 after a loss that is not finite; then the metrics'.
LOSS_SUM, ROW_SUM, DIVERGED, METRIC_SUMS = range(4)

# Sums of a piece of rows: the loss, then the metrics'.
PIECE_LOSS, PIECE_METRICS = range(2)

# What lies behind whole gradients that meet those of other processes: 0, or NaN after a loss that is not finite; how
# many processes want to end the epoch before this step; then every sum of a piece, as two numbers that add up to it.
MET_FINITE, MET_END, MET_SUMS = range(3)


# Words that threads share, each in a cache line (or two) of its own: how many have come to help, how much is done, the
# next block of a prediction, and then, for each thread, what to do and what of it is taken.
JOINED, ARRIVED, NEXT, QUEUES = 0, 16, 32, 48
QUEUE_WORDS = 16


def new_words(threads: int) -> Int64:
    """Return the words that so many threads share, as they are before a call."""
    return memory.zeros(QUEUES + threads * QUEUE_WORDS, np.int64)


class Network(NamedTuple):
    """What the compiled loops read of a model."""

    stages: Int64  # (stages, STAGE_FIELDS)
    settings: Float32  # (stages, STAGE_SETTINGS)
    barriers: Int64  # the stages that standardise by the batch, in their order
    extension: Int64  # (1,): the address of what runs all stages but dense ones, or NOWHERE
    variables: Int64  # (variables, VARIABLE_FIELDS)
    penalties: Float32  # (variables, 4): l1, l2, the constraint's limit, a row's worth where rows divide the penalty
    items: Int64  # (items, ITEM_FIELDS)
    parameters: Float32  # flat: kernels in panels, each followed by its bias; padding zero


class Workspace(NamedTuple):
    """Memory of a run, made before it, so that no step allocates. "Each" is for every thread."""

    rows: Float32  # flat: inputs and every layer's activations, a slab of ``capacity`` rows each
    slopes: Float32  # flat, as rows: slopes, then gradients with respect to z
    packed: Float32  # flat, each a panel of w^T, or of w
    outputs: Float32  # flat, each (piece, N): what the loss takes
    predictions: Float32  # flat, each (piece, N): what metrics take
    targets: Float32  # flat, each (piece, target columns)
    weights: Float32  # flat, each (piece,), or empty: sample weights
    values: Float32  # flat, each (piece, N + 2): scratch of the loss
    gradient: Float32  # flat, each (piece, N): of the loss with respect to the outputs
    sums: Float64  # (pieces, PIECE_METRICS + sums of the metrics)
    zeros: Float32  # a vector's worth of zeros
    statistics: Float32  # (STATISTIC_ROWS, columns that are standardised by the batch)
    piece_statistics: Float32  # (pieces, PIECE_STATISTICS, columns as above)
    words: UInt32  # flat, each random words for a row


class Objective(NamedTuple):
    """What the compiled loops need to judge outputs."""

    loss_parameters: Float32  # (losses.kinds.PARAMETERS,)
    metrics: Int64  # (metrics, metrics.METRIC_FIELDS)
    metric_parameters: Float64  # flat: those of each metric in turn


class Update(NamedTuple):
    """What the compiled loops need to change parameters."""

    gradients: Float32  # flat: all parameters for each shard, then a group of items each, or all parameters (WHOLE)
    slots: Float32  # flat: slot s of parameter i at s * size + i
    averages: Float32  # flat, the slots' part for averages of the parameters, or empty
    accumulated: Float32  # flat, the slots' part for gradients of earlier batches, or empty
    settings: Float64  # from Optimizer.settings
    factors: Float32  # (FACTORS,): what the settings come to in the present step
    item_sums: Float64  # (items, 2): squared norm of the gradient, penalty


class Data(NamedTuple):
    """Rows that a call may read; never written."""

    x: Float32  # (rows, K)
    y: Float32  # (rows, target columns)
    weights: Float32  # (rows,) or (0,)
    order: Int64  # the epoch's permutation, or empty
