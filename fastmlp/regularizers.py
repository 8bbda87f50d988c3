"""Penalties on the size of weights that are added to the loss, as Keras 3 defines them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .configs import Configured
from .errors import check_flag, finite_number
from .kernels.jit import kernel
from .kernels.sums import sum_of
from .names import find

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "TABLE",
    "Regularizer",
    "get",
]

Buffer = NDArray[np.float32]


class Regularizer(Configured, ABC):
    """The penalty ``l1 * sum |w| + l2 * sum w²``; its gradient is ``l1 * sign(w) + 2 * l2 * w``."""

    @property
    @abstractmethod
    def l1(self) -> float:
        """The factor of the sum of absolute values."""

    @property
    @abstractmethod
    def l2(self) -> float:
        """The factor of the sum of squares."""

    @property
    def by_rows(self) -> bool:
        """Whether a batch's penalty is divided by its rows."""
        return False

    def __post_init__(self) -> None:
        for name, value in self._arguments().items():
            if name == "by_rows":
                check_flag(name, value)
            else:
                object.__setattr__(self, name, finite_number(name, value, at_least=0.0))

    def __call__(self, weights: NDArray[Any]) -> float:
        """Return the penalty of an array of any shape and real dtype, summed in float64."""
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.sum(np.abs(weights), dtype=np.float64))
        if self.l2:
            penalty += self.l2 * float(np.sum(np.square(weights, dtype=np.float64)))
        return penalty


@dataclass(frozen=True)
class L1(Regularizer):
    """``l1 * sum |w|``: drives weights to zero, around which they stay within about a step of the optimizer."""

    l1: float = 0.01

    @property
    def l2(self) -> float:
        """Zero: no squares here."""
        return 0.0


@dataclass(frozen=True)
class L2(Regularizer):
    """``l2 * sum w²``: keeps weights small."""

    l2: float = 0.01

    @property
    def l1(self) -> float:
        """Zero: no absolute values here."""
        return 0.0


@dataclass(frozen=True)
class L1L2(Regularizer):
    """Both: ``l1 * sum |w| + l2 * sum w²``.

    Parameters
    ----------
    l1, l2 : float
        The factors.
    by_rows : bool
        Whether a batch's penalty is divided by its rows, as scikit-learn's MLP does: all penalties of an epoch then
        have the same weight beside the rows' losses, whatever the size of a batch. Its alpha is twice ``l2``.
    """

    l1: float = 0.0
    l2: float = 0.0
    by_rows: bool = field(default=False, kw_only=True)


TABLE: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: str | Regularizer | None) -> Regularizer | None:
    """Return the regularizer of that name with its default arguments, or the given one itself, or None.

    Raises
    ------
    ValueError
        No regularizer has that name.
    TypeError
        Neither a name nor a regularizer nor None.
    """
    return None if identifier is None else find("regularizer", identifier, TABLE, Regularizer, "L2(0.001)")


@kernel
def penalty_value_and_grad(
    l1: np.float32,
    l2: np.float32,
    parameters: Buffer,
    at: int,
    gradients: Buffer,
    first: int,
    count: int,
    training: bool,
) -> float:
    """Return ``l1 sum |w| + l2 sum w^2`` in float64; in training ``g += l1 sign(w) + 2 l2 w``.

    Parameters
    ----------
    parameters, gradients : flat buffers
        ``count`` elements from ``at`` and from ``first``.
    """
    if l1 == 0 and l2 == 0:
        return 0.0
    w = parameters[at : at + count]
    if training:
        g = gradients[first : first + count]
        twice = l2 + l2
        for i in range(count):
            g[i] += twice * w[i]
        for i in range(count if l1 != 0 else 0):
            sign = np.float32(1) if w[i] > 0 else np.float32(-1)
            g[i] += l1 * sign if w[i] != 0 else np.float32(0)
    penalty = np.float64(0)
    if l1 != 0:
        penalty += l1 * sum_of(w, False)
    if l2 != 0:
        penalty += l2 * sum_of(w, True)
    return penalty
