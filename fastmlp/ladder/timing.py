"""Times several sides in turn, so that whatever disturbs the machine disturbs all of them."""

from collections.abc import Mapping
from time import perf_counter, process_time, sleep

from .sides import Side

SLOT = 0.05  # seconds that a side trains in one go, if an epoch takes no longer
ROUNDS = 3  # at least, however long they take
# Before each side's turn where there are several threads: those of the side before wait for more work by spinning,
# OpenBLAS's for 2^28 ticks of the processor's clock, and would take a core from whoever is next.
PAUSE = 0.2
# "cpu" leaves out the time that other programs had the core; with several threads it would add them up.
CLOCKS = {"wall": perf_counter, "cpu": process_time}


def time_sides(
    sides: Mapping[str, Side],
    steps: int,
    seconds: float,
    clock: str = "wall",
    pause: float = 0.0,
) -> dict[str, list[float]]:
    """Return the seconds of a step, measured several times for each side.

    In every round each side trains first an epoch that does not count, since the one before it has left the caches
    full of its own data, and then as many epochs as fill its slot.

    Parameters
    ----------
    sides : mapping of str to Side
        Trainers that have been trained already, so that nothing is compiled any more.
    steps : int
        Of an epoch.
    seconds : float
        How long to measure, for each side.
    clock : {"wall", "cpu"}
        What to measure with.
    pause : float
        Seconds to wait before each side's turn; they do not count as time of measuring.
    """
    epochs = {name: max(1, round(SLOT / max(_duration(side, 1, clock), 1e-9))) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    end = perf_counter() + seconds * len(sides)
    while perf_counter() < end or len(times[order[0]]) < ROUNDS:
        for name in order:
            if pause and len(order) > 1:
                begun = perf_counter()
                sleep(pause)
                end += perf_counter() - begun
            sides[name].train(1)
            times[name].append(_duration(sides[name], epochs[name], clock) / (epochs[name] * steps))
    return times


def _duration(side: Side, epochs: int, clock: str) -> float:
    now = CLOCKS[clock]
    begun = now()
    side.train(epochs)
    return now() - begun
