"""The table of losses: which code belongs to which number, and which class to which name."""

from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any, cast

import numpy as np

from ..kernels.callback import is_jitted
from ..kernels.jit import kernel, shape_function
from ..kernels.softmax import softmax_crossentropy
from ..kernels.sums import total_of
from ..names import find
from .base import ONE, Buffer, Loss, elements
from .binary import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    binary,
    binary_focal,
    binary_logits,
)
from .categorical import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
    categorical,
    categorical_focal_logits,
)
from .custom import Custom
from .divergence import KLDivergence, add_entropy, divergence
from .hinge import Hinge, hinge
from .kinds import (
    ABSOLUTE,
    BINARY,
    BINARY_FOCAL,
    BINARY_FOCAL_LOGITS,
    BINARY_LOGITS,
    CATEGORICAL,
    CATEGORICAL_FOCAL,
    CATEGORICAL_FOCAL_LOGITS,
    CATEGORICAL_LOGITS,
    DIVERGENCE,
    HINGE,
    HUBER,
    LOG_COSH,
    POISSON,
    QUANTILE,
    SPARSE,
    SPARSE_LOGITS,
    SQUARED,
)
from .regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
    absolute,
    huber,
    log_cosh,
    poisson,
    quantile,
    squared,
)


@kernel
def weighted_total(values: Buffer, weights: Buffer, rows: int, columns: int) -> float:
    """Return the sum of ``values`` (``rows``, ``columns``), each row times its weight if there are weights."""
    if weights.size == 0:
        return total_of(values[: rows * columns])
    weighted = np.float64(0)
    for row in range(rows):
        first = row * columns
        own = float(values[first]) if columns == 1 else total_of(values[first : first + columns])
        weighted += own * weights[row]
    return weighted


@kernel
def reduced(
    weights: Buffer, rows: int, columns: int, parts: int, divisor: int, batch: int, values: Buffer, gradient: Buffer
) -> float:
    """Return the sum of ``parts`` values a row over ``divisor``, by weights, and scale the gradient accordingly."""
    inverse = np.float32(1 / (batch * divisor))
    for row in range(rows if weights.size else 0):
        for j in range(columns):
            gradient[row * columns + j] *= weights[row]
    for i in range(rows * columns):
        gradient[i] *= inverse
    return weighted_total(values, weights, rows, parts) / divisor


@shape_function
def is_common(kind: int) -> bool:
    """Say whether a loss is one of those that the engine has inside."""
    return kind == SQUARED or kind == BINARY_LOGITS or kind == CATEGORICAL_LOGITS or kind == SPARSE_LOGITS


@kernel
def common_value_and_grad(
    kind: int,
    c: np.float32,
    outputs: Buffer,
    targets: Buffer,
    weights: Buffer,
    rows: int,
    columns: int,
    batch: int,
    values: Buffer,
    gradient: Buffer,
) -> float:
    """:func:`loss_value_and_grad` for the common losses, with one parameter."""
    if kind == SQUARED:
        elements(squared, c, outputs, targets, rows, columns, values, gradient)
    elif kind == BINARY_LOGITS:
        elements(binary_logits, c, outputs, targets, rows, columns, values, gradient)
    else:
        softmax_crossentropy(
            outputs, 0, columns, targets, kind == SPARSE_LOGITS, c, weights[:0], ONE, rows, columns, values, gradient,
            0, columns, columns,
        )  # fmt: skip
        return reduced(weights, rows, columns, 1, 1, batch, values, gradient)
    # the mean over the columns too
    return reduced(weights, rows, columns, columns, columns, batch, values, gradient)


@kernel
def loss_value_and_grad(
    kind: int,
    parameters: Buffer,
    outputs: Buffer,
    targets: Buffer,
    weights: Buffer,
    rows: int,
    columns: int,
    batch: int,
    values: Buffer,
    gradient: Buffer,
) -> float:
    """Return ``sum_i w_i l_i`` and write ``gradient = d (sum_i w_i l_i / batch) / d outputs``.

    Parameters
    ----------
    kind : int
        One of the numbers in ``kinds``.
    parameters : flat buffer
        The loss' (``PARAMETERS``,) parameters.
    outputs, targets, gradient : flat buffers
        (``rows``, ``columns``) without gaps; sparse targets are (``rows``,) class numbers.
    weights : flat buffer
        (``rows``,) sample weights, or of size 0 for none.
    batch : int
        How many rows the mean is over.
    values : flat buffer
        Scratch of ``rows * (columns + 2)`` elements.
    """
    c = parameters[0]
    if is_common(kind):
        return common_value_and_grad(kind, c, outputs, targets, weights, rows, columns, batch, values, gradient)
    if kind == ABSOLUTE:
        elements(absolute, c, outputs, targets, rows, columns, values, gradient)
    elif kind == HUBER:
        elements(huber, c, outputs, targets, rows, columns, values, gradient)
    elif kind == LOG_COSH:
        elements(log_cosh, c, outputs, targets, rows, columns, values, gradient)
    elif kind == POISSON:
        elements(poisson, c, outputs, targets, rows, columns, values, gradient)
    elif kind == QUANTILE:
        elements(quantile, c, outputs, targets, rows, columns, values, gradient)
    elif kind == HINGE:
        elements(hinge, c, outputs, targets, rows, columns, values, gradient)
    elif kind == BINARY:
        elements(binary, c, outputs, targets, rows, columns, values, gradient)
    elif kind == BINARY_FOCAL or kind == BINARY_FOCAL_LOGITS:
        logits = kind == BINARY_FOCAL_LOGITS
        binary_focal(parameters, logits, outputs, targets, rows, columns, values, gradient)
    elif kind == DIVERGENCE:
        elements(divergence, c, outputs, targets, rows, columns, values, gradient)
        return reduced(weights, rows, columns, columns, 1, batch, values, gradient)
    else:
        if kind == CATEGORICAL or kind == SPARSE or kind == CATEGORICAL_FOCAL:
            categorical(parameters, kind == SPARSE, outputs, targets, rows, columns, values, gradient)
        elif kind == CATEGORICAL_FOCAL_LOGITS:
            categorical_focal_logits(parameters, outputs, targets, rows, columns, values, gradient)
        else:
            softmax_crossentropy(
                outputs, 0, columns, targets, False, c, weights[:0], ONE, rows, columns, values, gradient, 0, columns,
                columns,
            )  # fmt: skip
            add_entropy(targets, rows, columns, values)
        return reduced(weights, rows, columns, 1, 1, batch, values, gradient)
    return reduced(weights, rows, columns, columns, columns, batch, values, gradient)


ALIASES = {
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "mae": "mean_absolute_error",
    "MAE": "mean_absolute_error",
    "logcosh": "log_cosh",
    "kld": "kl_divergence",
    "KLD": "kl_divergence",
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
}

TABLE: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        MeanSquaredError, MeanAbsoluteError, Huber, LogCosh, Poisson, Quantile, Hinge, KLDivergence,
        BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
        SparseCategoricalCrossentropy,
    )
}  # fmt: skip


def is_function(thing: object) -> bool:
    """Say whether something is a function of a user's: not a loss, a class, a built-in, or of the name of a loss."""
    others = (Loss, type, BuiltinFunctionType)
    own_name = is_jitted(thing) or getattr(thing, "__name__", "") not in TABLE
    return callable(thing) and not isinstance(thing, others) and own_name


def get(identifier: str | Loss | Callable[..., Any]) -> Loss:
    """Return the loss that a name, an instance or a function (see :class:`Custom`) stands for.

    Raises
    ------
    ValueError
        For a name that is not in :data:`TABLE` or :data:`ALIASES`.
    TypeError
        For anything else.
    """
    if is_function(identifier):
        return Custom(cast("Callable[..., Any]", identifier))
    return find("loss", identifier, TABLE, Loss, "Huber(delta=0.5)", ALIASES)
