"""The engine's ways of cutting work, on data small enough for the interpreted kernels too."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, optimizers
from fastmlp.engine import session, tables, workspace
from fastmlp.engine.chain import Chain
from fastmlp.engine.pace import Pace
from fastmlp.engine.plan import Plan
from fastmlp.kernels.gemm import padded_rows
from fastmlp.kernels.jit import SIMD_WIDTH

OPTIMIZERS = {
    "adam": optimizers.Adam(),
    "sgd with a norm": optimizers.SGD(0.1, clipnorm=0.05),
    "adam with a global norm": optimizers.Adam(global_clipnorm=0.05),
    "rmsprop with a value": optimizers.RMSprop(clipvalue=0.01),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 rows."""
    monkeypatch.setattr(workspace, "BLOCK_BYTES", 1)
    monkeypatch.setattr(workspace, "LEFT_BYTES", 1)
    monkeypatch.setattr(workspace, "SMALLEST_WIDE_BLOCK", 16)


@pytest.fixture
def two_threads(monkeypatch):
    """Work is shared by two threads, however little it is."""
    monkeypatch.setattr(session, "threads_for", lambda *work: 2)
    monkeypatch.setattr("fastmlp.engine.predictor.threads_for", lambda *work: 2)
    monkeypatch.setattr("fastmlp.threads._pool.chosen", 2)
    monkeypatch.setattr(Pace, "threads", lambda self, team: team)


def outcome(optimizer: str, penalty: str | None = "l2", rows: int = 75) -> list[np.ndarray]:
    """Weights, losses and predictions of a training whose last batch is short."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, 5), np.float32), rng.standard_normal((rows, 6), np.float32)
    model = Sequential([Input(shape=(5,)), Dense(7, "tanh", kernel_regularizer=penalty), Dense(6)], seed=1)
    model.compile(OPTIMIZERS[optimizer], "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=50, epochs=2, verbose=0, shuffle=False)
    losses = np.array([*history.history["loss"], *history.history["mae"], *model.evaluate(x, y)])
    return [*model.get_weights(), losses, model.predict(x)]


def assert_close(ours, others):
    for mine, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_shards_add_up_to_the_batch(optimizer, request, monkeypatch):
    monkeypatch.setattr(workspace, "SHARD_PARAMETERS", 0)
    whole = outcome(optimizer)
    monkeypatch.undo()
    request.getfixturevalue("small_blocks")
    assert_close(outcome(optimizer), whole)


def test_blocks_change_no_bit_of_a_whole_batch(request, monkeypatch):
    monkeypatch.setattr(workspace, "SHARD_PARAMETERS", 0)
    whole = outcome("adam")
    request.getfixturevalue("small_blocks")
    for mine, other in zip(outcome("adam")[:4], whole[:4], strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("shards", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_threads_give_the_bits_of_one(optimizer, shards, small_blocks, request, monkeypatch):
    if not shards:
        monkeypatch.setattr(workspace, "SHARD_PARAMETERS", 0)
    alone = outcome(optimizer)
    request.getfixturevalue("two_threads")
    for mine, other in zip(outcome(optimizer), alone, strict=True):
        np.testing.assert_array_equal(mine, other)


def plan(*sizes: int) -> Plan:
    """The plan of a net with these sizes."""
    chain = Chain(sizes[0])
    for inputs, layer in zip(sizes, [Dense(units) for units in sizes[1:]], strict=False):
        layer.build((inputs,), np.random.default_rng(0))
        layer.lay(chain)
    return Plan(chain, 0)


# up to four outputs go forward by dot products or with a panel of w, as the inputs are many or few
@pytest.mark.parametrize("units", range(1, 6))
@pytest.mark.parametrize("inputs", [1, 2, SIMD_WIDTH - 1, SIMD_WIDTH, 2 * SIMD_WIDTH + 1, 5 * SIMD_WIDTH])
def test_a_layer_of_few_outputs(inputs, units, small_blocks, two_threads):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((41, 3), np.float32), rng.standard_normal((41, units), np.float32)
    model = Sequential([Input(shape=(3,)), Dense(inputs, "tanh"), Dense(units)], seed=1)
    model.compile(optimizers.SGD(1.0), "mse")
    w, b, v, c = (weight.astype(np.float64) for weight in model.get_weights())
    hidden = np.tanh(x @ w + b)
    outputs = hidden @ v + c
    np.testing.assert_allclose(model.predict(x), outputs, rtol=1e-5, atol=1e-6)
    dz = 2 * (outputs - y) / y.size
    below = dz @ v.T * (1 - hidden**2)
    model.train_on_batch(x, y)
    stepped = w - x.T @ below, b - below.sum(axis=0), v - hidden.T @ dz, c - dz.sum(axis=0)
    for mine, other in zip(model.get_weights(), stepped, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=2e-6)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    assert np.count_nonzero(model._plan.network.parameters) <= model.count_params(), "padding stays zero"


@pytest.mark.parametrize("sizes", [(1, 1), (2, 25, 15, 1), (20, 64, 64, 1), (784, 128, 10), (1030, 700, 3), (3, 2000)])
def test_items_cover_every_element_once(sizes):
    network = plan(*sizes).network
    covered = np.zeros(network.parameters.size, int)
    for item in network.items:
        at, count = item[tables.AT], item[tables.COUNT]
        covered[at : at + count] += 1
    assert covered.max() == 1
    filled = np.zeros(network.parameters.size, bool)
    model = Sequential([Input(shape=(sizes[0],)), *(Dense(units) for units in sizes[1:])])
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    filled |= model._plan.network.parameters != 0
    assert (covered[filled] == 1).all()
    assert filled.sum() == model.count_params()


@pytest.mark.parametrize("batch", [1, 15, 16, 17, 32, 100, 1000, 10000])
@pytest.mark.parametrize("sizes", [(4, 32, 16, 4), (20, 64, 64, 1), (1024, 1024, 10)])
def test_cuts(sizes, batch):
    for training in (True, False):
        cut = workspace.cut_batch(plan(*sizes), batch, training=training)
        assert cut.piece % 16 == 0
        assert cut.block % cut.piece == 0
        assert cut.piece > 0
        assert not cut.shards or (training and cut.shards <= -(-batch // cut.piece))


@pytest.mark.parametrize("sizes", [(5, 7, 6), (784, 128, 10), (1024, 1024, 10)])
def test_no_tile_of_the_last_rows_reaches_beyond_a_slab(sizes):
    network = plan(*sizes)
    for batch in range(1, 400):
        cut = workspace.cut_batch(network, batch, training=True)
        if cut.shards:
            continue
        room = workspace.make_workspace(
            network, cut, batch, 1, 0, threads=1, training=True, weighted=False, pieces=-(-batch // cut.piece)
        )
        # a share, and so a block, may begin at any piece
        last = (batch - 1) // cut.piece * cut.piece
        assert last + padded_rows(batch - last) <= room.capacity


@pytest.mark.skipif("FASTMLP_SIMD_WIDTH" in os.environ, reason="this is the run with a forced width")
@pytest.mark.parametrize("width", ["4", "8", "16"])
def test_the_engine_at_every_width(width):
    """The tests above on other processors' tiles, interpreted: the stand-in of a tile checks its bounds."""
    environment = {**os.environ, "FASTMLP_SIMD_WIDTH": width, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_clock_that_stands_still(monkeypatch):
    """Clocks may be coarse, and a call may take less than a tick."""
    x = np.random.default_rng(0).standard_normal((700, 5), np.float32)
    model = Sequential([Input((5,)), Dense(8, "relu"), Dense(1)], seed=0)
    model.compile("adam", "mse")
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    losses = model.fit(x, x[:, :1], batch_size=10, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert model.predict(np.tile(x, (20, 1))).shape == (14000, 1)
