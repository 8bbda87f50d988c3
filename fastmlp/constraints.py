"""Constraints on kernels, kept after each step of the optimizer, as Keras 3 defines them.

A kernel is (K, N), and a norm is that of one unit's incoming weights: of a column, Keras' axis 0.
"""

from dataclasses import dataclass
from typing import ClassVar

from .configs import Configured
from .errors import finite_number
from .names import find

__all__ = [
    "ALIASES",
    "TABLE",
    "Constraint",
    "MaxNorm",
    "NonNeg",
    "UnitNorm",
    "get",
]

UNCONSTRAINED, MAX_NORM, NON_NEG, UNIT_NORM = range(4)


@dataclass(frozen=True)
class Constraint(Configured):
    """What the weights of a kernel must fulfil."""

    kind: ClassVar[int]

    @property
    def limit(self) -> float:
        """The one number that the compiled constraint takes."""
        return 0.0


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """Scale a unit's weights down to the norm ``max_value`` where it is larger (Srivastava et al., 2014)."""

    kind = MAX_NORM
    max_value: float = 2.0

    def __post_init__(self) -> None:
        finite_number("max_value", self.max_value, at_least=0)

    @property
    def limit(self) -> float:
        """``max_value``."""
        return self.max_value


@dataclass(frozen=True)
class NonNeg(Constraint):
    """Set negative weights to zero."""

    kind = NON_NEG


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """Scale a unit's weights to the norm 1."""

    kind = UNIT_NORM

    @property
    def limit(self) -> float:
        """The norm."""
        return 1.0


TABLE: dict[str, type[Constraint]] = {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm}
ALIASES = {"MaxNorm": "max_norm", "NonNeg": "non_neg", "UnitNorm": "unit_norm"}


def get(identifier: str | Constraint | None) -> Constraint | None:
    """Return the constraint of that name with its default arguments, or the given one itself, or None.

    Raises
    ------
    ValueError
        No constraint has that name.
    TypeError
        Neither a name nor a constraint nor None.
    """
    return None if identifier is None else find("constraint", identifier, TABLE, Constraint, "MaxNorm(3)", ALIASES)
