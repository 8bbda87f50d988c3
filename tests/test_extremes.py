"""Data and models at the edges: each trains, or the error says why not."""

import re
import threading

import fences
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, optimizers
from fastmlp.errors import TrainingDivergedError
from fastmlp.inputs import check_indices

pytestmark = pytest.mark.jit_only

ROWS = np.random.default_rng(0).standard_normal((200, 6), np.float32)
TARGETS = np.tanh(ROWS[:, :2])


def make_model(features=6, outputs=2, hidden=(8,), optimizer="adam", loss="mse", last="linear"):
    layers = [Dense(units, "relu") for units in hidden]
    model = Sequential([Input((features,)), *layers, Dense(outputs, last)], seed=0)
    model.compile(optimizer, loss)
    return model


def assert_trains(model, x, y, **arguments):
    history = model.fit(x, y, verbose=0, **{"epochs": 2, **arguments}).history
    assert np.isfinite(history["loss"]).all()
    outputs = model.predict(x)
    assert np.isfinite(outputs).all()
    assert len(outputs) == len(x)


@pytest.mark.parametrize("batch_size", [1, 32, 10_000, "auto"])
@pytest.mark.parametrize("rows", [1, 2, 200])
def test_few_rows_and_large_batches(rows, batch_size):
    assert_trains(make_model(), ROWS[:rows], TARGETS[:rows], batch_size=batch_size)


def test_one_feature_one_unit_one_output():
    assert_trains(make_model(1, 1, (1, 1)), ROWS[:, :1], TARGETS[:, :1])


def test_one_class():
    """Softmax of one unit is 1, so there is nothing to learn."""
    model = make_model(outputs=1, loss="sparse_categorical_crossentropy", last="softmax")
    assert_trains(model, ROWS, np.zeros(200, int))
    assert (model.predict(ROWS) == 1).all()


def test_labels_of_a_class_that_has_no_output():
    model = make_model(outputs=2, loss="sparse_categorical_crossentropy", last="softmax")
    with pytest.raises(ValueError, match=r"y|class"):
        model.fit(ROWS, np.full(200, 2), verbose=0)


def test_many_features():
    x = np.random.default_rng(1).standard_normal((20, 100_000), np.float32)
    assert_trains(make_model(100_000), x, TARGETS[:20])


def test_many_classes():
    model = make_model(outputs=10_000, loss="sparse_categorical_crossentropy", last="softmax")
    assert_trains(model, ROWS, np.arange(200) * 50)
    np.testing.assert_allclose(model.predict(ROWS).sum(axis=1), 1, rtol=1e-5)


def test_many_layers():
    assert_trains(make_model(hidden=(7,) * 50), ROWS, TARGETS)


@pytest.mark.parametrize("x", [np.zeros((200, 6)), np.full((200, 6), 7.0), np.full((200, 6), -1e-30)])
def test_constant_features(x):
    assert_trains(make_model(), x, TARGETS)


@pytest.mark.parametrize("label", [0, 1])
def test_equal_labels(label):
    y = np.full(200, label)
    assert_trains(make_model(outputs=2, loss="sparse_categorical_crossentropy", last="softmax"), ROWS, y)
    assert_trains(make_model(outputs=1, loss="binary_crossentropy", last="sigmoid"), ROWS, y)


def test_huge_targets_diverge_and_the_weights_are_kept():
    model = make_model()
    before = model.get_weights()
    with pytest.raises(TrainingDivergedError, match="scaled features and targets"):
        model.fit(ROWS, TARGETS * 1e30, verbose=0)
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    assert_trains(model, ROWS, TARGETS)


def test_targets_and_features_that_float32_cannot_hold():
    for x, y in ((ROWS, TARGETS.astype(float) * 1e300), (ROWS.astype(float) * 1e300, TARGETS)):
        with pytest.raises(ValueError, match=re.compile("float32|infinite|finite|large")):
            make_model().fit(x, y, verbose=0)


def test_a_rate_of_zero():
    """Changes nothing, or is refused in words."""
    try:
        optimizer = optimizers.SGD(0.0)
    except ValueError as error:
        assert "learning_rate" in str(error)  # noqa: PT017
        return
    model = make_model(optimizer=optimizer)
    before = model.get_weights()
    assert_trains(model, ROWS, TARGETS)
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_a_million_rows():
    x = np.random.default_rng(0).standard_normal((1_000_000, 3), np.float32)
    assert_trains(make_model(3, 1, (4,)), x, x[:, :1], epochs=1, batch_size=1000)


@pytest.fixture(scope="module")
def plain():
    model = make_model()
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    return model.predict(ROWS)


def test_arrays_of_any_layout_give_the_same_bits(plain, tmp_path):
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=ROWS.shape)
    mapped[...] = ROWS
    mapped.flush()
    read_only = np.memmap(tmp_path / "rows", np.float32, "r", shape=ROWS.shape)
    wide = np.repeat(ROWS, 2, axis=0)[::2]
    unaligned = np.frombuffer(b"\0" + ROWS.tobytes(), np.uint8)[1:].view(np.float32).reshape(ROWS.shape)
    backwards = np.ascontiguousarray(ROWS[::-1, ::-1])[::-1, ::-1]
    for x in (
        np.asfortranarray(ROWS), wide, backwards, unaligned, mapped, read_only, ROWS.astype(">f4"), ROWS.astype(">f8"),
        ROWS.astype(np.longdouble), ROWS.tolist(),
    ):  # fmt: skip
        model = make_model()
        model.fit(x, TARGETS.astype(">f8"), epochs=2, verbose=0)
        np.testing.assert_array_equal(model.predict(x), plain)


def test_data_that_another_thread_changes():
    """What is learned is anybody's guess, but it is finite or called diverged, and the process lives."""
    x, y, over = ROWS.copy(), TARGETS.copy(), threading.Event()

    def change():
        while not over.is_set():
            x[...] = np.roll(x, 1, axis=0)
            y[::3] = 0.5

    thread = threading.Thread(target=change)
    thread.start()
    try:
        assert_trains(make_model(), x, y, epochs=50)
    finally:
        over.set()
        thread.join()


def test_data_that_another_thread_spoils():
    """NaN after the checks ends as a training that diverges, with the weights from before the epoch."""
    model, x = make_model(), ROWS.copy()

    class Spoil:
        def __call__(self, rows):
            x[:] = np.nan
            return np.arange(rows)

    before = model.get_weights()
    with pytest.raises(TrainingDivergedError):
        model.fit(x, TARGETS, shuffle=Spoil(), verbose=0)
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_labels_that_another_thread_spoils():
    """A class number that is none after the checks is read by no kernel as a place in memory."""
    model = make_model(outputs=3, loss="sparse_categorical_crossentropy", last="softmax")
    y = np.zeros(200, np.float32)

    class Spoil:
        def __call__(self, rows):
            y[:] = 1e9
            return np.arange(rows)

    model.fit(ROWS, y, shuffle=Spoil(), verbose=0)
    assert np.isfinite(model.predict(ROWS)).all()


def test_labels_of_one_class_that_another_thread_spoils():
    """Nor where there is one class, whose gradient a label would be a place in."""
    model = make_model(outputs=1, loss="sparse_categorical_crossentropy", last="softmax")
    y = np.zeros(200, np.float32)

    class Spoil:
        def __call__(self, rows):
            y[:] = 40
            return np.arange(rows)

    with fences.fenced() as watched:
        losses = model.fit(ROWS, y, shuffle=Spoil(), verbose=0).history["loss"]
    assert watched.check()
    assert losses == [0.0]


def test_an_order_that_its_owner_changes_later():
    """The order of an epoch is a copy that was checked, as are the numbers of chosen rows."""
    order, chosen = np.arange(200), np.arange(100)
    found = check_indices("order", order, 200)
    rows = check_indices("rows", chosen, 200)
    order[:] = chosen[:] = 10**12
    np.testing.assert_array_equal(found, np.arange(200))
    np.testing.assert_array_equal(rows, np.arange(100))


@pytest.mark.parametrize("batch_size", [1, 3, 64, 200, 5000])
def test_predictions_have_the_same_bits_for_any_batch(batch_size, plain):
    model = make_model()
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.predict(ROWS, batch_size=batch_size), plain)
    for size in (1, 7, 33):
        parts = [model.predict(ROWS[first : first + size]) for first in range(0, 200, size)]
        np.testing.assert_array_equal(np.concatenate(parts), plain)
