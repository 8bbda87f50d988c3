"""L-BFGS: a quasi-Newton method for small nets, which looks at all rows before every change of the weights.

The curvature of the loss is learnt from the last steps and the changes of the gradient along them. Values and
gradients come from the compiled engine in float32; what is made of them is float64.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..configs import Configured
from ..errors import check_count, finite_number
from .line_search import Point, inner, search

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

# a step whose change of gradient is less than this share of its square teaches no curvature
LEAST_CURVATURE = 1e-10
# iterations in a row that hardly lower the loss before it is said to stand: one may be rounding
PATIENCE = 3


@dataclass
class LBFGS(Configured):
    """Limited-memory BFGS for training by whole data sets (Nocedal & Wright, Numerical Optimization, section 7.2).

    An epoch of ``fit`` is one iteration: a direction from the last steps and gradients, and a line search along it,
    which sees every row at least once. Rows are taken in their order, and the history has the loss at an
    iteration's end. Training ends by itself when ``gtol`` or ``ftol`` is met, or no step lowers the loss by more
    than the rounding of float32; ``status`` then says why. What is remembered goes on with the next ``fit`` and is
    saved with the model, unless the weights are changed in between.

    The arguments are named as in ``scipy.optimize.minimize(method="L-BFGS-B")``.

    Parameters
    ----------
    maxcor : int
        How many steps are remembered.
    ftol : float
        Training ends when three iterations in a row have each lowered the loss by at most this share of it. Unlike
        SciPy's, it is relative for losses below 1 too, and its default is what float32 resolves.
    gtol : float
        Training ends when no element of the gradient is larger.
    maxls : int
        How often a line search may compute the loss.
    maxfun : int
        Training ends after the iteration in which the loss has been computed so often.

    Attributes
    ----------
    status : str
        Why the last training ended by itself, or empty if it did not.

    Raises
    ------
    ValueError, TypeError
        For a setting out of its range.
    """

    name: ClassVar[str] = "lbfgs"

    maxcor: int = 10
    ftol: float = 1e-7
    gtol: float = 1e-5
    maxls: int = 20
    maxfun: int = 15000
    status: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise for a setting out of its range; run again before each fit."""
        check_count("maxcor", self.maxcor)
        check_count("maxls", self.maxls)
        check_count("maxfun", self.maxfun)
        finite_number("ftol", self.ftol, at_least=0.0)
        finite_number("gtol", self.gtol, at_least=0.0)

    @property
    def learning_rate(self) -> float:
        """None: a line search finds the length of every step."""
        raise AttributeError("LBFGS has no learning_rate: a line search finds the length of every step")


class Memory(NamedTuple):
    """What a minimization has learnt, with which it can go on.

    Attributes
    ----------
    place : float32 (n,)
        Where it is.
    standing : int
        Iterations in a row that hardly lowered the loss.
    pairs : list of (float64 (n,), float64 (n,))
        Steps and the changes of the gradient along them, the oldest first.
    """

    place: Float32
    standing: int
    pairs: list[tuple[Float64, Float64]]


class Minimization:
    """The iterations of a training, which may go on in several calls of ``fit``.

    Parameters
    ----------
    settings : LBFGS
        Its ``status`` is written.
    """

    def __init__(self, settings: LBFGS) -> None:
        self.settings = settings
        # where the last iteration ended
        self._place: Float32 | None = None
        self._now: Point | None = None
        self._standing = self._calls = 0
        # steps, changes of the gradient, and one over their product
        self._memory: deque[tuple[Float64, Float64, float]] = deque(maxlen=settings.maxcor)

    @property
    def memory(self) -> Memory | None:
        """What has been learnt so far, or None before the first iteration.

        Raises
        ------
        ValueError
            When it is set to pairs of which one has no positive curvature.
        """
        if self._place is None:
            return None
        return Memory(self._place, self._standing, [(step, change) for step, change, _ in self._memory])

    @memory.setter
    def memory(self, memory: Memory | None) -> None:
        place, standing, pairs = memory or (None, 0, [])
        curvatures = [inner(step, change) for step, change in pairs]
        if not all(0 < curvature < math.inf for curvature in curvatures):
            raise ValueError(f"curvatures must be positive and finite, got {curvatures}")
        self._place, self._standing, self._now = place, standing, None
        self._memory = deque(
            ((step, change, 1 / curvature) for (step, change), curvature in zip(pairs, curvatures, strict=True)),
            maxlen=self.settings.maxcor,
        )

    def begin(self, function: Callable[[Float32], Point]) -> None:
        """Begin a call of ``fit``, with its function for the value and the gradient at a place."""
        self.settings.check()
        self.settings.status = ""
        self._function = function
        # the data may be other ones
        self._now, self._calls = None, 0
        self._memory = deque(self._memory, maxlen=self.settings.maxcor)

    def iterate(self, place: Float32) -> Point:
        """Return the point after one more iteration, from where the last one ended.

        Parameters
        ----------
        place : float32 (n,)
            Where we are; another place than the last iteration's begins anew.
        """
        if self._place is None or not np.array_equal(place, self._place):
            self._memory.clear()
            self._standing, self._now = 0, None
        if self._now is None:
            self._now = self._value(place.copy())
        self._now = self._next(self._now)
        self._place = self._now.place
        if not self.settings.status and self._calls >= self.settings.maxfun:
            self.settings.status = f"the loss was computed maxfun = {self.settings.maxfun} times"
        return self._now

    def _value(self, place: Float32) -> Point:
        self._calls += 1
        return self._function(place)

    def _next(self, now: Point) -> Point:
        """The point after one more iteration, the same one where none goes down."""
        if not math.isfinite(now.value) or self._flat(now):
            return now
        found = self._step(now)
        if found is None and self._memory:
            # what was learnt may be wrong by now
            self._memory.clear()
            found = self._step(now)
        if found is None:
            self.settings.status = "no step lowers the loss by more than the rounding of float32"
            return now
        step = found.place.astype(np.float64) - now.place
        change = found.gradient - now.gradient
        curvature = inner(step, change)
        if curvature > LEAST_CURVATURE * inner(change, change):
            self._memory.append((step, change, 1 / curvature))
        fell = now.value - found.value > self.settings.ftol * abs(now.value)
        self._standing = 0 if fell else self._standing + 1
        if not self._flat(found) and self._standing >= PATIENCE:
            self.settings.status = f"the loss fell by at most ftol = {self.settings.ftol:g} of itself"
        return found

    def _flat(self, point: Point) -> bool:
        """Whether the gradient is small enough; then the status says so."""
        flat = bool(np.abs(point.gradient).max() <= self.settings.gtol)
        if flat:
            self.settings.status = f"no element of the gradient is larger than gtol = {self.settings.gtol:g}"
        return flat

    def _step(self, now: Point) -> Point | None:
        """Search along the direction that the memory gives, or without any along the gradient."""
        direction = self._direction(now.gradient)
        length = 1.0
        if not self._memory:
            # nothing is known of the scale yet: a step of length 1, as in SciPy
            length = 1 / math.sqrt(inner(direction, direction))
        elif not inner(direction, now.gradient) < 0:
            return None
        return search(self._value, now, direction, length, self.settings.maxls)

    def _direction(self, gradient: Float64) -> Float64:
        """Minus the inverse Hessian's estimate times the gradient (Nocedal & Wright, algorithm 7.4)."""
        direction = -gradient
        shares = []
        for step, change, inverse in reversed(self._memory):
            share = inverse * inner(step, direction)
            direction -= share * change
            shares.append(share)
        if self._memory:
            step, change, inverse = self._memory[-1]
            direction /= inverse * inner(change, change)
        for (step, change, inverse), share in zip(self._memory, reversed(shares), strict=True):
            direction += (share - inverse * inner(change, direction)) * step
        return direction
