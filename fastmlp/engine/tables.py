"""The words of the compiled loops: columns of tables, numbers of a job, and the buffers that they work on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Columns of the layer table. COLUMNS is UNITS padded. LEFT and OUT count floats of one row of the workspace: a slab
# of ``capacity`` rows begins at LEFT * capacity. The kernel lies in panels of PANEL_ROWS rows and PANEL_COLUMNS
# columns in all: those of w, or (NARROW) those of w^T.
(
    INPUTS, UNITS, COLUMNS, LEFT, LEFT_STRIDE, OUT, OUT_STRIDE, KERNEL, PANEL_ROWS, PANEL_COLUMNS, NARROW, BIAS,
    ACTIVATION, LAYER_FIELDS,
) = range(14)  # fmt: skip

# Columns of the variable table: where it is, how many elements with its padding, whether it is trained.
OFFSET, SIZE, TRAINABLE, VARIABLE_FIELDS = range(4)

# Columns of the item table. An item is a piece of a trained variable that one thread makes the gradient of and
# updates: ROWS rows of the panel at COLUMN of a kernel, or (ROWS = 0) some columns of a bias.
LAYER, VARIABLE, AT, COUNT, COLUMN, ROW, ROWS, ITEM_FIELDS = range(8)

TRAIN, EVALUATE = range(2)
UNCLIPPED, BY_VALUE, BY_NORM, BY_GLOBAL_NORM = range(4)

# The job's numbers.
(
    MODE, FIRST_STEP, LAST_STEP, BATCH_SIZE, SAMPLES, ORIGIN, SHUFFLED, ITERATION, LOSS_KIND, LOGITS, TARGET_COLUMNS,
    OPTIMIZER, CLIPS, PENALISED, BLOCK, PIECE, CAPACITY, SHARDS, PACK_ROOM, THREADS, JOB_FIELDS,
) = range(21)  # fmt: skip

# Running sums of an epoch: losses times rows, rows, 1 after a loss that is not finite; then the metrics'.
LOSS_SUM, ROW_SUM, DIVERGED, METRIC_SUMS = range(4)

# Sums of a piece of rows: the loss, then the metrics'.
PIECE_LOSS, PIECE_METRICS = range(2)


# Words that threads share, each in a cache line (or two) of its own: what to do and what of it is taken, how many
# have come to help, how much is done, and the next block of a prediction.
COMMAND, JOINED, ARRIVED, NEXT, SYNC_WORDS = 0, 16, 32, 48, 64


class Network(NamedTuple):
    """What the compiled loops read of a model."""

    layers: Int64  # (layers, LAYER_FIELDS)
    activation_parameters: Float32  # (layers,)
    variables: Int64  # (variables, VARIABLE_FIELDS)
    penalties: Float32  # (variables, 2): l1, l2
    items: Int64  # (items, ITEM_FIELDS)
    parameters: Float32  # flat: kernels in panels, each followed by its bias; padding zero


class Workspace(NamedTuple):
    """Memory of a run, made before it, so that no step allocates. "Each" is for every thread."""

    rows: Float32  # flat: inputs and every layer's activations, a slab of ``capacity`` rows each
    slopes: Float32  # flat, as rows: slopes, then gradients with respect to z
    packed: Float32  # flat, each a panel of w^T
    outputs: Float32  # flat, each (piece, N): what the loss takes
    predictions: Float32  # flat, each (piece, N): what metrics take
    targets: Float32  # flat, each (piece, target columns)
    weights: Float32  # flat, each (piece,), or empty: sample weights
    values: Float32  # flat, each (piece, N + 2): scratch of the loss
    gradient: Float32  # flat, each (piece, N): of the loss with respect to the outputs
    sums: Float64  # (pieces, PIECE_METRICS + sums of the metrics)
    zeros: Float32  # a vector's worth of zeros


class Objective(NamedTuple):
    """What the compiled loops need to judge outputs."""

    loss_parameters: Float32  # (losses.kinds.PARAMETERS,)
    metrics: Int64  # (metrics, metrics.METRIC_FIELDS)
    metric_parameters: Float64  # flat: those of each metric in turn


class Update(NamedTuple):
    """What the compiled loops need to change parameters."""

    gradients: Float32  # flat: a group of items each; all parameters when clipped by norm; or all, for each shard
    slots: Float32  # flat: slot s of parameter i at s * size + i
    settings: Float64  # (optimizers.SETTINGS,)
    factors: Float32  # (optimizers.FACTORS,): what the settings come to in the present step
    item_sums: Float64  # (items, 2): squared norm of the gradient, penalty


class Data(NamedTuple):
    """Rows that a call may read; never written."""

    x: Float32  # (rows, K)
    y: Float32  # (rows, target columns)
    weights: Float32  # (rows,) or (0,)
    order: Int64  # the epoch's permutation, or empty
