"""The ladder compares like with like: cases, sides, agreement, threads and the peak."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import fastmlp.threads
from fastmlp.kernels.jit import JIT_DISABLED
from fastmlp.ladder import agreement, disturbance, peak, sides, threads
from fastmlp.ladder.cases import GROUPS, RUNGS, Case, choose, make_data, start_weights

# two full batches and a shorter one
SHRUNK = [replace(case, rows=min(case.rows, 2 * case.batch + 7)) for case in GROUPS["all"]]
# what interpreted kernels manage in a second or so
INTERPRETED_PRODUCTS = 2_000_000
TINY = Case("tiny", (3, 4, 1), "tanh", "mse", 4, 10)
INSTALLED = [name for name in sides.LIBRARIES if name != "torch-compiled" and not sides.missing(name)]


def train_all(case, names, epochs=agreement.EPOCHS):
    (x, y), weights = make_data(case), start_weights(case)
    return {name: sides.make_side(name, case, x, y, weights).train(epochs) for name in names}


@pytest.mark.parametrize("case", SHRUNK, ids=lambda case: case.name)
@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "fastmlp"])
@pytest.mark.filterwarnings("default")  # other libraries' deprecations are not ours
def test_losses_are_those_of_fastmlp(case, name):
    if JIT_DISABLED and case.products > INTERPRETED_PRODUCTS:
        pytest.skip("too large for interpreted kernels")
    try:
        losses = train_all(case, ["fastmlp", name])
    except sides.UnsupportedCaseError as error:
        pytest.skip(str(error))
    agreement.check_losses(case, losses)


@pytest.mark.filterwarnings("default")
def test_compiled_torch_has_the_same_losses():
    pytest.importorskip("torch")
    try:
        losses = train_all(TINY, ["fastmlp", "torch-compiled"])
    except sides.UnsupportedCaseError as error:
        pytest.skip(str(error))
    agreement.check_losses(TINY, losses)


@pytest.mark.parametrize(("activation", "labels", "lack"), [("elu", 10, "no elu"), ("relu", 9, "labels")])
def test_sklearn_says_what_it_cannot_do(activation, labels, lack):
    pytest.importorskip("sklearn")
    case = Case("tiny", (3, 4, 10), activation, "ce", 4, 20)
    x, _ = make_data(case)
    with pytest.raises(sides.UnsupportedCaseError, match=lack):
        sides.make_side("sklearn", case, x, np.arange(20) % labels, start_weights(case))


def test_names_are_unique():
    names = [case.name for case in GROUPS["all"]] + list(GROUPS)
    assert len(set(names)) == len(names)


def test_a_case_counts():
    case = Case("case", (3, 4, 2), "relu", "mse", 32, 65)
    assert case.steps == 3
    assert case.network == "3-4-2"
    assert case.products == 65 * (3 * 4 + 4 * 2)
    whole = replace(case, rows=64)
    # forward and the weights' gradient of both layers, and the input's gradient of the second
    assert whole.flops_per_step == 2 * 32 * (2 * (12 + 8) + 8)
    assert Case.from_dict(json.loads(json.dumps(case.as_dict()))) == case


def test_choose():
    assert choose(["rungs"]) == list(RUNGS)
    assert [case.name for case in choose(["tabular", "coffee"])] == ["coffee", "tabular"]
    assert choose(["all"]) == choose(["other", "rungs"])
    with pytest.raises(ValueError, match="unknown case 'cofee': did you mean 'coffee'"):
        choose(["cofee"])


def test_check_names():
    assert sides.check_names(["jax", "numpy"]) == ["numpy", "jax"]
    with pytest.raises(ValueError, match="unknown library 'pytorch': did you mean 'torch'"):
        sides.check_names(["pytorch"])


def test_missing_says_what_to_install(monkeypatch):
    assert sides.missing("numpy") is None
    monkeypatch.setattr(sides.importlib.util, "find_spec", lambda name: None)
    assert sides.missing("sklearn") == "scikit-learn is not installed (pip install scikit-learn)"


def test_versions(monkeypatch):
    assert sides.version_of("fastmlp") == fastmlp.__version__
    assert sides.version_of("numpy") == np.__version__

    def unknown(name):
        raise sides.PackageNotFoundError(name)

    monkeypatch.setattr(sides, "version", unknown)
    assert sides.version_of("numpy") == "unknown"


def test_start_weights():
    case = Case("case", (30, 40, 2), "relu", "mse", 32, 64)
    weights = start_weights(case)
    assert [w.shape for w in weights] == [(30, 40), (40,), (40, 2), (2,)]
    assert {w.dtype for w in weights} == {np.dtype(np.float32)}
    limit = np.sqrt(6 / 70)
    assert 0.9 * limit < np.max(np.abs(weights[0])) <= limit
    assert not weights[1].any()


@pytest.mark.parametrize(
    ("found", "epoch"), [([1.0, 0.5 + 2 * agreement.LATER], 2), ([1.0001, 0.5], 1), ([float("nan"), 0.5], 1)]
)
def test_different_losses_are_told(found, epoch):
    agreement.check_losses(TINY, {"fastmlp": [1.0, 0.5], "numpy": [1.0, 0.5]})
    with pytest.raises(agreement.DisagreementError, match=rf"tiny: .* epoch {epoch} .* NumPy"):
        agreement.check_losses(TINY, {"fastmlp": [1.0, 0.5], "numpy": found})


def test_rounding_may_grow_over_many_steps():
    long = replace(TINY, rows=TINY.batch * (agreement.FIRST_STEPS + 1))
    agreement.check_losses(long, {"fastmlp": [1.0], "numpy": [1 + agreement.LATER / 2]})


def test_losses_that_are_no_numbers_do_not_agree():
    with pytest.raises(agreement.DisagreementError):
        agreement.check_losses(TINY, {"fastmlp": [float("nan")], "numpy": [float("nan")]})


def test_environment():
    made = threads.environment(3, {"HOME": "here", "OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "7"})
    assert made["HOME"] == "here"
    assert "OPENBLAS_CORETYPE" not in made
    assert {made[name] for name in threads.VARIABLES} == {"3"}


def test_cores_for(monkeypatch):
    monkeypatch.setattr(threads, "available", lambda: [0, 2, 3])
    assert threads.cores_for(2) == [2, 3]
    assert threads.cores_for(1, [2, 0]) == [2]
    with pytest.raises(ValueError, match="at most the 3 cores of this process, got 4"):
        threads.cores_for(4)
    with pytest.raises(ValueError, match="cores must be 1 or more of"):
        threads.cores_for(1, [1])


def test_cores_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert threads.cores_for(1) == []
    threads.pin([])
    threads.pin([0])


def test_cores_are_set_before_numpy_makes_its_threads():
    code = "import sys; from fastmlp.ladder import threads, worker; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "False\n"


def test_limit(monkeypatch):
    told = []
    monkeypatch.setattr(fastmlp.threads, "set_num_threads", told.append)
    threads.limit(2, ["numpy"])
    assert told == [2]


def test_peak_is_a_rate():
    assert peak.measure_peak(2, repeats=1, turns=10) > 0


def test_peak_kernel_multiplies_and_adds():
    factors = np.arange(1, peak.TALL_ROWS + 1, dtype=np.float32)
    row = np.full(peak.VECTORS * peak.SIMD_WIDTH, 0.5, np.float32)
    out = np.empty(peak.TALL_ROWS * row.size, np.float32)
    peak.multiply_add(3, factors, row, out)
    np.testing.assert_array_equal(out.reshape(peak.TALL_ROWS, -1), 3 * np.outer(factors, row))


def test_disturbance(monkeypatch, tmp_path):
    file = tmp_path / "stat"
    monkeypatch.setattr(disturbance, "STATISTICS", file)
    file.write_text("cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 700 30 0 0 0 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0\nintr 1\n")
    assert disturbance.busy_seconds([0]) == 1.5
    assert disturbance.busy_seconds([0, 1]) == 1.5 + 0.27
    assert disturbance.busy_seconds([2]) is None
    assert disturbance.busy_seconds([]) is None
    clock = iter([10.0, 12.0, 12.0])
    monkeypatch.setattr(disturbance, "perf_counter", lambda: next(clock))
    own = iter([1.0, 2.5, 2.5])
    monkeypatch.setattr(disturbance, "process_time", lambda: next(own))
    watch = disturbance.Disturbance([0])
    file.write_text("cpu0 280 0 50 700 30 0 0 0 0 0\n")
    assert watch.share() == pytest.approx((1.8 - 1.5) / 2)
    file.unlink()
    assert disturbance.Disturbance([0]).share() is None
