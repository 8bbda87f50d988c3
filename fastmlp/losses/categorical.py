"""Cross-entropies of outputs that are one distribution over classes. Formulas are Keras 3's.

The focal ones multiply the part of class j by a power of ``1 - q_j`` (Lin et al., ICCV 2017).
"""

from dataclasses import dataclass

import numpy as np

from ..errors import check_flag, finite_number
from ..kernels import vmath
from ..kernels.jit import kernel
from .base import EPSILON, ONE, ONE_LESS_EPSILON, ZERO, Buffer, Loss, SmoothedCrossentropy
from .kinds import (
    CATEGORICAL,
    CATEGORICAL_FOCAL,
    CATEGORICAL_FOCAL_LOGITS,
    CATEGORICAL_LOGITS,
    GAMMA,
    POSITIVE,
    SMOOTHING,
    SPARSE,
    SPARSE_LOGITS,
)

SMALLEST_NORMAL = np.float32(np.finfo(np.float32).smallest_normal)


@kernel
def categorical(
    parameters: Buffer,
    sparse: bool,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Cross-entropy of probabilities ``q = p / sum(p)``, cut to [1e-7, 1 - 1e-7], as Keras defines it.

    Value ``-sum_j y_j f_j log(q_j)`` with the focal factor ``f = alpha (1 - q)^gamma``; gradient
    ``(g_j - sum_k g_k q_k) / sum(p)`` with ``g_j = y_j f_j (gamma log(q_j) / (1 - q_j) - 1 / q_j)`` where q_j is not
    cut, else 0.
    """
    smoothing, gamma, alpha = parameters[SMOOTHING], parameters[GAMMA], parameters[POSITIVE]
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
            g = ZERO
            q = outputs[start + j] / total
            if y != ZERO:
                inside = (q >= EPSILON) & (q <= ONE_LESS_EPSILON)
                cut = min(max(q, EPSILON), ONE_LESS_EPSILON)
                log_q = vmath.log(cut)
                y *= alpha
                turning = ZERO
                if gamma != ZERO:
                    y *= vmath.exp(gamma * vmath.log1p(-cut))
                    turning = gamma * log_q / (ONE - cut)
                loss -= y * log_q
                g = y * (turning - ONE / cut) if inside else ZERO
            projection += g * q
            gradient[start + j] = g
        inverse = ONE / total
        for j in range(columns):
            gradient[start + j] = (gradient[start + j] - projection) * inverse
        values[row] = loss


@kernel
def categorical_focal_logits(
    parameters: Buffer,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Focal cross-entropy of q = softmax(z): ``-sum_j y_j f_j log(q_j)`` with ``f = alpha (1 - q)^gamma``, not cut.

    The gradient is ``h_i (1 - q_i) - q_i sum_{j != i} h_j`` with ``h = y f (gamma q log(q) / (1 - q) - 1)``. The
    likeliest class has log(q) = -log1p(the sum of the others), and 1 - q = -expm1(log(q)), so that a class that is as
    good as sure keeps its digits; a 1 - q of 0 counts as the smallest number.
    """
    smoothing, gamma, alpha = parameters[SMOOTHING], parameters[GAMMA], parameters[POSITIVE]
    share = smoothing / np.float32(columns)
    for row in range(rows):
        start = row * columns
        top = start
        for j in range(start, start + columns):
            top = j if outputs[j] > outputs[top] else top
        others = ZERO
        for j in range(start, start + columns):
            if j != top:
                others += vmath.exp(outputs[j] - outputs[top])
        log_total = vmath.log1p(others)
        loss = ZERO
        total = ZERO
        for j in range(start, start + columns):
            log_q = outputs[j] - outputs[top] - log_total
            rest = max(-vmath.expm1(log_q), SMALLEST_NORMAL)
            y = alpha * (targets[j] * (ONE - smoothing) + share) * vmath.exp(gamma * vmath.log(rest))
            loss -= y * log_q
            gradient[j] = y * (gamma * vmath.exp(log_q) * log_q / rest - ONE)
            total += gradient[j]
        for j in range(start, start + columns):
            log_q = outputs[j] - outputs[top] - log_total
            h = gradient[j]
            gradient[j] = -h * vmath.expm1(log_q) - vmath.exp(log_q) * (total - h)
        values[row] = loss


@dataclass(frozen=True)
class CategoricalCrossentropy(SmoothedCrossentropy):
    """``-sum_j y_j log p_j`` for one-hot (or soft) targets (B, N).

    A softmax output layer under this loss is trained through its logits.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are logits instead of probabilities.
    label_smoothing : float
        How much of each target is replaced by 1/N.
    """

    kind = CATEGORICAL
    name = "categorical_crossentropy"
    logits_of = "softmax"
    logits_kind = CATEGORICAL_LOGITS

    @property
    def parameters(self) -> tuple[float, ...]:
        """``label_smoothing``, no exponent, and the weight 1."""
        return (self.label_smoothing, 0.0, 1.0)


@dataclass(frozen=True)
class CategoricalFocalCrossentropy(Loss):
    """``-sum_j y_j alpha (1 - p_j)^gamma log p_j`` for one-hot (or soft) targets (B, N).

    A softmax output layer under this loss is trained through its logits. That, and ``from_logits``, is exact
    where Keras cuts probabilities to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    alpha : float
        A factor, the same for all classes, at least 0.
    gamma : float
        At least 0; 0 is ``alpha`` times the plain cross-entropy.
    from_logits : bool
        Whether outputs are logits instead of probabilities.
    label_smoothing : float
        How much of each target is replaced by 1/N.
    """

    kind = CATEGORICAL_FOCAL
    name = "categorical_focal_crossentropy"
    logits_of = "softmax"
    logits_kind = CATEGORICAL_FOCAL_LOGITS
    target_range = (0.0, 1.0)
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        finite_number("alpha", self.alpha, at_least=0)
        finite_number("gamma", self.gamma, at_least=0)
        check_flag("from_logits", self.from_logits)
        finite_number("label_smoothing", self.label_smoothing, at_least=0, at_most=1)

    @property
    def parameters(self) -> tuple[float, ...]:
        """``label_smoothing``, ``gamma`` and ``alpha``."""
        return (self.label_smoothing, self.gamma, self.alpha)


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """``-log p_y`` for class numbers ``y`` in [0, N).

    A softmax output layer under this loss is trained through its logits.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are logits instead of probabilities.
    """

    kind = SPARSE
    name = "sparse_categorical_crossentropy"
    sparse = True
    logits_of = "softmax"
    logits_kind = SPARSE_LOGITS
    from_logits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("from_logits", self.from_logits)

    @property
    def parameters(self) -> tuple[float, ...]:
        """Neither smoothing nor an exponent, and the weight 1."""
        return (0.0, 0.0, 1.0)
