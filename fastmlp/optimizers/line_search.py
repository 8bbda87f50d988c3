"""A line search that bears rounding: how far to go along a direction in which a function falls.

The function is computed in float32, so near a minimum its values differ by less than their rounding, while its
slopes still have a sign. The strong Wolfe conditions (Nocedal & Wright, Numerical Optimization, 3.7) compare
values and then fail. Those of Hager & Zhang (A new conjugate gradient method with guaranteed descent and an
efficient line search, SIAM J. Optim. 16, 2005, (4.1)) compare slopes, and values only up to their rounding; where
the strong ones hold, with the same constants, they hold too.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# delta and sigma of the conditions: the usual constants of quasi-Newton methods (Nocedal & Wright, section 3.1)
DECREASE, CURVATURE = 1e-4, 0.9
# what a loss that is computed in float32 may be off, relative to itself: a few units in the last place
NOISE = 2.0**-21
# where no bracket is known yet, a step is followed by one so many times as long
EXPANSION = 4.0
# a new length keeps this share of a bracket away from its ends
MARGIN = 0.1


class Point(NamedTuple):
    """A place, and what the function is there."""

    place: NDArray[np.float32]
    value: float
    gradient: NDArray[np.float64]
    logs: dict[str, float]


class Trial(NamedTuple):
    """A length that was tried, and what was found there."""

    length: float
    value: float
    slope: float
    point: Point


def inner(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the scalar product, added up by one thread: the same bits whatever BLAS does."""
    return float(np.einsum("i,i->", a, b))


def search(
    function: Callable[[NDArray[np.float32]], Point],
    start: Point,
    direction: NDArray[np.float64],
    length: float,
    most: int,
) -> Point | None:
    """Return a point along a direction of descent that meets the approximate Wolfe conditions.

    Parameters
    ----------
    function : callable
        Gives the point at a place.
    start : Point
        Where the line begins; its value is finite.
    direction : float64 (n,)
        A direction in which the function falls.
    length : float
        The first length to try.
    most : int
        How often the function may be called.

    Returns
    -------
    Point or None
        When no length meets the conditions in so many calls, the lowest point that was seen if that is lower than
        ``start`` by more than rounding, else None.
    """
    noise = NOISE * abs(start.value)
    slope = inner(start.gradient, direction)
    low = Trial(0.0, start.value, slope, start)
    high: Trial | None = None
    best = low
    for count in range(most):
        point = function((start.place + length * direction).astype(np.float32))
        trial = Trial(length, point.value, inner(point.gradient, direction), point)
        finite = math.isfinite(trial.value) and math.isfinite(trial.slope)
        fallen = finite and trial.value <= start.value + noise
        if fallen and CURVATURE * slope <= trial.slope <= (2 * DECREASE - 1) * slope:
            return point
        if finite and trial.value < best.value:
            best = trial
        # Between a fallen point whose slope goes down and one that has not fallen, or goes up, lies a minimum.
        if fallen and trial.slope < 0:
            low = trial
        else:
            high = trial
        if high is None:
            length *= EXPANSION
        else:
            length = between(low, high, noise, halve=count % 3 == 2)
    return best.point if best.value < start.value - noise else None


def between(low: Trial, high: Trial, noise: float, *, halve: bool) -> float:
    """Return a length between two trials: the minimum of a polynomial through them, or with ``halve`` the middle."""
    width = high.length - low.length
    middle = low.length + width / 2
    if halve or not (math.isfinite(high.value) and math.isfinite(high.slope)):
        return middle
    if abs(high.value - low.value) <= noise:
        # where the straight line through the slopes is zero
        share = -low.slope / (high.slope - low.slope) if high.slope > low.slope else 0.5
    else:
        # Nocedal & Wright, (3.59)
        d_1 = low.slope + high.slope - 3 * (high.value - low.value) / width
        square = d_1 * d_1 - low.slope * high.slope
        d_2 = math.copysign(math.sqrt(max(square, 0.0)), width)
        bottom = high.slope - low.slope + 2 * d_2
        share = 1 - (high.slope + d_2 - d_1) / bottom if bottom else 0.5
    return low.length + min(max(share, MARGIN), 1 - MARGIN) * width
