"""Whether helpers help: on a processor that other programs use, a thread may wait for a helper that does not run."""

# compiled calls after which a team that was slower than its leader alone is tried again
CALLS_ALONE = 8


class Pace:
    """The seconds of a step, alone and with helpers, as measured by the calls of a run. It decides no bit."""

    def __init__(self) -> None:
        self._alone: float | None = None
        self._rest = 0

    def threads(self, team: int) -> int:
        """Return how many threads of a team should do the next call; the first one measures the leader alone."""
        if team == 1 or self._alone is None:
            return 1
        if self._rest:
            self._rest -= 1
            return 1
        return team

    def record(self, threads: int, seconds: float) -> None:
        """Take note of a call with so many threads that took so many seconds a step."""
        if threads == 1:
            self._alone = seconds
        elif self._alone is not None and seconds > self._alone:
            self._rest = CALLS_ALONE
