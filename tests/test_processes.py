"""Threads, forks, pools and servers: no process ends by a signal, and results have the same bits as alone."""

import asyncio
import hashlib
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from programs import run

import fastmlp
from fastmlp import Dense, Input, Sequential
from fastmlp.errors import ModelBusyError

pytestmark = pytest.mark.jit_only

ROWS = np.random.default_rng(0).standard_normal((2000, 20), np.float32)
TARGETS = np.tanh(ROWS[:, :2])


def trained(seed=0, threads=2):
    """The bytes of a short training that is large enough for two threads."""
    fastmlp.set_num_threads(threads)
    model = Sequential([Input((20,)), Dense(130, "relu"), Dense(130, "tanh"), Dense(2)], seed=seed)
    model.compile("adam", "mse")
    model.fit(ROWS, TARGETS, batch_size=200, epochs=3, verbose=0)
    return model.predict(ROWS).tobytes()


@pytest.fixture(scope="module")
def alone():
    return [trained(seed, 1) for seed in range(4)]


def test_eight_models_in_eight_threads_while_the_main_thread_trains(alone):
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(trained, seed % 4) for seed in range(8)]
        assert trained(0) == alone[0]
        assert [other.result(60) for other in others] == alone * 2


def test_one_model_in_eight_threads():
    model = Sequential([Input((20,)), Dense(130, "relu"), Dense(2)], seed=0)
    model.compile("adam", "mse")
    begin, outcomes = threading.Barrier(8), []

    def train():
        begin.wait()
        try:
            outcomes.append(model.fit(ROWS, TARGETS, epochs=20, batch_size=20, verbose=0))
        except ModelBusyError as error:
            outcomes.append(error)

    crowd = [threading.Thread(target=train) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(60)
    refused = [outcome for outcome in outcomes if isinstance(outcome, ModelBusyError)]
    assert len(outcomes) == 8
    # most come while the first one trains; who comes when it is done is welcome
    assert refused
    assert len(refused) < 8
    assert np.isfinite(model.predict(ROWS)).all()


def test_a_server_that_predicts_in_a_pool_while_the_model_trains():
    model = Sequential([Input((20,)), Dense(64, "relu"), Dense(2)], seed=0)
    model.compile("adam", "mse")

    async def serve():
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as pool:
            training = loop.run_in_executor(
                pool, lambda: model.fit(ROWS, TARGETS, epochs=20, batch_size=100, verbose=0)
            )
            answers = await asyncio.gather(
                *(loop.run_in_executor(pool, model.predict, ROWS[i : i + 7]) for i in range(500))
            )
            await training
        return answers

    answers = asyncio.run(serve())
    assert all(answer.shape == (7, 2) and np.isfinite(answer).all() for answer in answers)
    whole = model.predict(ROWS)
    answers = [model.predict(ROWS[i : i + 7]) for i in range(0, 500, 50)]
    for i, answer in zip(range(0, 500, 50), answers, strict=True):
        np.testing.assert_array_equal(answer, whole[i : i + 7])


STARTS = [kind for kind in ("spawn", "forkserver", "fork") if kind in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
# of JAX, where another test has imported it
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning")
def test_processes_of_multiprocessing(start, alone):
    assert trained(0) == alone[0]  # so that this process has threads when it forks
    context = multiprocessing.get_context(start)
    with context.Pool(2) as pool:
        assert pool.map(trained, range(4), chunksize=1) == alone
        pool.close()
        pool.join()
    children = [context.Process(target=trained, args=(seed,)) for seed in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
# of JAX, where another test has imported it
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning")
def test_processes_of_futures(alone):
    with ProcessPoolExecutor(2, multiprocessing.get_context(STARTS[-1])) as pool:
        assert list(pool.map(trained, range(4), timeout=120)) == alone


@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "loky"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
# of JAX, where another test has imported it
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork:pytest.PytestUnraisableExceptionWarning")
def test_joblib(backend, alone):
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(trained)(seed) for seed in range(4))
    assert found == alone
    if backend == "loky":
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


FORK = """
import os, threading
import test_processes as t
before = t.trained(1)
crowd = [threading.Thread(target=t.trained, args=(0,)) for _ in range(2)]
for thread in crowd:
    thread.start()
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        # and a grandchild of the child's own threads
        same = t.trained(1) == before
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if t.trained(1) == before else 3)
        status = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        os._exit(status if same else 4)
    children.append(child)
for thread in crowd:
    thread.join()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], t.trained(1) == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_children_and_grandchildren_that_were_forked_while_threads_trained():
    assert (
        run("import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n" + FORK) == "[0, 0, 0, 0, 0] True"
    )


LAYER = """
import hashlib, sys
import numba.np.ufunc.parallel as parallel
import test_processes as t
digest = hashlib.sha256(t.trained(3)).hexdigest()
launched = parallel._is_initialized
modules = [name for name in sys.modules if name.startswith("numba.np.ufunc.") and name.endswith("pool")]
print(digest, launched, modules)
"""


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue", "default"])
def test_none_of_the_threading_layers_of_numba_is_used(layer, alone):
    """Also not one that is not installed: nothing asks for it."""
    found = run(LAYER, NUMBA_THREADING_LAYER=layer)
    assert found == f"{hashlib.sha256(alone[3]).hexdigest()} False []"


NETWORK = """
import sys

def audit(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        raise RuntimeError(event)

import test_processes as t
sys.addaudithook(audit)
print(len(t.trained(0)))
"""


def test_nothing_touches_the_network(alone):
    assert run(NETWORK) == str(len(alone[0]))


REFUSED = """
import hashlib, threading
import test_processes as t

class Refused(threading.Thread):
    def start(self):
        refused.append(self)
        raise RuntimeError("can't start new thread")

import fastmlp.threads as threads
refused, start = [], threads._Helper.start
threads._Helper.start = Refused.start
alone = hashlib.sha256(t.trained(3)).hexdigest()
threads._Helper.start = start
print(alone, len(refused) > 0, hashlib.sha256(t.trained(3)).hexdigest() == alone, threads._pool.made)
"""


def test_a_system_that_refuses_threads(alone):
    """The caller works alone, and has helpers when there are any."""
    assert run(REFUSED) == f"{hashlib.sha256(alone[3]).hexdigest()} True True 1"


AT_EXIT = """
import atexit, hashlib, os, threading, time
import test_processes as t
atexit.register(lambda: print(hashlib.sha256(t.trained(3)).hexdigest(), flush=True))
model = t.Sequential([t.Input((20,)), t.Dense(64, "relu"), t.Dense(2)], seed=0)
model.compile("adam", "mse")
forever = dict(epochs=10**6, verbose=0)
threading.Thread(target=model.fit, args=(t.ROWS, t.TARGETS), kwargs=forever, daemon=True).start()
while not model.built or model.optimizer.batches < 5:
    time.sleep(0.01)
"""


def test_an_end_of_the_interpreter_while_a_daemon_thread_trains_and_with_a_training_at_exit(alone):
    assert run(AT_EXIT) == hashlib.sha256(alone[3]).hexdigest()


FORK_IN_A_CALLBACK = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import test_processes as t
from fastmlp.callbacks import LambdaCallback
before, codes = t.trained(1), []

def fork(*arguments):
    child = os.fork()
    if child == 0:
        # the model that is trained, which this thread trains in the child as well, and another one
        finite = t.np.isfinite(model.predict(t.ROWS)).all()
        os._exit(0 if finite and t.trained(1) == before else 3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

model = t.Sequential([t.Input((20,)), t.Dense(130, "relu"), t.Dense(2)], seed=0)
model.compile("adam", "mse")
callbacks = [LambdaCallback(on_epoch_end=fork)]
model.fit(t.ROWS, t.TARGETS, batch_size=200, epochs=3, verbose=0, callbacks=callbacks)
print(codes, t.trained(1) == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_within_a_callback():
    assert run(FORK_IN_A_CALLBACK) == "[0, 0, 0] True"
