"""Whether gradients are those of the loss: a comparison with differences of the loss itself.

Each array of weights is moved a little forth and back along a direction, and the change of the loss is compared
with what the gradient says. The loss is computed by the engine, in float32 for each row and added up in float64, so
single weights would drown in its rounding. A direction therefore moves all weights of an array at once: half of
it is the gradient itself, along which the loss changes most, and half is random, so that no element is left out.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import display
from .gradients import Gradients

if TYPE_CHECKING:
    from .engine.plan import Plan

Float32 = NDArray[np.float32]

# Steps relative to the norm of the weights (of 1 where they are smaller), from the largest: each half of the one
# before. A step is worth what the two after it agree upon.
LARGEST_STEP, STEPS = 0.25, 17
DIRECTIONS = 5
# What a loss may be off relative to itself, as a mean over rows; changes within some times as much are none.
ROUNDING, NO_CHANGE = 2.0**-24, 1e-6
# A gradient that says less than this share of the loss says that nothing changes.
NOTHING = 1e-9
# Smooth networks reach 1e-5. Kinks (of ReLU, say, or of an absolute error) near the weights that are looked at may cost
# all but two digits, which a wrong sign, factor or index does not leave.
GOOD, WRONG = 1e-3, 5e-2


class ArrayCheck(NamedTuple):
    """The comparison for one array of weights.

    Attributes
    ----------
    layer, array : str
        The layer's name, and "dw" or "db".
    norm : float
        The norm of the gradient.
    error : float
        How far a change of the loss is from what the gradient says, relative to the latter: the median of some
        directions.
    resolution : float
        How far the differences agree with themselves when the step is halved: errors of this size mean nothing.
    """

    layer: str
    array: str
    norm: float
    error: float
    resolution: float

    @property
    def verdict(self) -> str:
        """The word "ok", "wrong", or "unclear" for an error that kinks or the loss' rounding may explain."""
        if self.error <= GOOD:
            return "ok"
        return "unclear" if self.error <= max(WRONG, 3 * self.resolution) else "wrong"


class GradientCheck(Sequence[ArrayCheck]):
    """The comparisons of all arrays, which print as a table."""

    def __init__(self, checks: Sequence[ArrayCheck]) -> None:
        self._checks = tuple(checks)

    @property
    def worst(self) -> float:
        """The largest error of an array."""
        return max(check.error for check in self._checks)

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong."""
        return all(check.verdict != "wrong" for check in self._checks)

    def __len__(self) -> int:
        return len(self._checks)

    def __iter__(self) -> Iterator[ArrayCheck]:
        return iter(self._checks)

    def __getitem__(self, index: Any) -> Any:
        return self._checks[index]

    def __repr__(self) -> str:
        rows = [
            (f"{one.layer} {one.array}", f"{one.norm:.2e}", f"{one.error:.1e}", f"{one.resolution:.1e}", one.verdict)
            for one in self._checks
        ]
        return display.table(("Gradient", "Norm", "Error", "Resolution", "Verdict"), rows, words=(0, 4))


def check(gradients: Gradients, plan: "Plan", loss_at: Callable[[int, Float32], float], seed: int) -> GradientCheck:
    """Compare gradients with differences of the loss.

    Parameters
    ----------
    gradients : Gradients
        To be checked.
    plan : Plan
        Where they were computed; its variables are in the order of the layers' weights.
    loss_at : callable
        Gives the loss with another value of a variable.
    seed : int
        Of the directions.
    """
    generator = np.random.default_rng(seed)
    trained = iter([index for index, variable in enumerate(plan.variables) if variable.trainable])
    checks = []
    for layer in gradients:
        for label, gradient, counts in zip(layer.labels, layer.arrays, layer.trained, strict=True):
            if not counts:
                continue
            index = next(trained)
            exact, here = gradient.astype(np.float64), plan.read(index)

            def loss(value: Float32, index: int = index) -> float:
                return loss_at(index, value)

            found = sorted(compare(here, exact, mixed(exact, generator), loss) for _ in range(DIRECTIONS))
            # a kink near one of the lines spoils that one; a wrong gradient spoils all of them
            error, resolution = found[len(found) // 2]
            checks.append(ArrayCheck(layer.name, label, float(np.linalg.norm(exact)), error, resolution))
    return GradientCheck(checks)


def mixed(gradient: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return a direction of length 1, half along the gradient and half random."""
    direction = generator.standard_normal(gradient.shape)
    direction /= np.linalg.norm(direction)
    norm = float(np.linalg.norm(gradient))
    if norm > 0 and math.isfinite(norm):
        # uphill, or the halves of a single weight would cancel and nothing would be moved
        if float(np.sum(direction * gradient)) < 0:
            direction = -direction
        direction += gradient / norm
    length = float(np.linalg.norm(direction))
    return direction / length if length > 0 else direction


def compare(
    here: Float32,
    gradient: NDArray[np.float64],
    direction: NDArray[np.float64],
    loss_at: Callable[[Float32], float],
) -> tuple[float, float]:
    """Return the relative error along a direction, and how well it is resolved."""
    scale = LARGEST_STEP * max(1.0, float(np.linalg.norm(here.astype(np.float64))))
    ratios, rounding = [], []
    for step in range(STEPS):
        length = scale / 2**step
        moved, losses = [], []
        for sign in (1, -1):
            moved.append((here + sign * length * direction).astype(np.float32))
            losses.append(loss_at(moved[-1]))
        # what float32 made of the step, not what was asked for
        expected = float(np.sum(gradient * (moved[0].astype(np.float64) - moved[1])))
        change = losses[0] - losses[1]
        largest = max(abs(losses[0]), abs(losses[1]))
        if abs(expected) <= NOTHING * largest and abs(change) <= NO_CHANGE * largest:
            ratios.append(1.0)
        else:
            ratios.append(change / expected if expected else math.inf)
        rounding.append(ROUNDING * largest / abs(expected) if expected else 0.0)
    # the central difference is off by a multiple of the square of the step (Richardson's extrapolation)
    better = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(ratios)]
    spreads = [abs(fine - coarse) for coarse, fine in pairwise(better)]
    # large steps are bent and small ones drown in rounding: where three in a row agree best is neither
    agreed = [float(np.max(three)) for three in zip(spreads, spreads[1:], rounding[3:], strict=False)]
    finite = [i for i, spread in enumerate(agreed) if math.isfinite(spread)]
    if not finite:
        return math.inf, 0.0
    chosen = min(finite, key=lambda i: agreed[i])
    return abs(better[chosen + 1] - 1), agreed[chosen]
