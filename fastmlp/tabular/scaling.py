"""Numbers of any size, brought to about -1 to 1 by what the training rows have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import finite_number

Float64 = NDArray[np.float64]
# A number so many deviations away is taken for one that is just as many: a single slip of a decimal point would
# otherwise decide the network's output.
FARTHEST = 20.0
# Skewness from which numbers are taken to have a long tail. An exponential distribution has 2, a log-normal one 6.
LONG_TAIL = 3.0
# different numbers below which there is no tail to speak of
LEAST_VALUES = 10
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Scaling:
    """``(f(x) - centre) / scale``, where f is the arcsinh of ``x / tail``, or nothing without a tail.

    The arcsinh is linear near 0 and a logarithm beyond, with either sign.
    """

    centre: float
    scale: float
    tail: float | None = None

    @classmethod
    def of(cls, values: Float64, *, tails: bool = True) -> "Scaling":
        """Return the scaling that gives these numbers (n,), at least one, a mean of 0 and a deviation of 1."""
        tail = None
        if tails and len(np.unique(values)) >= LEAST_VALUES and _skewness(values) > LONG_TAIL:
            tail = float(np.median(np.abs(values[values != 0])))
        centre, scale = _moments(values if tail is None else np.arcsinh(values / tail))
        return cls(centre, scale, tail)

    def apply(self, values: Float64) -> Float64:
        """Return scaled numbers, at most :data:`FARTHEST` from 0."""
        with np.errstate(over="ignore"):
            shaped = values if self.tail is None else np.arcsinh(values / self.tail)
            return np.clip((shaped - self.centre) / self.scale, -FARTHEST, FARTHEST)

    def document(self) -> dict[str, float | None]:
        """Return the numbers as plain data."""
        return {"centre": self.centre, "scale": self.scale, "tail": self.tail}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Scaling":
        """Make a scaling of what :meth:`document` returned, or raise ValueError, TypeError or LookupError."""
        centre = finite_number("centre", document["centre"], at_least=-LARGEST, at_most=LARGEST)
        scale, tail = (
            None if value is None else finite_number(name, value, at_least=0, at_most=LARGEST)
            for name, value in (("scale", document["scale"]), ("tail", document["tail"]))
        )
        if not scale or tail == 0:
            raise ValueError("a scale must be a positive number")
        return cls(centre, scale, tail)


def _moments(values: Float64) -> tuple[float, float]:
    """Mean and standard deviation, without an overflow; a deviation of nothing is 1."""
    largest = float(np.abs(values).max()) or 1.0
    shares = values / largest
    centre, scale = float(shares.mean()) * largest, float(shares.std()) * largest
    # what rounding alone has made of equal numbers
    if not (scale > 1e-12 * largest and math.isfinite(scale)):
        return centre, largest if largest > 1 else 1.0
    return centre, scale


def _skewness(values: Float64) -> float:
    """The absolute skewness, 0 for equal numbers."""
    centre, scale = _moments(values)
    with np.errstate(over="ignore"):
        return float(abs(np.mean(((values / scale) - (centre / scale)) ** 3)))
