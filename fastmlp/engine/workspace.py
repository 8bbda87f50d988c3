"""How much of a batch is worked on at a time, and the memory for it: decided by shapes alone."""

from typing import NamedTuple

import numpy as np

from ..kernels import memory
from ..kernels.simd import SIMD_WIDTH
from . import tables as t
from .plan import Plan

# The least number of rows that threads share, and that sums are kept for.
SMALLEST_PIECE = 16
# More pieces than this would only cost time; up to here, threads get about equal shares.
MOST_PIECES = 64
# What a block's activations and gradients may take of a second-level cache, and the parameters beside them.
BLOCK_BYTES = 256 << 10
SMALL_PARAMETERS_BYTES = 256 << 10
# With larger parameters a block is wide enough to use each panel of weights often, and its widest layer stays.
LEFT_BYTES = 512 << 10
SMALLEST_WIDE_BLOCK = 96
# A net whose gradients are so small gets them from each block while it is in the cache, once a shard.
SHARD_PARAMETERS = 16 << 10
MOST_SHARDS = 8


class Cut(NamedTuple):
    """How the rows of a batch are cut.

    Attributes
    ----------
    piece : int
        Rows that have sums of their own.
    block : int
        Rows that go through all layers together; whole pieces.
    shards : int
        Parts of the batch with gradients of their own, or 0 where the whole batch's activations are kept and
        gradients are made from them.
    """

    piece: int
    block: int
    shards: int


class Room(NamedTuple):
    """Memory for runs with batches of up to ``batch`` rows that keep sums of up to ``pieces`` pieces."""

    space: t.Workspace
    capacity: int
    batch: int
    pieces: int


def cut_batch(plan: Plan, batch: int, *, training: bool, whole: bool = False) -> Cut:
    """Return the cut for batches of up to ``batch`` rows; ``whole``: a loss sees all of them at once."""
    if training and whole:
        piece = _up(batch, SMALLEST_PIECE)
        return Cut(piece, piece, 0)
    row_bytes = 4 * plan.row_floats * (2 if training else 1)
    parameters = plan.network.parameters.size
    rows = BLOCK_BYTES // row_bytes
    if 4 * parameters > SMALL_PARAMETERS_BYTES:
        rows = max(SMALLEST_WIDE_BLOCK, LEFT_BYTES // (4 * plan.widest))
    if not training:
        block = max(SMALLEST_PIECE, _down(min(rows, max(batch, SMALLEST_PIECE)), SMALLEST_PIECE))
        return Cut(block, block, 0)
    rows = max(rows, SMALLEST_PIECE)
    piece = min(_up(-(-batch // MOST_PIECES), SMALLEST_PIECE), _down(rows, SMALLEST_PIECE))
    block = _down(rows, piece)
    pieces = -(-batch // piece)
    shards = (
        min(MOST_SHARDS, pieces) if batch > 2 * block and parameters <= SHARD_PARAMETERS and not plan.statistics else 0
    )
    return Cut(piece, block, shards)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _down(number: int, unit: int) -> int:
    return number // unit * unit


def make_workspace(
    plan: Plan,
    cut: Cut,
    batch: int,
    target_columns: int,
    metric_sums: int,
    *,
    threads: int,
    training: bool,
    weighted: bool,
    pieces: int,
) -> Room:
    """Return the memory for runs with such batches.

    Parameters
    ----------
    batch : int
        Rows of a batch.
    pieces : int
        How many pieces have sums.
    """
    whole_batch = training and not cut.shards
    # whole pieces, which every tile height divides: the lowest tile may be higher than what is left of a block
    capacity = _up(batch, SMALLEST_PIECE) if whole_batch else cut.block * threads
    piece = cut.piece * threads
    outputs = piece * plan.units
    workspace = t.Workspace(
        memory.zeros(capacity * plan.row_floats),
        memory.zeros(capacity * plan.row_floats if training else 0),
        memory.zeros(threads * plan.pack_floats),
        memory.zeros(outputs),
        memory.zeros(outputs),
        memory.zeros(piece * target_columns),
        memory.zeros(piece if weighted else 0),
        memory.zeros(outputs + 2 * piece),
        memory.zeros(outputs),
        memory.zeros((pieces, t.PIECE_METRICS + metric_sums), np.float64),
        memory.zeros(2 * SIMD_WIDTH),
        memory.zeros((t.STATISTIC_ROWS, plan.statistics if training else 0)),
        memory.zeros((pieces, t.PIECE_STATISTICS, plan.statistics if training else 0)),
        memory.zeros(threads * plan.word_room if training else 0, np.uint32),
    )
    return Room(workspace, capacity, batch, pieces)


def prediction_space(plan: Plan, capacity: int, threads: int = 1) -> t.Workspace:
    """Return the memory for predictions: the activations of ``capacity`` rows, and panels of weights."""
    none = memory.zeros(0)
    return t.Workspace(
        memory.zeros(capacity * plan.row_floats), none, memory.zeros(threads * plan.pack_floats), none, none, none,
        none, none, none, memory.zeros((0, 0), np.float64), memory.zeros(2 * SIMD_WIDTH), memory.zeros((0, 0)),
        memory.zeros((0, 0, 0)), memory.zeros(0, np.uint32),
    )  # fmt: skip
