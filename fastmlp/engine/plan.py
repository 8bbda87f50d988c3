"""A model as data: one row of integers for each layer, variable and item, and one flat parameter buffer.

The compiled loops interpret these tables, so a new architecture is new data and never a new compilation.
Offsets are elements of float32 buffers.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.gemm import PANEL, TALL_ROWS, leading_dimension, padded_columns, padded_rows
from ..kernels.narrow import is_narrow
from ..layers import Dense
from . import tables as t

Float32 = NDArray[np.float32]

CACHE_LINE_FLOATS = 16
# Rows of a kernel that make an item: whole tall tiles, few enough that the gradient is still in the cache when
# the optimizer takes it, and that two threads get about the same.
ITEM_ROWS = 48 // TALL_ROWS * TALL_ROWS
ITEM_BIASES = 1024
# Items follow each other in squares of a kernel, whose columns of x and dz stay in a second-level cache meanwhile.
SQUARE = 192


def aligned(size: int) -> Float32:
    """Return zeros that begin at a cache line."""
    raw = np.zeros(size + CACHE_LINE_FLOATS, np.float32)
    skip = (-raw.ctypes.data // raw.itemsize) % CACHE_LINE_FLOATS
    return raw[skip : skip + size]


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
        table = np.zeros((len(layers), t.LAYER_FIELDS), np.int64)
        variables: list[tuple[int, int, int]] = []
        penalties: list[tuple[float, float]] = []
        items: list[tuple[int, ...]] = []
        at = left = 0
        width = inputs
        for index, (row, layer) in enumerate(zip(table, layers, strict=True)):
            columns = padded_columns(layer.units)
            row[t.INPUTS], row[t.UNITS], row[t.COLUMNS] = width, layer.units, columns
            row[t.LEFT], row[t.LEFT_STRIDE] = left, leading_dimension(width)
            left += row[t.LEFT_STRIDE]
            row[t.OUT], row[t.OUT_STRIDE] = left, leading_dimension(layer.units)
            row[t.NARROW] = is_narrow(width, layer.units)
            if row[t.NARROW]:
                row[t.PANEL_ROWS], row[t.PANEL_COLUMNS] = padded_rows(layer.units), padded_columns(width)
            else:
                # whole vectors where the backward pass transposes blocks
                row[t.PANEL_ROWS] = padded_columns(padded_rows(width)) if index else padded_rows(width)
                row[t.PANEL_COLUMNS] = columns
            size = int(row[t.PANEL_ROWS] * row[t.PANEL_COLUMNS])
            row[t.KERNEL], row[t.BIAS] = at, at + size
            row[t.ACTIVATION] = layer.activation.compiled_kind
            kernel_l, bias_l = layer.kernel_regularizer, layer.bias_regularizer
            items += _kernel_items(index, len(variables), row)
            variables.append((at, size, 1))
            penalties.append((kernel_l.l1, kernel_l.l2) if kernel_l else (0.0, 0.0))
            if layer.use_bias:
                items += _bias_items(index, len(variables), row)
            variables.append((int(row[t.BIAS]), columns, int(layer.use_bias)))
            penalties.append((bias_l.l1, bias_l.l2) if bias_l and layer.use_bias else (0.0, 0.0))
            at = int(row[t.BIAS]) + columns
            width = layer.units
        self.row_floats = left + leading_dimension(width)
        self.widest = int(table[:, [t.LEFT_STRIDE, t.OUT_STRIDE]].max())
        self.pack_floats = PANEL * int(table[1:, t.COLUMNS].max(initial=0))
        products = table[:, t.INPUTS] * np.where(table[:, t.NARROW], table[:, t.UNITS], table[:, t.COLUMNS])
        self.forward_flops = int(2 * products.sum())
        self.training_flops = int(6 * products.sum() - 2 * products[0])
        self.network = t.Network(
            table,
            np.array([layer.activation.parameter for layer in layers], np.float32),
            np.array(variables, np.int64).reshape(-1, t.VARIABLE_FIELDS),
            np.array(penalties, np.float32).reshape(-1, 2),
            np.array(items, np.int64).reshape(-1, t.ITEM_FIELDS),
            aligned(at),
        )

    def over(self, parameters: Float32) -> "Plan":
        """Return the same plan over another buffer, such as that of the parameters' gradients."""
        other = copy.copy(self)
        other.network = self.network._replace(parameters=parameters)
        return other

    def _panels(self, index: int) -> list[tuple[slice, Float32]]:
        """The kernel's panels: their columns, and a view (rows, width) of each."""
        row = self.network.layers[index]
        panels = []
        for column in range(0, int(row[t.PANEL_COLUMNS]), PANEL):
            width = min(PANEL, int(row[t.PANEL_COLUMNS]) - column)
            start = int(row[t.KERNEL] + column * row[t.PANEL_ROWS])
            view = self.network.parameters[start : start + int(row[t.PANEL_ROWS]) * width]
            panels.append((slice(column, column + width), view.reshape(-1, width)))
        return panels

    def read_dense(self, index: int) -> tuple[Float32, Float32]:
        """Return copies of a layer's kernel (K, N) and bias (N,)."""
        row = self.network.layers[index]
        padded = np.concatenate([panel for _, panel in self._panels(index)], axis=1)
        if row[t.NARROW]:
            padded = padded.T
        bias = self.network.parameters[row[t.BIAS] : row[t.BIAS] + row[t.UNITS]]
        return np.ascontiguousarray(padded[: row[t.INPUTS], : row[t.UNITS]]), bias.copy()

    def write_dense(self, index: int, kernel: Float32, bias: Float32 | None) -> None:
        """Store a layer's kernel (K, N) and bias (N,)."""
        row = self.network.layers[index]
        padded = np.zeros((row[t.PANEL_ROWS], row[t.PANEL_COLUMNS]), np.float32)
        matrix = kernel.T if row[t.NARROW] else kernel
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        for columns, panel in self._panels(index):
            panel[...] = padded[:, columns]
        if bias is not None:
            self.network.parameters[row[t.BIAS] : row[t.BIAS] + row[t.UNITS]] = bias


def _kernel_items(layer: int, variable: int, row: t.Int64) -> Iterator[tuple[int, ...]]:
    """The items of a kernel, square by square, in a square panel by panel; ``row`` is its layer's."""
    rows = padded_rows(int(row[t.UNITS] if row[t.NARROW] else row[t.INPUTS]))
    columns = int(row[t.PANEL_COLUMNS])
    for left in range(0, columns, SQUARE):
        for top in range(0, rows, SQUARE):
            for column in range(left, min(left + SQUARE, columns), PANEL):
                width = min(PANEL, columns - column)
                start = int(row[t.KERNEL] + column * row[t.PANEL_ROWS])
                for first in range(top, min(top + SQUARE, rows), ITEM_ROWS):
                    count = min(ITEM_ROWS, rows - first)
                    yield layer, variable, start + first * width, count * width, column, first, count


def _bias_items(layer: int, variable: int, row: t.Int64) -> Iterator[tuple[int, ...]]:
    """The items of a bias."""
    for column in range(0, int(row[t.COLUMNS]), ITEM_BIASES):
        yield layer, variable, int(row[t.BIAS]) + column, min(ITEM_BIASES, int(row[t.COLUMNS]) - column), column, 0, 0
