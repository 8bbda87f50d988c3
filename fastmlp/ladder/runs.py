"""Starts the processes that measure, one for each number of threads, and collects what they find."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from . import threads as limits
from .cases import Case

DISTURBED = 0.05
Listener = Callable[[str, dict[str, Any]], None]


class WorkerError(RuntimeError):
    """A measuring process ended before it was done; the message ends with what it said last."""


@dataclass
class Result:
    """What was measured of one case with one number of threads."""

    case: Case
    threads: int
    seconds: dict[str, list[float]]
    """For each side, the time of a step, several times."""
    losses: dict[str, list[float]]
    """For each side, the losses of the first epochs."""
    unsupported: dict[str, str]
    """The sides that cannot train this case, and why."""
    others: float | None
    """Share of the cores that other programs had meanwhile; None where the system does not tell."""
    peak: float
    """Floating-point operations a second that the same threads reached in registers, right after it."""

    def microseconds(self, side: str) -> float | None:
        """Return the lowest of a side's times for a step, or None if it has none.

        Each time is that of many steps, so the lowest is not a stroke of luck but what is left when nothing else
        runs; a median follows the load of the machine, which need not be the same for all sides.
        """
        times = self.seconds.get(side)
        return 1e6 * min(times) if times else None

    def median(self, side: str) -> float | None:
        """Return the median of a side's times for a step, in microseconds."""
        times = self.seconds.get(side)
        return 1e6 * median(times) if times else None

    def gflops(self, side: str = "fastmlp") -> float | None:
        """Return a side's rate of useful operations in 1e9 a second."""
        time = self.microseconds(side)
        return self.case.flops_per_step / time / 1e3 if time else None

    @property
    def disturbed(self) -> bool:
        """Whether other programs had so much of the cores that the times say little."""
        return self.others is not None and self.others > DISTURBED

    def fastest_other(self) -> str | None:
        """Return the side with the lowest time beside fastmlp."""
        others = [side for side in self.seconds if side != "fastmlp"]
        return min(others, key=lambda side: min(self.seconds[side]), default=None)


@dataclass
class Findings:
    """All results of a run, and what they were measured with."""

    results: list[Result] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Sides that are not installed, and what to say about it."""
    disagreements: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in a form that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Findings":
        """Make what has been through JSON whole again."""
        results = [Result(**{**one, "case": Case.from_dict(one["case"])}) for one in stored["results"]]
        return cls(**{**stored, "results": results})


def _ignore(_event: str, _fields: dict[str, Any]) -> None:
    pass


def measure(
    cases: Sequence[Case],
    sides: Sequence[str],
    threads: Sequence[int] = (1,),
    seconds: float = 1.0,
    listener: Listener = _ignore,
    *,
    clock: str = "wall",
    cores: Sequence[int] | None = None,
) -> Findings:
    """Measure cases, with each number of threads in a process of its own that is pinned to as many cores.

    Parameters
    ----------
    cases : sequence of Case
        What to train.
    sides : sequence of str
        Which libraries; those that are not installed are left out.
    threads : sequence of int
        The numbers of threads.
    seconds : float
        How long to measure each side of a case.
    listener : callable, optional
        Called with every event of a process and its fields, "threads" among them.
    clock : {"wall", "cpu"}
        Whether time that other programs had the core counts; "cpu" is for one thread.
    cores : sequence of int, optional
        The cores to take the first so many of; by default the last ones this process may use.

    Returns
    -------
    Findings
        The results in the order of `threads` and `cases`.

    Raises
    ------
    ValueError
        For more threads than cores, or a clock that cannot be used.
    WorkerError
        A process ended early.
    """
    if clock == "cpu" and max(threads) > 1:
        raise ValueError("the clock 'cpu' adds up the threads' times, so it is for one thread")
    findings = Findings()
    for count in threads:
        request = {
            "cases": [case.as_dict() for case in cases],
            "sides": list(sides),
            "threads": count,
            "cores": limits.cores_for(count, cores),
            "seconds": seconds,
            "clock": clock,
        }
        _Collector(findings, {case.name: case for case in cases}, count, listener).follow(request)
    return findings


class _Collector:
    """Turns one process's events into results."""

    def __init__(self, findings: Findings, cases: dict[str, Case], threads: int, listener: Listener) -> None:
        self.findings, self.cases, self.threads, self.listener = findings, cases, threads, listener
        self.unsupported: dict[str, str] = {}

    def follow(self, request: dict[str, Any]) -> None:
        environment = limits.environment(self.threads, os.environ)
        # the same package as here, wherever this process has it from
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
            process = subprocess.Popen(
                [sys.executable, "-m", "fastmlp.ladder.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                env=environment,
                text=True,
                encoding="utf-8",
            )
            with process:
                assert process.stdin is not None
                assert process.stdout is not None
                try:
                    process.stdin.write(json.dumps(request))
                    process.stdin.close()
                    for line in process.stdout:
                        answer = json.loads(line)
                        self.take(answer.pop("event"), answer)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                noise.seek(0)
                said = "\n".join(noise.read().splitlines()[-20:]) or "nothing"
                raise WorkerError(f"the measuring process ended with status {process.returncode}; it said:\n{said}")

    def take(self, event: str, answer: dict[str, Any]) -> None:
        """Keep what an event tells."""
        findings = self.findings
        if event == "missing":
            findings.missing[answer["side"]] = answer["reason"]
        elif event == "ready":
            findings.versions.update(answer["versions"])
        elif event == "case":
            self.unsupported = {}
        elif event == "unsupported":
            self.unsupported[answer["side"]] = answer["reason"]
        elif event == "disagreement":
            findings.disagreements.append(answer["reason"])
        elif event == "times":
            fields = {name: answer[name] for name in ("seconds", "losses", "others")}
            case = self.cases[answer["case"]]
            findings.results.append(
                Result(case, self.threads, unsupported=self.unsupported, peak=0.0, **fields)  # peak follows
            )
        elif event == "peak" and findings.results and findings.results[-1].threads == self.threads:
            findings.results[-1].peak = answer["flops"]
        self.listener(event, {**answer, "threads": self.threads})
