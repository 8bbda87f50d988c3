"""Ctrl-C, other signals, and callbacks that raise: soon answered, and what is left is a model that trains on."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from programs import run

import fastmlp
from fastmlp import BatchNormalization, Dense, Input, Sequential, optimizers
from fastmlp.callbacks import LambdaCallback
from fastmlp.engine import interruption, predictor, session
from fastmlp.kernels.signals import Look

pytestmark = [
    pytest.mark.jit_only,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

ROWS = np.random.default_rng(2).standard_normal((3000, 20), np.float32)
TARGETS = np.tanh(ROWS[:, :3])
ANSWER = 0.2


def make_model(units=40, optimizer="adam", loss="mse", *, normalised=False):
    between = [BatchNormalization(momentum=0.5)] if normalised else []
    model = Sequential([Input((20,)), Dense(units, "relu"), *between, Dense(units, "relu"), Dense(3)], seed=1)
    model.compile(optimizer, loss)
    return model


class Signal:
    """Sends this process a signal after a while, and knows how much processor time the answer took."""

    def __init__(self, seconds, number=signal.SIGINT):
        self._timer = threading.Timer(seconds, self._send, (number,))
        self._sent = None

    def _send(self, number):
        self._sent = time.process_time()
        os.kill(os.getpid(), number)

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *error):
        self.answered = time.process_time() - self._sent
        self._timer.join()


def assert_trains_on(model, x=ROWS, y=TARGETS):
    """The model is whole: finite, not busy, equal to its copy, and trains, also in another thread."""
    for weight in model.get_weights():
        assert np.isfinite(weight).all()
    twin = fastmlp.Sequential.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(x[:100]), model.predict(x[:100]))
    losses = []

    def train():
        losses.extend(model.fit(x, y, epochs=2, verbose=0).history["loss"])

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(60)
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    # no helper waits for a leader that is gone: an idle process uses no processor time
    before = time.process_time()
    time.sleep(0.1)
    assert time.process_time() - before < 0.08


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("delay", [0.05, 0.2])
def test_ctrl_c_in_a_long_epoch(threads, delay):
    fastmlp.set_num_threads(threads)
    model = make_model()
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    begun = int(model.optimizer.batches)
    x, y = np.tile(ROWS, (100, 1)), np.tile(TARGETS, (100, 1))
    with Signal(delay) as sent, pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=1000, batch_size=32, verbose=0)
    assert sent.answered < ANSWER * threads
    assert model.optimizer.batches > begun
    assert len(model.history.history.get("loss", [])) == len(model.history.epoch) < 100
    assert_trains_on(model)


# Training, where the gradient takes long as well as the rows; a batch that is the whole data; and clipping by norms.
LONG = {
    "adam": optimizers.Adam,
    "global norm": lambda: optimizers.SGD(0.01, global_clipnorm=1.0),
    "lbfgs": optimizers.LBFGS,
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_in_a_long_step(name, threads):
    fastmlp.set_num_threads(threads)
    model = make_model(1500, LONG[name]())
    x, y = np.tile(ROWS, (3, 1)), np.tile(TARGETS, (3, 1))
    model.train_on_batch(x[:32], y[:32]) if name != "lbfgs" else model.evaluate(x[:32], y[:32])
    before = model.get_weights()
    with Signal(0.3) as sent, pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=50, batch_size=9000, verbose=0)
    assert sent.answered < ANSWER * threads
    for weight, kept in zip(model.get_weights(), before, strict=True):
        assert np.isfinite(weight).all()
        assert weight.shape == kept.shape
    model.fit(x[:64], y[:64], verbose=0)


def test_ctrl_c_in_a_long_prediction():
    model = make_model(1500)
    x = np.tile(ROWS, (20, 1))
    model.predict(x[:3000])
    with Signal(0.3) as sent, pytest.raises(KeyboardInterrupt):
        [model.predict(x) for _ in range(50)]
    assert sent.answered < 2 * ANSWER


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_gradients_that_are_made_first_change_no_bit(optimizer, threads, monkeypatch):
    fastmlp.set_num_threads(threads)
    fused, whole = make_model(100, optimizer), make_model(100, optimizer)
    fused.fit(ROWS, TARGETS, batch_size=500, epochs=3, verbose=0)
    monkeypatch.setattr(session, "LONGEST_UPDATE", 0)
    # and every step looks up
    monkeypatch.setattr(session, "SECONDS_A_CALL", 0)
    whole.fit(ROWS, TARGETS, batch_size=500, epochs=3, verbose=0)
    for expected, weight in zip(fused.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


class Nth(Look):
    """Has Ctrl-C come at the n-th look."""

    def __init__(self, number):
        self.number = number
        super().__init__()

    def _turns(self):
        yield from [0] * self.number
        self.error = KeyboardInterrupt()
        while True:
            yield 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [optimizers.Adam, lambda: optimizers.SGD(0.01, momentum=0.9, clipnorm=0.5)])
@pytest.mark.parametrize("normalised", [False, True])
def test_a_step_that_is_given_up_has_not_been_made(make, threads, normalised, monkeypatch):
    """Interrupted in each place in turn, a model trains on as if nothing had happened."""
    fastmlp.set_num_threads(threads)
    monkeypatch.setattr(session, "LONGEST_UPDATE", 0)
    monkeypatch.setattr(session, "SECONDS_A_CALL", 0)
    expected, model = (make_model(50, make(), normalised=normalised) for _ in range(2))
    for seen in (expected, model):
        seen.train_on_batch(ROWS[:1000], TARGETS[:1000])
    expected.train_on_batch(ROWS[:1000], TARGETS[:1000])
    before, interrupted = model.get_weights(), 0
    while True:
        found = Nth(interrupted + 1)
        monkeypatch.setattr(interruption, "look", lambda found=found: found)
        try:
            model.train_on_batch(ROWS[:1000], TARGETS[:1000])
        except KeyboardInterrupt:
            interrupted += 1
        else:
            break
        for weight, kept in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, kept)
        assert model.optimizer.batches == 1
    assert interrupted >= 5
    for weight, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


def looks(monkeypatch, call):
    """Interrupt a call at each of its looks in turn, until it comes to its end; yield after each interruption."""
    monkeypatch.setattr(session, "SECONDS_A_CALL", 0)
    monkeypatch.setattr(predictor, "SECONDS_A_CALL", 0)
    monkeypatch.setattr(predictor, "WORK_A_LOOK", 0)
    number = 0
    while True:
        number += 1
        found = Nth(number)
        monkeypatch.setattr(interruption, "look", lambda found=found: found)
        try:
            call()
        except KeyboardInterrupt:
            monkeypatch.setattr(interruption, "look", lambda: None)
            yield number
        else:
            monkeypatch.setattr(interruption, "look", lambda: None)
            return


@pytest.mark.parametrize("threads", [1, 2])
def test_moving_statistics_are_those_of_the_steps_that_were_made(threads, monkeypatch):
    fastmlp.set_num_threads(threads)
    model = Sequential(
        [Input((20,)), Dense(40), BatchNormalization(), Dense(9), BatchNormalization(), Dense(3)], seed=1
    )
    model.compile("adam", "mse")
    monkeypatch.setattr(session, "LONGEST_UPDATE", 0)
    monkeypatch.setattr(session, "SECONDS_A_CALL", 0)
    model.train_on_batch(ROWS[:2000], TARGETS[:2000])
    before = model.get_weights()
    for number in looks(monkeypatch, lambda: model.train_on_batch(ROWS[:2000], TARGETS[:2000])):
        assert number < 1000
        for weight, kept in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, kept)
    assert number >= 10
    assert model.optimizer.batches == 2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [optimizers.Adam, lambda: optimizers.SGD(0.01, momentum=0.9, clipnorm=0.5)])
def test_an_update_of_a_large_net_is_left_with_each_weight_from_before_or_after(make, threads, monkeypatch):
    fastmlp.set_num_threads(threads)
    whole, model = make_model(50, make()), make_model(50, make())
    x, y = ROWS[:1000], TARGETS[:1000]
    before = whole.get_weights()
    whole.train_on_batch(x, y)
    after = whole.get_weights()
    monkeypatch.setattr(session, "LARGEST_UPDATE", 0)
    partly = 0
    model.train_on_batch(x, y)
    for weight, wanted in zip(model.get_weights(), after, strict=True):
        np.testing.assert_array_equal(weight, wanted)
    model = None

    def step():
        nonlocal model
        model = make_model(50, make())
        model.train_on_batch(x, y)

    for _ in looks(monkeypatch, step):
        changed = [(weight != old) for weight, old in zip(model.get_weights(), before, strict=True)]
        for weight, old, new, moved in zip(model.get_weights(), before, after, changed, strict=True):
            np.testing.assert_array_equal(weight, np.where(moved, new, old))
        count = sum(int(moved.sum()) for moved in changed)
        partly += count > 0
        assert (count > 0) <= model.optimizer.batches
    assert partly > 3
    assert_trains_on(model)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [60, 3000])
def test_predictions_and_evaluations_after_one_that_was_given_up(rows, threads, monkeypatch):
    fastmlp.set_num_threads(threads)
    monkeypatch.setattr(predictor, "SECONDS_A_CALL", 0)
    model = make_model(300)
    x, y = ROWS[:rows], TARGETS[:rows]
    expected, loss = model.predict(x), model.evaluate(x, y, verbose=0)
    numbers = []
    for call in (lambda: model.predict(x), lambda: model.evaluate(x, y, verbose=0)):
        numbers.append(max(looks(monkeypatch, call)))
        np.testing.assert_array_equal(model.predict(x), expected)
        assert model.evaluate(x, y, verbose=0) == loss
    assert min(numbers) > 5


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_with_a_net_of_fifty_million_weights(threads):
    fastmlp.set_num_threads(threads)
    model = make_model(7)
    model.fit(ROWS[:64], TARGETS[:64], verbose=0)
    model.predict(ROWS)
    layers = [Dense(5000, "relu"), Dense(5000, "relu"), Dense(5000, "relu"), Dense(3)]
    model = Sequential([Input((20,)), *layers], seed=1)
    model.compile("adam", "mse")
    model.train_on_batch(ROWS[:32], TARGETS[:32])
    calls = [
        lambda: model.fit(ROWS, TARGETS, batch_size=32, epochs=100, verbose=0),
        lambda: model.fit(ROWS, TARGETS, batch_size=1000, epochs=100, verbose=0),
        lambda: [model.predict(ROWS) for _ in range(100)],
        lambda: [model.evaluate(ROWS, TARGETS, verbose=0) for _ in range(100)],
    ]
    for call in calls:
        with Signal(0.5) as sent, pytest.raises(KeyboardInterrupt):
            call()
        assert sent.answered < ANSWER * threads
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.isfinite(model.train_on_batch(ROWS[:32], TARGETS[:32]))


def test_a_handler_may_predict_within_a_look(recwarn):
    """Also with a net for whose predictions Python would look up."""
    model, other = make_model(1500), make_model(1500)
    other.predict(ROWS)
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(other.predict(np.tile(ROWS, (10, 1)))))
    try:
        with Signal(0.3, signal.SIGUSR1):
            model.fit(np.tile(ROWS, (3, 1)), np.tile(TARGETS, (3, 1)), batch_size=9000, epochs=2, verbose=0)
            while not seen:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert np.isfinite(seen[0]).all()
    assert not recwarn.list


def _loss(y_true, y_pred):
    return float(np.mean((y_pred - y_true) ** 2)), (2 / y_pred.size) * (y_pred - y_true)


def test_ctrl_c_is_not_lost_in_a_loss_of_ones_own():
    model = make_model(300, "sgd", _loss)
    model.fit(ROWS[:64], TARGETS[:64], verbose=0)
    for attempt in range(12):
        with Signal(0.02 + 0.003 * attempt), pytest.raises(KeyboardInterrupt):
            model.fit(ROWS, TARGETS, batch_size=1000, epochs=10_000, verbose=0)
    assert_trains_on(model)


def test_what_a_handler_raises_ends_a_training():
    class TerminatedError(Exception):
        pass

    def handle(number, frame):
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, handle)
    try:
        for units in (40, 1500):
            model = make_model(units)
            with Signal(0.3, signal.SIGTERM) as sent, pytest.raises(TerminatedError):
                model.fit(ROWS, TARGETS, epochs=10_000, batch_size=3000, verbose=0)
            assert sent.answered < 2 * ANSWER
        assert_trains_on(make_model())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_raises_nothing_changes_no_bit():
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(time.process_time()))
    try:
        alone, model = make_model(1000), make_model(1000)
        alone.fit(ROWS, TARGETS, epochs=3, batch_size=3000, verbose=0)
        with Signal(0.2, signal.SIGUSR1):
            model.fit(ROWS, TARGETS, epochs=3, batch_size=3000, verbose=0)
            while not seen:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 1
    for weight, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


HOOKS = ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_callback_that_raises(hook, error):
    model = make_model()
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 2 or hook == "on_train_begin":
            raise error("enough")

    with pytest.raises(error, match="enough"):
        model.fit(ROWS, TARGETS, epochs=3, verbose=0, callbacks=[LambdaCallback(**{hook: fail})])
    assert len(model.history.history.get("loss", [])) in ((2,) if hook == "on_epoch_end" else (0, 1))
    assert_trains_on(model)


# Raises at the n-th place where Python would run a signal's handler while in fit: where a function begins, and where
# a call of a C function has returned. In a process of its own, since a profile function slows everything down.
PLACES = """
import sys, threading, time
import numpy as np
import fastmlp
from fastmlp import Dense, Input, Sequential

fastmlp.set_num_threads(2)
x = np.random.default_rng(0).standard_normal((700, 8), np.float32)
y = x[:, :2]

def make():
    model = Sequential([Input((8,)), Dense(120, "relu"), Dense(120, "relu"), Dense(2)], seed=0)
    model.compile("adam", "mse")
    return model

class Nth:
    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, argument):
        if event in ("call", "c_return") and "fastmlp" in frame.f_code.co_filename:
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                self.place = f"{frame.f_code.co_filename[-30:]}:{frame.f_lineno}"
                raise KeyboardInterrupt

def fit(model):
    model.fit(x, y, batch_size=350, epochs=2, verbose=0, validation_split=0.1)

def predict(model):
    model.predict(x[:5])
    model.predict(x)

fit(make())
interrupted = {"fit": fit, "predict": predict}[sys.argv[3]]
count, step = 0, int(sys.argv[1])
number = 1 + int(sys.argv[2])
while True:
    model, place = make(), Nth(number)
    sys.setprofile(place)
    try:
        interrupted(model)
    except KeyboardInterrupt:
        pass
    else:
        break
    finally:
        sys.setprofile(None)
    count += 1
    number += step
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    found = []
    def use():
        try:
            fit(model)
            model.predict(x)
            found.append("ok")
        except BaseException as error:
            found.append(repr(error))
    thread = threading.Thread(target=use)
    thread.start()
    thread.join(20)
    if found != ["ok"]:
        print(number - step, place.place, found, flush=True)
before = time.process_time()
time.sleep(0.3)
print(count > 20, time.process_time() - before < 0.2, number)
"""


@pytest.mark.parametrize(("method", "step"), [("fit", "29"), ("predict", "2")])
def test_ctrl_c_at_any_place(method, step):
    lines = run(PLACES, step, "3", method).splitlines()
    assert lines[-1].startswith("True True"), lines
    assert len(lines) == 1, lines
