"""Shares of right answers."""

from dataclasses import dataclass

import numpy as np

from ..errors import finite_number
from ..kernels.jit import kernel
from .base import Buffer, Metric
from .kinds import BINARY, CATEGORICAL, SPARSE, SPARSE_TOP_K, TOP_K


@kernel
def top_k_hit(sparse: bool, argmax: bool, k: int, outputs: Buffer, targets: Buffer) -> int:
    """Return 1 if the true class of a row has fewer than k classes above it, else 0.

    An equal output is not above (Keras' in_top_k), but with ``argmax`` it is where its index is lower.
    """
    label = int(targets[0]) if sparse else 0
    if not sparse:
        for j in range(1, targets.size):
            if targets[j] > targets[label]:
                label = j
    own = outputs[label]
    above = 0
    for j in range(outputs.size):
        if outputs[j] > own or (argmax and outputs[j] == own and j < label):
            above += 1
    return int(above < k and own == own)


@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """Share of targets that equal 1 where the output is above ``threshold``, else 0; each column counts alike."""

    kind = BINARY
    name = "binary_accuracy"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        finite_number("threshold", self.threshold)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """``threshold``."""
        return (float(self.threshold),)


@dataclass(frozen=True)
class CategoricalAccuracy(Metric):
    """Share of rows whose largest output is at the largest target."""

    kind = CATEGORICAL
    name = "categorical_accuracy"

    def parameters(self, columns: int) -> tuple[float, ...]:
        """How many classes are looked at."""
        return (1.0,)


@dataclass(frozen=True)
class SparseCategoricalAccuracy(CategoricalAccuracy):
    """Share of rows whose largest output is at the target's class number."""

    kind = SPARSE
    name = "sparse_categorical_accuracy"
    sparse = True


def check_k(name: str, k: int) -> None:
    """Raise ValueError if a number of classes is no positive integer."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"{name} must be a positive integer, got {k!r}")


@dataclass(frozen=True)
class TopKCategoricalAccuracy(Metric):
    """Share of rows whose true class is among the ``k`` largest outputs; all that tie with the k-th are."""

    kind = TOP_K
    name = "top_k_categorical_accuracy"
    k: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_k("k", self.k)

    def parameters(self, columns: int) -> tuple[float, ...]:
        """``k``."""
        return (float(self.k),)


@dataclass(frozen=True)
class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """As :class:`TopKCategoricalAccuracy`, for class numbers."""

    kind = SPARSE_TOP_K
    name = "sparse_top_k_categorical_accuracy"
    sparse = True
