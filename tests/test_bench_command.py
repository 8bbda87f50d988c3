"""``python -m fastmlp bench``, with measuring replaced: nothing here looks at the clock."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fastmlp import __main__ as command_line
from fastmlp.kernels.jit import JIT_DISABLED
from fastmlp.ladder import command, runs
from fastmlp.ladder.cases import RUNGS
from fastmlp.ladder.sides import DEFAULT

ROOT = Path(__file__).parent.parent
PEAK = 1e11


def console(**options):
    return Console(width=200, color_system=None, **options)


def made_up(cases, threads, *, seconds=None, others=0.0):
    times = seconds or {"fastmlp": [2e-6], "numpy": [8e-6], "jax": [1e-6]}
    results = [runs.Result(case, count, times, {}, {}, others, PEAK) for count in threads for case in cases]
    return runs.Findings(results, {"fastmlp": "1.0", "numpy": "2.0"}, {"torch": "PyTorch is not installed (pip ...)"})


@pytest.fixture
def measured(monkeypatch):
    """Makes measuring return what the test puts into it."""
    asked = []

    def measure(cases, names, threads, seconds, listener):
        asked.append((list(cases), list(names), list(threads), seconds))
        for event in (
            ("ready", {"threads": 1}),
            ("side", {"case": cases[0].name, "side": "numpy", "threads": 2}),
            ("timing", {"case": cases[0].name, "threads": 1}),
            ("peak", {"threads": 1}),
        ):
            listener(*event)
        return measure.findings or made_up(cases, threads)

    measure.findings, measure.asked = None, asked
    monkeypatch.setattr(runs, "measure", measure)
    return measure


def test_table(measured, capsys):
    assert command.bench(console(), RUNGS[:2], ["numpy", "jax"], [1, 2], 0.1)
    printed = capsys.readouterr().out
    rate = RUNGS[0].flops_per_step / 2e-6
    assert "1 thread, peak 100 GFLOP/s" in printed
    assert "2 threads, peak 100 GFLOP/s" in printed
    for text in ("coffee, batch 32", "2-25-15-1", "2.00", "8.00", "4.0x", "1.00", "0.5x", f"{rate / 1e9:.1f}"):
        assert text in printed
    assert f"{rate / PEAK:.0%}" in printed
    assert "fastmlp 1.0, NumPy 2.0" in printed
    assert "Left out: PyTorch is not installed (pip ...)." in printed
    assert "Other programs" not in printed
    assert measured.asked == [(list(RUNGS[:2]), ["fastmlp", "numpy", "jax"], [1, 2], 0.1)]


def test_table_fits_eighty_columns():
    times = {name: [0.0123456] for name in DEFAULT}
    narrow = Console(width=80, color_system=None)
    with narrow.capture() as capture:
        narrow.print(command.table(made_up(RUNGS, [1], seconds=times).results))
    for case in RUNGS:
        assert f"{case.name}, batch {case.batch} " in capture.get()
        assert f"{case.network} " in capture.get()
    assert "scikit-learn" in capture.get()
    assert "…" not in capture.get()


def test_bar_goes_away(measured, capsys):
    assert command.bench(console(force_terminal=True, legacy_windows=False), RUNGS[:1], ["numpy"], [1], 0.1)
    assert "coffee" in capsys.readouterr().out


def test_missing_times_are_a_dash(measured, capsys):
    measured.findings = made_up(RUNGS[:1], [1], seconds={"numpy": [1e-4]})
    measured.findings.results += made_up(RUNGS[1:2], [1]).results
    assert command.bench(console(), RUNGS[:2], ["numpy"], [1], 0.1)
    row = next(line for line in capsys.readouterr().out.splitlines() if "coffee" in line)
    assert row.split() == ["coffee,", "batch", "32", "-", "100", "-", "-"]


def test_a_busy_machine_is_told(measured, capsys):
    measured.findings = made_up(RUNGS[:1], [1, 2], others=0.4)
    assert command.bench(console(), RUNGS[:1], ["numpy"], [1, 2], 0.1)
    assert "Other programs took up to 40% of the cores during coffee:" in capsys.readouterr().out


def test_disagreement_fails(measured, capsys):
    measured.findings = runs.Findings(disagreements=["coffee: the losses differ"])
    assert not command.bench(console(), RUNGS[:1], ["numpy"], [1], 0.1)
    assert "Not timed: coffee: the losses differ" in capsys.readouterr().out
    assert command_line.main(["bench"]) == 1


@pytest.mark.parametrize(("time", "text"), [(4.706, "4.71"), (35.14, "35.1"), (541.4, "541"), (26752.3, "26,752")])
def test_microseconds(time, text):
    assert command.microseconds(time) == text


def test_arguments_arrive(measured, capsys):
    assert command_line.main(["bench"]) == 0
    assert measured.asked == [(list(RUNGS), list(DEFAULT), [1], command_line.BENCH_SECONDS)]
    given = ["bench", "--cases", "tabular", "coffee", "--against", "numpy", "--threads", "1", "--seconds", "0.2"]
    assert command_line.main(given) == 0
    assert measured.asked[1] == ([RUNGS[0], RUNGS[2]], ["fastmlp", "numpy"], [1], 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cases", "cofee"], "unknown case 'cofee': did you mean 'coffee'"),
        (["--against", "pytorch"], "unknown library 'pytorch': did you mean 'torch'"),
        (["--threads", "1", "100000"], "threads must be at most the"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_wrong_values(arguments, message, capsys):
    assert command_line.main(["bench", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "arguments", [["--threads", "0"], ["--seconds", "0"], ["--seconds", "nan"], ["--threads", "x"]]
)
def test_values_that_are_none(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["bench", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [(KeyboardInterrupt(), 130, "interrupted"), (runs.WorkerError("it ended"), 1, "error: it ended")],
    ids=["interrupt", "failure"],
)
def test_how_it_ends(error, status, message, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(runs, "measure", fail)
    assert command_line.main(["bench"]) == status
    assert message in capsys.readouterr().err


@pytest.mark.skipif(JIT_DISABLED, reason="a rung takes too long without compiled kernels")
def test_in_a_process():
    given = ["bench", "--cases", "digits", "--against", "numpy", "--seconds", "0.01"]
    done = subprocess.run(
        [sys.executable, "-m", "fastmlp", *given], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "digits, batch 64" in done.stdout
    assert done.stderr == ""
