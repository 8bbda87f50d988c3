"""The Kullback-Leibler divergence of the outputs from the targets. The formula is Keras 3's."""

from dataclasses import dataclass

import numpy as np

from ..kernels import vmath
from ..kernels.jit import kernel, scalar
from .base import EPSILON, ONE, ZERO, Buffer, Loss
from .kinds import DIVERGENCE, DIVERGENCE_LOGITS


@scalar
def divergence(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """Return y log(y / p), both cut to [1e-7, 1]."""
    y = min(max(y, EPSILON), ONE)
    inside = (p >= EPSILON) & (p <= ONE)
    q = min(max(p, EPSILON), ONE)
    return y * vmath.log(y / q), -y / q if inside else ZERO


@kernel
def add_entropy(targets: Buffer, rows: int, columns: int, values: Buffer) -> None:
    """Add ``sum_j y_j log(y_j)`` of each row to its value: what the divergence is more than the cross-entropy."""
    for row in range(rows):
        for j in range(row * columns, (row + 1) * columns):
            if targets[j] > ZERO:
                values[row] += targets[j] * vmath.log(targets[j])


@dataclass(frozen=True)
class KLDivergence(Loss):
    """``sum_j y_j log(y_j / p_j)`` of distributions (B, N), both cut to [1e-7, 1].

    A softmax output layer under this loss is trained through its logits, without a cut: the gradient is that of
    the cross-entropy.
    """

    kind = DIVERGENCE
    name = "kl_divergence"
    logits_of = "softmax"
    logits_kind = DIVERGENCE_LOGITS
    target_range = (0.0, 1.0)
