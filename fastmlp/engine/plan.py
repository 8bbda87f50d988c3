"""A model as data: one row of integers for each layer, one for each variable, and one flat parameter buffer.

The compiled loops of :mod:`fastmlp.engine.epoch` interpret these tables, so a new architecture is new data
and never a new compilation. Offsets are elements of float32 buffers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.gemm import PANEL, leading_dimension, padded_columns, padded_rows, transpose_panels
from ..layers import Dense

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

CACHE_LINE_FLOATS = 16

# Columns of the layer table. Offsets into activations and slopes count rows of the batch capacity of a
# workspace: they are LEFT * capacity and OUT * capacity elements (see Workspace).
(
    INPUTS, UNITS, COLUMNS, LEFT, LEFT_STRIDE, OUT, OUT_STRIDE, KERNEL, PANEL_ROWS, BIAS, TRANSPOSED, ACTIVATION,
    LAYER_FIELDS,
) = range(13)  # fmt: skip

# Columns of the variable table: where it is, how many elements with its padding, whether it is trained.
OFFSET, SIZE, TRAINABLE, VARIABLE_FIELDS = range(4)


def aligned(size: int) -> Float32:
    """Return zeros that begin at a cache line."""
    raw = np.zeros(size + CACHE_LINE_FLOATS, np.float32)
    skip = (-raw.ctypes.data // raw.itemsize) % CACHE_LINE_FLOATS
    return raw[skip : skip + size]


class Network(NamedTuple):
    """What the compiled loops read of a model."""

    layers: Int64  # (layers, LAYER_FIELDS)
    activation_parameters: Float32  # (layers,)
    variables: Int64  # (variables, VARIABLE_FIELDS)
    penalties: Float32  # (variables, 2): l1, l2
    parameters: Float32  # flat: kernels in panels, then biases, padding zero
    transposed: Float32  # flat: panels of w^T of every layer but the first


class Plan:
    """Tables and parameters of a chain of dense layers.

    Parameters
    ----------
    inputs : int
        Features of a sample.
    layers : sequence of Dense
        At least one; their sizes and settings are read, their weights are attached later.
    """

    def __init__(self, inputs: int, layers: Sequence[Dense]) -> None:
        self.inputs = inputs
        self.units = layers[-1].units
        table = np.zeros((len(layers), LAYER_FIELDS), np.int64)
        variables: list[tuple[int, int, int]] = []
        penalties: list[tuple[float, float]] = []
        at = transposed = 0
        left, width = 0, inputs
        for row, layer in zip(table, layers, strict=True):
            first = not variables
            columns = padded_columns(layer.units)
            row[INPUTS], row[UNITS], row[COLUMNS] = width, layer.units, columns
            row[LEFT], row[LEFT_STRIDE] = left, leading_dimension(width)
            left += row[LEFT_STRIDE]
            row[OUT], row[OUT_STRIDE] = left, leading_dimension(layer.units)
            # whole vectors where the transpose reads blocks; the first layer needs no transpose
            row[PANEL_ROWS] = padded_rows(width) if first else padded_columns(padded_rows(width))
            row[KERNEL], row[BIAS] = at, at + row[PANEL_ROWS] * columns
            row[TRANSPOSED] = transposed
            if not first:
                transposed += row[PANEL_ROWS] * columns
            row[ACTIVATION] = layer.activation.compiled_kind
            kernel_l, bias_l = layer.kernel_regularizer, layer.bias_regularizer
            variables.append((at, int(row[PANEL_ROWS] * columns), 1))
            penalties.append((kernel_l.l1, kernel_l.l2) if kernel_l else (0.0, 0.0))
            variables.append((int(row[BIAS]), columns, int(layer.use_bias)))
            penalties.append((bias_l.l1, bias_l.l2) if bias_l and layer.use_bias else (0.0, 0.0))
            at = int(row[BIAS]) + columns
            width = layer.units
        self.row_floats = left + leading_dimension(width)
        self.largest_width = int(table[:, [LEFT_STRIDE, OUT_STRIDE]].max())
        self.flops_per_row = int(6 * (table[:, INPUTS] * table[:, COLUMNS]).sum())
        self.network = Network(
            table,
            np.array([layer.activation.parameter for layer in layers], np.float32),
            np.array(variables, np.int64).reshape(-1, VARIABLE_FIELDS),
            np.array(penalties, np.float32).reshape(-1, 2),
            aligned(at),
            aligned(transposed),
        )

    def _panels(self, index: int) -> list[tuple[slice, Float32]]:
        """The kernel's panels: its columns, and a view (rows, width) of them."""
        row = self.network.layers[index]
        panels = []
        for column in range(0, int(row[COLUMNS]), PANEL):
            width = min(PANEL, int(row[COLUMNS]) - column)
            start = int(row[KERNEL] + column * row[PANEL_ROWS])
            view = self.network.parameters[start : start + int(row[PANEL_ROWS]) * width]
            panels.append((slice(column, column + width), view.reshape(-1, width)))
        return panels

    def read_dense(self, index: int) -> tuple[Float32, Float32]:
        """Return copies of a layer's kernel (K, N) and bias (N,)."""
        row = self.network.layers[index]
        padded = np.concatenate([panel for _, panel in self._panels(index)], axis=1)
        bias = self.network.parameters[row[BIAS] : row[BIAS] + row[UNITS]]
        return np.ascontiguousarray(padded[: row[INPUTS], : row[UNITS]]), bias.copy()

    def write_dense(self, index: int, kernel: Float32, bias: Float32 | None) -> None:
        """Store a layer's kernel (K, N) and bias (N,); the transposed panels follow."""
        row = self.network.layers[index]
        padded = np.zeros((row[PANEL_ROWS], row[COLUMNS]), np.float32)
        padded[: row[INPUTS], : row[UNITS]] = kernel
        for columns, panel in self._panels(index):
            panel[...] = padded[:, columns]
        if bias is not None:
            self.network.parameters[row[BIAS] : row[BIAS] + row[UNITS]] = bias
        self.refresh_transposed(index)

    def refresh_transposed(self, index: int) -> None:
        """Make a layer's transposed panels follow its kernel."""
        row = self.network.layers[index]
        if index:
            transpose_panels(
                self.network.parameters, int(row[KERNEL]), int(row[PANEL_ROWS]), int(row[COLUMNS]),
                self.network.transposed, int(row[TRANSPOSED]),
            )  # fmt: skip

    def restore(self, parameters: Float32) -> None:
        """Put back a copy of the flat parameter buffer."""
        self.network.parameters[...] = parameters
        for index in range(len(self.network.layers)):
            self.refresh_transposed(index)


class Workspace(NamedTuple):
    """Memory of one batch; made before a run, so that no step allocates."""

    rows: Float32  # flat: inputs and every layer's activations, capacity rows each
    slopes: Float32  # flat, as rows: slopes, then gradients with respect to z
    outputs: Float32  # flat (capacity, N): what the loss takes
    predictions: Float32  # flat (capacity, N): what metrics and users take
    targets: Float32  # flat (capacity, target columns)
    weights: Float32  # flat (capacity,) or empty: sample weights
    values: Float32  # flat (capacity, N): scratch of the loss
    gradient: Float32  # flat (capacity, N): of the loss with respect to the outputs
    zeros: Float32  # a row of zeros


def make_workspace(
    plan: Plan, batch_size: int, target_columns: int, *, training: bool, weighted: bool
) -> tuple[Workspace, int]:
    """Return a workspace for batches of up to ``batch_size`` rows, and its capacity."""
    capacity = padded_rows(batch_size)
    outputs = capacity * plan.units
    workspace = Workspace(
        aligned(capacity * plan.row_floats),
        aligned(capacity * plan.row_floats if training else 0),
        aligned(outputs),
        aligned(outputs),
        aligned(capacity * target_columns),
        aligned(capacity if weighted else 0),
        aligned(outputs),
        aligned(outputs),
        aligned(plan.largest_width + PANEL),
    )
    return workspace, capacity
