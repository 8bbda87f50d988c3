"""Files made while a model trains, and trainings that go on from them with the same bits."""

import contextlib
import copy
import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import (
    BatchNormalization,
    Dense,
    Dropout,
    Input,
    Sequential,
    callbacks,
    optimizers,
)
from fastmlp.errors import ModelFileError, TrainingDivergedError
from fastmlp.saving import container
from fastmlp.saving.durable import _mark

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
Y = (X[:, :1] - X[:, 1:2] * X[:, 2:3]).astype(np.float32)


def network(optimizer="adam", seed=3):
    model = Sequential([Input(shape=(3,)), Dense(9, "relu"), BatchNormalization(), Dropout(0.3), Dense(1)], seed=seed)
    model.compile(optimizer=optimizer, loss="mse", metrics=["mae"])
    return model


def fit(model, epochs=8, members=(), **options):
    return model.fit(
        X, Y, batch_size=7, epochs=epochs, verbose=0, validation_data=(X[:9], Y[:9]), callbacks=list(members), **options
    )


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


class Interrupt(callbacks.Callback):
    """Ends a run in the hard way, after so many batches or epochs."""

    def __init__(self, at, hook):
        super().__init__()
        self.at = at
        setattr(self, hook, self.count)

    def count(self, *_):
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt


class Nothing(callbacks.Callback):
    """Stands where an interrupted run has Interrupt."""


Nothing.__name__ = "Interrupt"


class Script(callbacks.Callback):
    """Puts a sequence of values into the logs."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["seen"] = self.values[epoch]


def test_a_file_an_epoch(tmp_path):
    model = network()
    history = fit(model, 3, [callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.3f}-{mae:.1e}.file")])
    values = history.history
    expected = [f"{i + 1:02d}-{values['val_loss'][i]:.3f}-{values['mae'][i]:.1e}.file" for i in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    last = fastmlp.load_model(tmp_path / expected[-1])
    assert same(last, model)
    assert last.history.history == values


@pytest.mark.parametrize(
    ("values", "options", "saved"),
    [
        ([3, 2, 2, 4, 1], {}, [1, 2, 5]),
        ([3, 2, 2, 4, 1], {"mode": "max"}, [1, 4]),
        ([3, 2, 2, 4, 1], {"initial_value_threshold": 2}, [5]),
        ([3, 2, np.nan, 4, 1], {"initial_value_threshold": 2.5}, [2, 5]),
        ([3, 2, 2, 4, 1], {"save_best_only": False}, [1, 2, 3, 4, 5]),
    ],
    ids=str,
)
def test_only_what_is_best(values, options, saved, tmp_path, capsys):
    options = {"save_best_only": True, "verbose": 1, **options}
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}", "seen", **options)
    # its place in the list does not matter
    fit(network(), 5, [checkpoint, Script(values)])
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == saved
    assert capsys.readouterr().out.count("saving model to") == len(saved)
    if options["save_best_only"]:
        assert checkpoint.best == values[saved[-1] - 1]


def test_weights_every_few_batches(tmp_path):
    model = network()
    fit(model, 2, [callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_weights_only=True, save_freq=3)])
    # five batches an epoch
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-3", "2-1", "2-4"]
    with pytest.raises(ModelFileError, match="weights"):
        fastmlp.load_model(tmp_path / "1-3")
    model.load_weights(tmp_path / "1-3")


def test_an_unknown_monitor_warns(tmp_path):
    with pytest.warns(UserWarning, match="ModelCheckpoint monitors 'nothing'"):
        fit(network(), 1, [callbacks.ModelCheckpoint(tmp_path / "x", "nothing", save_best_only=True)])
    assert not list(tmp_path.iterdir())


def test_bad_arguments(tmp_path):
    for make in (
        lambda **given: callbacks.ModelCheckpoint("x", **given),
        lambda **given: callbacks.BackupAndRestore("x", **given),
    ):
        for save_freq in ("batch", 0, -1, 1.5, True, None):
            with pytest.raises(ValueError, match="save_freq"):
                make(save_freq=save_freq)
    for name in ("save_best_only", "save_weights_only"):
        with pytest.raises(TypeError, match=name):
            callbacks.ModelCheckpoint("x", **{name: 1})
    with pytest.raises(ValueError, match="mode"):
        callbacks.ModelCheckpoint("x", mode="best")
    with pytest.raises(ValueError, match=r"filepath .* must have names of the logs.*epoch, loss, mae, val_loss"):
        fit(network(), 1, [callbacks.ModelCheckpoint(tmp_path / "{acc}")])
    with pytest.raises(ValueError, match="one BackupAndRestore"):
        fit(network(), 1, [callbacks.BackupAndRestore(tmp_path), callbacks.BackupAndRestore(tmp_path)])


def test_going_on_from_a_checkpoint(tmp_path):
    def reducing():
        return callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=10)

    model = network()
    expected = fit(model, 6, [callbacks.ModelCheckpoint(tmp_path / "{epoch}"), reducing()])
    loaded = fastmlp.load_model(tmp_path / "3")
    assert loaded.optimizer.learning_rate == expected.history["learning_rate"][3]
    again = fit(loaded, 6, initial_epoch=3)
    # without the callback the learning rate stays
    assert again.history["loss"][0] == expected.history["loss"][3]


def everything(stop=100):
    return [
        callbacks.EarlyStopping("loss", patience=2, min_delta=0.02, restore_best_weights=True, start_from_epoch=1),
        callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.05),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
# test_lbfgs.py has runs of L-BFGS
@pytest.mark.parametrize("optimizer", sorted(optimizers.TABLE.keys() - {"lbfgs"}))
def test_interrupted_runs_end_alike(optimizer, save_freq, tmp_path):
    never_stopped, members = network(optimizer), everything()
    expected = fit(never_stopped, 8, [*members, Nothing()])
    generator = random.Random(f"{optimizer} {save_freq}")
    hooks = [("on_epoch_end", 8), ("on_train_batch_end", 40), ("on_epoch_begin", 8), ("on_train_batch_begin", 40)]
    for attempt in range(30):
        # a new process would have another seed, which counts until there is a backup
        kept = any(tmp_path.rglob("training*"))
        model, own = network(optimizer, seed=attempt if kept else 3), everything()
        backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq, double_checkpoint=attempt % 2 == 0)
        hook, most = generator.choice(hooks)
        end = Interrupt(generator.randrange(2, most // 2), hook) if attempt < 6 else Nothing()
        try:
            history = fit(model, 8, [backup, *own, end])
        except KeyboardInterrupt:
            continue
        break
    assert attempt > 0
    assert same(model, never_stopped)
    assert history.history == expected.history
    assert history.epoch == expected.epoch
    assert model.optimizer == never_stopped.optimizer
    assert [each.get_state().keys() for each in own] == [each.get_state().keys() for each in members]
    assert own[0].best == members[0].best
    assert own[0].stopped_epoch == members[0].stopped_epoch
    assert own[1].get_state() == members[1].get_state()
    assert not list((tmp_path / "backup").iterdir())


def test_a_run_that_was_stopped_stays_stopped(tmp_path):
    def members():
        return [
            callbacks.EarlyStopping("loss", patience=1, min_delta=100, restore_best_weights=True),
            callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False),
        ]

    model, again = network(), network(seed=9)
    expected = fit(model, 8, members())
    assert len(expected.epoch) < 8
    history = fit(again, 8, members())
    assert history.epoch == expected.epoch
    assert same(model, again)
    # a longer run goes on from where a shorter one has ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training.safetensors"]


def test_a_longer_run_goes_on(tmp_path):
    model, other = network(), network(seed=9)
    fit(model, 8)
    fit(network(), 3, [callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    history = fit(other, 8, [callbacks.BackupAndRestore(tmp_path)])
    assert history.epoch == list(range(8))
    assert same(model, other)


def test_lines_of_a_logger_are_not_repeated(tmp_path):
    def members():
        # the logger has written when the interruption comes, and the backup has not
        return [callbacks.CSVLogger(tmp_path / "log", append=True)], callbacks.BackupAndRestore(tmp_path / "backup")

    for at in (2, 3, None):
        log, backup = members()
        end = Interrupt(at, "on_epoch_end") if at else Nothing()
        with contextlib.suppress(KeyboardInterrupt):
            fit(network(), 6, [*log, end, backup])
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", *"012345"]


def test_a_backup_of_something_else_is_refused(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

    stopping = callbacks.EarlyStopping("loss", restore_best_weights=True, patience=5)
    fit(network(), 2, [backup(), stopping])
    path = tmp_path / "training.safetensors"
    before = path.read_bytes()
    small = Sequential([Input(shape=(3,)), Dense(1)], seed=0)
    small.compile("adam", "mse", metrics=["mae"])
    without = network()
    without.compile("adam", "mse")
    for model, members, message in (
        (small, [stopping], "list of layers"),
        (network(optimizers.Adam(beta_1=0.8)), [stopping], "optimizer"),
        (without, [stopping], "metrics"),
        (network(), [], "callbacks"),
    ):
        weights = model.get_weights()
        with pytest.raises(ModelFileError, match=message):
            fit(model, 3, [*members, backup()])
        assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    with pytest.raises(ModelFileError, match="'backup'"):
        fastmlp.load_model(path)
    path.write_bytes(before[:-1])
    with pytest.raises(ModelFileError, match="damaged"):
        fit(network(), 3, [backup(), stopping])
    # the weights of a backup can be had
    path.write_bytes(before)
    assert b"callback.1.best_weights.0.state" in before
    model = network()
    fit(model, 2)
    other = network(seed=0)
    other.load_weights(path)
    assert same(model, other)


def test_the_backup_before_the_last_one(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)

    fit(network(), 3, [backup()])
    (tmp_path / "training.safetensors").write_bytes(b"damaged")
    model, again = network(), network(seed=0)
    fit(model, 5)
    fit(again, 5, [backup()])
    assert same(model, again)


def test_states_of_ones_own_callbacks(tmp_path):
    class Counting(callbacks.Callback):
        counted = ("seen", "arrays")

        def on_train_begin(self, logs=None):
            self.seen, self.arrays = 0, []

        def on_epoch_end(self, epoch, logs=None):
            self.seen += 1
            self.arrays.append(np.arange(self.seen))

    class Odd(callbacks.Callback):
        def get_state(self):
            return {"function": len}

    fit(network(), 2, [Counting(), callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    counting = Counting()
    fit(network(), 4, [counting, callbacks.BackupAndRestore(tmp_path)])
    assert counting.seen == 4
    assert [array.tolist() for array in counting.arrays] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    with pytest.raises(TypeError, match="the state of Odd"):
        fit(network(), 1, [Odd(), callbacks.BackupAndRestore(tmp_path)])
    with pytest.raises(ValueError, match="state of Counting"):
        counting.set_state({"seen": 1})


def test_nothing_that_has_diverged_is_kept(tmp_path):
    model = network(optimizers.SGD(1e30))
    before = model.get_weights()
    members = [
        callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=1),
        callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1),
    ]
    with pytest.raises(TrainingDivergedError):
        fit(model, 3, members)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for path in (each for each in tmp_path.iterdir() if each.is_file()):
        fastmlp.load_model(path)
    for path in (tmp_path / "backup").iterdir():
        network().load_weights(path)


def interrupted(make, *interruptions, model=network, run=fit, **options):
    """Run again and again until nothing interrupts; ``make`` makes the callbacks, and the last model is returned."""
    for at, hook in (*interruptions, (0, "on_epoch_end")):
        last = model()
        with contextlib.suppress(KeyboardInterrupt):
            run(last, members=[*make(), Interrupt(at, hook) if at else Nothing()], **options)
    return last


def test_an_epoch_that_goes_on_and_diverges_ends_where_it_began(tmp_path):
    def run(model, members):
        y = Y.copy()

        def spoil(epoch, logs=None):
            # the last step of the second epoch diverges
            if epoch == 1:
                y[-1] = 1e38

        if any(tmp_path.iterdir()):
            spoil(1)
        spoiler = callbacks.LambdaCallback(on_epoch_begin=spoil)
        model.fit(X, y, batch_size=7, epochs=3, verbose=0, shuffle=False, callbacks=[spoiler, *members])

    expected = network()
    with pytest.raises(TrainingDivergedError):
        run(expected, [])
    model = network()
    with pytest.raises(KeyboardInterrupt):
        run(network(), [callbacks.BackupAndRestore(tmp_path, save_freq=1), Interrupt(8, "on_train_batch_end")])
    with pytest.raises(TrainingDivergedError):
        run(model, [callbacks.BackupAndRestore(tmp_path, save_freq=1), Nothing()])
    assert same(model, expected)


@pytest.mark.parametrize("save_freq", ["epoch", 1])
@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("before", [None, "", "epoch,loss\n0,3.5\n"])
def test_a_log_is_that_of_a_run_that_was_never_interrupted(before, append, save_freq, tmp_path):
    def logged(name, *interruptions):
        path = tmp_path / name
        if before is not None:
            path.write_text(before)

        def make():
            # the logger has written when the interruption comes, and the backup has not
            backup = callbacks.BackupAndRestore(tmp_path / f"{name} backup", save_freq)
            return [callbacks.CSVLogger(path, append=append), backup]

        interrupted(make, *interruptions, epochs=6, validation_freq=2)
        return path.read_bytes()

    expected = logged("whole")
    assert expected.count(b"\n") == (8 if append and before else 7)
    assert logged("first epoch", (1, "on_epoch_end")) == expected
    assert logged("often", (1, "on_epoch_end"), (2, "on_epoch_end"), (3, "on_train_batch_end"), (2, "on_epoch_begin"),
                  (1, "on_epoch_end")) == expected  # fmt: skip


def test_values_know_their_epochs_after_an_interruption(tmp_path):
    model = interrupted(
        lambda: [callbacks.BackupAndRestore(tmp_path)], (4, "on_epoch_end"), epochs=6, validation_freq=2
    )
    assert model.history.epochs_of("val_loss") == [1, 3, 5]
    assert model.history.epochs_of("loss") == list(range(6))
    model.history.history["val_loss"] = [3.0, 1.0, 2.0]
    assert model.history.best_epoch == 3
    model.save(tmp_path / "model")
    assert fastmlp.load_model(tmp_path / "model").history.epochs_of("val_loss") == [1, 3, 5]
    assert fastmlp.load_model(tmp_path / "model").history.best_epoch == 3


@pytest.mark.parametrize("save_freq", ["epoch", 1])
def test_settings_of_the_optimizer_that_callbacks_change(save_freq, tmp_path):
    def changing():
        def change(epoch, logs):
            model.optimizer.momentum *= 0.9
            model.optimizer.use_ema = epoch >= 3

        return callbacks.LambdaCallback(on_epoch_end=change)

    def make():
        nonlocal model
        model = network(optimizers.SGD(0.01, momentum=0.9))
        return model

    model = expected = make()
    fit(expected, 6, [changing()])
    again = interrupted(
        lambda: [changing(), callbacks.BackupAndRestore(tmp_path, save_freq)], (2, "on_epoch_end"),
        (4, "on_epoch_begin"), model=make, epochs=6,
    )  # fmt: skip
    assert same(again, expected)
    assert again.optimizer == expected.optimizer
    # the same model goes on, too
    model = make()
    members = [changing(), callbacks.BackupAndRestore(tmp_path, save_freq)]
    with pytest.raises(KeyboardInterrupt):
        fit(model, 6, [*members, Interrupt(3, "on_epoch_end")])
    fit(model, 6, [*members, Nothing()])
    assert same(model, expected)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda model: setattr(model.layers[0], "trainable", False), "list of layers"),
        (lambda model: model.compile("sgd", "mse", metrics=["mae"]), "optimizer"),
        (lambda model: model.compile("adam", "mae", metrics=["mae"]), "loss"),
    ],
)
def test_what_could_not_go_on_is_no_backup(change, name, tmp_path):
    model = network()
    changing = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: change(model) if epoch == 1 else None)
    with pytest.raises(RuntimeError, match=f"the {name} was changed"):
        fit(model, 4, [changing, callbacks.BackupAndRestore(tmp_path)])
    # the one before is as it was
    assert fit(network(), 2, [callbacks.LambdaCallback(), callbacks.BackupAndRestore(tmp_path)]).epoch == [0, 1]


def test_a_first_epoch_that_diverged_begins_anew_with_another_learning_rate(tmp_path):
    with pytest.raises(TrainingDivergedError):
        fit(network(optimizers.SGD(1e30)), 2, [callbacks.BackupAndRestore(tmp_path)])
    model, expected = network(optimizers.SGD(0.01), seed=9), network(optimizers.SGD(0.01))
    fit(model, 2, [callbacks.BackupAndRestore(tmp_path)])
    fit(expected, 2)
    assert same(model, expected)


def test_other_data_are_refused(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

    network().fit(X, Y, batch_size=7, epochs=2, verbose=0, callbacks=[backup()])
    for rows, options, message in (
        (30, {"batch_size": 8}, "batch size was 7, and now is 8"),
        (29, {"batch_size": 7}, "number of rows was 30, and now is 29"),
        (30, {"batch_size": 7, "steps_per_epoch": 2}, "number of steps was 5, and now is 2"),
    ):
        with pytest.raises(ModelFileError, match=message):
            network().fit(X[:rows], Y[:rows], epochs=3, verbose=0, callbacks=[backup()], **options)


def test_only_its_own_leftovers_are_deleted(tmp_path):
    own = tmp_path / f"{_mark(tmp_path / 'training.safetensors')}0.part"
    others = [tmp_path / ".notes.part", tmp_path / f"{_mark(tmp_path / 'model')}0.part"]
    for path in (own, *others):
        path.touch()
    fit(network(), 1, [callbacks.BackupAndRestore(tmp_path)])
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("trouble", ["missing", "unreadable", "damaged"])
def test_the_backup_before_the_last_one_serves(trouble, tmp_path, monkeypatch):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)

    fit(network(), 3, [Nothing(), backup()])
    last, whole = tmp_path / "training.safetensors", (tmp_path / "previous.safetensors").read_bytes()
    if trouble == "missing":
        last.unlink()
    elif trouble == "damaged":
        last.write_bytes(last.read_bytes()[:-1])
    else:
        read_file = container.read_file

        def reading(path):
            if path == last:
                raise OSError(errno.EIO, "Input/output error", str(path))
            return read_file(path)

        monkeypatch.setattr("fastmlp.saving.backup.read_file", reading)
    model, again = network(), network(seed=0)
    fit(model, 5)
    # a bad one does not take the place of a good one
    with pytest.raises(KeyboardInterrupt):
        fit(network(), 5, [Interrupt(1, "on_epoch_begin"), backup()])
    assert (tmp_path / "previous.safetensors").read_bytes() == whole
    fit(again, 5, [Nothing(), backup()])
    assert same(model, again)


def in_run(**changes):
    return lambda document, tensors: document["run"].update(changes)


def in_state(number, **changes):
    return lambda document, tensors: document["run"]["callbacks"][number]["state"]["members"].update(changes)


def in_tensor(name, change):
    def changed(document, tensors):
        tensors[name] = change(tensors[name])

    return changed


BAD_BACKUPS = {
    "no run": lambda document, tensors: document.pop("run"),
    "a list": in_run(callbacks=[]),
    "a callback without a state": in_run(callbacks=[{"class_name": "History"}] * 4),
    "a large step": in_run(step=2**31),
    "a negative step": in_run(step=-1),
    "no step": in_run(step=0),
    "a text as an epoch": in_run(epoch="3"),
    "stopped": in_run(stopped="no"),
    "logs": in_run(logs={"loss": "x"}),
    "another setup": in_run(setup={}),
    "NaN sums": in_tensor("run.sums", lambda sums: sums * np.nan),
    "short sums": in_tensor("run.sums", lambda sums: sums[:-1]),
    "narrow sums": in_tensor("run.sums", lambda sums: sums.astype(np.float32)),
    "NaN weights at the start": in_tensor("dense.bias.start", lambda weight: weight * np.nan),
    "short weights at the start": in_tensor("dense.bias.start", lambda weight: weight[1:]),
    "no weights at the start": lambda document, tensors: tensors.pop("dense.bias.start"),
    "NaN weights": in_tensor("dense.bias", lambda weight: weight * np.nan),
    "a dict in keys": in_state(0, keys=[{"members": {}}]),
    "a number in values": in_state(0, values=[3.0, 3.0, 3.0, 3.0]),
    "texts in values": in_state(0, values=[["x", "y"]] * 4),
    "unequal lengths": in_state(0, epochs=[[0, 1]] * 4),
    "a negative epoch": in_state(0, epoch=[-1]),
    "a text as a count": in_state(1, wait="x"),
    "a list as the best": in_state(1, best=[]),
    "best weights of NaN": in_tensor("callback.1.best_weights.0.state", lambda weight: weight * np.nan),
    "best weights of another shape": in_tensor("callback.1.best_weights.0.state", lambda weight: weight[1:]),
    "no best weights": lambda document, tensors: tensors.pop("callback.1.best_weights.0.state"),
    "a dtype that is none": in_state(1, best_weights=[{"tensor": "run.sums", "dtype": "<U1000000"}]),
    "a negative length": in_state(2, length=-1),
    "numbers as columns": in_state(2, keys=[1, 2]),
    "what is no batch": in_state(3, batches=None),
}


def backed_up(folder):
    return [
        callbacks.EarlyStopping("loss", restore_best_weights=True, patience=5), callbacks.CSVLogger(folder / "log"),
        callbacks.BackupAndRestore(folder, save_freq=7, delete_checkpoint=False),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def backup_of_a_step(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backup")
    fit(network(), 2, backed_up(folder))
    data = (folder / "training.safetensors").read_bytes()
    return container.unpack(data, "a test")


@pytest.mark.parametrize("case", BAD_BACKUPS)
def test_a_backup_of_wrong_content_changes_nothing(case, backup_of_a_step, tmp_path):
    document, tensors = copy.deepcopy(backup_of_a_step)
    assert document["run"]["step"] == 2
    BAD_BACKUPS[case](document, tensors)
    (tmp_path / "training.safetensors").write_bytes(b"".join(container.pack(document, tensors)))
    (tmp_path / "log").write_text("epoch,loss\n" * 50)
    model, members = network(seed=0), backed_up(tmp_path)
    before = model.get_weights()
    with pytest.raises(ModelFileError, match=r"training\.safetensors"):
        fit(model, 3, members)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert members[0].best_weights is None
    assert members[0].wait == members[2].batches == 0
    assert model.history.epoch == []
    assert (tmp_path / "log").read_text() == "epoch,loss\n" * 50


def test_arrays_of_any_numbers_are_states(tmp_path):
    arrays = [np.arange(3).astype(dtype) for dtype in ("bool", "i1", "u2", "i4", "u8", "f2", ">f4", "f8")]
    arrays[4][0] = 2**64 - 1
    kept = {"list": arrays, "a": {"b": np.ones(2)}, "a.b": np.zeros(3)}

    class Keeping(callbacks.Callback):
        def get_state(self):
            return kept

        def set_state(self, state):
            self.state = state

    def run(epochs, **options):
        keeping = Keeping()
        fit(network(), epochs, [keeping, callbacks.BackupAndRestore(tmp_path, **options)])
        return keeping

    run(1, delete_checkpoint=False)
    state = run(2).state
    assert [(array.dtype, array.tolist()) for array in state["list"]] == [(a.dtype, a.tolist()) for a in arrays]
    assert state["a"]["b"].tolist() == [1, 1]
    assert state["a.b"].tolist() == [0, 0, 0]
    for bad in ({1: 2}, {"x": np.array(["text"])}, {"x": np.ones(2, complex)}):
        kept = bad
        with pytest.raises(TypeError, match="the state of Keeping"):
            run(1)


PROGRAM = """
import sys
import numpy as np
import test_checkpoints as t
from fastmlp import callbacks

class Tell(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("batch", flush=True)

model, members = t.network(seed=None), t.everything()
print("ready", flush=True)
history = t.fit(model, 8, [*members, Tell(), callbacks.BackupAndRestore(sys.argv[1], save_freq=2)])
np.savez(sys.argv[2], *model.get_weights(), *(np.array(values) for values in history.history.values()))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_process_goes_on_with_the_same_bits(tmp_path):
    model, result = network(), tmp_path / "result.npz"
    # the seed is the first process', and comes from the backup
    fit(model, 1, [*everything(), type("Tell", (callbacks.Callback,), {})(),
                   callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2, delete_checkpoint=False)])  # fmt: skip
    model, generator = network(), random.Random(0)
    history = fit(model, 8, everything())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    kills = 0
    while not result.exists():
        command = [sys.executable, "-c", PROGRAM, tmp_path / "backup", result]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            process.stdout.readline()
            if kills < 3:
                for _ in range(generator.randrange(3, 9)):
                    process.stdout.readline()
                process.send_signal(signal.SIGKILL)
                kills += 1
            assert process.wait() in (0, -signal.SIGKILL)
            process.stdout.read()
    with np.load(result) as arrays:
        found = list(arrays.values())
    expected = [*model.get_weights(), *(np.array(values) for values in history.history.values())]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
