"""Data larger than memory: the bits of the same rows as arrays, whatever they come from, and what goes wrong."""

import threading
import time

import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Dropout, Input, Sequential, fit_many
from fastmlp.callbacks import BackupAndRestore, LambdaCallback
from fastmlp.data import Source
from fastmlp.errors import SourceError, TrainingDivergedError

ROWS, FEATURES = 1003, 5
X = np.random.default_rng(0).standard_normal((ROWS, FEATURES), np.float32)
Y = (X[:, 0] - X[:, 1] > 0).astype(np.float32)
WEIGHTS = np.linspace(0.5, 2, ROWS, dtype=np.float32)


class Rows:
    """Somebody's own rows, by slices."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        return self.array[rows]


class Pairs(Rows):
    """Items one at a time, as a Dataset of PyTorch's."""

    def __getitem__(self, number):
        if not isinstance(number, int):
            raise TypeError("numbers alone")
        return X[number], Y[number]


def make_model(seed=3, loss="binary_crossentropy", **compiled):
    model = Sequential([Input((FEATURES,)), Dense(8, "relu"), Dropout(0.2), Dense(1, "sigmoid")], seed=seed)
    model.compile("adam", loss, **compiled)
    return model


def by_source(source, seed=3):
    """The order of rows that a model gets by a source, for ``shuffle``."""
    epochs = iter(range(100))
    return lambda rows: source.order(seed, next(epochs))


def assert_same(one, other):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def nobody_reads():
    return not any(thread.name.startswith("fastmlp reads") for thread in threading.enumerate())


CUTS = [{"block_rows": 100, "buffer": 3}, {"block_rows": 64, "buffer": 1}, {"block_rows": 2000}, {"block_bytes": 500}]


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_bits_of_arrays(cut, shuffled):
    source = Source(Rows(X), Rows(Y), Rows(WEIGHTS), **cut)
    assert source.fits == (source.window == ROWS)
    model, twin = (make_model(metrics=["accuracy"], weighted_metrics=["accuracy"]) for _ in range(2))
    history = model.fit(
        source, batch_size=20, epochs=3, shuffle=shuffled, class_weight={0: 1, 1: 2}, validation_data=source, verbose=0
    )
    expected = twin.fit(
        X, Y, batch_size=20, epochs=3, shuffle=by_source(source) if shuffled else False, sample_weight=WEIGHTS,
        class_weight={0: 1, 1: 2}, validation_data=(X, Y, WEIGHTS), verbose=0,
    )  # fmt: skip
    assert_same(model, twin)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(source), twin.predict(X))
    np.testing.assert_allclose(model.evaluate(source), twin.evaluate(X, Y, sample_weight=WEIGHTS), rtol=1e-12)
    assert nobody_reads()


def test_an_order_has_every_row_and_mixes_within_a_window():
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=3)
    first, second = source.order(7), source.order(7, 1)
    np.testing.assert_array_equal(np.sort(first), np.arange(ROWS))
    np.testing.assert_array_equal(np.sort(second), np.arange(ROWS))
    assert (first != second).mean() > 0.9
    assert (first != source.order(8)).mean() > 0.9
    np.testing.assert_array_equal(first, source.order(7))
    # a window has the rows of the three or four blocks that it is cut from
    assert len(np.unique(first[: source.window] // 100)) in (3, 4)


def test_data_that_fit_have_the_order_of_arrays():
    model, twin = make_model(), make_model()
    model.fit(Source(Rows(X), Rows(Y)), epochs=2, verbose=0)
    twin.fit(X, Y, epochs=2, verbose=0)
    assert_same(model, twin)


@pytest.mark.jit_only
def test_any_number_of_threads():
    wide = np.random.default_rng(1).standard_normal((3000, 40), np.float32)
    source = Source(Rows(wide), Rows(wide[:, 0]), block_rows=300, buffer=3)
    models = []
    for threads in (1, 2):
        fastmlp.set_num_threads(threads)
        try:
            model = Sequential([Input((40,)), Dense(128, "relu"), Dense(1)], seed=2)
            model.compile("adam", "mse")
            model.fit(source, batch_size=256, epochs=2, verbose=0)
        finally:
            fastmlp.set_num_threads(None)
        models.append(model)
    assert_same(*models)


def test_steps_of_an_epoch():
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=2)
    model, twin = make_model(), make_model()
    model.fit(source, batch_size=30, epochs=2, steps_per_epoch=15, verbose=0)
    twin.fit(X, Y, batch_size=30, epochs=2, steps_per_epoch=15, shuffle=by_source(source), verbose=0)
    assert_same(model, twin)
    assert model.evaluate(source, batch_size=30, steps=5) == pytest.approx(model.evaluate(X[:150], Y[:150]))
    np.testing.assert_array_equal(model.predict(source, batch_size=30, steps=5), model.predict(X[:150]))


def test_a_training_goes_on_with_the_same_bits():
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=2)
    model, twin = make_model(), make_model()
    model.fit(source, epochs=2, verbose=0)
    model.fit(source, epochs=4, initial_epoch=2, verbose=0)
    twin.fit(source, epochs=4, verbose=0)
    assert_same(model, twin)


@pytest.mark.parametrize("stop", [3, 7, 13, 31, 45])
def test_a_backup_within_an_epoch(stop, tmp_path):
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=2)
    steps = []

    def interrupt(batch, logs):
        steps.append(batch)
        if len(steps) == stop:
            raise KeyboardInterrupt

    backup = BackupAndRestore(tmp_path / "backup", save_freq=1)
    model = make_model(metrics=["accuracy"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(source, epochs=2, verbose=0, callbacks=[LambdaCallback(on_train_batch_begin=interrupt), backup])
    resumed = make_model(metrics=["accuracy"])
    steps[:] = range(-1000, 0)
    history = resumed.fit(
        source, epochs=2, verbose=0, callbacks=[LambdaCallback(on_train_batch_begin=interrupt), backup]
    )
    twin = make_model(metrics=["accuracy"])
    expected = twin.fit(source, epochs=2, verbose=0)
    assert_same(resumed, twin)
    assert history.history == expected.history
    assert nobody_reads()


def test_a_backup_is_of_one_way_to_read(tmp_path):
    backup = BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    make_model().fit(Source(Rows(X), Rows(Y), block_rows=100, buffer=2), verbose=0, callbacks=[backup])
    with pytest.raises(fastmlp.errors.ModelFileError, match="reading of rows was 11 blocks, 200 rows at a time"):
        make_model().fit(X, Y, epochs=2, verbose=0, callbacks=[backup])


def test_hooks_of_batches_and_early_ends():
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=2)
    seen, model = [], make_model()

    def end(batch, logs):
        seen.append(batch)
        if len(seen) == 40:
            model.stop_training = True

    model.fit(source, epochs=5, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=end)])
    assert seen == [*range(32), *range(8)]
    assert nobody_reads()
    tested = LambdaCallback()
    outputs = []
    tested.on_predict_batch_end = lambda batch, logs: outputs.append(logs["outputs"])
    predicted = model.predict(source, batch_size=50, callbacks=[tested])
    np.testing.assert_array_equal(np.concatenate(outputs), predicted)
    np.testing.assert_array_equal(predicted, model.predict(X))


def test_items_one_at_a_time():
    source = Source(Pairs(X), block_rows=100, buffer=2)
    model, twin = make_model(), make_model()
    model.fit(source, verbose=0)
    twin.fit(Source(Rows(X), Rows(Y), block_rows=100, buffer=2), verbose=0)
    assert_same(model, twin)


class Shaped(Rows):
    """Rows that are known to be many."""

    shape = property(lambda self: self.array.shape)


@pytest.fixture
def large():
    x = np.random.default_rng(2).standard_normal((60_000, 400), np.float32)
    return x, x[:, 0] > 0


@pytest.mark.jit_only
def test_what_is_a_source_by_itself(large, tmp_path):
    x, y = large
    zarr, h5py = pytest.importorskip("zarr"), pytest.importorskip("h5py")
    x.tofile(tmp_path / "x.bin")
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=x.shape)
    chunked = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=(5000, 400), dtype="float32")
    chunked[:] = x
    models = []
    with h5py.File(tmp_path / "x.h5", "w") as file:
        kept = file.create_dataset("x", data=x)
        for given in (mapped, chunked, kept, Shaped(x), Rows(x)):
            model = Sequential([Input((400,)), Dense(2, "relu"), Dense(1, "sigmoid")], seed=1)
            model.compile("sgd", "binary_crossentropy")
            model.fit(given, y, batch_size=512, shuffle=False, verbose=0)
            models.append(model)
            known = Source(given) if isinstance(given, Rows) else given
            np.testing.assert_array_equal(model.predict(known), models[0].predict(x))
            assert model.evaluate(given, y) == pytest.approx(models[0].evaluate(x, y), rel=1e-9)
    twin = Sequential([Input((400,)), Dense(2, "relu"), Dense(1, "sigmoid")], seed=1)
    twin.compile("sgd", "binary_crossentropy")
    twin.fit(x, y, batch_size=512, shuffle=False, verbose=0)
    for model in models:
        assert_same(model, twin)
    assert Source(chunked).blocks == 12
    # what asks for arrays has the map as one
    twin.fit(mapped, y, batch_size=512, validation_split=0.1, verbose=0)
    with pytest.raises(ValueError, match=r"validation_split must not be given to fit with 60000 rows of x"):
        twin.fit(chunked, y, validation_split=0.1)


def arrow_table(rows=ROWS):
    arrow = pytest.importorskip("pyarrow")
    columns = {f"f{number}": X[:rows, number] for number in range(FEATURES)}
    return arrow.table({**columns, "label": Y[:rows].astype(bool), "weight": WEIGHTS[:rows].astype(float)})


def test_datasets_of_arrow(tmp_path):
    table = arrow_table()
    dataset, parquet = pytest.importorskip("pyarrow.dataset"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(table.slice(0, 600), tmp_path / "a.parquet", row_group_size=70)
    parquet.write_table(table.slice(600), tmp_path / "b.parquet", row_group_size=403)
    parquet.write_table(table, tmp_path / "whole.parquet_", row_group_size=150)
    twin = make_model()
    twin.fit(X, Y, sample_weight=WEIGHTS, shuffle=False, verbose=0)
    files = dataset.dataset([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    with parquet.ParquetFile(tmp_path / "whole.parquet_") as one:
        for data in (files, one, table):
            source = Source(data, target="label", sample_weight="weight", block_rows=100, buffer=2)
            assert not source.fits
            assert source.shape == (ROWS, FEATURES)
            np.testing.assert_array_equal(np.sort(source.order(0)), np.arange(ROWS))
            model, shuffled = make_model(), make_model()
            model.fit(source, shuffle=False, verbose=0)
            assert_same(model, twin)
            shuffled.fit(source, epochs=2, verbose=0)
            expected = make_model()
            expected.fit(X, Y, epochs=2, sample_weight=WEIGHTS, shuffle=by_source(source), verbose=0)
            assert_same(shuffled, expected)
    direct, expected = make_model(), make_model()
    direct.fit(files, "label", sample_weight="weight", verbose=0)
    expected.fit(X, Y, sample_weight=WEIGHTS, verbose=0)
    assert_same(direct, expected)


def test_lists_of_one_length_are_features():
    arrow = pytest.importorskip("pyarrow")
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(X[:, :4].reshape(-1)), 4)
    table = arrow.table({"v": vectors, "last": X[:, 4], "label": Y})
    source = Source(table, target="label", block_rows=100, buffer=2)
    model, twin = make_model(), make_model()
    model.fit(source, shuffle=False, verbose=0)
    twin.fit(X, Y, shuffle=False, verbose=0)
    assert_same(model, twin)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "lable"}, "unknown column 'lable': did you mean 'label'"),
        ({"target": "label", "features": ["f0", "label"]}, "features must not have the columns of target"),
        ({"target": "label", "features": ["f0", "f0"]}, "name each column once"),
        ({"y": Y}, "target names its column"),
    ],
)
def test_wrong_columns(arguments, message):
    with pytest.raises(ValueError, match=message):
        Source(arrow_table(), **arguments)


def test_columns_that_are_no_numbers():
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="column 'a' must hold numbers"):
        Source(arrow.table({"a": ["x", "y"], "label": [0, 1]}), target="label")
    source = Source(
        arrow.table({"a": [*X[:500, 0].tolist(), None], "label": [1] * 501}), target="label", block_rows=50, buffer=2
    )
    model = Sequential([Input((1,)), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"rows 500 to 500 of the source: column 'a' must have no nulls, and has 1"):
        model.fit(source, shuffle=False, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y}, "y must not be given to fit with a Source: give it to Source"),
        ({"sample_weight": WEIGHTS}, "sample_weight must not be given"),
        ({"validation_split": 0.1}, "give validation_data"),
        ({"rows": [1, 2]}, "make a Source of these rows"),
        ({"validation_rows": [1, 2]}, "give validation_data"),
        ({"shuffle": np.arange}, "a Source has an order of its own"),
        ({"batch_size": 201}, "batch_size must be at most the 200 rows"),
        ({"steps_per_epoch": 1000}, "steps_per_epoch must be at most"),
    ],
)
def test_what_does_not_go_with_a_source(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model().fit(Source(Rows(X), Rows(Y), block_rows=100, buffer=2), **arguments)


def test_what_takes_no_source():
    source = Source(Rows(X), Rows(Y), block_rows=100, buffer=2)
    model = make_model()
    for call in (
        lambda: model.train_on_batch(source, Y),
        lambda: fit_many(model, source, Y, seeds=[1]),
        lambda: model(source),
        lambda: Source(source),
    ):
        with pytest.raises(TypeError, match="a Source"):
            call()
    model.compile(fastmlp.optimizers.LBFGS(), "binary_crossentropy")
    with pytest.raises(ValueError, match="LBFGS takes all rows at once"):
        model.fit(source)
    model = make_model()
    for purpose in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="the Source must have y"):
            purpose(Source(Rows(X), block_rows=100, buffer=2))
    with pytest.raises(ValueError, match="must have 5 features"):
        model.fit(Source(Rows(X[:, :3]), Rows(Y), block_rows=100, buffer=2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "x must have rows"),
        ((Rows(X), Rows(Y[1:])), ValueError, "y must have as many rows as x: x has 1003, y 1002"),
        ((Rows(X), Rows(Y), Rows(X)), ValueError, "sample_weight must have the shape"),
        ((Rows(X[:0]),), ValueError, "at least one row"),
        ((Rows(Y),), ValueError, r"x must have the shape \(rows, features\)"),
        ((Rows(np.array([["a"], ["b"]])),), TypeError, "real numbers"),
    ],
)
def test_what_is_no_source(arguments, error, message):
    with pytest.raises(error, match=message):
        Source(*arguments)


@pytest.mark.parametrize("argument", ["block_rows", "block_bytes", "buffer"])
def test_numbers_of_a_source(argument):
    with pytest.raises(ValueError, match=f"{argument} must be a positive integer"):
        Source(Rows(X), **{argument: 0})


class Broken(Rows):
    """Something is wrong with rows from 700 on."""

    def __init__(self, what):
        super().__init__(X)
        self.what = what

    def __getitem__(self, rows):
        found = X[rows]
        if rows.start < 700:
            return found
        if isinstance(self.what, Exception):
            raise self.what
        return self.what(found.copy())


def poisoned(rows):
    rows[3, 2] = np.nan
    return rows


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (OSError("disk"), SourceError, "rows 700 to 799 of the source could not be read: OSError: disk"),
        (poisoned, ValueError, r"rows 700 to 799 of the source: x must be finite.*nan at index \(703, 2\)"),
        (lambda rows: rows[:-1], ValueError, "rows 700 to 799 of the source: x must have 100 rows from 700 on"),
        (lambda rows: rows[:, 1:], ValueError, r"700 to 799 of the source: x must have rows of the shape \(5,\)"),
        (lambda rows: rows.astype(str), TypeError, "700 to 799 of the source: x must hold real numbers"),
    ],
    ids=["raises", "nan", "short", "narrow", "text"],
)
def test_rows_that_are_wrong(what, error, message):
    source = Source(Broken(what), Rows(Y), block_rows=100, buffer=2)
    model = make_model()
    for call in (
        lambda: model.fit(source, shuffle=False, verbose=0),
        lambda: model.evaluate(source),
        lambda: model.predict(source),
    ):
        with pytest.raises(error, match=message):
            call()
        assert nobody_reads()
    model.fit(X, Y, verbose=0)
    assert np.isfinite(model.predict(X)).all()


def test_targets_that_are_wrong():
    wrong = Y.copy()
    wrong[950] = 2
    source = Source(Rows(X), Rows(wrong), block_rows=100, buffer=2)
    with pytest.raises(ValueError, match=r"rows 900 to 99\d of the source: y must be in \[0, 1\]"):
        make_model().fit(source, verbose=0)
    with pytest.raises(ValueError, match="class_weight must have a weight for every class"):
        make_model().fit(Source(Rows(X), Rows(Y), block_rows=100, buffer=2), class_weight={0: 1}, verbose=0)
    assert nobody_reads()


def test_divergence():
    big = Source(Rows(X * np.float32(1e15)), Rows(Y), block_rows=100, buffer=2)
    model = Sequential([Input((FEATURES,)), Dense(8), Dense(1)], seed=1)
    model.compile(fastmlp.optimizers.SGD(1e30), "mse")
    before = model.get_weights()
    with pytest.raises(TrainingDivergedError):
        model.fit(big, verbose=0)
    for left, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)
    assert nobody_reads()


class Slow(Rows):
    """Reading takes a while."""

    def __init__(self, array, seconds):
        super().__init__(array)
        self.seconds = seconds

    def __getitem__(self, rows):
        time.sleep(self.seconds)
        return super().__getitem__(rows)


def test_slow_reading_changes_no_bit():
    model, twin = make_model(), make_model()
    model.fit(Source(Slow(X, 0.002), Rows(Y), block_rows=100, buffer=2), epochs=2, verbose=0)
    twin.fit(Source(Rows(X), Rows(Y), block_rows=100, buffer=2), epochs=2, verbose=0)
    assert_same(model, twin)
