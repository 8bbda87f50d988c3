"""A model as data: one row of integers for each stage, variable and item, and one flat parameter buffer.

The compiled loops interpret these tables, so a new architecture is new data and never a new compilation.
Offsets are elements of float32 buffers.
"""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..activations import Custom, is_common
from ..kernels import memory
from ..kernels.gemm import PANEL, TALL_ROWS, leading_dimension, padded_columns, padded_rows
from ..kernels.narrow import NARROW_UNITS, takes_dots
from ..layers import Weight
from . import tables as t
from .chain import Chain, Variable
from .stages import activation_address, stages_address

if TYPE_CHECKING:
    from .turns import Turns

Float32 = NDArray[np.float32]

# Rows of a kernel that make an item: whole tall tiles, few enough that the gradient is still in the cache when
# the optimizer takes it, and that two threads get about the same.
ITEM_ROWS = 48 // TALL_ROWS * TALL_ROWS
ITEM_COLUMNS = 1024
# Items follow each other in squares of a kernel, whose columns of x and dz stay in a second-level cache meanwhile.
SQUARE = 192
# Words that random numbers come in, with those of another thread in other cache lines.
WORD_ROOM_UNIT = 16


class Plan:
    """Tables and parameters of a chain of stages.

    Parameters
    ----------
    chain : Chain
        Finished; its weights move into the plan's buffer.
    seed : int
        Of noise that has no seed of its own.
    """

    def __init__(self, chain: Chain, seed: int) -> None:
        self.inputs, self.units = chain.widths[0], chain.width
        strides = [leading_dimension(width) for width in chain.widths]
        places = [0, *np.cumsum(strides).tolist()]
        self.row_floats, self.widest = places[-1], max(strides)
        self.stages, self.views = chain.stages, chain.views
        self.variables: list[Variable] = []
        table = memory.zeros((len(chain.stages), t.STAGE_FIELDS), np.int64)
        variables: list[tuple[int, ...]] = []
        items: list[tuple[int, ...]] = []
        at = statistics = 0
        back = False
        for index, (row, stage) in enumerate(zip(table, chain.stages, strict=True)):
            row[t.KIND], row[t.BACK] = stage.kind, back
            row[t.INPUTS], row[t.UNITS] = chain.widths[stage.left], stage.units
            row[t.COLUMNS] = padded_columns(stage.units)
            row[t.LEFT], row[t.LEFT_STRIDE] = places[stage.left], strides[stage.left]
            row[t.OUT], row[t.OUT_STRIDE] = places[stage.out], strides[stage.out]
            row[t.SKIP] = stage.skip if stage.skip < 0 else places[stage.skip]
            row[t.ACTIVATION], row[t.ACTIVATION_AT] = stage.activation.compiled_kind, t.NOWHERE
            if stage.noise is not None:
                row[t.NOISE] = stage.noise.kind
            row[t.STATISTICS] = statistics if stage.by_batch else -1
            statistics += int(row[t.COLUMNS]) if stage.by_batch else 0
            dense = stage.kind == t.DENSE
            size = _lay_kernel(row) if dense else int(row[t.COLUMNS])
            row[t.KERNEL], row[t.BIAS] = at, at + size
            moments = [variable for variable in (stage.mean, stage.variance) if variable is not None]
            makers = (
                (stage.kernel, size, _kernel_items if dense else _scale_items),
                *((variable, int(row[t.COLUMNS]), _offset_items) for variable in (stage.bias, *moments)),
            )
            for variable, length, make_items in makers:
                if variable is not None:
                    if variable.trainable:
                        items += make_items(index, len(variables), row)
                        back = True
                    kind = variable.constraint.kind if variable.constraint and variable.trainable else 0
                    variables.append((at, length, int(variable.trainable), index, kind))
                    self.variables.append(variable)
                if variable is not None or dense:
                    # a dense stage without a bias adds zeros
                    at += length
        self.network = t.Network(
            table,
            np.array(
                [
                    (s.activation.parameter, s.noise.amount if s.noise else 0.0, s.epsilon, s.momentum)
                    for s in chain.stages
                ],
                np.float32,
            ),
            np.flatnonzero(table[:, t.STATISTICS] >= 0),
            memory.copied(np.full(1, t.NOWHERE)),
            np.array(variables, np.int64).reshape(-1, t.VARIABLE_FIELDS),
            np.array([_penalty(variable) for variable in self.variables], np.float32).reshape(-1, 4),
            np.array(items, np.int64).reshape(-1, t.ITEM_FIELDS),
            memory.zeros(at),
        )
        # as its session says
        self.turns: Turns | None = None
        self.statistics = statistics
        # whether a penalty is divided by rows
        self.divided = bool(self.network.penalties[:, 3].any())
        # whether a variable has a constraint
        self.constrained = bool(self.network.variables[:, t.CONSTRAINT].any())
        dense = table[:, t.KIND] == t.DENSE
        self._extended = not dense.all() or bool(table[:, t.NOISE].any()) or self.constrained
        self._prepared = False
        # whether there are activations of users
        self.custom = any(isinstance(stage.activation, Custom) for stage in self.stages)
        noisy = table[table[:, t.NOISE] != 0, t.UNITS]
        self.word_room = -(-int(noisy.max(initial=0)) // WORD_ROOM_UNIT) * WORD_ROOM_UNIT
        products = (
            (table[:, t.KIND] == t.DENSE)
            * table[:, t.INPUTS]
            * np.where(table[:, t.NARROW], table[:, t.UNITS], table[:, t.COLUMNS])
        )
        self.pack_floats = PANEL * int(table[:, [t.COLUMNS, t.PANEL_COLUMNS]].max())
        self.forward_flops = int(2 * products.sum())
        self.training_flops = int(4 * products.sum() + 2 * (products * table[:, t.BACK]).sum())
        self.seed_noise(seed)
        for index, variable in enumerate(self.variables):
            variable.weight.attach(self, index)

    def seed_noise(self, seed: int) -> None:
        """Choose the seed of noise that has none of its own."""
        for row, stage in zip(self.network.stages, self.stages, strict=True):
            if stage.noise is not None:
                own = stage.noise.seed
                row[t.NOISE_SEED] = np.uint64(seed if own is None else own).astype(np.int64)

    def prepare(self, space: t.Workspace) -> None:
        """Compile or load what runs stages and activations that the engine does not run by itself, if there are any.

        Parameters
        ----------
        space : Workspace
            Any one; its types are what counts.
        """
        if self._prepared:
            return
        network = self.network
        if self._extended:
            network.extension[0] = stages_address(network, space)
        for row, stage in zip(network.stages, self.stages, strict=True):
            if not is_common(int(row[t.ACTIVATION])):
                row[t.ACTIVATION_AT] = activation_address(network, space)
            if isinstance(stage.activation, Custom):
                row[t.CALLBACK] = stage.activation.callback.address
        self._prepared = True

    def raise_error(self, *, finite: bool) -> None:
        """Raise an error if a user's activation has raised one and the numbers made with it are not finite.

        Otherwise it has done so for padding alone.
        """
        for row, stage in zip(self.network.stages, self.stages, strict=True):
            if row[t.CALLBACK_FAILED]:
                row[t.CALLBACK_FAILED] = 0
                if not finite and isinstance(stage.activation, Custom):
                    raise stage.activation.error()

    def places(self) -> dict[Weight, int]:
        """Return where each weight is in the table of variables."""
        return {variable.weight: index for index, variable in enumerate(self.variables)}

    def _moving(self) -> list[Float32]:
        """Views of the mean and variance of every stage that standardises by the batch, padding included."""
        views = []
        for index in self.network.barriers:
            row = self.network.stages[index]
            start = int(row[t.BIAS] + row[t.COLUMNS])
            views.append(self.network.parameters[start : start + 2 * int(row[t.COLUMNS])])
        return views

    def moving_statistics(self) -> list[Float32]:
        """Return copies of what batches move."""
        return [view.copy() for view in self._moving()]

    def set_moving_statistics(self, kept: list[Float32]) -> None:
        """Put back what :meth:`moving_statistics` returned."""
        for view, values in zip(self._moving(), kept, strict=True):
            view[...] = values

    def over(self, parameters: Float32) -> "Plan":
        """Return the same plan over another buffer, such as that of the parameters' gradients."""
        other = copy.copy(self)
        other.network = self.network._replace(parameters=parameters)
        return other

    def detach(self) -> None:
        """Give the weights back to the layers."""
        for variable in self.variables:
            variable.weight.detach()

    @staticmethod
    def _panels(row: t.Int64, buffer: NDArray[Any]) -> list[tuple[slice, NDArray[Any]]]:
        """A kernel's panels: their columns, and a view (rows, width) of each; ``row`` is its stage's."""
        panels = []
        for column in range(0, int(row[t.PANEL_COLUMNS]), PANEL):
            width = min(PANEL, int(row[t.PANEL_COLUMNS]) - column)
            start = int(row[t.KERNEL] + column * row[t.PANEL_ROWS])
            view = buffer[start : start + int(row[t.PANEL_ROWS]) * width]
            panels.append((slice(column, column + width), view.reshape(-1, width)))
        return panels

    def _kernel_of(self, index: int) -> t.Int64 | None:
        """The row of the dense stage whose kernel a variable is, or None."""
        offset, row = (
            self.network.variables[index, t.OFFSET],
            self.network.stages[self.network.variables[index, t.OF_STAGE]],
        )
        return row if row[t.KIND] == t.DENSE and row[t.KERNEL] == offset else None

    def read(self, index: int, buffer: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a copy of a variable in its weight's shape, from a buffer that lies as the parameters do."""
        buffer = self.network.parameters if buffer is None else buffer
        row = self._kernel_of(index)
        if row is None:
            start = int(self.network.variables[index, t.OFFSET])
            return buffer[start : start + self.variables[index].weight.shape[0]].copy()
        value = np.empty((row[t.INPUTS], row[t.UNITS]), buffer.dtype)
        matrix = value.T if row[t.NARROW] else value
        for columns, panel in self._panels(row, buffer):
            part = matrix[:, columns]
            part[...] = panel[: part.shape[0], : part.shape[1]]
        return value

    def write(self, index: int, value: NDArray[Any], buffer: NDArray[Any] | None = None) -> None:
        """Store a variable, given in its weight's shape; padding stays as it is."""
        buffer = self.network.parameters if buffer is None else buffer
        row = self._kernel_of(index)
        if row is None:
            start = int(self.network.variables[index, t.OFFSET])
            buffer[start : start + len(value)] = value
            return
        matrix = value.T if row[t.NARROW] else value
        for columns, panel in self._panels(row, buffer):
            part = matrix[:, columns]
            panel[: part.shape[0], : part.shape[1]] = part

    def trained(self) -> dict[int, int]:
        """Return the numbers of the variables that are trained, by the identity of their weights."""
        return {id(variable.weight): index for index, variable in enumerate(self.variables) if variable.trainable}


def _penalty(variable: Variable) -> tuple[float, float, float, float]:
    regularizer, constraint = variable.regularizer, variable.constraint
    l1, l2 = (regularizer.l1, regularizer.l2) if regularizer and variable.trainable else (0.0, 0.0)
    return l1, l2, constraint.limit if constraint else 0.0, float(regularizer is not None and regularizer.by_rows)


def _lay_kernel(row: t.Int64) -> int:
    """Write how a dense stage's kernel lies into its row of the table; return the kernel's padded size."""
    inputs, units = int(row[t.INPUTS]), int(row[t.UNITS])
    if units <= NARROW_UNITS:
        row[t.NARROW] = t.DOTS if takes_dots(inputs, units) else t.PACKED
        # whole vectors where the forward pass transposes blocks
        row[t.PANEL_ROWS] = padded_rows(units) if row[t.NARROW] == t.DOTS else row[t.COLUMNS]
        row[t.PANEL_COLUMNS] = padded_columns(inputs)
    else:
        # whole vectors where the backward pass transposes blocks
        row[t.PANEL_ROWS] = padded_columns(padded_rows(inputs)) if row[t.BACK] else padded_rows(inputs)
        row[t.PANEL_COLUMNS] = row[t.COLUMNS]
    return int(row[t.PANEL_ROWS] * row[t.PANEL_COLUMNS])


def _kernel_items(stage: int, variable: int, row: t.Int64) -> Iterator[tuple[int, ...]]:
    """The items of a kernel, square by square, in a square panel by panel; ``row`` is its stage's."""
    rows = padded_rows(int(row[t.UNITS] if row[t.NARROW] else row[t.INPUTS]))
    columns = int(row[t.PANEL_COLUMNS])
    for left in range(0, columns, SQUARE):
        for top in range(0, rows, SQUARE):
            for column in range(left, min(left + SQUARE, columns), PANEL):
                width = min(PANEL, columns - column)
                start = int(row[t.KERNEL] + column * row[t.PANEL_ROWS])
                for first in range(top, min(top + SQUARE, rows), ITEM_ROWS):
                    count = min(ITEM_ROWS, rows - first)
                    yield stage, variable, t.OF_KERNEL, start + first * width, count * width, column, first, count


def _vector_items(stage: int, variable: int, gradient: int, start: int, columns: int) -> Iterator[tuple[int, ...]]:
    for column in range(0, columns, ITEM_COLUMNS):
        yield stage, variable, gradient, start + column, min(ITEM_COLUMNS, columns - column), column, 0, 0


def _offset_items(stage: int, variable: int, row: t.Int64) -> Iterator[tuple[int, ...]]:
    """The items of a bias or an offset."""
    return _vector_items(stage, variable, t.OF_OFFSET, int(row[t.BIAS]), int(row[t.COLUMNS]))


def _scale_items(stage: int, variable: int, row: t.Int64) -> Iterator[tuple[int, ...]]:
    """The items of a scale."""
    return _vector_items(stage, variable, t.OF_SCALE, int(row[t.KERNEL]), int(row[t.COLUMNS]))
