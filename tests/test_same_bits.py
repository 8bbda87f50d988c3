"""One training has the same bits by any number of threads, in any process, from any cache, and after a resume."""

import hashlib

import numpy as np
import pytest
from programs import run

pytestmark = pytest.mark.jit_only

# features of most kinds, a batch large enough for many threads, and shapes that no tile divides
PROGRAM = """
import hashlib, sys
import numpy as np
import fastmlp
from fastmlp import Dense, Input, Sequential, layers
from fastmlp.engine import session
from fastmlp.engine.pace import Pace
# as many threads as are asked for, however little there is to do
session.threads_for = lambda *work: fastmlp.get_num_threads()
Pace.threads = lambda self, team: team
rng = np.random.default_rng(0)
x = rng.standard_normal((203, 37), np.float32)
y = (np.abs(x[:, :3]).argmax(1)).astype(np.int64)
def make():
    model = Sequential([
        Input((37,)), Dense(67, "relu"), layers.BatchNormalization(), layers.Dropout(0.2),
        Dense(29, "gelu", kernel_regularizer="l2"), Dense(3, "softmax")], seed=5)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
def digest(model):
    whole = [*model.get_weights(), model.predict(x), np.array(model.evaluate(x, y, verbose=0))]
    return hashlib.sha256(b"".join(array.tobytes() for array in whole)).hexdigest()
for threads in map(int, sys.argv[1].split(",")):
    fastmlp.set_num_threads(threads)
    model = make()
    model.fit(x, y, batch_size=101, epochs=2, verbose=0)
    print(digest(model))
if len(sys.argv) > 2:
    model = make()
    model.fit(x, y, batch_size=101, epochs=1, verbose=0)
    model.save(sys.argv[2])
    model = fastmlp.load_model(sys.argv[2])
    model.fit(x, y, batch_size=101, epochs=2, initial_epoch=1, verbose=0)
    print(digest(model))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def cold(folder):
    """The digests with an empty cache: five numbers of threads, more than cores too, and after a resume."""
    return run(PROGRAM, "1,2,3,4,8", str(folder / "model"), FASTMLP_CACHE_DIR=str(folder / "cache")).split()


def test_any_number_of_threads_and_a_resume(cold):
    assert len(cold) == 6
    assert len(set(cold)) == 1
    assert cold[0] != hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("layer", ["default", "omp", "tbb", "workqueue"])
def test_a_warm_cache_another_process_and_every_threading_layer(cold, folder, layer):
    warm = run(PROGRAM, "2,1", FASTMLP_CACHE_DIR=str(folder / "cache"), NUMBA_THREADING_LAYER=layer).split()
    assert warm == cold[:2]


def test_any_split_of_predictions():
    from fastmlp import Dense, Input, Sequential, layers

    x = np.random.default_rng(1).standard_normal((307, 19), np.float32)
    model = Sequential(
        [Input((19,)), layers.LayerNormalization(), Dense(33, "silu"), Dense(7, "softmax"), Dense(2)], seed=0
    )
    whole = model.predict(x)
    for size in (1, 2, 3, 16, 97, 306, 1000):
        np.testing.assert_array_equal(model.predict(x, batch_size=size), whole)
        parts = [model.predict(x[first : first + size]) for first in range(0, len(x), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
