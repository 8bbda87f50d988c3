"""Losses: configuration, value and gradient of every output, and the compiled loop over a batch.

To add one: write its scalar kernel ``(y, p, c) -> (value, slope)`` for target ``y``, output ``p`` and parameter
``c``, its class, a line in :data:`TABLE` and a branch in :func:`loss_value_and_grad`. Formulas are Keras 3's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .configs import Configured
from .errors import check_flag, finite_number
from .kernels import vmath
from .kernels.jit import kernel, scalar
from .kernels.softmax import softmax_crossentropy
from .names import find
from .rows import paired_rows

Buffer = NDArray[np.float32]
Element = Callable[..., tuple[np.float32, np.float32]]

ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0, 0.5, 1, 2))
LOG_TWO = np.float32(math.log(2))
# Keras' fuzz factor: probabilities stay this far from 0 and 1
EPSILON = np.float32(1e-7)
ONE_LESS_EPSILON = np.float32(1 - 1e-7)

(
    SQUARED, ABSOLUTE, HUBER, LOG_COSH, POISSON, BINARY, BINARY_LOGITS, CATEGORICAL, CATEGORICAL_LOGITS,
    SPARSE, SPARSE_LOGITS,
) = range(11)  # fmt: skip


@scalar
def squared(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """(p - y)^2."""
    d = p - y
    return d * d, TWO * d


@scalar
def absolute(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """|p - y|, with slope 0 at 0."""
    d = p - y
    sign = ONE if d > ZERO else -ONE
    return abs(d), ZERO if d == ZERO else sign


@scalar
def huber(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """d^2 / 2 for |d| <= c, else c |d| - c^2 / 2 (Huber, Ann. Math. Stat. 35, 1964)."""
    d = p - y
    size = abs(d)
    edge = c if d > ZERO else -c
    near = size <= c
    return (HALF * d * d if near else c * size - HALF * c * c), (d if near else edge)


@scalar
def log_cosh(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """log(cosh(d)) = |d| + log1p(exp(-2 |d|)) - log 2, which cannot overflow.

    Below 1/2 the three terms cancel; there log(cosh(d)) = log1p(2 sinh^2(d/2)) and
    2 sinh^2(d/2) = expm1(d)^2 / (2 exp(d)), whose terms are all small.
    """
    d = p - y
    size = abs(d)
    e = vmath.expm1(size)
    small = vmath.log1p(e * e / (TWO * (e + ONE)))
    large = size + vmath.log1p(vmath.exp(-TWO * size)) - LOG_TWO
    return (small if size < HALF else large), vmath.tanh(d)


@scalar
def poisson(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """Return p - y log(p + 1e-7)."""
    shifted = p + EPSILON
    return p - y * vmath.log(shifted), ONE - y / shifted


@scalar
def binary(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """-(y log(p) + (1 - y) log(1 - p)) for a probability cut to [1e-7, 1 - 1e-7]; c smooths the label."""
    y = y * (ONE - c) + HALF * c
    inside = (p >= EPSILON) & (p <= ONE_LESS_EPSILON)
    q = EPSILON if p < EPSILON else p
    q = ONE_LESS_EPSILON if q > ONE_LESS_EPSILON else q
    value = -(y * vmath.log(q) + (ONE - y) * vmath.log1p(-q))
    slope = (q - y) / (q * (ONE - q))
    return value, slope if inside else ZERO


@scalar
def binary_logits(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """max(p, 0) - p y + log1p(exp(-|p|)), slope sigmoid(p) - y; c smooths the label."""
    y = y * (ONE - c) + HALF * c
    positive = p if p > ZERO else ZERO
    return positive - p * y + vmath.log1p(vmath.exp(-abs(p))), vmath.sigmoid(p) - y


@kernel
def _elements(
    element: Element,
    c: np.float32,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Values and slopes of an elementwise loss."""
    for i in range(rows * columns):
        value, slope = element(targets[i], outputs[i], c)
        values[i] = value
        gradient[i] = slope


@kernel
def _categorical(
    smoothing: np.float32,
    sparse: bool,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Cross-entropy of probabilities ``q = p / sum(p)``, cut to [1e-7, 1 - 1e-7], as Keras defines it.

    Value ``-sum_j y_j log(q_j)``; gradient ``(g_j - sum_k g_k q_k) / sum(p)`` with ``g_j = -y_j / q_j`` where
    q_j is not cut, else 0.
    """
    for row in range(rows):
        start = row * columns
        total = np.float32(0)
        for j in range(columns):
            total += outputs[start + j]
        share = smoothing / np.float32(columns)
        loss = ZERO
        projection = ZERO
        for j in range(columns):
            y = targets[start + j] * (ONE - smoothing) + share if not sparse else ZERO
            if sparse and np.intp(targets[row]) == j:
                y = ONE
            q = outputs[start + j] / total
            inside = (q >= EPSILON) & (q <= ONE_LESS_EPSILON)
            cut = min(max(q, EPSILON), ONE_LESS_EPSILON)
            if y != ZERO:
                loss -= y * vmath.log(cut)
            g = -y / cut if inside else ZERO
            projection += g * q
            gradient[start + j] = g
        inverse = ONE / total
        for j in range(columns):
            gradient[start + j] = (gradient[start + j] - projection) * inverse
        values[row] = loss


@kernel
def total(values: Buffer) -> float:
    """Return the sum in float64; four at a time, since an addition waits for the one before."""
    sum_0 = sum_1 = sum_2 = sum_3 = np.float64(0)
    whole = values.size // 4 * 4
    for i in range(0, whole, 4):
        sum_0 += values[i]
        sum_1 += values[i + 1]
        sum_2 += values[i + 2]
        sum_3 += values[i + 3]
    for i in range(whole, values.size):
        sum_0 += values[i]
    return (sum_0 + sum_1) + (sum_2 + sum_3)


@kernel
def weighted_total(values: Buffer, weights: Buffer, rows: int, columns: int) -> float:
    """Return the sum of ``values`` (``rows``, ``columns``), each row times its weight if there are weights."""
    if weights.size == 0:
        return total(values[: rows * columns])
    weighted = np.float64(0)
    for row in range(rows):
        weighted += total(values[row * columns : (row + 1) * columns]) * weights[row]
    return weighted


@kernel
def loss_value_and_grad(
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
    """Return ``sum_i w_i l_i`` and write ``gradient = d (sum_i w_i l_i / batch) / d outputs``.

    Parameters
    ----------
    kind : int
        One of this module's constants.
    c : float32
        The loss' parameter.
    outputs, targets, gradient : flat buffers
        (``rows``, ``columns``) without gaps; sparse targets are (``rows``,) class numbers.
    weights : flat buffer
        (``rows``,) sample weights, or of size 0 for none.
    batch : int
        How many rows the mean is over.
    values : flat buffer
        Scratch of ``rows * (columns + 2)`` elements.
    """
    values_a_row = columns
    if kind == SQUARED:
        _elements(squared, c, outputs, targets, rows, columns, values, gradient)
    elif kind == ABSOLUTE:
        _elements(absolute, c, outputs, targets, rows, columns, values, gradient)
    elif kind == HUBER:
        _elements(huber, c, outputs, targets, rows, columns, values, gradient)
    elif kind == LOG_COSH:
        _elements(log_cosh, c, outputs, targets, rows, columns, values, gradient)
    elif kind == POISSON:
        _elements(poisson, c, outputs, targets, rows, columns, values, gradient)
    elif kind == BINARY:
        _elements(binary, c, outputs, targets, rows, columns, values, gradient)
    elif kind == BINARY_LOGITS:
        _elements(binary_logits, c, outputs, targets, rows, columns, values, gradient)
    else:
        values_a_row = 1
        if kind == CATEGORICAL or kind == SPARSE:
            _categorical(c, kind == SPARSE, outputs, targets, rows, columns, values, gradient)
        else:
            softmax_crossentropy(
                outputs, 0, columns, targets, kind == SPARSE_LOGITS, c, weights[:0], ONE, rows, columns, values,
                gradient, 0, columns, columns,
            )  # fmt: skip

    # the mean over the batch, and of an elementwise loss over the columns too
    inverse = np.float32(1 / (batch * values_a_row))
    for row in range(rows if weights.size else 0):
        for j in range(columns):
            gradient[row * columns + j] *= weights[row]
    for i in range(rows * columns):
        gradient[i] *= inverse
    return weighted_total(values, weights, rows, values_a_row) / values_a_row


@dataclass(frozen=True)
class Loss(Configured):
    """What training minimises: the mean over the batch (weighted: ``sum(w * l) / B``, as in Keras)."""

    kind: ClassVar[int]
    name: ClassVar[str]
    sparse: ClassVar[bool] = False
    # the activation whose output this loss can take as logits instead, and the kind that does
    logits_of: ClassVar[str | None] = None
    logits_kind: ClassVar[int] = -1
    target_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @property
    def parameter(self) -> float:
        """The one number that the compiled loss takes."""
        return 0.0

    def compiled_kind(self, logits: bool) -> int:
        """Which compiled loss serves, given outputs that are ``logits`` or not."""
        return self.logits_kind if logits or getattr(self, "from_logits", False) else self.kind

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the mean loss of arrays of targets and outputs, as a float.

        Parameters
        ----------
        y_true, y_pred : array_like
            (B, N) or (B,); sparse targets (B,) or (B, 1) class numbers.

        Raises
        ------
        ValueError
            When the shapes do not belong together, there is no row, or a label is no class number.
        """
        targets, outputs = paired_rows(y_true, y_pred, sparse=self.sparse)
        rows, columns = outputs.shape
        summed = loss_value_and_grad(
            self.compiled_kind(False), np.float32(self.parameter), outputs.reshape(-1), targets.reshape(-1),
            np.empty(0, np.float32), rows, columns, rows, np.empty(rows * (columns + 2), np.float32),
            np.empty(outputs.size, np.float32),
        )  # fmt: skip
        return float(summed / rows)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of ``(p - y)^2``."""

    kind = SQUARED
    name = "mean_squared_error"


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean of ``|p - y|``."""

    kind = ABSOLUTE
    name = "mean_absolute_error"


@dataclass(frozen=True)
class Huber(Loss):
    """Squared near 0, absolute beyond ``delta``."""

    kind = HUBER
    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        if not np.float32(finite_number("delta", self.delta)) > 0:
            raise ValueError(f"delta must be a positive number in float32, got {self.delta!r}")

    @property
    def parameter(self) -> float:
        """``delta``."""
        return self.delta


@dataclass(frozen=True)
class LogCosh(Loss):
    """Mean of ``log(cosh(p - y))``."""

    kind = LOG_COSH
    name = "log_cosh"


@dataclass(frozen=True)
class Poisson(Loss):
    """Mean of ``p - y log(p + 1e-7)``, for counts ``y >= 0`` and outputs ``p > 0``."""

    kind = POISSON
    name = "poisson"
    target_range = (0.0, math.inf)


@dataclass(frozen=True)
class _SmoothedCrossentropy(Loss):
    """A cross-entropy of targets in [0, 1] whose labels can be smoothed."""

    target_range = (0.0, 1.0)
    from_logits: bool = False
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_flag("from_logits", self.from_logits)
        finite_number("label_smoothing", self.label_smoothing, at_least=0, at_most=1)

    @property
    def parameter(self) -> float:
        """``label_smoothing``."""
        return self.label_smoothing


@dataclass(frozen=True)
class BinaryCrossentropy(_SmoothedCrossentropy):
    """``-(y log p + (1 - y) log(1 - p))`` for probabilities, or from logits.

    A sigmoid output layer under this loss is trained through its logits, which is exact where a probability
    in float32 has rounded to 0 or 1.
    """

    kind = BINARY
    name = "binary_crossentropy"
    logits_of = "sigmoid"
    logits_kind = BINARY_LOGITS


@dataclass(frozen=True)
class CategoricalCrossentropy(_SmoothedCrossentropy):
    """``-sum_j y_j log p_j`` for one-hot (or soft) targets (B, N)."""

    kind = CATEGORICAL
    name = "categorical_crossentropy"
    logits_of = "softmax"
    logits_kind = CATEGORICAL_LOGITS


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """``-log p_y`` for class numbers ``y`` in [0, N)."""

    kind = SPARSE
    name = "sparse_categorical_crossentropy"
    sparse = True
    logits_of = "softmax"
    logits_kind = SPARSE_LOGITS
    from_logits: bool = False

    def __post_init__(self) -> None:
        check_flag("from_logits", self.from_logits)


ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "logcosh": "log_cosh"}

TABLE: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        MeanSquaredError, MeanAbsoluteError, Huber, LogCosh, Poisson, BinaryCrossentropy, CategoricalCrossentropy,
        SparseCategoricalCrossentropy,
    )
}  # fmt: skip


def get(identifier: str | Loss) -> Loss:
    """Return the loss that a name or an instance stands for.

    Raises
    ------
    ValueError
        For a name that is not in :data:`TABLE` or :data:`ALIASES`.
    TypeError
        For anything else.
    """
    return find("loss", identifier, TABLE, Loss, "Huber(delta=0.5)", ALIASES)
