"""The scripts beside the report: what they make of measurements; nothing here looks at the clock."""

import json

import numpy as np
import pytest
from test_benchmarks import CONDITIONS, run

from benchmarks import (
    batch_size,
    calls,
    distributed,
    feature_costs,
    many,
    report,
    roofline,
    scaling,
    sweep,
    time_to_accuracy,
)
from benchmarks.accuracy_trainers import TRAINERS, import_for
from fastmlp.ladder import sides
from fastmlp.ladder.cases import GROUPS, Case, start_weights
from fastmlp.ladder.runs import Findings, Result

INSTALLED = [name for name in TRAINERS if not sides.missing(name)]


def result(case, times, peak=1e12):
    return Result(case, 1, times, {}, {}, None, peak)


def of_case(case, picoseconds):
    """Return a result with such a time for a useful operation."""
    return result(case, {"fastmlp": [picoseconds * case.flops_per_step * 1e-12]})


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("batch_size", ["folder", "--seeds", "--json"]),
        ("calls", ["--calls", "--repeats", "--page"]),
        ("distributed", ["--seconds", "--network", "--page"]),
        ("feature_costs", ["--seconds", "--page"]),
        ("roofline", ["--ladder", "--seconds", "--page"]),
        ("many", ["--models", "--epochs", "--page"]),
        ("scaling", ["--axes", "--chart", "--page"]),
        ("sweep", ["--widths", "--batches", "--chart"]),
        ("time_to_accuracy", ["folder", "--target", "--seeds"]),
    ],
)
def test_scripts_explain_themselves(module, options):
    shown = run("-m", f"benchmarks.{module}", "--help")
    assert shown.returncode == 0, shown.stderr
    for option in options:
        assert option in shown.stdout


def test_the_model_of_messages():
    latency, byte = 1e-6, 1e-9
    # two ranks exchange everything once; a short message is all latency, a long one all bytes
    assert distributed.allreduce(2, 1000, latency, byte) == pytest.approx(latency + 1000 * byte)
    assert distributed.allreduce(1024, 4, latency, byte) == pytest.approx(10 * latency, rel=0.01)
    assert distributed.allreduce(1024, 10**9, latency, byte) == pytest.approx(2 * 10**9 * byte, rel=0.01)


def test_distributed_report():
    assert [net.parameters for net in distributed.NETS[1:3]] == [5569, 101770]
    messages = [1e-6 * (1 + floats / 1000) for floats in distributed.FLOATS]
    one = {"steps": [1e-6 * net.batch for net in distributed.NETS], "library": "MPI"}
    two = {**one, "allreduce": messages, "after": [2 * t for t in messages], "beside": messages}
    text = distributed.report(one, two, [(2, 12.5)])
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] == "20-64-64-1" and "a rank" in cells[1]:
            speeds = [float(cell) for cell in cells[2:]]
            assert speeds == sorted(speeds)
            # never more than there are ranks
            assert all(speed <= ranks for speed, ranks in zip(speeds, distributed.MODELLED, strict=True))
    # each net of one batch has one best number of ranks, in both models
    assert text.count("**") == 2 * 2 * len({net.name for net in distributed.NETS})
    assert "an assumed latency of 2 us" in text


def test_scaling_cases():
    names = [case.name for _, cases in scaling.AXES.values() for case in cases]
    assert len(set(names)) == len(names)
    for axis, (_, cases) in scaling.AXES.items():
        values = [scaling.value(result(case, {})) for case in cases]
        assert values == sorted(values)
        assert all(case.name.startswith(f"{axis} ") for case in cases)
        assert all(case.steps >= 2 or axis == "rows" for case in cases)


def test_scaling(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")

    def measure(cases, names, threads, seconds, listener, cores):
        times = {name: [1e-3 * (position + 1)] for position, name in enumerate(names)}
        return Findings([result(case, times) for case in cases], disagreements=["depth 1: the losses differ"])

    monkeypatch.setattr(scaling.runs, "measure", measure)
    saved = tmp_path / "findings.json"
    stem = tmp_path / "scaling"
    assert scaling.main(["--axes", "depth", "rows", "batch", "--chart", str(stem), "--save", str(saved)]) == 1
    printed = capsys.readouterr()
    assert "| depth | fastmlp, ns a sample | NumPy, ns a sample | GFLOP/s | of peak |" in printed.out
    assert f"| 2 | {1e6 / 128:,.0f} | {2e6 / 128:,.0f} |" in printed.out
    assert "width" not in printed.out
    assert "error: depth 1: the losses differ" in printed.err
    assert len(json.loads(saved.read_text())["findings"]["results"]) == 9 + 4 + 14
    assert stem.with_suffix(".png").exists()
    assert stem.with_suffix(".svg").exists()


def test_a_smooth_growth_has_no_cliffs():
    cases = [sweep.width_case(n, 64) for n in range(20, 40)]
    constant = [of_case(case, 10) for case in cases]
    assert [cliff.factor for cliff in sweep.cliffs(constant)] == pytest.approx([1.0] * 19)
    same_step = [result(case, {"fastmlp": [1e-3]}) for case in cases]
    assert [cliff.factor for cliff in sweep.cliffs(same_step)] == pytest.approx([1.0] * 19)


def test_cliffs_go_both_ways():
    cases = [sweep.batch_case(n, 64) for n in (10, 11, 12)]
    up = [of_case(case, time) for case, time in zip(cases, (10, 10, 15), strict=True)]
    assert sweep.cliffs(up)[0] == (11, 12, pytest.approx(1.5))
    steps = [result(case, {"fastmlp": [time]}) for case, time in zip(cases, (2e-3, 1e-3, 1e-3), strict=True)]
    assert sweep.cliffs(steps)[0] == (10, 11, pytest.approx(2))


def test_sweep(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    calls = []

    def measure(cases, names, threads, seconds, listener, clock, cores):
        listener("case", {"case": cases[0].name})
        first = len(calls) in (0, 4)  # what is measured again is not disturbed
        calls.append([sweep.size(case) for case in cases])
        return Findings([of_case(case, 20 if first and sweep.size(case) == 30 else 10) for case in cases])

    monkeypatch.setattr(sweep.runs, "measure", measure)
    stem, saved = tmp_path / "sweep", tmp_path / "findings.json"
    given = ["--widths", "8", "40", "--batches", "1", "40", "--chart", str(stem), "--save", str(saved)]
    assert sweep.main(given) == 0
    assert {29, 30, 31} <= set(calls[1])
    assert "| 29 to 30 | 2.00 |" not in capsys.readouterr().out
    assert stem.with_suffix(".png").exists()
    assert set(json.loads(saved.read_text())["findings"]) == {"width", "batch"}


@pytest.mark.parametrize("arguments", [["--widths", "9", "8"], ["--batches", "0", "8"]])
def test_sweep_needs_a_range(arguments, capsys):
    with pytest.raises(SystemExit):
        sweep.main(arguments)
    assert "two numbers from 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.filterwarnings("default")  # other libraries' deprecations are not ours
def test_trainers_learn(name):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 100).astype(np.uint8)
    x = (np.eye(3)[y] + rng.normal(0, 0.1, (100, 3))).astype(np.float32)
    case = Case("case", (3, 8, 3), "relu", "ce", 8, 100)
    trainer = import_for(name)(case, x, y, start_weights(case), 0)
    before = float((trainer.labels(x) == y).mean())
    for _ in range(30):
        trainer.epoch()
    assert float((trainer.labels(x) == y).mean()) > max(before, 0.9)


def outcome(epochs, accuracy, fit, process):
    return {"epochs": epochs, "accuracy": accuracy, "fit": fit, "process": process}


def test_time_to_accuracy_table():
    found = {
        "fastmlp": [outcome(4, 0.9, 2.0, 3.0), outcome(6, 0.9, 6.0, 9.0), outcome(5, 0.9, 5.0, 7.0)],
        "torch": [outcome(4, 0.9, 2.0, 3.0), outcome(50, 0.7, 25.0, 30.0)],
    }
    text = time_to_accuracy.table(found, 0.88)
    assert "| library | epochs to 88% |" in text
    assert "| fastmlp | 5 (4 to 6) | 5.00 | 7.00 | 1.00 |" in text
    assert "| PyTorch | not reached 1 of 2 times | - | - | 0.50 |" in text


def test_time_to_accuracy_runs_all_in_turn(monkeypatch, capsys):
    spawned = []

    def spawn(name, seed, options):
        spawned.append((name, seed))
        return outcome(4, 0.9, 2.0, 3.0)

    monkeypatch.setattr(time_to_accuracy, "spawn", spawn)
    monkeypatch.setattr(sides, "missing", lambda name: "JAX is not installed" if name == "jax" else None)
    monkeypatch.setattr(sides, "version_of", lambda name: "1.0")
    assert time_to_accuracy.main(["somewhere", "--seeds", "2", "--sides", "fastmlp", "jax", "sklearn"]) == 0
    assert spawned == [("fastmlp", 0), ("fastmlp", 0), ("sklearn", 0), ("fastmlp", 1), ("sklearn", 1)]
    printed = capsys.readouterr()
    assert "left out: JAX is not installed" in printed.err
    assert "784-256-128-10, relu, Adam, batch 128; 1 thread, 2 seeds" in printed.out


def test_time_to_accuracy_tells_why_a_library_failed(tmp_path):
    done = run("-m", "benchmarks.time_to_accuracy", str(tmp_path / "nowhere"), "--sides", "fastmlp")
    assert done.returncode == 1
    assert done.stderr.startswith("fastmlp failed:")
    assert "nowhere" in done.stderr


def test_time_to_accuracy_refuses_a_target_that_is_no_share(capsys):
    with pytest.raises(SystemExit):
        time_to_accuracy.main(["folder", "--target", "88"])
    assert "between 0 and 1" in capsys.readouterr().err


def test_conditions_name_the_machine():
    assert CONDITIONS.keys() == scaling.conditions().keys()


def test_no_case_is_a_step_only():
    """A single step an epoch would time the call, not the step."""
    assert all(case.steps >= 4 for case in GROUPS["all"])


@pytest.mark.jit_only
def test_batch_sizes():
    pytest.importorskip("sklearn")
    for task in batch_size.tasks(None):
        (x, y), (tried, _) = task.train, task.test
        assert x.dtype == tried.dtype == np.float32
        assert len(x) == len(y)
        assert abs(len(tried) / (len(x) + len(tried)) - 0.22) < 0.04
    task = next(batch_size.tasks(None))._replace(epochs=20)
    results = {size: [batch_size.trial(task, size, seed) for seed in range(2)] for size in (32, 64)}
    assert all(0.1 < score < 0.6 and seconds > 0 for trials in results.values() for score, seconds in trials)
    line = batch_size.table(task, results)
    assert line.count("|") == 4 + len(batch_size.SIZES)
    assert line.startswith("| diabetes | 332 | 20 | **")
    assert line.count("**") == 2


@pytest.mark.jit_only
def test_feature_costs():
    times = feature_costs.measure(0)
    assert len(times) == len(feature_costs.FEATURES)
    assert all(0 < one < 1e6 for one in times)
    shown = feature_costs.table([2.0 * (1 + i) for i in range(len(times))]).splitlines()
    assert shown[2] == "| `as it is` | 2.0 | 1.00 |"
    assert shown[4].endswith("| 6.0 | 3.00 |")


def test_what_a_step_needs_at_least():
    rung = roofline.Rung(Case("two layers", (3, 4, 2), "relu", "mse", 10, 100))
    assert rung.parameters == 3 * 4 + 4 + 4 * 2 + 2
    # forward, the weights' gradients, and the inputs' gradient of the second layer; 2 operations each
    assert rung.flops == 2 * 10 * (2 * (3 * 4 + 4 * 2) + 4 * 2)
    rows, forward, backward, update = 10 * (3 + 2), 26, 4 * 2, 6 * 26
    assert rung.bytes == 4 * (rows + forward + backward + update)
    assert rung.state == 3 * 4 * 26
    assert rung.functions == 10 * (4 + 2)
    labels = roofline.Rung(Case("classes", (3, 4, 2), "relu", "ce", 10, 100))
    assert labels.bytes == rung.bytes - 4 * 10


def test_the_roofline_takes_the_ladder_from_a_page(tmp_path, monkeypatch, capsys):
    digits, wide = (case for case in GROUPS["rungs"] if case.name in ("digits", "wide1024"))
    # twice as long as the products take at the peak
    results = [result(case, {"fastmlp": [2 * case.flops_per_step / 100e9]}, peak=100e9) for case in (digits, wide)]
    page = tmp_path / "speed.md"
    ladder = report.markdown(Findings(results, {"fastmlp": "1"}), CONDITIONS)
    page.write_text(
        f"<!-- ladder: begin -->\n{ladder}\n<!-- ladder: end -->\n<!-- roofline: begin --><!-- roofline: end -->\n"
    )
    (run_,) = roofline.ladder_of(page)
    assert (run_.threads, run_.peak) == (1, 100e9)
    assert run_.microseconds == pytest.approx({r.case.name: r.microseconds("fastmlp") for r in results}, rel=0.02)

    # memory so slow that it is the limit of the one, and so quick that it is none of the other
    monkeypatch.setattr(roofline, "bandwidth", lambda size, threads, seconds: 1e9 if size < 1e6 else 1e12)
    assert roofline.main(["--ladder", str(page), "--page", str(page)]) == 0
    rows = {
        line.split("|")[1].split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")
    }
    assert rows["wide1024"] in page.read_text()
    table = page.read_text().partition("roofline: begin")[2].partition("**Beside")[0]
    slow, quick = (
        next(line for line in table.splitlines() if line.startswith(f"| {name}")) for name in ("digits", "wide1024")
    )
    assert "| memory |" in slow
    assert "| arithmetic |" in quick
    assert quick.rstrip(" |").endswith("50%")


def test_a_page_without_a_ladder_has_no_roofline(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no tables of the ladder"):
        roofline.ladder_of(page)


def test_copies_have_a_rate():
    assert roofline.bandwidth(1 << 20, 2, 0.0) > 0


@pytest.mark.jit_only
def test_calls(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- calls: begin -->\n<!-- calls: end -->\nafter\n")
    assert calls.main(["--calls", "2", "--repeats", "1", "--page", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() in page.read_text()
    figures = [float(line.split(" | ")[1].rstrip(" |")) for line in printed.splitlines()[2:] if line.startswith("| ")]
    assert len(figures) in (5, 7)
    assert all(0 < figure < np.inf for figure in figures)


def test_many(monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- many: begin -->\n<!-- many: end -->\nafter\n")
    given = ["--models", "2", "--rows", "320", "--epochs", "2", "--repeats", "1", "--theirs", "1", "--jobs", "1"]
    assert many.main([*given, "--page", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() in page.read_text()
    assert [line.split(" | ")[0] for line in printed.splitlines() if line.startswith("| ")][2:] == [
        "| `fit_many`, 1 at a time",
        "| fastmlp, one after another on one core",
        "| `MLPEnsembleRegressor`, 1 at a time",
        "| scikit-learn, 1 at a time (joblib)",
        "| scikit-learn, one after another",
    ]
    # other losses are another training
    monkeypatch.setattr(many.Sides, "_theirs", lambda self, seed: 1.0)
    with pytest.raises(ValueError, match="the losses differ by"):
        many.main(given)
