"""Several processes of one MPI job: equal to one process, and ended together when one of them fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp.agreement import disagreement
from fastmlp.distributed import MPI
from fastmlp.engine.ranks import Ranks
from fastmlp.engine.workspace import Cut

HERE = Path(__file__).parent
# mpich of the package index lies beside the interpreter
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
# the first ranks compile, on a machine that may be busy
SECONDS = 300
needs_mpiexec = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich")
together = [needs_mpiexec, pytest.mark.jit_only]

START = """
import json, os, signal, sys, time
import numpy as np
import fastmlp
from fastmlp import Dense, Input, Sequential
from fastmlp.callbacks import Callback, LambdaCallback
from fastmlp.distributed import MPI

mpi = MPI()
rng = np.random.default_rng(0)
x = rng.standard_normal((200, 3), np.float32)
y = x[:, 0] * x[:, 1]

def say(*words):
    # the first rank prints what each says: lines of several processes mix
    for said in mpi._comm.allgather(" ".join(map(str, words))):
        if mpi.rank == 0:
            print(said)

def network(seed=1, units=8, rate=0.001):
    model = Sequential([Input((3,)), Dense(units, "relu"), Dense(1)], seed=seed)
    model.compile(fastmlp.optimizers.Adam(rate), "mse")
    return model
"""


def command(ranks, *arguments):
    pytest.importorskip("mpi4py")
    return [MPIEXEC, "-n", str(ranks), sys.executable, *arguments]


def environment(**more):
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, **more}


def run(ranks, *arguments, cwd=None, **more):
    return subprocess.run(
        command(ranks, *arguments), env=environment(**more), cwd=cwd, capture_output=True, text=True, check=False,
        timeout=SECONDS,
    )  # fmt: skip


def run_program(ranks, program, *arguments, cwd=None, ends_well=True):
    done = run(ranks, "-c", START + program, *arguments, cwd=cwd)
    assert (done.returncode == 0) == ends_well, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def cases(ranks, *arguments, **more):
    """What tests/ranks.py has found by name."""
    done = run(ranks, str(HERE / "ranks.py"), *arguments, **more)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@needs_mpiexec
@pytest.mark.jit_only
def test_the_page_does_what_it_says(tmp_path):
    (page,) = [page for page in pages.PAGES if page.name == "distributed.md"]
    (program,) = [block.code for block in pages.blocks(page) if block.language == "python"]
    (tmp_path / "train.py").write_text(program, encoding="utf-8")
    done = run(2, "train.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert [line.split()[1] for line in lines] == [f"{epoch}/5" for epoch in range(1, 6)]
    assert fastmlp.load_model(tmp_path / "model.safetensors").count_params() == 5569


class TestEquality:
    """The same as one process with the n-fold batch."""

    pytestmark = together

    @pytest.mark.parametrize("ranks", [2, 3, 4])
    def test_in_order_it_has_the_same_bits(self, ranks):
        found = cases(ranks, "deterministic")
        assert len(found) == 15
        assert [name for name, case in found.items() if not case["same bits"]] == []

    @pytest.mark.parametrize("ranks", [2, 3])
    def test_it_differs_by_rounding_alone(self, ranks):
        found = cases(ranks)
        assert len(found) == 15
        for name, case in found.items():
            assert case["weights"] < 2e-5, name
            assert case["logs"] < 2e-5, name
        # and is another sum, or nothing was shared
        assert not any(case["same bits"] for case in found.values())

    def test_one_rank_is_a_plain_fit(self):
        assert all(case["same bits"] for case in cases(1).values())

    def test_rows_of_ones_own(self):
        """Equal to one process whose batches have the ranks' rows one after the other."""
        program = """
parts = np.split(np.arange(200), mpi.size)
def fit(model, **how):
    return model.fit(epochs=3, verbose=0, **how).history
own = parts[mpi.rank]
model = network()
model.compile("adam", "mse", metrics=["r2_score"])
logs = fit(model, x=x[own], y=y[own], batch_size=15, shuffle=False, distribute=MPI(sharded=True), validation_split=0.1)
single = network()
single.compile("adam", "mse", metrics=["r2_score"])
kept = [part[:90] for part in parts]
order = np.concatenate([np.concatenate([part[i:i + 15] for part in kept]) for i in range(0, 90, 15)])
out = np.concatenate([part[90:] for part in parts])
expected = fit(single, x=x[order], y=y[order], batch_size=30, shuffle=False, validation_data=(x[out], y[out]))
assert logs.keys() == expected.keys() and len(logs) == 4
for name in logs:
    np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5)
for one, other in zip(model.get_weights(), single.get_weights()):
    np.testing.assert_allclose(one, other, atol=1e-6)
say("alike")
"""
        assert run_program(2, program).stdout.split() == ["alike"] * 2

    @pytest.mark.parametrize("strategy", ["MPI()", "MPI(deterministic=True)"])
    def test_the_first_ranks_weights_and_seeds_count(self, strategy):
        program = f"""
model = Sequential([Input((3,)), Dense(8, "relu"), fastmlp.Dropout(0.5), Dense(1)])
model.compile("adam", "mse")
if mpi.rank == 1:
    model.fit(x, y, epochs=1, verbose=0)
model.fit(x, y, epochs=2, verbose=0, distribute={strategy})
found = mpi._comm.allgather([weights.tolist() for weights in model.get_weights()])
say(found[0] == found[1], len(set(mpi._comm.allgather(model.seed))))
"""
        assert run_program(2, program).stdout.split() == ["True", "1"] * 2


class TestStops:
    """All ranks end together."""

    pytestmark = together

    def test_a_stop_at_one_rank_is_one_at_all(self):
        """After the same step as in one process, in the midst of an epoch."""
        program = """
def stop_after(batch, model):
    def look(number, logs):
        model.stop_training = number == batch
    return LambdaCallback(on_train_batch_end=look)
model, single = network(), network()
callbacks = [stop_after(2, model)] if mpi.rank == 1 else []
logs = model.fit(x, y, 10, 5, verbose=0, callbacks=callbacks, distribute=MPI(deterministic=True)).history
expected = single.fit(x, y, 20, 5, verbose=0, callbacks=[stop_after(2, single)]).history
say(logs == expected, model._session.iterations == single._session.iterations == 3, model.stop_training)
"""
        assert run_program(2, program).stdout.split() == ["True"] * 6

    def test_divergence_is_an_ordinary_exception(self):
        program = """
model = network(rate=1e30)
try:
    model.fit(x, y * 1e30, epochs=3, verbose=0, distribute=mpi)
except fastmlp.errors.TrainingDivergedError:
    network().fit(x, y, epochs=1, verbose=0, distribute=mpi)
    say("went on")
"""
        assert run_program(2, program).stdout.split() == ["went", "on"] * 2

    def test_a_callback_that_differs_is_found_out(self):
        program = """
model = network()
def change(epoch, logs):
    model.set_weights([weights * (1 + mpi.rank) for weights in model.get_weights()])
try:
    model.fit(x, y, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_end=change)], distribute=mpi)
except RuntimeError as error:
    say(error)
"""
        lines = run_program(2, program).stdout.splitlines()
        assert len(lines) == 2
        assert all("before epoch 2 the weights" in line and "at rank 1 are not" in line for line in lines)

    def test_a_killed_rank_ends_the_job(self):
        program = """
def die(epoch, logs):
    if epoch == 2 and mpi.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
network().fit(x, y, epochs=10**9, verbose=0, callbacks=[LambdaCallback(on_epoch_end=die)], distribute=mpi)
print("went on")
"""
        assert "went on" not in run_program(3, program, ends_well=False).stdout

    def test_a_failing_rank_ends_the_job_with_its_message(self):
        program = """
def fail(epoch, logs):
    if epoch == 2 and mpi.rank == 1:
        raise OSError("the disk is full")
try:
    network().fit(x, y, epochs=10**9, verbose=0, callbacks=[LambdaCallback(on_epoch_end=fail)], distribute=mpi)
finally:
    print("went on")
"""
        done = run_program(3, program, ends_well=False)
        assert done.stderr.count("Traceback") == 1
        assert "rank 1 of 3 has failed, which ends the job:" in done.stderr
        assert "OSError: the disk is full" in done.stderr
        assert "went on" not in done.stdout

    def test_a_rank_that_fails_on_its_own_ends_the_job(self):
        program = """
if mpi.rank == 1:
    raise OSError("no data here")
network().fit(x, y, epochs=10**9, verbose=0, distribute=mpi)
"""
        done = run_program(2, program, ends_well=False)
        assert "rank 1 of 2 has failed" in done.stderr
        assert "OSError: no data here" in done.stderr

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_signals_end_all_ranks(self, sent, tmp_path):
        program = """
def tell(epoch, logs):
    if epoch == 3:
        open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
network().fit(x, y, epochs=10**9, verbose=0, distribute=mpi, callbacks=[LambdaCallback(on_epoch_end=tell)])
"""
        process = subprocess.Popen(
            command(2, "-c", START + program, str(tmp_path)), env=environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for _ in range(20 * SECONDS):
            ranks = [int(path.name) for path in tmp_path.iterdir()]
            if len(ranks) == 2 or process.poll() is not None:
                break
            time.sleep(0.05)
        assert len(ranks) == 2
        process.send_signal(sent)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        assert "Traceback" not in errors
        assert len(errors.splitlines()) < 30
        assert all(ended(rank) for rank in ranks)


def ended(process):
    """Whether a process is gone; it may take a moment."""
    for _ in range(200):
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


class TestAgreement:
    """What ranks must have in common."""

    @needs_mpiexec
    @pytest.mark.jit_only
    def test_all_ranks_get_the_error_and_go_on(self):
        program = """
odd = mpi.rank == 2
def attempt(model=None, rows=200, distribute=mpi, **how):
    try:
        (model or network()).fit(x[:rows], y[:rows], verbose=0, **how, distribute=distribute)
    except (ValueError, RuntimeError, TypeError) as error:
        lines.append(f"{type(error).__name__}: {error}")
    else:
        lines.append("no error")
lines = []
attempt(batch_size=16 if odd else 32)
attempt(epochs=2 if odd else 3)
attempt(rows=199 if odd else 200)
attempt(network(units=9 if odd else 8))
attempt(network(rate=0.1 if odd else 0.2))
attempt(distribute=MPI(sharded=odd))
attempt(distribute=MPI(deterministic=odd))
attempt(shuffle=not odd)
if odd:
    x[:] = x[::-1].copy()
attempt()
attempt(epochs=-1 if odd else 1)
attempt(network(seed=None))
def blocks():
    yield x, y
try:
    network().fit(blocks(), verbose=0, distribute=mpi)
except ValueError as error:
    lines.append(str(error))
def own(y_true, y_pred):
    return 0.0, y_pred
model = network()
model.compile("adam", own)
attempt(model)
x = np.random.default_rng(0).standard_normal((200, 3), np.float32)
attempt()
say(json.dumps(lines))
"""
        done = run_program(3, program)
        ranks = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(ranks) == 3
        wanted = [
            "batch_size: 96 at rank 0 to 1; 48 at rank 2", "epochs: 3 at", "number of rows to train on: 200 at",
            "layer 0: Dense(", "the optimizer: Adam(", "MPI's sharded: False at rank 0 to 1; True at rank 2",
            "MPI's deterministic: False", "shuffle: True", "a digest of some rows to train on", "epochs", "a digest of",
            "blocks of data", "the loss own", "no error",
        ]  # fmt: skip
        for lines in ranks:
            assert len(lines) == len(wanted)
            for line, part in zip(lines, wanted, strict=True):
                assert part in line
        assert ranks[0][9].startswith("RuntimeError: rank 2 of 3 cannot train: ValueError: epochs must be")
        assert ranks[2][9].startswith("ValueError: epochs must be")

    @needs_mpiexec
    @pytest.mark.jit_only
    def test_what_nobody_catches_is_printed_once(self):
        done = run_program(3, "network(units=8 + mpi.rank).fit(x, y, distribute=mpi)", ends_well=False)
        assert done.stderr.count("Traceback") == 1
        assert "ValueError: all ranks must have the same" in done.stderr

    def test_the_message_names_the_ranks(self):
        told = [{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "b": "2"}, {"a": "1"}]
        assert disagreement(told) == (
            "all ranks must have the same, and do not for b: 2 at rank 0, 2; 3 at rank 1; none at rank 3"
        )
        assert disagreement(told[:1] * 3) is None


class TestFiles:
    """The first rank prints and writes."""

    pytestmark = together

    def test_files_and_lines_are_written_once(self, tmp_path):
        program = """
from fastmlp.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint
class Counts(Callback):
    calls = 0
    def on_epoch_end(self, epoch, logs):
        self.calls += 1
class First(Counts):
    first_rank_only = True
    def on_test_batch_end(self, batch, logs):
        # the other rank does not wait for this one's
        pass
counts, first = Counts(), First()
os.chdir(sys.argv[1])
os.mkdir(f"rank{mpi.rank}")
os.chdir(f"rank{mpi.rank}")
network().fit(x, y, 16, epochs=4, verbose=2, validation_split=0.2, distribute=mpi, callbacks=[
    counts, first, CSVLogger("log.csv"), ModelCheckpoint("model.safetensors", "loss", verbose=1),
    EarlyStopping("loss", patience=1, min_delta=100.0, verbose=1),
])
with open("calls", "w") as file:
    file.write(f"{counts.calls} {first.calls}")
"""
        done = run_program(2, program, str(tmp_path))
        assert done.stdout.count("Epoch 1/4") == 1
        assert done.stdout.count("saving model to") == 2
        assert done.stdout.count("early stopping") == 1
        names = [sorted(path.name for path in (tmp_path / f"rank{rank}").iterdir()) for rank in range(2)]
        assert names == [["calls", "log.csv", "model.safetensors"], ["calls"]]
        assert len((tmp_path / "rank0" / "log.csv").read_text().splitlines()) == 3
        assert [(tmp_path / f"rank{rank}" / "calls").read_text() for rank in range(2)] == ["2 2", "2 0"]

    @pytest.mark.parametrize("save_freq", ["'epoch'", 3])
    def test_a_run_that_was_killed_goes_on(self, tmp_path, save_freq):
        program = f"""
from fastmlp.callbacks import BackupAndRestore, EarlyStopping
def die(batch, logs):
    die.batches += 1
    if sys.argv[2] == "die" and die.batches == 18 and mpi.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
die.batches = 0
# the folder is one that the first rank alone sees
folder = os.path.join(sys.argv[1], f"backup{{mpi.rank}}")
def fit(model, batch, **how):
    how["callbacks"] = [*how.get("callbacks", []), EarlyStopping("loss", patience=50)]
    return model.fit(x, y, batch, epochs=5, verbose=0, **how).history
model, single = network(seed=None if sys.argv[2] == "die" else 4), network()
callbacks = [BackupAndRestore(folder, save_freq={save_freq}), LambdaCallback(on_train_batch_end=die)]
model.set_weights(network().get_weights())
model.seed, model._session.seed = 1, network()._session.seed
logs = fit(model, 10, callbacks=callbacks, distribute=MPI(deterministic=True))
expected = fit(single, 20)
say(logs == expected, die.batches)
say(all((one == other).all() for one, other in zip(model.get_weights(), single.get_weights())))
"""
        run_program(2, program, str(tmp_path), "die", ends_well=False)
        assert (tmp_path / "backup0" / "training.safetensors").exists()
        assert not (tmp_path / "backup1").exists()
        words = run_program(2, program, str(tmp_path), "live").stdout.split()
        # the first rank may or may not have made the backup after batch 18 when the other one was killed
        assert words[1] in ({"40"} if save_freq == "'epoch'" else {"32", "35"})
        assert words == ["True", words[1]] * 2 + ["True"] * 2


class FakeWire:
    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@settings(deadline=None)
@given(
    st.integers(1, 400), st.integers(1, 5000), st.integers(1, 12), st.booleans(), st.integers(0, 8), st.integers(1, 4)
)
def test_every_row_is_one_ranks(batch, rows, size, in_order, shards, sixteens):
    """And ranks have them in their order."""
    batch = min(batch, rows)
    cut = Cut(16 * sixteens, 64 * sixteens, min(shards, -(-batch // (16 * sixteens))))
    plan = SimpleNamespace(network=SimpleNamespace(barriers=np.zeros(0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmlp.engine.ranks.cut_batch", lambda *arguments, **keywords: cut)
        found = []
        for rank in range(size):
            ranks = Ranks(FakeWire(rank, size), in_order=in_order, sharded=False, wants_end=bool)
            share = ranks.share(plan, rows, batch)
            order = np.arange(rows)[::-1]
            found.append((share, ranks.own(share, order)))
    assert sorted(np.concatenate([own for _, own in found])) == list(range(rows))
    for kind in ("full", "short"):
        place = 0
        for share, _ in found:
            part = getattr(share, kind)
            # a rank without rows has no place
            assert part.rows == 0 or part.place == place
            place += part.rows
        assert place == part.batch
    for share, own in found:
        assert len(own) == share.total == (share.steps - 1) * share.full.rows + share.short.rows
        if in_order:
            assert share.full.place % cut.piece == 0 or share.full.rows == 0
    if not in_order:
        counts = [share.full.rows for share, _ in found]
        assert max(counts) - min(counts) <= 1


@needs_mpiexec
def test_interpreted_kernels_meet_as_well():
    found = cases(2, "deterministic", "few_rows", NUMBA_DISABLE_JIT="1")
    assert found["few_rows"]["same bits"]


def test_arguments_are_checked(monkeypatch):
    with pytest.raises(ValueError, match="cannot be combined with sharded=True"):
        MPI(deterministic=True, sharded=True)
    with pytest.raises(TypeError, match="deterministic"):
        MPI(deterministic="yes")
    model = fastmlp.Sequential([fastmlp.Input((2,)), fastmlp.Dense(1)])
    model.compile("adam", "mse")
    with pytest.raises(TypeError, match=r"distribute must be a fastmlp\.distributed\.MPI, got 'mpi'"):
        model.fit([[1, 2]], [1], distribute="mpi")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[mpi\]"'):
        MPI()


def test_nothing_imports_mpi4py_before():
    program = (
        "import sys, fastmlp.distributed, fastmlp.model; fastmlp.distributed.MPI; "
        "sys.exit(any(name.startswith('mpi4py') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=environment(), timeout=SECONDS)
