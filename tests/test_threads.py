"""Threads: how many, that they change no bit, and that they survive forks, crowds and each other."""

import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, optimizers, threads
from fastmlp.engine.pace import CALLS_ALONE, Pace
from fastmlp.kernels.jit import JIT_DISABLED

jit_only = pytest.mark.skipif(JIT_DISABLED, reason="interpreted kernels use one thread")

# a net whose parameters are shared, one whose rows are (shards), odd sizes, and gradients clipped by norms
NETS = {
    "items": ((20, 64, 64, 1), "relu", 32, 6000, "adam", None),
    "shards": ((4, 32, 16, 4), "tanh", 10000, 25000, "adam", "l2"),
    "odd": ((131, 77, 3), "gelu", 250, 1777, optimizers.RMSprop(clipnorm=0.1), "l1"),
    "global norm": ((33, 130, 5), "elu", 64, 2000, optimizers.SGD(0.01, momentum=0.9, global_clipnorm=0.5), None),
    "averages": ((20, 64, 64, 1), "relu", 32, 6000, optimizers.Nadam(use_ema=True, ema_overwrite_frequency=7), None),
    "accumulated": ((20, 64, 1), "relu", 32, 3000, optimizers.Lion(gradient_accumulation_steps=3), "l1"),
    "accumulated shards": (
        (4, 32, 16, 4), "tanh", 5000, 25000,
        optimizers.Adagrad(gradient_accumulation_steps=2, use_ema=True, clipnorm=0.1), None,
    ),
    "value": ((64, 128, 10), "sigmoid", 64, 2000, optimizers.AdamW(clipvalue=0.01), None),
}  # fmt: skip


def outcome(name: str) -> list[bytes]:
    """Weights, predictions, history and evaluation of a short training."""
    sizes, activation, batch, rows, optimizer, penalty = NETS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, sizes[0]), np.float32)
    y = rng.standard_normal((rows, sizes[-1]), np.float32)
    hidden = [Dense(units, activation=activation, kernel_regularizer=penalty) for units in sizes[1:-1]]
    model = Sequential([Input(shape=(sizes[0],)), *hidden, Dense(sizes[-1])], seed=3)
    model.compile(optimizer, "mse", metrics=["mae", "r2"])
    history = model.fit(x, y, batch_size=batch, epochs=2, verbose=0, validation_split=0.2)
    figures = [*history.history.values(), model.evaluate(x, y)]
    return [*(w.tobytes() for w in model.get_weights()), model.predict(x).tobytes(), repr(figures).encode()]


@jit_only
@pytest.mark.parametrize("name", NETS)
def test_any_number_of_threads_gives_the_same_bits(name, monkeypatch):
    # small work is not shared otherwise
    monkeypatch.setattr("fastmlp.engine.session.FLOPS_A_THREAD_AND_STEP", 1)
    monkeypatch.setattr("fastmlp.engine.pace.FLOPS_A_THREAD_AND_RUN", 1)
    # nor by a first call, or where the other cores are in use
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)
    fastmlp.set_num_threads(1)
    alone = outcome(name)
    for count in (2, 3, 4, 8):
        fastmlp.set_num_threads(count)
        assert outcome(name) == alone


@jit_only
def test_fits_in_many_threads_at_once_are_as_alone():
    fastmlp.set_num_threads(2)
    alone = outcome("items")
    results: list[list[bytes]] = []
    crowd = [threading.Thread(target=lambda: results.append(outcome("items"))) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert results == [alone] * 8


@jit_only
def test_predictions_in_many_threads_at_once():
    x = np.random.default_rng(0).standard_normal((3000, 20), np.float32)
    model = Sequential([Input(shape=(20,)), Dense(64, activation="tanh"), Dense(3)], seed=1)
    expected = model.predict(x)
    wrong: list[int] = []

    def ask(start: int) -> None:
        parts = [slice(first, first + 40) for first in range(start, 3000 - 40, 37)]
        wrong.extend(part.start for part in parts if not np.array_equal(model(x[part]), expected[part]))
        if not np.array_equal(model.predict(x), expected):
            wrong.append(-1)

    crowd = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert wrong == []


FORK = """
import os, sys
import test_threads, fastmlp
fastmlp.set_num_threads(2)
before = test_threads.outcome("shards")
child = os.fork()
if child == 0:
    os._exit(0 if test_threads.outcome("shards") == before else 3)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), test_threads.outcome("shards") == before)
"""


@jit_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_trains_with_threads_of_its_own():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "0 True"


def test_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads._pool, "chosen", None)
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    assert fastmlp.get_num_threads() == 3
    fastmlp.set_num_threads(5)
    assert fastmlp.get_num_threads() == 5
    monkeypatch.delenv("FASTMLP_NUM_THREADS")
    fastmlp.set_num_threads(None)
    assert fastmlp.get_num_threads() == threads.available_cores()
    for wrong in (0, -1, 2.5, True, "2"):
        with pytest.raises(ValueError, match="threads must be a positive integer"):
            fastmlp.set_num_threads(wrong)
    with pytest.raises(ValueError, match="threads must be at most 256, got 257"):
        fastmlp.set_num_threads(257)


@pytest.mark.parametrize("value", ["", "0", "-1", "two", "1.5", "257"])
def test_wrong_environment(monkeypatch, value):
    monkeypatch.setattr(threads._pool, "chosen", None)
    monkeypatch.setenv("FASTMLP_NUM_THREADS", value)
    with pytest.raises(ValueError, match="FASTMLP_NUM_THREADS must be a number from 1 to 256"):
        fastmlp.get_num_threads()


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "nonsense"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
    ],
)
def test_container_quota(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert threads._quota(tmp_path) == quota


def test_a_quota_limits_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "_quota", lambda: 0.5)
    assert threads.available_cores() == 1
    monkeypatch.setattr(threads, "_quota", lambda: 1e6)
    assert threads.available_cores() >= 1


def test_helpers_are_lent_to_one_at_a_time(monkeypatch):
    monkeypatch.setattr(threads, "_pool", threads._Pool())
    fastmlp.set_num_threads(3)
    with threads.Team(3) as first, threads.Team(3) as second:
        assert (first.size, second.size) == (3, 1)
        done: list[int] = []
        finished = threading.Semaphore(0)

        def work(number: int) -> None:
            done.append(number)
            finished.release()

        with first.helping(work, (7,), 2):
            for _ in range(2):
                assert finished.acquire(timeout=10)
        assert done == [7, 7]
    with threads.Team(2) as third:
        assert third.size == 2


def test_a_late_helper_does_not_begin_and_holds_nothing(monkeypatch):
    monkeypatch.setattr(threads, "_pool", threads._Pool())
    fastmlp.set_num_threads(2)
    busy, free, done = threading.Event(), threading.Event(), threading.Event()
    calls: list[str] = []

    def hold():
        busy.set()
        assert free.wait(10)

    def last():
        calls.append("last")
        done.set()

    with threads.Team(2) as team:
        with team.helping(hold, (), 1):
            assert busy.wait(10)
        rows = np.ones(3)
        alive = weakref.ref(rows)
        with team.helping(calls.append, (rows,), 1):
            pass
        del rows
        assert alive() is None
        with team.helping(last, (), 1):
            free.set()
            assert done.wait(10)
    assert calls == ["last"]


def test_helpers_rest_where_they_do_not_help():
    pace = Pace()
    assert pace.threads(2) == 1  # measures the leader
    pace.record(1, 1.0)
    assert pace.threads(2) == 2
    pace.record(2, 0.6)
    assert pace.threads(2) == 2
    pace.record(2, 3.0)
    assert [pace.threads(2) for _ in range(CALLS_ALONE + 1)] == [1] * CALLS_ALONE + [2]
    assert pace.threads(1) == 1


FORK_WHILE_COMPILING = """
import os, threading, numpy as np
from numba.core.compiler_lock import global_compiler_lock
from fastmlp import Dense, Input, Sequential

def fit():
    model = Sequential([Input(shape=(3,)), Dense(2), Dense(1)], seed=0)
    model.compile("adam", "mse")
    return model.fit(np.ones((9, 3)), np.arange(9.0), verbose=0).history

before, held = fit(), threading.Event()

def hold():
    with global_compiler_lock:
        held.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    model = Sequential([Input(shape=(3,)), Dense(2)], seed=0)
    model.forward(np.ones((2, 3)))  # has an entry of its own, which is not in memory yet
    os._exit(0 if fit() == before else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


@jit_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_of_a_process_that_compiles_can_compile():
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_WHILE_COMPILING]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "0", done.stderr


def test_a_limit_is_of_the_thread_that_has_it():
    fastmlp.set_num_threads(3)
    found = []
    with threads.limited(7):
        assert fastmlp.get_num_threads() == 7
        with threads.limited(None):
            assert fastmlp.get_num_threads() == 7
        other = threading.Thread(target=lambda: found.append(fastmlp.get_num_threads()))
        other.start()
        other.join()
    assert found == [3]
    assert fastmlp.get_num_threads() == 3
