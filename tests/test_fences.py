"""Kernels touch nothing but their buffers: guard bytes around each of them, and Numba's checks of every index."""

import every_feature
import fences
import numpy as np
import pytest
from programs import run

from fastmlp.engine import session
from fastmlp.engine.pace import Pace
from fastmlp.kernels import memory
from fastmlp.kernels.jit import JIT_DISABLED, entry
from fastmlp.kernels.lanes import copy_row

pytestmark = pytest.mark.jit_only

TRAININGS = {training.name: training for training in every_feature.trainings()}


def with_threads(monkeypatch, count):
    """Work is shared by so many threads, however little it is."""
    monkeypatch.setattr(session, "threads_for", lambda *work: count)
    monkeypatch.setattr("fastmlp.engine.predictor.threads_for", lambda *work: count)
    monkeypatch.setattr("fastmlp.threads._pool.chosen", count)
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)


@pytest.mark.parametrize("name", TRAININGS)
def test_guards_are_kept_and_change_no_bit(name, monkeypatch):
    """Buffers lie elsewhere, between NaN, and are shared by three threads; results have the same bits."""
    plain = every_feature.outcome(TRAININGS[name])
    for threads in (1, 3):
        with_threads(monkeypatch, threads)
        with fences.fenced() as watched:
            found = every_feature.outcome(TRAININGS[name], watched.copied)
        assert watched.check() > 20
        for mine, other in zip(found, plain, strict=True):
            np.testing.assert_array_equal(mine, other)


@entry
def one_too_many(values):
    for i in range(values.size):
        values[i] = 1
    copy_row(values, 0, 1, values, values.size - 1, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(("place", "side"), [(-1, "before"), (5, "behind")])
def test_a_write_outside_is_found(dtype, place, side):
    watched = fences.Fences()
    values = watched.zeros(5, dtype)
    values[:] = 1
    assert watched.check() == 1
    outside = np.lib.stride_tricks.as_strided(values, (6 - 2 * min(place, 0),), values.strides)
    if place < 0:
        outside = np.frombuffer(watched.raws[0], np.uint8)[fences.GUARD_BYTES - values.itemsize :].view(dtype)
    outside[max(place, 0)] = 1
    with pytest.raises(AssertionError, match=side):
        watched.check()


def test_a_kernel_that_writes_too_far_is_found():
    with pytest.raises(AssertionError, match="behind"), fences.fenced():
        one_too_many(memory.zeros(7))


def test_what_is_read_past_an_end_is_nan():
    values = fences.Fences().zeros(3)
    assert np.isnan(np.lib.stride_tricks.as_strided(values, (4,), values.strides)[3])


def test_every_entry_of_every_table_is_tried():
    from fastmlp import activations, constraints, initializers, layers, losses, optimizers, regularizers

    names = " ".join(TRAININGS)
    for table in (activations, constraints, initializers, layers, losses, optimizers, regularizers):
        for key, kind in table.TABLE.items():
            assert any(word in names for word in (kind.__name__, getattr(kind, "name", key) or key, key)), kind


BEYOND = """
import numpy as np
from fastmlp.kernels.jit import kernel
@kernel
def beyond(values):
    return values[values.size]
try:
    beyond(np.ones(3))
except IndexError:
    print("IndexError")
"""


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_numba_checks_the_indices_of_a_part_of_them(tmp_path):
    """All of them by ``NUMBA_BOUNDSCHECK=1 python tests/every_feature.py``, some minutes."""
    settings = {"NUMBA_BOUNDSCHECK": "1", "FASTMLP_CACHE_DIR": str(tmp_path / "kernels")}
    assert run(BEYOND, **settings) == "IndexError"
    printed = run("import every_feature\nevery_feature.main(9)", **settings)
    assert "no byte outside" in printed
