"""The kernel cache: hit, miss, damage, and folders that cannot or must not be used."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fastmlp.kernels import cache
from fastmlp.kernels.jit import JIT_DISABLED

PROGRAM = """
import numpy as np
from fastmlp.kernels.random import shuffle
order = np.empty(5, np.int64)
shuffle(order, np.uint64(1), np.uint64(0))
print(sorted(order.tolist()) == [0, 1, 2, 3, 4], len(shuffle.stats.cache_hits))
"""

# Every activation and both forms of a loss, once called from Python before the training and once not.
BITS = """
import sys
import numpy as np
from fastmlp import Dense, Input, Sequential, activations, losses
x = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
if len(sys.argv) > 1:
    for kind in activations.TABLE.values():
        kind()(x)
    losses.MeanSquaredError()(x, x)
bits = []
for name in activations.TABLE:
    model = Sequential([Input(shape=(9,)), Dense(20, activation=name), Dense(4, activation="softmax")], seed=3)
    for loss, y in (("sparse_categorical_crossentropy", np.arange(50) % 4), ("mse", x[:, :4])):
        model.compile("adam", loss)
        bits += [repr(model.fit(x, y, verbose=0).history), *(w.tobytes().hex() for w in model.get_weights())]
print(bits)
"""

jit_only = pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")


def run(folder: Path | str, *arguments: str, program: str = PROGRAM, **more: str) -> str:
    environment = {**os.environ, "FASTMLP_CACHE_DIR": str(folder), **more}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _fresh():
    cache.cache_folder.cache_clear()
    yield
    cache.cache_folder.cache_clear()


@jit_only
def test_second_process_hits_and_damage_is_a_miss(tmp_path):
    folder = tmp_path / "kernels"
    assert run(folder) == "True 0"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (entry,) = folder.glob("*.bin")
    assert run(folder) == "True 1"
    whole = entry.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        entry.write_bytes(damaged)
        assert run(folder) == "True 0"
        assert run(folder) == "True 1", "the damaged entry was replaced"
    assert not list(folder.glob("*.tmp"))


@jit_only
def test_compiling_and_loading_give_the_same_bits(tmp_path):
    folder = tmp_path / "kernels"
    cold = run(folder, program=BITS)
    assert run(folder, program=BITS) == cold
    assert run(folder, "kernels from Python first", program=BITS) == cold


@jit_only
def test_another_vector_width_is_another_entry(tmp_path):
    run(tmp_path / "kernels", FASTMLP_SIMD_WIDTH="4")
    assert run(tmp_path / "kernels", FASTMLP_SIMD_WIDTH="8") == "True 0"


@jit_only
def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert run(file / "below") == "True 0"


def test_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTMLP_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "fastmlp"


def test_no_home_is_no_cache(monkeypatch):
    monkeypatch.delenv("FASTMLP_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cache.cache_folder() is None


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_others_can_write_to_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(folder))
    with pytest.warns(RuntimeWarning, match="can be written by other users"):
        assert cache.cache_folder() is None


def test_the_digest_covers_every_source():
    assert len(cache.sources_digest()) == 64


@jit_only
@pytest.mark.parametrize("setting", ["NUMBA_BOUNDSCHECK", "NUMBA_OPT", "NUMBA_LOOP_VECTORIZE"])
def test_other_settings_of_numba_are_other_entries(setting, tmp_path):
    run(tmp_path / "kernels")
    changed = "1" if setting == "NUMBA_BOUNDSCHECK" else "0"
    assert run(tmp_path / "kernels", **{setting: changed}) == "True 0"
    assert run(tmp_path / "kernels", **{setting: changed}) == "True 1"
    assert run(tmp_path / "kernels") == "True 1"
