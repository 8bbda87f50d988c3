"""Before anything is timed: all sides must compute the same."""

from collections.abc import Mapping, Sequence

from .cases import Case
from .sides import LIBRARIES

EPOCHS = 2
# Largest relative differences from fastmlp's losses, in the first steps and after them. Measured over all cases: 3e-6
# and 8e-4. The second is what float32 rounding grows to where a wide relu network learns fast; the other side of
# a kink is then another gradient.
FIRST, LATER = 1e-5, 5e-3
FIRST_STEPS = 200  # the first epoch, if it has no more


class DisagreementError(AssertionError):
    """Two sides have different losses, so one of them trains something else."""


def check_losses(case: Case, losses: Mapping[str, Sequence[float]]) -> None:
    """Compare the losses of the first epochs.

    Parameters
    ----------
    case : Case
        What was trained.
    losses : mapping of str to sequence of float
        For each side the losses of its first epochs; the first side is what the others are compared with.

    Raises
    ------
    DisagreementError
        A loss differs by more than `FIRST` or `LATER`, or is not finite.
    """
    (reference, expected), *others = losses.items()
    for name, found in [(reference, expected), *others]:
        for epoch, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
            limit = LATER if epoch or case.steps > FIRST_STEPS else FIRST
            if not abs(theirs - ours) <= limit * abs(ours):  # also for NaN
                titles = [LIBRARIES[side].title if side in LIBRARIES else side for side in (reference, name)]
                raise DisagreementError(
                    f"{case.name}: the losses of epoch {epoch + 1} differ by more than {limit:g} of their value: "
                    f"{titles[0]} {ours!r}, {titles[1]} {theirs!r}"
                )
