"""Cross-entropies of outputs that are each a probability of their own. Formulas are Keras 3's.

The focal ones multiply the cross-entropy by a power of what is missing to a sure and right answer (Lin, Goyal,
Girshick, He & Dollar, Focal loss for dense object detection, ICCV 2017).
"""

from dataclasses import dataclass

import numpy as np

from ..errors import check_flag, finite_number
from ..kernels import vmath
from ..kernels.jit import kernel, scalar
from .base import EPSILON, HALF, ONE, ONE_LESS_EPSILON, TWO, ZERO, Buffer, Loss, SmoothedCrossentropy
from .kinds import BINARY, BINARY_FOCAL, BINARY_FOCAL_LOGITS, BINARY_LOGITS, GAMMA, NEGATIVE, POSITIVE, SMOOTHING


@scalar
def binary(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """-(y log(p) + (1 - y) log(1 - p)) for a probability cut to [1e-7, 1 - 1e-7], c smooths the label."""
    y = y * (ONE - c) + HALF * c
    inside = (p >= EPSILON) & (p <= ONE_LESS_EPSILON)
    q = EPSILON if p < EPSILON else p
    q = ONE_LESS_EPSILON if q > ONE_LESS_EPSILON else q
    value = -(y * vmath.log(q) + (ONE - y) * vmath.log1p(-q))
    slope = (q - y) / (q * (ONE - q))
    return value, slope if inside else ZERO


@scalar
def binary_logits(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """max(p, 0) - p y + log1p(exp(-|p|)), slope sigmoid(p) - y, c smooths the label."""
    y = y * (ONE - c) + HALF * c
    positive = p if p > ZERO else ZERO
    return positive - p * y + vmath.log1p(vmath.exp(-abs(p))), vmath.sigmoid(p) - y


@kernel
def binary_focal(
    parameters: Buffer,
    logits: bool,
    outputs: Buffer,
    targets: Buffer,
    rows: int,
    columns: int,
    values: Buffer,
    gradient: Buffer,
) -> None:
    """Value ``W m^gamma`` times the cross-entropy, where m = y (1 - p) + (1 - y) p is what is missing, and its slope.

    Of probabilities, m is at least 1e-7, lest its power be infinite in the slope for gamma < 1, or not a number for
    outputs that are no probability.

    From logits, nothing cancels, overflows or is cut. Let a be the part of the label for the side that z favours,
    b = 1 - a and e = exp(-|z|). Then the cross-entropy is ``b |z| + log1p(e)``, its slope ``±(b - a e) / (1 + e)``, and
    ``m = (b + a e) / (1 + e)`` with ``d m / d z = ±(b - a) e / (1 + e)^2``. Without b, log(m) is ``-|z| - log1p(e)``
    also where e is 0.
    """
    smoothing, gamma = parameters[SMOOTHING], parameters[GAMMA]
    for i in range(rows * columns):
        p = outputs[i]
        y = targets[i] * (ONE - smoothing) + HALF * smoothing
        if logits:
            size, sign = abs(p), ONE if p > ZERO else -ONE
            a, b = (y, ONE - y) if p > ZERO else (ONE - y, y)
            e = vmath.exp(-size)
            log_one = vmath.log1p(e)
            entropy = b * size + log_one
            slope = sign * (b - a * e) / (ONE + e)
            log_missing = (vmath.log(b + a * e) if b > ZERO else -size) - log_one
            # d m / d z over m
            turning = sign * (b - a) * (e / (b + a * e) if b > ZERO else ONE) / (ONE + e)
        else:
            entropy, slope = binary(y, p, ZERO)
            missing = y * (ONE - p) + (ONE - y) * p
            turning = (ONE - TWO * y) / missing if missing >= EPSILON else ZERO
            log_missing = vmath.log(max(missing, EPSILON))
        factor = (y * parameters[POSITIVE] + (ONE - y) * parameters[NEGATIVE]) * vmath.exp(gamma * log_missing)
        values[i] = factor * entropy
        gradient[i] = factor * (slope + gamma * turning * entropy)


@dataclass(frozen=True)
class BinaryCrossentropy(SmoothedCrossentropy):
    """``-(y log p + (1 - y) log(1 - p))`` for probabilities, or from logits.

    A sigmoid output layer under this loss is trained through its logits, which is exact where a probability
    in float32 has rounded to 0 or 1.

    Parameters
    ----------
    from_logits : bool
        Whether outputs are logits instead of probabilities.
    label_smoothing : float
        How much of each target is replaced by 1/2.
    """

    kind = BINARY
    name = "binary_crossentropy"
    logits_of = "sigmoid"
    logits_kind = BINARY_LOGITS


@dataclass(frozen=True)
class BinaryFocalCrossentropy(Loss):
    """The binary cross-entropy times ``(1 - p_t)^gamma``, where ``p_t`` is the probability given to the target.

    A sigmoid output layer under this loss is trained through its logits. That, and ``from_logits``, is exact
    where Keras cuts probabilities to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    apply_class_balancing : bool
        Whether target 1 has the weight ``alpha`` and target 0 the weight ``1 - alpha``; otherwise both have 1.
    alpha : float
        In [0, 1].
    gamma : float
        At least 0; 0 is the plain cross-entropy.
    from_logits : bool
        Whether outputs are logits instead of probabilities.
    label_smoothing : float
        How much of each target is replaced by 1/2.
    """

    kind = BINARY_FOCAL
    name = "binary_focal_crossentropy"
    logits_of = "sigmoid"
    logits_kind = BINARY_FOCAL_LOGITS
    target_range = (0.0, 1.0)
    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("apply_class_balancing", self.apply_class_balancing)
        finite_number("alpha", self.alpha, at_least=0, at_most=1)
        finite_number("gamma", self.gamma, at_least=0)
        check_flag("from_logits", self.from_logits)
        finite_number("label_smoothing", self.label_smoothing, at_least=0, at_most=1)

    @property
    def parameters(self) -> tuple[float, ...]:
        """``label_smoothing``, ``gamma`` and the weights of the targets 1 and 0."""
        weights = (self.alpha, 1 - self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        return (self.label_smoothing, self.gamma, *weights)
