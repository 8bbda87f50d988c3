"""The benchmarks compare like with like, and can be run; nothing here looks at the clock."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cases import CASES, Trainers, check_equal
from fastmlp.kernels.jit import JIT_DISABLED

ROOT = Path(__file__).parent.parent

# two full batches and a shorter one
SHRUNK = [replace(case, rows=min(case.rows, 2 * case.batch + 7)) for case in CASES]
# what interpreted kernels manage in a second or so
INTERPRETED_PRODUCTS = 2_000_000


@pytest.mark.parametrize("case", SHRUNK, ids=lambda case: case.name)
def test_both_have_equal_losses(case):
    if JIT_DISABLED and case.products > INTERPRETED_PRODUCTS:
        pytest.skip("too large for interpreted kernels")
    check_equal(Trainers(case))


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


def test_steps_count_the_short_batch():
    assert replace(CASES[0], batch=32, rows=65).steps == 3


def run(*arguments):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bench_files_collect():
    found = run("-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider")
    assert found.returncode == 0, found.stdout + found.stderr
    for case in CASES:
        for implementation in ("fastmlp", "numpy"):
            assert f"test_epoch[{case.name}-{implementation}]" in found.stdout
    for name in ("test_product", "test_activation", "test_optimizer"):
        assert f"bench_kernels.py::{name}" in found.stdout


def test_command_explains_itself():
    shown = run("-m", "benchmarks", "--help")
    assert shown.returncode == 0, shown.stderr
    for option in ("--quick", "--threads", "--only", "--json"):
        assert option in shown.stdout
