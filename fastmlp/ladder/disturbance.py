"""How much of the cores went to other programs while something was measured."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

STATISTICS = Path("/proc/stat")
TICKS_PER_SECOND = 100  # USER_HZ, which Linux fixes for everything that user space sees
# Columns after a core's name: user, nice, system, idle, iowait, irq, softirq, steal (man 5 proc).
IDLE = (3, 4)
BUSY_COLUMNS = 8


class Disturbance:
    """Watches some cores from now on.

    Parameters
    ----------
    cores : sequence of int
        The ones that this process is pinned to.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = list(cores)
        self.wall, self.own, self.all = perf_counter(), process_time(), busy_seconds(self.cores)

    def share(self) -> float | None:
        """Return other programs' share of the cores since the start; None where the system does not tell."""
        before, now = self.all, busy_seconds(self.cores)
        if before is None or now is None:
            return None
        seconds = (perf_counter() - self.wall) * len(self.cores)
        return max(0.0, (now - before - (process_time() - self.own)) / seconds)


def busy_seconds(cores: Sequence[int]) -> float | None:
    """Return for how long the cores have been busy since the system began; None where it does not tell."""
    try:
        lines = STATISTICS.read_text().splitlines()
        table = {name: columns for name, *columns in (line.split() for line in lines if line.startswith("cpu"))}
        total = 0
        for core in cores:
            ticks = [int(text) for text in table[f"cpu{core}"][:BUSY_COLUMNS]]
            total += sum(count for column, count in enumerate(ticks) if column not in IDLE)
    except (OSError, KeyError, ValueError):
        return None
    return total / TICKS_PER_SECOND if cores else None
