"""The hinge loss, for outputs of any size and two classes. The formula is Keras 3's."""

from dataclasses import dataclass

import numpy as np

from ..kernels.jit import scalar
from .base import ONE, ZERO, Loss
from .kinds import HINGE


@scalar
def hinge(y: np.float32, p: np.float32, c: np.float32) -> tuple[np.float32, np.float32]:
    """max(1 - y p, 0), with slope 0 at the edge; a target 0 stands for -1. A NaN stays."""
    y = -ONE if y == ZERO else y
    margin = ONE - y * p
    outside = margin <= ZERO
    return (ZERO if outside else margin), (ZERO if outside else -y)


@dataclass(frozen=True)
class Hinge(Loss):
    """Mean of ``max(1 - y p, 0)`` for targets -1 and 1, or 0 and 1.

    A target 0 is taken as -1. Keras does that for a batch whose targets are all 0 or 1; here it does not depend on
    what else is in the batch.
    """

    kind = HINGE
    name = "hinge"
    target_range = (-1.0, 1.0)
