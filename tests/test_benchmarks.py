"""The benchmarks can be run, and their report says what was measured; nothing here looks at the clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from fastmlp.ladder.cases import RUNGS
from fastmlp.ladder.runs import Findings, Result

BEGIN, END = "<!-- ladder: begin -->", "<!-- ladder: end -->"

ROOT = Path(__file__).parent.parent
CONDITIONS = {"processor": "Fast 9000", "python": "3.11.0", "numba": "0.65.0", "date": "2026-01-01"}


def run(*arguments):
    # pytest-benchmark warns of a worker's name that is inherited, and warnings are errors
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bench_files_collect():
    found = run("-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider")
    assert found.returncode == 0, found.stdout + found.stderr
    for case in RUNGS:
        for implementation in ("fastmlp", "numpy"):
            assert f"test_epoch[{case.name}-{implementation}]" in found.stdout
    for name in ("test_product", "test_activation", "test_optimizer"):
        assert f"bench_kernels.py::{name}" in found.stdout


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("benchmarks", ["--quick", "--threads", "--only", "--json"]),
        ("benchmarks.report", ["--cases", "--threads", "--against", "--pages"]),
    ],
)
def test_commands_explain_themselves(module, options):
    shown = run("-m", module, "--help")
    assert shown.returncode == 0, shown.stderr
    for option in options:
        assert option in shown.stdout


def findings(threads=(1, 2), seconds=None):
    """Return made-up times of two rungs."""
    times = seconds or {"fastmlp": [2e-6, 1e-6, 3e-6], "numpy": [4e-6], "jax": [1.5e-6, 9e-6]}
    results = [
        Result(case, count, times, {}, {"torch": "cannot"}, 0.5 if count == 2 else None, peak=count * 1e12)
        for count in threads
        for case in RUNGS[:2]
    ]
    return Findings(results, {"fastmlp": "1.0", "numpy": "2.0", "jax": "3.0"}, {"torch": "PyTorch is not installed"})


def saved(file, measured):
    file.write_text(json.dumps({"findings": measured.as_dict(), "conditions": CONDITIONS}), encoding="utf-8")
    return str(file)


def test_report_has_the_lowest_times():
    text = report.markdown(findings(), CONDITIONS)
    (header, row), *_ = [
        (line, text.splitlines()[i + 2]) for i, line in enumerate(text.splitlines()) if "batch" in line
    ]
    assert header == "| network | batch | fastmlp | NumPy | JAX | fastest other | GFLOP/s | of peak |"
    rate = RUNGS[0].flops_per_step / 1e-6
    assert row == (
        f"| coffee 2-25-15-1 | 32 | **1.00** | 4.00 | 1.50 | JAX 1.50 | {rate / 1e9:.1f} | {rate / 1e12:.0%} |"
    )
    assert "**1 thread** (peak 1,000 GFLOP/s)" in text
    assert "**2 threads** (peak 2,000 GFLOP/s)" in text
    for part in ("Fast 9000", "JAX 3.0", "Numba 0.65.0", "2026-01-01", "PyTorch is not installed."):
        assert part in text


def test_report_without_fastmlp_has_no_ratios():
    text = report.markdown(findings((1,), {"numpy": [4e-6]}), CONDITIONS)
    assert "| coffee 2-25-15-1 | 32 | 4.00 | - | - | - |" in text


def test_report_fills_in_earlier_sides():
    now = findings((1,), {"fastmlp": [7e-6]})
    filled = report.fill(now, findings())
    assert [result.seconds.keys() for result in filled.results] == [{"fastmlp", "numpy", "jax"}] * 2
    assert filled.results[0].microseconds("fastmlp") == pytest.approx(7)
    assert report.fill(now, Findings()).results == now.results


def test_report_goes_between_the_markers(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    files = [tmp_path / name for name in ("README.md", "other.md")]
    for file in files:
        file.write_text(f"before {file}\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    loaded = saved(tmp_path / "findings.json", findings())
    assert report.main(["--load", loaded, "--pages", *map(str, files), "--chart", str(tmp_path / "ladder")]) == 0
    printed = capsys.readouterr()
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text == f"before {file}\n\n{BEGIN}\n{printed.out.strip()}\n{END}\n\nafter\n"
    for ending in (".png", ".svg"):
        assert (tmp_path / f"ladder{ending}").stat().st_size > 1000
    assert "other programs had 50% of the cores" in printed.err


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END}" * 2])
def test_report_needs_its_markers_once(tmp_path, text):
    file = tmp_path / "README.md"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="must have the lines"):
        report.insert(file, "report")
    assert file.read_text(encoding="utf-8") == text


def test_report_keeps_findings_that_disagree_out_of_the_readme(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}", encoding="utf-8")
    measured = findings()
    measured.disagreements.append("coffee: the losses differ")
    loaded = saved(tmp_path / "findings.json", measured)
    assert report.main(["--load", loaded, "--pages", str(readme)]) == 1
    assert "error: coffee: the losses differ" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == f"{BEGIN}{END}"


def test_report_measures_and_saves(tmp_path, capsys, monkeypatch):
    asked = []

    def measure(cases, names, threads, seconds, listener, **options):
        asked.append((cases, names, threads, seconds, options))
        listener("case", {"case": "coffee", "threads": 1})
        return findings((1,))

    monkeypatch.setattr(report.runs, "measure", measure)
    file = tmp_path / "findings.json"
    given = ["--cases", "coffee", "--sides", "numpy", "fastmlp", "--seconds", "2", "--save", str(file)]
    assert report.main(given) == 0
    assert asked == [([RUNGS[0]], ["fastmlp", "numpy"], [1], 2.0, {"clock": "wall", "cores": None})]
    assert "case case=coffee" in capsys.readouterr().err
    assert Findings.from_dict(json.loads(file.read_text())["findings"]) == findings((1,))
    assert report.main([*given, "--against", str(file)]) == 0


def test_report_refuses_a_readme_of_mixed_runs(capsys):
    with pytest.raises(SystemExit):
        report.main(["--pages", "README.md", "--clock", "cpu"])
    assert "by the wall clock" in capsys.readouterr().err
