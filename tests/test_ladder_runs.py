"""The process that measures, and what is made of its answers; nothing here looks at the clock."""

import json
import subprocess
import sys

import numpy as np
import pytest

from fastmlp.ladder import runs, sides, timing, worker
from fastmlp.ladder.cases import Case

TINY = Case("tiny", (3, 4, 1), "tanh", "mse", 4, 10)


class Counting:
    def __init__(self):
        self.epochs = []

    def train(self, epochs):
        self.epochs.append(epochs)
        return [0.0] * epochs


def test_sides_take_turns():
    fakes = {"a": Counting(), "b": Counting()}
    times = timing.time_sides(fakes, 5, 0.0)
    assert times.keys() == fakes.keys()
    for name, side in fakes.items():
        assert len(times[name]) == timing.ROUNDS
        # one to see how long an epoch is; then in each round one that does not count, and those that do
        assert side.epochs[0] == 1
        assert side.epochs[1::2] == [1] * timing.ROUNDS
        assert len(set(side.epochs[2::2])) == 1


def request(**changes):
    asked = {"cases": [TINY.as_dict()], "sides": ["fastmlp", "numpy"], "threads": 1, "cores": [], "seconds": 0.0}
    return {**asked, "clock": "wall", **changes}


def serve(asked):
    events = []
    worker.serve(asked, lambda event, **fields: events.append((event, fields)))
    return events


def test_sides_wait_for_each_others_threads(monkeypatch):
    waited = []
    monkeypatch.setattr(timing, "sleep", waited.append)
    timing.time_sides({"a": Counting(), "b": Counting()}, 5, 0.0, pause=0.1)
    assert waited == [0.1] * 2 * timing.ROUNDS
    timing.time_sides({"a": Counting()}, 5, 0.0, pause=0.1)
    timing.time_sides({"a": Counting(), "b": Counting()}, 5, 0.0)
    assert waited == [0.1] * 2 * timing.ROUNDS


def test_worker():
    events = serve(request())
    assert [event for event, _ in events] == ["ready", "case", "side", "side", "timing", "times", "peak"]
    times = events[-2][1]
    assert times["seconds"].keys() == times["losses"].keys() == {"fastmlp", "numpy"}
    assert events[-1][1]["flops"] > 0


def test_worker_leaves_out_what_is_missing(monkeypatch):
    monkeypatch.setattr(sides, "missing", lambda name: "not there" if name == "jax" else None)
    events = serve(request(sides=["fastmlp", "numpy", "jax"]))
    assert events[0] == ("missing", {"side": "jax", "reason": "not there"})
    assert list(events[1][1]["versions"]) == ["fastmlp", "numpy"]


def test_worker_leaves_out_what_is_unsupported(monkeypatch):
    def unable(name, *arguments):
        if name == "numpy":
            raise sides.UnsupportedCaseError("cannot")
        return Counting()

    monkeypatch.setattr(sides, "make_side", unable)
    events = serve(request(sides=["numpy"]))
    assert [event for event, _ in events] == ["ready", "case", "side", "unsupported", "peak"]


def test_worker_does_not_time_what_differs(monkeypatch):
    def differing(name, *arguments):
        side = Counting()
        side.train = lambda epochs: [1.0 if name == "numpy" else 2.0] * epochs
        return side

    monkeypatch.setattr(sides, "make_side", differing)
    events = serve(request())
    assert [event for event, _ in events] == ["ready", "case", "side", "side", "disagreement", "peak"]
    assert "tiny: the losses of epoch 1 differ" in events[-2][1]["reason"]


def test_measure_in_a_process():
    heard = []
    findings = runs.measure([TINY], ["fastmlp", "numpy"], [1], 0.0, lambda event, fields: heard.append((event, fields)))
    (result,) = findings.results
    assert result.case == TINY
    assert result.microseconds("fastmlp") > 0
    assert result.median("numpy") >= result.microseconds("numpy")
    assert result.fastest_other() == "numpy"
    assert result.gflops() == pytest.approx(TINY.flops_per_step / result.microseconds("fastmlp") / 1e3)
    assert result.peak > 0
    assert result.microseconds("jax") is result.median("jax") is result.gflops("jax") is None
    assert findings.versions["numpy"] == np.__version__
    assert {fields["threads"] for _, fields in heard} == {1}
    assert runs.Findings.from_dict(json.loads(json.dumps(findings.as_dict()))) == findings


def test_a_process_that_fails_is_told():
    with pytest.raises(runs.WorkerError, match=r"(?s)ended with status 1.*KeyError"):
        runs.measure([TINY], ["nonsense"])


def test_the_process_ends_with_its_listener():
    def interrupted(event, fields):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.measure([TINY], ["numpy"], listener=interrupted)


def test_measure_refuses_a_clock_that_adds_threads_up(monkeypatch):
    with pytest.raises(ValueError, match="for one thread"):
        runs.measure([TINY], ["numpy"], [1, 2], clock="cpu")


def test_collector_keeps_what_the_events_say():
    findings = runs.Findings()
    collector = runs._Collector(findings, {"tiny": TINY}, 2, runs._ignore)
    collector.take("peak", {"flops": 1.0})  # of nothing
    collector.take("missing", {"side": "jax", "reason": "not there"})
    collector.take("case", {"case": "tiny"})
    collector.take("unsupported", {"case": "tiny", "side": "sklearn", "reason": "cannot"})
    collector.take("disagreement", {"case": "tiny", "reason": "differs"})
    collector.take("times", {"case": "tiny", "seconds": {"fastmlp": [1e-6]}, "losses": {}, "others": 0.2})
    collector.take("peak", {"flops": 5.0})
    (result,) = findings.results
    assert (result.threads, result.peak, result.disturbed) == (2, 5.0, True)
    assert result.unsupported == {"sklearn": "cannot"}
    assert result.fastest_other() is None
    assert findings.missing == {"jax": "not there"}
    assert findings.disagreements == ["differs"]


def test_the_process_keeps_its_answers_apart():
    """What libraries print does not get between the answers."""
    code = (
        "from fastmlp.ladder import worker\n"
        "worker.serve = lambda request, say: (print('noise'), say('x', a=request))\n"
        "worker.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="7", capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(done.stdout) == {"event": "x", "a": 7}
    assert done.stderr == "noise\n"
